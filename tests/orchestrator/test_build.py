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
