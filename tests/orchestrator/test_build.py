"""What a job asks of the pipeline beyond what its sender named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from respray.contract.errors import ConceptNotFoundError
from respray.contract.photo_facts import KeptMetadata, PhotoFacts
from respray.contract.request import PhotoRequest, prompts_of
from respray.editing.apply import edit_photo
from respray.imaging.decode import DecodedPhoto, decode
from respray.imaging.exif import COPYRIGHT, ExifBlock
from tests.editing.rooms import segments, wall_photo
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


def test_what_nobody_named_is_reported_and_not_missed() -> None:
    """A room without a person is no reason to fail, a room without what the job names is."""
    photo, floor = wall_photo("#D8CFC0")
    fields: dict[str, Any] = {
        "concepts": {"Floor": {"action": "recolor", "value": "oak_a"}},
        "preset": "interior",
        "options": {"missing": "error"},
    }

    def edited(seen: str, **more: Any) -> Any:
        sent = parse_job(palette_job(**fields, **more), load_catalog()).items[0].request
        received = PhotoRequest.model_validate_json(sent.model_dump_json())
        presence = np.array([prompt == seen for prompt in prompts_of(received.concepts)], np.float32)
        answer = replace(segments(*[floor] * len(presence)), presence=presence, scores=presence[:, None])
        return edit_photo(photo, answer, received, [])

    result = edited("floor")
    assert result.report.warnings == []
    assert {item.name: item.found for item in result.report.concepts} == {"Floor": True, "Window": False, "Person": False}
    assert (decode(result.files[0]) != photo).any()
    with pytest.raises(ConceptNotFoundError, match=r"nothing found for 'Floor'$"):
        edited("person")
    with pytest.raises(ConceptNotFoundError, match=r"nothing found for 'Person'$"):
        edited("floor", protect=["Person"])


def test_what_a_background_leaves_out_is_implied_unless_it_is_drawn() -> None:
    message = palette_job(concepts={"Background": {"action": "remove", "value": "#FFFFFF"}}, preset="seller")
    key = f"inputs/{message['user_id']}/{message['job_id']}/product.png"

    def implied(masks: dict[str, str]) -> set[str]:
        message["items"] = [{**message["items"][0], "mask_keys": masks}]
        return {query.name for query in parse_job(message, load_catalog()).items[0].request.concepts if query.implied}

    assert implied({}) == {"Product", "Shadow", "Label", "Logo"}
    assert implied({"Product": key}) == {"Shadow", "Label", "Logo"}


@pytest.mark.parametrize(("options", "kept"), [({}, True), ({"metadata": "keep"}, True), ({"metadata": "none"}, False)])
def test_a_job_says_whether_its_results_keep_the_photos_metadata(options: dict[str, str], kept: bool) -> None:
    pixels, floor = wall_photo("#D8CFC0")
    message = palette_job(concepts={"Floor": {"action": "recolor", "value": "oak_a"}}, options=options)
    sent = parse_job(message, load_catalog()).items[0].request
    exif = ExifBlock.empty().with_texts({COPYRIGHT: b"2026 Example"}).to_bytes((300.0, 300.0))
    facts = PhotoFacts(metadata=KeptMetadata(exif=exif, dpi=(300.0, 300.0)), warnings=("the photo's XMP is not kept: for a test",))
    answer = segments(*[floor] * len(prompts_of(sent.concepts)))
    result = edit_photo(DecodedPhoto(pixels, facts=facts), answer, sent, [])
    for data, file in zip(result.files, result.report.files, strict=True):
        with_it = kept and file.kind == "output"
        assert (b"2026 Example" in data) == with_it
    assert (facts.warnings[0] in result.report.warnings) == kept
