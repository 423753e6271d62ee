"""The in-process runner."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from respray.contract import tensors
from respray.imaging.arrays import UInt8Array
from respray.segmentation.errors import TensorError
from respray.segmentation.runner import Segmenter


def test_the_decoder_answers_every_prompt_at_the_models_resolution(segmenter: Segmenter, square: UInt8Array) -> None:
    text, mask = segmenter.encode_prompts(["floor", "wall"])
    decoded = segmenter.decode(segmenter.encode_images(square[None]), text[None], mask[None])
    side, queries = segmenter.spec.mask_size, segmenter.spec.queries
    assert decoded.region.shape == (1, 2, side, side) and decoded.masks.shape == (1, 2, queries, side, side)
    assert decoded.boxes.shape == (1, 2, queries, 4)
    assert (np.diff(decoded.scores, axis=2) <= 0).all() and (decoded.presence >= 0).all() and (decoded.presence <= 1).all()


def test_calls_from_several_threads_do_not_disturb_each_other(segmenter: Segmenter, square: UInt8Array) -> None:
    squares = [np.roll(square, 17 * index, axis=1)[None] for index in range(4)]
    alone = [segmenter.encode_images(one)[tensors.FEATURES_LOW] for one in squares]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: segmenter.encode_images(one)[tensors.FEATURES_LOW], squares * 2))
    for index, features in enumerate(together):
        np.testing.assert_array_equal(features, alone[index % 4])


def test_wrong_inputs_say_what_the_graph_takes(segmenter: Segmenter) -> None:
    side = segmenter.spec.image_size
    with pytest.raises(TensorError, match=r"\['picture'\].*\['image'\]"):
        segmenter.image_encoder({"picture": np.zeros((1, side, side, 3), np.uint8)})
    with pytest.raises(TensorError, match=rf"float32 \[1, {side}, {side}, 3\].*tensor\(uint8\)"):
        segmenter.image_encoder({tensors.IMAGE: np.zeros((1, side, side, 3), np.float32)})
    with pytest.raises(TensorError, match=rf"uint8 \[1, 7, 7, 3\].*{side}"):
        segmenter.image_encoder({tensors.IMAGE: np.zeros((1, 7, 7, 3), np.uint8)})
