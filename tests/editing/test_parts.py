"""Edits of some parts of a concept: what points and numbers choose, what stays, and what the report says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from respray.contract.report import EditReport, PhotoReport
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Remove, Rule, Texture
from respray.editing.apply import edit_photo
from respray.editing.mask.parts import connected_parts
from respray.editing.mask.select import Segments
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode
from tests.editing.rooms import segments, wall_photo

NAVY = Recolor(color="#22304A")
LEFT, RIGHT, COLUMN, FRAME = [0.3, 0.5], [0.7, 0.5], [0.5, 0.5], [0.02, 0.02]


def cut_wall() -> tuple[UInt8Array, BoolArray, BoolArray]:
    """A wall that a column, 60 to 100 of 240 x 160 pixels from the middle, cuts in two."""
    photo, wall = wall_photo("#D8CFC0", 160, 240)
    column = np.zeros_like(wall)
    column[:, 108:132] = True
    photo[column] = (90, 60, 40)
    return photo, wall, column


def do(
    photo: UInt8Array, found: Segments, edits: list[Edit], *, protect: tuple[str, ...] = ("column",), kind: str = "surface", **options: Any
) -> tuple[UInt8Array, PhotoReport, list[UInt8Array]]:
    names = list(dict.fromkeys([*(edit.concept for edit in edits), *protect]))
    concepts = [
        ConceptQuery.model_validate({"name": name, "prompts": [name], "kind": "object" if name == "column" else kind}) for name in names
    ]
    job = PhotoRequest(concepts=concepts, protect=list(protect), outputs=[Output(name="out", edits=edits)], **options)
    result = edit_photo(photo, found, job, [])
    masks = [decode(data)[..., 0] for data, info in zip(result.files, result.report.files, strict=True) if info.kind == "mask"]
    return decode(result.files[0]), result.report, masks


def wall(rule: Rule = NAVY, **where: Any) -> Edit:
    return Edit.model_validate({"concept": "wall", "rule": rule, **where})


def wall_report(report: PhotoReport) -> EditReport:
    return report.outputs[0].edits[0]


def changed_halves(edited: UInt8Array, photo: UInt8Array) -> tuple[bool, bool]:
    """Whether anything of the left and of the right half has changed, and that all inside of what has changed at all did."""
    changed = (edited != photo).any(axis=-1)
    for inside in (changed[30:-30, 40:100], changed[30:-30, 140:200]):
        assert inside.mean() > 0.99 or not inside.any()
    return bool(changed[:, :108].any()), bool(changed[:, 132:].any())


@pytest.mark.parametrize(
    ("where", "halves", "parts"),
    [
        ({}, (True, True), None),
        ({"at": [LEFT]}, (True, False), 1),
        ({"at": [RIGHT]}, (False, True), 1),
        ({"at": [LEFT, RIGHT]}, (True, True), 2),
        ({"at": [LEFT, [0.31, 0.6]]}, (True, False), 1),
        ({"not_at": [LEFT]}, (False, True), 1),
        ({"at": [LEFT, RIGHT], "not_at": [RIGHT]}, (True, False), 1),
        ({"at": [LEFT], "not_at": [LEFT]}, (False, False), 0),
        ({"instances": 2}, (True, True), 2),
        ({"instances": "largest", "not_at": [LEFT]}, (False, True), 1),
    ],
)
def test_a_wall_that_a_column_cuts_in_two_is_two_parts(where: Any, halves: tuple[bool, bool], parts: int | None) -> None:
    photo, mask, column = cut_wall()
    edited, report, _ = do(photo, segments(mask, column), [wall(**where)])
    assert changed_halves(edited, photo) == halves
    assert np.array_equal(edited[:, 110:130], photo[:, 110:130])
    told = wall_report(report)
    assert (told.parts, told.parts_found) == (parts, None if parts is None else 2)


def test_a_part_alone_looks_as_it_does_in_an_edit_of_all() -> None:
    photo, mask, column = cut_wall()
    both, _, _ = do(photo, segments(mask, column), [wall()])
    left, report, _ = do(photo, segments(mask, column), [wall(at=[LEFT])])
    assert np.abs(left[30:-30, 40:100].astype(int) - both[30:-30, 40:100]).max() <= 3
    assert (wall_report(report).delta_e or 0.0) < 2.0


def test_two_parts_may_have_two_colours() -> None:
    photo, mask, column = cut_wall()
    edits = [wall(at=[LEFT]), wall(Recolor(color="#C99A35"), at=[RIGHT])]
    edited, report, _ = do(photo, segments(mask, column), edits)
    assert edited[60:100, 40:100, 2].mean() > edited[60:100, 40:100, 0].mean()
    assert edited[60:100, 140:200, 0].mean() > edited[60:100, 140:200, 2].mean() + 40
    assert all((edit.delta_e or 0.0) < 2.0 for edit in report.outputs[0].edits)


@pytest.mark.parametrize("protect", [("column",), ()])
def test_a_point_on_something_else_is_a_warning_that_says_on_what(protect: tuple[str, ...]) -> None:
    photo, mask, column = cut_wall()
    edits = [wall(at=[COLUMN, FRAME])] + ([] if protect else [Edit(concept="column", rule=Recolor(color="#22304A", strength=0.0))])
    edited, report, _ = do(photo, segments(mask, column), edits, protect=protect)
    assert np.array_equal(edited, photo), "no point hits: nothing is edited, and not everything"
    told = wall_report(report)
    protected = ", which is protected," if protect else ""
    assert told.warnings[:3] == [
        f"at [0.5, 0.5] is on 'column'{protected} and not on 'wall'",
        "at [0.02, 0.02] is on nothing that was asked for and not on 'wall'",
        "no part of 'wall' was chosen, of 2 that there are",
    ]
    assert [(point.use, point.part, point.on) for point in told.points] == [("at", None, "column"), ("at", None, None)]


def test_a_point_on_the_soft_edge_and_on_the_photos_edge_counts() -> None:
    photo, mask, column = cut_wall()
    mask[:, :30] = True
    edited, report, _ = do(photo, segments(mask, column), [wall(at=[[0.0, 0.0], [107 / 240, 0.5]])], feather=3.0)
    assert changed_halves(edited, photo) == (True, False)
    assert [point.part for point in wall_report(report).points] == [1, 1]
    edited, _, _ = do(photo, segments(np.ones_like(mask)), [wall(at=[[1.0, 1.0]])], protect=())
    assert (edited != photo).any(axis=-1).mean() > 0.99


@pytest.mark.parametrize("rule", [Remove(mode="transparent"), Remove(mode="inpaint"), Remove(mode="background", color="#ffffff")])
def test_removal_takes_the_part_that_was_pointed_at(rule: Remove) -> None:
    photo, mask, column = cut_wall()
    edited, _, _ = do(photo, segments(mask, column), [wall(rule, at=[RIGHT])])
    assert changed_halves(edited, photo)[0] is False
    assert np.array_equal(edited[:, :108], photo[:, :108])
    assert (edited[:, 140:200] != photo[:, 140:200]).any()


def test_a_texture_lies_on_the_part_that_was_pointed_at() -> None:
    photo, mask, column = cut_wall()
    edited, report, _ = do(photo, segments(mask, column), [wall(Texture(texture="tile_square"), at=[LEFT])])
    assert changed_halves(edited, photo) == (True, False)
    assert wall_report(report).geometry_confidence is not None


def pictures() -> tuple[UInt8Array, BoolArray]:
    """Three pictures of different size on a wall, and a speck."""
    photo, _ = wall_photo("#D8CFC0", 160, 240)
    mask = np.zeros(photo.shape[:2], bool)
    for x0, y0, x1, y1 in ((30, 40, 60, 80), (90, 30, 150, 100), (180, 50, 205, 75), (222, 140, 223, 142)):
        mask[y0:y1, x0:x1] = True
        photo[y0:y1, x0:x1] = (140, 60, 50)
    return photo, mask


def region_of(mask: BoolArray) -> Segments:
    """A network's answer that has a region, but no instance that reaches the threshold."""
    found = segments(mask)
    return Segments(found.region, found.masks, found.scores * np.float32(0.1), found.boxes, found.presence)


@pytest.mark.parametrize("drawn", [False, True])
def test_three_pictures_in_one_region_or_mask_are_three_instances(drawn: bool) -> None:
    photo, mask = pictures()
    query = ConceptQuery(name="picture", prompts=["picture"], kind="object", mask_attachment=0 if drawn else None)
    edits = [Edit(concept="picture", rule=NAVY, instances=2)]
    job = PhotoRequest(concepts=[query], outputs=[Output(name="out", edits=edits)], masks=True)
    attachments = [encode(mask.astype(np.uint8) * np.uint8(255))] if drawn else []
    result = edit_photo(photo, Segments.empty() if drawn else region_of(mask), job, attachments)
    masks = [decode(data)[..., 0] for data, info in zip(result.files, result.report.files, strict=True) if info.kind == "mask"]
    assert result.report.concepts[0].instances == len(masks) == 3, "the speck is none"
    assert [bool(mask[60, x]) for mask in masks for x in (45, 120, 190)] == [False, True, False, True, False, False, False, False, True]
    changed = (decode(result.files[0]) != photo).any(axis=-1)
    assert changed[60, 120] and changed[60, 45] and not changed[40:85, 170:215].any(), "the two largest"


def test_instances_of_the_network_are_chosen_by_score_and_by_size() -> None:
    photo, mask = pictures()
    single = np.zeros((3, *mask.shape), np.uint8)
    for layer, (left, right) in zip(single, ((0, 75), (75, 165), (165, 220)), strict=True):
        layer[:, left:right] = mask[:, left:right] * np.uint8(255)
    scores = np.array([[0.7, 0.8, 0.9]], np.float32)
    found = Segments(segments(mask).region, single[None], scores, np.zeros((1, 3, 4), np.float32), np.ones(1, np.float32))
    for instances, expected in ((1, [False, False, True]), (2, [False, True, True]), ("largest", [False, True, False]), (9, [True] * 3)):
        edit = Edit.model_validate({"concept": "picture", "rule": NAVY, "instances": instances})
        edited, report, masks = do(photo, found, [edit], protect=(), kind="object", masks=True)
        assert [bool((edited[60, x] != photo[60, x]).any()) for x in (45, 120, 190)] == expected
        assert len(masks) == report.outputs[0].edits[0].parts_found == 3


def test_a_large_photos_parts_are_found_at_a_bounded_size() -> None:
    alpha = np.zeros((3000, 4000), np.uint8)
    alpha[:, :1950], alpha[:, 1990:] = 255, 255
    parts = connected_parts(alpha)
    assert parts.count == 2 and parts.labels.size <= 1_600_000
    right = parts.where([parts.at((0.4, 0.5))], alpha.shape)
    assert right[:, :1950].all() and not right[:, 1990:].any()


@pytest.mark.parametrize(
    "where",
    [
        {"at": [[1.2, 0.5]]},
        {"at": [[-0.1, 0.5]]},
        {"at": [[float("nan"), 0.5]]},
        {"at": [["left", 0.5]]},
        {"not_at": [[0.5]]},
        {"at": [[0.5, 0.5, 0.5]]},
        {"at": [[0.5, 0.5]] * 65},
        {"instances": 0},
        {"instances": "some"},
        {"instances": True},
        {"instances": 1.0},
    ],
)
def test_points_and_numbers_out_of_range_are_refused(where: Any) -> None:
    with pytest.raises(ValidationError):
        wall(**where)
