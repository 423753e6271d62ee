"""Several edits of one concept in a message: what they become, and what is said of one that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import JobError
from orchestrator.jobs import limits
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.one_photo import whole_message
from orchestrator.jobs.parser import parse_job
from respray.contract.request import PhotoRequest
from tests.orchestrator.support import palette_job, rule_job

CATALOG = load_catalog()
OAK, SAGE = ({"action": "recolor", "value": value} for value in ("oak_a", "#7C9082"))
LEFT, RIGHT = {"at": [[0.2, 0.3]]}, {"at": [[0.8, 0.3]]}
BOX, OTHER = {"boxes": [[0.1, 0.2, 0.4, 0.8]]}, {"boxes": [[0.6, 0.2, 0.9, 0.8]]}
RUG = {
    "action": "texture",
    "value": {"texture_key": "inputs/u_abc/job_1/rug.png", "quad": [[0.3, 0.6], [0.7, 0.6], [0.8, 0.9], [0.2, 0.9]]},
}


def in_looks(*concepts: dict[str, Any]) -> dict[str, Any]:
    message = palette_job(count=1, protect=[])
    del message["concepts"]
    message["items"][0] = {key: value for key, value in message["items"][0].items() if not key.endswith(("output_key", "preview_key"))}
    return message | {"looks": [{"name": f"look_{number}", "concepts": edited} for number, edited in enumerate(concepts)]}


def asked(message: dict[str, Any]) -> PhotoRequest:
    request = parse_job(message, CATALOG).items[0].request
    return PhotoRequest.model_validate_json(request.model_dump_json())


def test_edits_come_in_the_order_in_which_they_stand() -> None:
    concepts = {"Wall": [OAK | LEFT, SAGE | RIGHT], "Floor": [{"action": "texture", "value": "oak_planks"}, RUG], "Door": SAGE}
    for message in (palette_job(count=1, concepts=concepts, protect=[]), in_looks(concepts)):
        request = asked(message)
        edits = request.outputs[0].edits
        assert [(edit.concept, edit.rule.rule) for edit in edits] == [
            ("Wall", "recolor"),
            ("Wall", "recolor"),
            ("Floor", "texture"),
            ("Floor", "texture"),
            ("Door", "recolor"),
        ]
        assert [edit.at for edit in edits[:2]] == [[(0.2, 0.3)], [(0.8, 0.3)]]
        assert [concept.name for concept in request.concepts if not concept.implied] == ["Wall", "Floor", "Door"]


def test_a_list_of_one_is_one_edit() -> None:
    assert asked(palette_job(count=1, concepts={"Wall": [OAK]})) == asked(palette_job(count=1, concepts={"Wall": OAK}))


def test_boxes_are_of_the_concept_and_so_of_all_its_edits() -> None:
    request = asked(palette_job(count=1, concepts={"Wall": [OAK | LEFT, SAGE | RIGHT | BOX]}, protect=[]))
    assert [concept.boxes for concept in request.concepts if concept.name == "Wall"] == [[(0.1, 0.2, 0.4, 0.8)]]
    # Of two looks with different ones, each has its own.
    first, second = asked(in_looks({"Wall": [OAK | BOX, SAGE]}, {"Wall": [OAK, SAGE | OTHER]})).outputs
    assert [edit.concept for edit in first.edits] == ["Wall"] * 2 and [edit.concept for edit in second.edits] == ["Wall (2)"] * 2


@pytest.mark.parametrize(
    ("concepts", "said"),
    [
        ({"Wall": [OAK, SAGE | {"value": "oak_aa"}]}, r"concepts\.Wall\[1\]: unknown palette id 'oak_aa'"),
        (
            {"Wall": [OAK, OAK | {"at": [[2, 0]]}]},
            r"concepts\.Wall\[1\]\.at\[0\]\[0\]: input should be less than or equal to 1 \(given: 2\)",
        ),
        ({"Wall": OAK | {"at": [[2, 0]]}}, r"concepts\.Wall\.at\[0\]\[0\]: input"),
        ({"Wall": [OAK | {"colour": 1}]}, r"concepts\.Wall\[0\]\.colour: unknown field; accepted here: action, value"),
        ({"Wall": []}, r"concepts\.Wall: must have at least 1 entry, and has 0"),
        ({"Wall": [OAK] * 17}, r"concepts\.Wall: must have at most 16 entries, and has 17"),
        ({"Wall": [[OAK]]}, r"concepts\.Wall\[0\]: input should be an object"),
        ({"Wall": "oak_a"}, r"concepts\.Wall: input should be an object \(given: 'oak_a'\); accepted here: action, value, type, "),
        ({f"w{n}": [OAK] * 13 for n in range(5)}, rf"concepts: has 65 edits in all; accepted are {limits.MAX_OUTPUT_EDITS} of one output"),
        (
            {"Wall": [OAK | BOX, OAK, OAK | OTHER]},
            r"concepts\.Wall\[2\]: has other boxes than .*concepts\.Wall\[0\]; .* accepted are the same",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(concepts: dict[str, Any], said: str) -> None:
    with pytest.raises(JobError, match=f"^{said}"):
        parse_job(palette_job(count=1, concepts=concepts, protect=[]), CATALOG)
    with pytest.raises(JobError, match=rf"^looks\[1\]\.{said}"):
        parse_job(in_looks({"Wall": OAK}, concepts), CATALOG)


def test_a_rule_job_has_several_rules_instead() -> None:
    with pytest.raises(JobError, match=r"rules\[0\]: input should be an object"):
        parse_job(rule_job(rules=[[OAK, SAGE]]), CATALOG)


def test_a_removal_in_a_list_makes_the_short_form_png() -> None:
    message = {"photo": "AAAA", "concepts": {"Wall": [OAK, {"action": "remove", "value": "transparent"}]}}
    assert whole_message(message, "a")["items"][0]["output_key"].endswith(".png")
