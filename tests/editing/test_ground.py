"""Where the floor goes on behind what is removed, and that it is filled from itself."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.metrics import psnr
from respray.catalog.preset import is_ground, lies_on_floor
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Remove
from respray.editing.apply import edit_photo
from respray.editing.fill.ground import far_border
from respray.editing.fill.inpaint import fill, hole_of
from respray.editing.mask.select import Segments
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode

HEIGHT, WIDTH = 160, 240


def room(corner: int = 120) -> tuple[UInt8Array, BoolArray]:
    """A grey wall over a striped brown floor whose far border rises to the room's corner; and the floor."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    floor = y >= 87 + 0.15 * np.abs(x - corner)
    noise = np.random.default_rng(0).normal(0.0, 2.0, (HEIGHT, WIDTH, 1))
    planks = np.where((y // 8) % 2 == 0, 1.0, 0.8)[..., None] * np.array([150.0, 95.0, 60.0])
    wall = np.array([190.0, 190.0, 185.0]) + (x * 0.05)[..., None]
    return np.clip(np.where(floor[..., None], planks, wall) + noise, 0, 255).astype(np.uint8), floor


def furniture() -> BoolArray:
    """What hides the corner."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[53:127, 80:160] = True
    return mask


def test_the_border_is_continued_to_the_corner_behind_the_object() -> None:
    _, floor = room()
    hidden = furniture()
    border = far_border(floor & ~hidden, hidden)
    assert border is not None
    assert len(border.lines) == 2
    assert np.mean((border.floor(HEIGHT, WIDTH) >= 0.5)[hidden] == floor[hidden]) > 0.99


def test_the_border_is_the_same_at_another_size() -> None:
    _, floor = room()
    border = far_border(floor & ~furniture(), furniture())
    assert border is not None
    double = border.floor(2 * HEIGHT, 2 * WIDTH)
    assert np.abs(double.reshape(HEIGHT, 2, WIDTH, 2).mean(axis=(1, 3)) - border.floor(HEIGHT, WIDTH)).max() < 0.3


def test_a_wall_that_is_seen_on_both_sides_runs_on_behind_the_object() -> None:
    """Longer walls beside it meet far above: between their lines alone there was a hill of floor."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    floor = (y >= 80) & (y >= 80 + 0.6 * (66 - x)) & (y >= 80 + 0.6 * (x - 174))
    hidden = np.zeros_like(floor)
    hidden[60:130, 80:160] = True
    border = far_border(floor & ~hidden, hidden)
    assert border is not None
    assert np.mean((border.floor(HEIGHT, WIDTH) >= 0.5)[hidden] == floor[hidden]) > 0.97


@pytest.mark.parametrize("floor", [np.zeros((HEIGHT, WIDTH), bool), np.ones((HEIGHT, WIDTH), bool)], ids=["no floor", "only floor"])
def test_without_a_border_beside_the_object_nothing_is_said(floor: BoolArray) -> None:
    assert far_border(floor, furniture()) is None


def test_behind_what_stands_on_a_rug_there_is_no_floor() -> None:
    _, floor = room()
    rug = np.zeros_like(floor)
    rug[45:135, 72:168] = True
    border = far_border(floor & ~rug, furniture())
    assert border is not None
    assert not (border.floor(HEIGHT, WIDTH) >= 0.5)[furniture()].any()


def test_a_border_that_the_rim_contradicts_is_not_believed() -> None:
    _, floor = room()
    # Floor is claimed above the object, too, where the lines say wall.
    wrong = floor.copy()
    wrong[45:53, 72:168], wrong[45:127, 72:80], wrong[45:127, 160:168] = True, False, False
    assert far_border(wrong & ~furniture(), furniture()) is None


GROUND = {"Floor": True, "Floor (2)": True, "wood floor": True, "Carpet": True, "Wall": False, "Floor lamp": False, "Background": False}


@pytest.mark.parametrize(("name", "answer"), GROUND.items(), ids=GROUND)
def test_what_is_ground_is_told_by_its_name(name: str, answer: bool) -> None:
    assert is_ground(name) is answer


def test_floor_is_filled_from_floor_and_wall_from_wall() -> None:
    truth, floor = room()
    hidden = furniture()
    photo = truth.copy()
    photo[hidden] = (40, 90, 160)
    hole = hole_of(hidden.astype(np.uint8) * np.uint8(255))
    aided, alone = fill(photo, hole, floor=floor & ~hidden), fill(photo, hole)
    assert np.array_equal(aided[~hole], photo[~hole])
    assert psnr(aided, truth, hole) > psnr(alone, truth, hole) + 1.0


def test_a_photo_larger_than_is_searched_is_filled_as_well() -> None:
    def filled(times: int) -> float:
        truth = room()[0].repeat(times, axis=0).repeat(times, axis=1)
        floor, hidden = (mask.repeat(times, axis=0).repeat(times, axis=1) for mask in (room()[1], furniture()))
        photo = truth.copy()
        photo[hidden] = (40, 90, 160)
        hole = hole_of(hidden.astype(np.uint8) * np.uint8(255))
        return psnr(fill(photo, hole, floor=floor & ~hidden), truth, hole)

    assert filled(4) > filled(1) - 3.0


def test_a_removal_uses_the_floor_that_was_looked_for_and_does_not_report_it() -> None:
    truth, floor = room()
    hidden = furniture()
    photo = truth.copy()
    photo[hidden] = (40, 90, 160)

    def removed(*masks: tuple[str, BoolArray, bool]) -> tuple[UInt8Array, list[str], int]:
        concepts = [ConceptQuery(name=name, prompts=[name], mask_attachment=i, aid=aid) for i, (name, _, aid) in enumerate(masks)]
        outputs = [Output(name="out", edits=[Edit(concept="Sofa", rule=Remove(mode="inpaint"))])]
        request = PhotoRequest(concepts=concepts, outputs=outputs, preview_size=0, masks=True, missing_is_error=True)
        attached = [encode(mask.astype(np.uint8) * np.uint8(255), "png") for _, mask, _ in masks]
        result = edit_photo(photo, Segments.empty(), request, attached)
        return decode(result.files[0]), [concept.name for concept in result.report.concepts], len(result.files)

    hole = hole_of(hidden.astype(np.uint8) * np.uint8(255))
    aided, reported, files = removed(("Sofa", hidden, False), ("Floor", floor & ~hidden, True))
    assert reported == ["Sofa"]
    assert files == 2
    # A floor that is nowhere in the photo helps nothing, and is not missed.
    alone, reported, _ = removed(("Sofa", hidden, False), ("Floor", np.zeros_like(floor), True))
    assert reported == ["Sofa"]
    assert psnr(aided, truth, hole) > psnr(alone, truth, hole) + 1.0


def test_under_a_rug_there_is_only_floor_and_what_stands_on_it_stays() -> None:
    photo, floor = room()
    floor = floor & (np.arange(WIDTH) < 150)
    photo[100:, 150:] = (40, 90, 160)  # a sofa that stands beside the rug
    truth, rug = photo.copy(), np.zeros((HEIGHT, WIDTH), bool)
    rug[115:150, 60:150] = True
    photo[rug] = (220, 200, 40)
    hole = hole_of(rug.astype(np.uint8) * np.uint8(255), None, floor & ~rug)
    filled = fill(photo, hole, floor=floor & ~rug, flat=True)
    assert np.array_equal(filled[:, 153:], truth[:, 153:])
    assert psnr(filled, truth, rug) > 20.0


@pytest.mark.parametrize(("name", "answer"), {"Rug": True, "blue rug": True, "Floor": False, "Table": False, "Wall": False}.items())
def test_what_lies_on_the_floor_is_told_by_its_name(name: str, answer: bool) -> None:
    assert lies_on_floor(name) is answer
