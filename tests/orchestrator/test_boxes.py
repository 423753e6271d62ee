"""Boxes in messages: which concepts they make, what is refused, and what the report says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from orchestrator.errors import JobError
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from respray.contract.report import BoxReport
from respray.contract.request import PhotoRequest, prompts_of
from respray.editing.apply import edit_photo
from tests.editing.rooms import segments, wall_photo
from tests.orchestrator.support import palette_job, rule_job

CATALOG = load_catalog()
LEFT, RIGHT = [0.1, 0.2, 0.4, 0.8], [0.6, 0.2, 0.9, 0.8]
EDIT = {"action": "recolor", "value": "#445566"}


def parsed(message: dict[str, Any]) -> PhotoRequest:
    request = parse_job(message, CATALOG).items[0].request
    return PhotoRequest.model_validate_json(request.model_dump_json())


def boxes_of(request: PhotoRequest) -> dict[str, tuple[list[Any], list[Any]]]:
    return {concept.name: (concept.boxes, concept.not_boxes) for concept in request.concepts if not concept.implied}


def rule(number: int, **boxes: Any) -> dict[str, Any]:
    return {"ruleId": f"r{number}", "concept": "wall", "type": "recolor", "params": {"color": "#FF5733"}, **boxes}


def test_boxes_of_a_palette_job_are_its_concepts() -> None:
    request = parsed(palette_job(count=1, concepts={"Wall": EDIT | {"boxes": [LEFT], "not_boxes": [RIGHT]}, "Floor": EDIT}, protect=[]))
    assert boxes_of(request) == {"Wall": ([tuple(LEFT)], [tuple(RIGHT)]), "Floor": ([], [])}
    assert request.outputs[0].concepts == []


def test_rules_with_other_boxes_ask_for_other_concepts() -> None:
    message = rule_job(concepts=["wall"], rules=[rule(1, boxes=[LEFT]), rule(2, boxes=[RIGHT]), rule(3, boxes=[LEFT]), rule(4)])
    request = parsed(message)
    assert boxes_of(request) == {"wall": ([], []), "wall (2)": ([tuple(LEFT)], []), "wall (3)": ([tuple(RIGHT)], [])}
    assert [output.edits[0].concept for output in request.outputs] == ["wall (2)", "wall (3)", "wall (2)", "wall"]
    # What another rule means hides nothing from this one.
    assert [output.concepts for output in request.outputs] == [["wall (2)"], ["wall (3)"], ["wall (2)"], ["wall"]]
    assert all(concept.prompts == ["wall"] for concept in request.concepts)
    assert set(parse_job(message, CATALOG).items[0].mask_names) >= set(boxes_of(request))


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    rules = [rule(1), rule(2, boxes=[LEFT]), {**rule(3), "concept": "wall (2)"}]
    request = parsed(rule_job(concepts=["wall", "wall (2)"], rules=rules))
    assert boxes_of(request) == {"wall": ([], []), "wall (2)": ([], []), "wall (3)": ([tuple(LEFT)], [])}


def test_what_one_look_protects_is_all_of_it() -> None:
    message = palette_job(count=1, protect=[])
    del message["concepts"]
    message["items"][0] = {key: value for key, value in message["items"][0].items() if not key.endswith(("output_key", "preview_key"))}
    message["looks"] = [
        {"name": "a", "concepts": {"Wall": EDIT | {"boxes": [LEFT]}}},
        {"name": "b", "concepts": {"Floor": EDIT}, "protect": ["wall"]},
    ]
    request = parsed(message)
    assert boxes_of(request) == {"Wall": ([], []), "Floor": ([], []), "Wall (2)": ([tuple(LEFT)], [])}
    first, second = request.outputs
    assert "Wall (2)" in first.concepts and "Wall" not in first.concepts
    assert "Wall" in second.protect and "Wall (2)" not in second.concepts


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ({"boxes": [[0.5, 0.5, 0.5, 0.9]]}, r"\[0\.5, 0\.5, 0\.5, 0\.9\] has no area; accepted is \[x0, y0, x1, y1\] with x0 < x1"),
        ({"not_boxes": [[0.5, 0.9, 0.6, 0.2]]}, "not_boxes: .* has no area"),
        ({"boxes": [LEFT] * 9, "not_boxes": [RIGHT] * 8}, "9 boxes and 8 not_boxes were given; accepted are 16 in all"),
        ({"boxes": [[0.1, 0.2, 1.4, 0.8]]}, "boxes"),
        ({"boxes": [LEFT] * 17}, "16"),
        ({"boxes": [LEFT[:3]]}, "boxes"),
        ({"boxes": LEFT}, "boxes"),
        ({"boxes": [["0", 0, 1, 1]]}, "boxes"),
    ],
)
def test_bad_boxes_are_refused_with_what_is_accepted(boxes: dict[str, Any], told: str) -> None:
    for message in (palette_job(count=1, concepts={"Wall": EDIT | boxes}), rule_job(concepts=["wall"], rules=[rule(1, **boxes)])):
        with pytest.raises(JobError, match=told):
            parse_job(message, CATALOG)


def test_the_report_says_what_each_box_covers_and_which_hits_nothing() -> None:
    photo, wall = wall_photo("#D8CFC0", 160, 240)
    left = wall.copy()
    left[:, 120:] = False
    edit = EDIT | {"boxes": [[0.1, 0.3, 0.4, 0.6], [0.7, 0.3, 0.9, 0.6]], "not_boxes": [[0.6, 0.3, 0.9, 0.6]]}
    request = parsed(palette_job(count=1, concepts={"Wall": edit}, protect=[]))
    nothing = [np.zeros_like(wall)] * (len(prompts_of(request.concepts)) - 1)
    report = edit_photo(photo, segments(left, *nothing), request, []).report
    meant, missed, not_meant = report.concepts[0].boxes
    assert (meant.use, missed.use, not_meant.use) == ("boxes", "boxes", "not_boxes")
    assert meant.covered > 0.95 and missed.covered == not_meant.covered == 0.0
    assert [text for text in report.warnings if "box" in text] == [
        "the box [0.7, 0.3, 0.9, 0.6] of 'Wall' is on nothing that was found of it"
    ]
    assert BoxReport.model_validate_json(meant.model_dump_json()) == meant


def test_boxes_do_nothing_for_a_concept_that_is_not_segmented() -> None:
    photo, wall = wall_photo("#D8CFC0", 160, 240)
    request = parsed(
        palette_job(count=1, concepts={"Background": {"action": "remove", "value": "#FFFFFF", "boxes": [LEFT]}}, preset="seller")
    )
    report = edit_photo(photo, segments(*[wall] * len(prompts_of(request.concepts))), request, []).report
    assert "the boxes of 'Background' were not used, because it is everything but other concepts" in report.warnings
