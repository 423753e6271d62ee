"""A mask that proves to be exact is followed, one that is off is not."""

from __future__ import annotations

import cv2
import numpy as np

from respray.editing.mask.crf import FieldPicture, decide
from respray.editing.mask.refine import refine, refine_plane
from respray.editing.mask.straight import work_picture
from respray.editing.mask.trust import border_error, moved_too_far
from respray.imaging.arrays import UInt8Array

WIDTH, HEIGHT, SIDE = 600, 400, 200


def photo() -> UInt8Array:
    """A grey wall above a brown floor, with a darker stripe of the same grey along the wall's end that is still wall."""
    rng = np.random.default_rng(1)
    picture = np.full((HEIGHT, WIDTH, 3), (170, 168, 160), np.float32)
    picture[:, 250:] = (120, 80, 50)
    picture[:, :6] = (90, 88, 84)
    return np.clip(picture + rng.normal(0, 1.5, picture.shape), 0, 255).astype(np.uint8)


def wall() -> UInt8Array:
    """Its mask, uint8 [H,W]."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, :250] = 255
    return mask


def low(mask: UInt8Array, shift: float = 0.0) -> UInt8Array:
    """The mask as a network answers it, its border moved by so many pixels of its own."""
    small = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    moved = cv2.warpAffine(small, np.array([[1, 0, shift], [0, 1, 0]], np.float32), (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), 0.8), np.uint8)


def test_the_error_of_a_mask_is_found_from_where_the_photo_shows_its_border() -> None:
    work, exact, moved = work_picture(photo()), low(wall()), low(wall(), 0.8)
    assert border_error(exact, decide(exact, FieldPicture(work))) < 0.3
    # 0.8 of three pixels, from side to side.
    assert 1.2 < border_error(moved, decide(moved, FieldPicture(work))) < 3.0
    assert border_error(np.zeros((SIDE, SIDE), np.uint8), decide(exact, FieldPicture(work))) == float("inf")


def test_an_exact_mask_takes_back_what_left_it_and_one_that_is_off_does_not() -> None:
    work = work_picture(photo())
    for shift, held in ((0.0, True), (0.8, False)):
        probability = low(wall(), shift)
        decided = decide(probability, FieldPicture(work))
        left = refine(probability, photo()).alpha.copy()
        left[100:120, 200:] = 0
        far = moved_too_far(left, probability, decided)
        assert (far is not None) is held
        if far is not None:
            assert far[105:115, 205:245].all()
            assert not far[:, :150].any()
            assert not far[150:].any()


def test_a_plane_of_an_exact_mask_ends_where_the_mask_does() -> None:
    """Whatever the photo may be taken to show: half of the border has no edge in it, and the other half one that is not the wall's."""
    picture = photo()
    picture[200:, 236:250] = picture[200:, 260:274]
    mask = low(wall())
    alpha = refine_plane(mask, picture).matte.alpha
    assert (alpha[:190, :246] > 200).mean() > 0.99
    assert not alpha[:, 256:].any()


def test_a_hole_that_was_filled_as_a_whole_stays_filled() -> None:
    mask = wall()
    mask[180:210, 100:130] = 0
    probability = low(mask)
    decided = decide(probability, FieldPicture(work_picture(photo())))
    filled = refine(low(wall()), photo()).alpha.copy()
    assert (filled[180:210, 100:130] == 255).all()
    assert moved_too_far(filled, probability, np.maximum(decided, decide(low(wall()), FieldPicture(work_picture(photo()))))) is None
    # A border that closes most of it has moved.
    filled[180:210, 100:106] = 0
    far = moved_too_far(filled, probability, probability_of(mask))
    assert far is not None
    assert far[190:200, 110:125].all()


def probability_of(mask: UInt8Array) -> UInt8Array:
    """What a mask is decided to be where nothing moves it."""
    return np.asarray(cv2.resize(low(mask), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.uint8)
