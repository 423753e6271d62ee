"""A preset knows a concept by several names, and Unicode writes a name in several ways: edits, protection and masks go by the concept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli._edit_job import Wishes, message_of
from orchestrator.errors import JobError
from orchestrator.jobs.job_types import Item
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from tests.orchestrator.support import palette_job, rule_job

CATALOG = load_catalog()
RED = {"action": "recolor", "value": "#AA3322"}
MASK = "inputs/u_abc/job_1/mask.png"


def first_item(masks: dict[str, Any] | None = None, **fields: Any) -> Item:
    message = palette_job(count=1, **fields)
    message["items"][0]["mask_keys"] = masks or {}
    return parse_job(message, CATALOG).items[0]


@pytest.mark.parametrize(
    ("preset", "edited", "protected"),
    [("interior", "windows", "Window"), ("interior", "man", "Person"), ("seller", "brand mark", "Logo")],
)
def test_what_is_edited_by_a_synonym_is_not_protected_unasked(preset: str, edited: str, protected: str) -> None:
    request = first_item(preset=preset, concepts={edited: RED}).request
    assert protected not in request.protect and [query.name for query in request.concepts].count(edited) == 1
    assert protected not in [query.name for query in request.concepts]


@pytest.mark.parametrize(
    "fields",
    [
        {"concepts": {"Wall": RED}, "protect": ["accent wall"]},
        {"concepts": {"Wall": RED, "accent wall": RED}},
        {"concepts": None, "looks": [{"name": "a", "concepts": {"couch": RED}, "protect": ["Sofa"]}]},
    ],
    ids=["edited and protected", "edited twice", "in a look"],
)
def test_two_names_of_one_concept_are_refused_where_an_edit_would_be_lost(fields: dict[str, Any]) -> None:
    with pytest.raises(JobError, match="are the same concept to the preset"):
        first_item(**fields)


def test_two_names_of_one_concept_are_two_where_something_tells_them_apart() -> None:
    first_item(concepts={"Wall": RED, "accent wall": RED}, masks={"accent wall": MASK})
    first_item(concepts={"Wall": RED, "accent wall": RED | {"boxes": [[0.1, 0.1, 0.4, 0.4]]}})
    first_item(concepts=None, looks=[{"name": name, "concepts": {concept: RED}} for name, concept in (("a", "Wall"), ("b", "walls"))])
    first_item(preset=None, concepts={"wall": RED, "accent wall": RED})
    first_item(concepts={"Wall": RED}, protect=["Sofa", "couch"])


def test_two_rules_for_two_names_of_one_concept_are_refused() -> None:
    with pytest.raises(JobError, match="are the same concept to the preset"):
        rules = [
            {"ruleId": str(number), "concept": concept, "type": "recolor", "params": {"color": "#AA3322"}}
            for number, concept in enumerate(("wall", "walls"))
        ]
        parse_job(rule_job(preset="interior", concepts=["wall", "walls"], rules=rules), CATALOG)


def masked(item: Item) -> list[str]:
    return [query.name for query in item.request.concepts if query.mask_attachment is not None]


@pytest.mark.parametrize(
    ("masks", "of"),
    [
        ({"walls": MASK}, ["Wall"]),
        ({"wall": MASK, "accent wall": MASK}, ["Wall"]),
        ({"windows": MASK}, ["Window"]),
        ({"walls": MASK, "accent wall": MASK}, []),
        ({"sofa": MASK}, []),
    ],
    ids=["a synonym", "the name before a synonym", "of what is protected unasked", "two synonyms", "another concept"],
)
def test_a_mask_goes_by_the_concept(masks: dict[str, str], of: list[str]) -> None:
    item = first_item(concepts={"Wall": RED}, masks=masks)
    assert masked(item) == of
    assert len(item.warnings) == len(masks) - len(of)


def test_two_masks_of_one_concept_are_refused() -> None:
    with pytest.raises(JobError, match=r"mask_keys\.wall: 'Wall' is the same concept"):
        first_item(concepts={"Wall": RED}, masks={"Wall": MASK, "wall": MASK})


def test_a_name_is_one_name_composed_and_decomposed() -> None:
    """macOS decomposes names."""
    item = first_item(preset=None, concepts={"cafe\u0301 wall": RED}, masks={"caf\u00e9 wall": MASK})
    assert masked(item) == ["cafe\u0301 wall"] and item.request.concepts[0].prompts == ["caf\u00e9 wall"] and not item.warnings
    with pytest.raises(JobError, match="are the same concept"):
        first_item(preset=None, concepts={"cafe\u0301": RED}, protect=["caf\u00e9"])


def test_respray_edit_takes_every_name_of_a_concept(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    photo = tmp_path / "a.jpg"
    nothing: dict[str, Any] = dict.fromkeys(("protect", "not_at", "boxes", "not_boxes", "instances"), ())
    wishes = Wishes(
        photos=[photo],
        edits=["Wall=oak_a"],
        at=["walls=0.5,0.5"],
        masks=[f"feature wall={photo}"],
        preset="interior",
        out=tmp_path,
        format="png",
        look="respray",
        **nothing,
    )
    message = message_of(wishes, CATALOG)
    assert message["concepts"] == {"Wall": {"action": "recolor", "value": "oak_a", "at": [[0.5, 0.5]]}}
    assert list(message["items"][0]["mask_keys"]) == ["Wall"]
