"""Choosing a concept's instances, and the photo square."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from respray.segmentation.errors import TensorError
from respray.segmentation.prepare import to_square
from respray.segmentation.select import binary_masks, boxes_in_pixels, select_concept


def one_concept(count: int = 4, side: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    region, masks = rng.integers(0, 256, (side, side), dtype=np.uint8), rng.integers(0, 256, (count, side, side), dtype=np.uint8)
    return region, masks, rng.random(count, dtype=np.float32), rng.random((count, 4), dtype=np.float32)


def test_instances_above_the_threshold_best_first() -> None:
    region, masks, _, boxes = one_concept()
    scores = np.array([0.2, 0.9, 0.5, 0.7], np.float32)
    chosen = select_concept(region, masks, scores, boxes, presence=1.0, threshold=0.5)
    assert chosen.scores.tolist() == pytest.approx([0.9, 0.7])  # 0.5 itself is not above 0.5
    assert (chosen.masks == masks[[1, 3]]).all() and (chosen.boxes == boxes[[1, 3]]).all() and chosen.region is region


def test_no_instance_is_no_error() -> None:
    region, masks, scores, boxes = one_concept()
    chosen = select_concept(region, masks, scores * 0, boxes, presence=0.0, threshold=0.3)
    assert chosen.masks.shape == (0, 8, 8) and chosen.scores.shape == (0,) and chosen.boxes.shape == (0, 4)
    assert binary_masks(chosen.masks, 20, 30).shape == (0, 20, 30)


def test_tensors_that_do_not_belong_together_are_refused() -> None:
    region, masks, scores, boxes = one_concept()
    with pytest.raises(TensorError, match=r"\[4, 8, 8\].*\[3\]"):
        select_concept(region, masks, scores[:3], boxes, presence=1.0, threshold=0.5)


@pytest.mark.parametrize("size", [(8, 8), (37, 53), (4, 100), (3, 3)])
def test_binary_masks_resize_like_transformers(size: tuple[int, int]) -> None:
    _, masks, _, _ = one_concept(3, 8)
    probabilities = torch.from_numpy(masks[None] / 255.0)
    theirs = torch.nn.functional.interpolate(probabilities, size=size, mode="bilinear", align_corners=False)[0].numpy()
    mine = binary_masks(masks, *size)
    unclear = np.abs(theirs - 0.5) < 1e-6
    assert ((mine == (theirs > 0.5)) | unclear).all()


def test_boxes_in_pixels() -> None:
    assert boxes_in_pixels(np.array([[0, 0.5, 1, 1]], np.float32), 100, 200).tolist() == [[0, 50, 200, 100]]


@pytest.mark.parametrize("shape", [(1, 1), (2000, 30), (30, 2000), (320, 320), (999, 501)])
def test_any_photo_becomes_the_square(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), (10, 120, 250), np.uint8)
    square = to_square(photo, 320)
    assert square.shape == (320, 320, 3) and square.dtype == np.uint8 and square.flags.c_contiguous
    assert np.abs(square.astype(int) - (10, 120, 250)).max() <= 1


def test_shrinking_averages() -> None:
    stripes = np.zeros((1000, 1000, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(float(to_square(stripes, 100).mean()) - 127.5) < 1


@pytest.mark.parametrize("small_side", [1, 90, 100])
def test_the_long_side_of_a_narrow_photo_is_averaged_too(small_side: int) -> None:
    """PIL's antialiased filter makes stripes of one pixel grey; two taps would leave them black and white."""
    stripes = np.zeros((small_side, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    for photo in (stripes, stripes.transpose(1, 0, 2)):
        grey = np.asarray(Image.fromarray(photo).resize((100, 100), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(to_square(photo, 100) - grey).max() <= 24


@pytest.mark.parametrize(
    "photo", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused_with_what_they_are(photo: np.ndarray) -> None:
    with pytest.raises(TensorError, match="uint8"):
        to_square(photo, 8)
