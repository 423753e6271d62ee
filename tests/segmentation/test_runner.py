"""The in-process runner."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from respray.segmentation.errors import TensorError
from respray.segmentation.runner import Segmenter


def test_segment_returns_one_answer_per_prompt_at_the_models_resolution(segmenter: Segmenter) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    answers = segmenter.segment(photo, ["floor", "wall"], threshold=0.01)
    side = segmenter.spec.mask_size
    assert len(answers) == 2
    for answer in answers:
        assert answer.region.shape == (side, side) and answer.masks.shape == (len(answer.scores), side, side)
        assert (np.diff(answer.scores) <= 0).all() and 0 <= answer.presence <= 1


def test_calls_from_several_threads_do_not_disturb_each_other(segmenter: Segmenter, square: np.ndarray) -> None:
    squares = [np.roll(square, 17 * index, axis=1)[None] for index in range(4)]
    alone = [segmenter.encode_images(one)["features_low"] for one in squares]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: segmenter.encode_images(one)["features_low"], squares * 2))
    for index, features in enumerate(together):
        np.testing.assert_array_equal(features, alone[index % 4])


def test_wrong_inputs_say_what_the_graph_takes(segmenter: Segmenter) -> None:
    side = segmenter.spec.image_size
    with pytest.raises(TensorError, match=r"\['picture'\].*\['image'\]"):
        segmenter.image_encoder({"picture": np.zeros((1, side, side, 3), np.uint8)})
    with pytest.raises(TensorError, match=rf"float32 \[1, {side}, {side}, 3\].*tensor\(uint8\)"):
        segmenter.image_encoder({"image": np.zeros((1, side, side, 3), np.float32)})
    with pytest.raises(TensorError, match=rf"uint8 \[1, 7, 7, 3\].*{side}"):
        segmenter.image_encoder({"image": np.zeros((1, 7, 7, 3), np.uint8)})
