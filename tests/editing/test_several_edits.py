"""Several edits of one concept in one output: on parts of it, and one on top of the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from respray.contract.report import EditReport
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Rule, Texture, Tone
from respray.editing.apply import edit_photo
from respray.editing.core.color import decode_srgb, encode_srgb, hex_to_linear
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode
from tests.editing.rooms import segments, shading

LEFT, RIGHT = (0.2, 0.5), (0.8, 0.5)
NAVY, SAGE, RED = Recolor(color="#22304A"), Recolor(color="#7C9082"), Recolor(color="#A03A2E")
QUAD = ((0.3, 0.6), (0.7, 0.6), (0.8, 0.9), (0.2, 0.9))
RUG = Texture(attachment=0, quad=QUAD)


def walls() -> tuple[UInt8Array, BoolArray, BoolArray]:
    """Two beige walls with a grey column between them: uint8 [120,160,3], and where each is."""
    left, right = np.zeros((2, 120, 160), bool)
    left[10:110, 10:75], right[10:110, 85:150] = True, True
    colors = np.where((left | right)[..., None], hex_to_linear("#D8CDB8"), hex_to_linear("#6A6A6A"))
    return encode_srgb((colors * shading()[..., None]).astype(np.float32)), left, right


def room() -> tuple[UInt8Array, BoolArray]:
    """A white wall above a brown floor: uint8 [120,160,3], and where the wall is."""
    wall = np.arange(120)[:, None] < 60 * np.ones((1, 160), int)
    colors = np.where(wall[..., None], hex_to_linear("#F0F0F0"), hex_to_linear("#7A5A40"))
    return encode_srgb((colors * shading()[..., None]).astype(np.float32)), wall


def edit(photo: UInt8Array, masks: dict[str, BoolArray], edits: list[Edit]) -> tuple[UInt8Array, list[EditReport]]:
    job = PhotoRequest(concepts=[ConceptQuery(name=name, prompts=[name]) for name in masks], outputs=[Output(name="out", edits=edits)])
    rug = encode(np.full((30, 40, 3), (200, 40, 30), np.uint8), "png")
    result = edit_photo(photo, segments(*masks.values()), job, [rug])
    return decode(result.files[0]), result.report.outputs[0].edits


def of_wall(rule: Rule, *at: Any) -> Edit:
    return Edit(concept="wall", rule=rule, at=list(at))


def test_two_colours_on_two_walls_do_not_disturb_each_other() -> None:
    photo, left, right = walls()
    masks = {"wall": left | right}
    both, (first, second) = edit(photo, masks, [of_wall(NAVY, LEFT), of_wall(SAGE, RIGHT)])
    navy, (only,) = edit(photo, masks, [of_wall(NAVY, LEFT)])
    sage, _ = edit(photo, masks, [of_wall(SAGE, RIGHT)])
    assert (both[:, :80] == navy[:, :80]).all() and (both[:, 80:] == sage[:, 80:]).all()
    assert (first.edit, second.edit, only.edit) == (0, 1, None)
    assert first.delta_e == only.delta_e and first.delta_e is not None and max(first.delta_e, second.delta_e or 9) < 1.0
    assert (first.parts, first.parts_found, second.parts) == (1, 2, 1)


@pytest.mark.parametrize("before", [NAVY, Recolor(color="#F4F1EA"), Texture(texture="tile_square")])
def test_a_later_colour_is_the_one_that_was_asked_for_in_the_light_of_the_photo(before: Rule) -> None:
    photo, left, right = walls()
    masks = {"wall": left | right}
    twice, (_, report) = edit(photo, masks, [of_wall(before), of_wall(SAGE)])
    once, _ = edit(photo, masks, [of_wall(SAGE)])
    assert report.delta_e is not None and report.delta_e < 1.5
    # With the first wall taken for its own light, the second colour was as dark as the first.
    light, wanted = (np.median(decode_srgb(picture[left]), axis=0) for picture in (twice, once))
    assert np.allclose(light, wanted, rtol=0.12)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_whole_and_a_part_of_it_in_either_order(order: tuple[int, int]) -> None:
    photo, left, right = walls()
    masks = {"wall": left | right}
    edits = [of_wall(RED), of_wall(NAVY, RIGHT)]
    picture, reports = edit(photo, masks, [edits[number] for number in order])
    red, _ = edit(photo, masks, [of_wall(RED)])
    navy, _ = edit(photo, masks, [of_wall(NAVY)])
    assert np.abs(picture[left].astype(int) - red[left]).max() <= 3
    last = navy if order == (0, 1) else red
    # The second paint is mixed from eight bits of the first one.
    assert np.abs(picture[right].astype(int) - last[right]).max() <= 8
    assert all(report.delta_e is not None and report.delta_e < 1.5 for report in reports)


def test_an_edit_of_all_builds_on_edits_of_the_parts() -> None:
    photo, left, right = walls()
    masks = {"wall": left | right}
    parts = [of_wall(NAVY, LEFT), of_wall(SAGE, RIGHT)]
    before, _ = edit(photo, masks, parts)
    after, _ = edit(photo, masks, [*parts, of_wall(Tone(exposure=0.25))])
    for wall in (left, right):
        assert np.median(after[wall].astype(int) - before[wall]) > 5


def test_a_rug_lies_on_the_new_floor() -> None:
    photo, wall = room()
    floor = Edit(concept="floor", rule=Texture(texture="oak_planks"))
    masks, painted = {"wall": wall, "floor": ~wall}, [of_wall(NAVY), floor]
    both, reports = edit(photo, masks, [*painted, Edit(concept="floor", rule=RUG)])
    planks, _ = edit(photo, masks, painted)
    rug, _ = edit(photo, masks, [Edit(concept="floor", rule=RUG)])
    changed = (both != planks).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert np.abs(np.array([rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]) - (72, 108, 32, 128)).max() <= 1
    # In the light of the photo, whatever the floor under it has become.
    inside = np.s_[76:104, 56:104]
    assert (both[inside] == rug[inside]).all()
    assert [(report.concept, report.edit) for report in reports] == [("wall", None), ("floor", 0), ("floor", 1)]


def test_a_rug_at_the_wall_leaves_the_edge_beside_it_as_it_was() -> None:
    photo, wall = room()
    floor = Edit(concept="floor", rule=Recolor(color="#2A2A2B"))
    masks, painted = {"wall": wall, "floor": ~wall}, [floor, of_wall(NAVY)]
    beside = Edit(concept="floor", rule=Texture(attachment=0, quad=((0.4, 0.5), (0.6, 0.5), (0.6, 0.9), (0.4, 0.9))))
    both, _ = edit(photo, masks, [floor, beside, of_wall(NAVY)])
    plain, _ = edit(photo, masks, painted)
    assert (both[:, :60] == plain[:, :60]).all() and (both[:, 100:] == plain[:, 100:]).all()


def test_a_glossy_material_mirrors_what_the_photo_does_whatever_lies_under_it() -> None:
    photo, wall = room()
    floor = [Edit(concept="floor", rule=Texture(texture="oak_planks"))]
    under = [Edit(concept="floor", rule=Recolor(color="#F4F1EA"))]
    twice, _ = edit(photo, {"floor": ~wall}, under + floor)
    once, _ = edit(photo, {"floor": ~wall}, floor)
    assert np.abs(twice.astype(int) - once)[62:].max() <= 3
