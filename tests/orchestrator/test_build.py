"""What a job asks of the pipeline beyond what its sender named."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.catalog import load_catalog
from orchestrator.job import parse_job
from tests.orchestrator.support import palette_job

INPAINT: dict[str, Any] = {"action": "remove", "value": "inpaint"}


def aids(**fields: Any) -> list[str]:
    """Names of concepts that nobody asked for."""
    job = parse_job(palette_job(**fields), load_catalog())
    return [concept.name for concept in job.items[0].request.concepts if concept.aid]


def test_a_removal_that_is_filled_looks_for_the_floor() -> None:
    assert aids(concepts={"Sofa": INPAINT}) == ["floor"]


@pytest.mark.parametrize(
    "fields",
    [
        {"concepts": {"Sofa": INPAINT, "Flooring": {"action": "recolor", "value": "oak_a"}}},
        {"concepts": {"Sofa": {"action": "remove", "value": "transparent"}}},
        {"concepts": {"Product": INPAINT}, "preset": "seller"},
    ],
    ids=["the job names it", "nothing is filled", "no room"],
)
def test_otherwise_nothing_more_is_looked_for(fields: dict[str, Any]) -> None:
    assert aids(**fields) == []


@pytest.mark.parametrize("drawn", [["Wall"], ["Wall", "Floor"]], ids=["one of two", "all"])
def test_what_the_preset_protects_unasked_is_looked_for_unless_all_that_is_edited_was_drawn(drawn: list[str]) -> None:
    paint = {"action": "recolor", "value": "oak_a"}
    message = palette_job(concepts={"Wall": paint, "Floor": paint}, protect=["Frame_Molding"], preset="interior")
    item = message["items"][0]
    message["items"] = [{**item, "mask_keys": {name: f"inputs/{message['user_id']}/{message['job_id']}/{name}.png" for name in drawn}}]
    request = parse_job(message, load_catalog()).items[0].request
    asked = {"Wall", "Floor", "Frame_Molding"}
    assert "Frame_Molding" in request.protect
    assert (set(request.protect) <= asked) == ({concept.name for concept in request.concepts} == asked) == (len(drawn) == 2)
