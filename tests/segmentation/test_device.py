"""Arrays that stay on a graph's device: the same code on a CPU, where their answers can be compared bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from respray.contract import tensors
from respray.imaging.arrays import UInt8Array
from respray.segmentation.arrays import AnyArray, NamedArrays
from respray.segmentation.device import Device
from respray.segmentation.errors import TensorError
from respray.segmentation.joined import JoinedGraphs
from respray.segmentation.runner import Segmenter


def test_a_device_is_what_its_name_says() -> None:
    assert str(Device.named("cuda:1", memory=5)) == "cuda:1" and Device.named("cuda:1", memory=5).memory == 5
    assert Device.named("cpu").storage == ("cpu", 0) and Device.named("tensorrt-rtx:2").storage == ("cuda", 2)


def test_bound_runs_answer_bit_for_bit_as_plain_ones(segmenter: Segmenter, square: UInt8Array) -> None:
    squares = np.stack([square, np.roll(square, 40, axis=0), square[::-1]])
    plain = segmenter.encode_images(squares)
    rest, kept = segmenter.image_encoder.bound({tensors.IMAGE: squares}, set(tensors.FEATURES))
    assert not set(rest) & set(tensors.FEATURES)
    for name in tensors.FEATURES:
        np.testing.assert_array_equal(kept[name].numpy(), plain[name])
        np.testing.assert_array_equal(kept[name].part(1, 3).part(1, 2).numpy(), plain[name][2:])
    text, mask = segmenter.encode_prompts(["floor", "wall"])
    given = {tensors.TEXT_FEATURES: text[None], tensors.TEXT_MASK: mask[None]}
    last = {name: kept[name].part(2, 3) for name in tensors.FEATURES}
    bound, _ = segmenter.concept_decoder.bound({**last, **given}, ())
    decoded = segmenter.decode({name: plain[name][2:] for name in tensors.FEATURES}, text[None], mask[None])
    for name in tensors.SEGMENTS:
        np.testing.assert_array_equal(bound[name], getattr(decoded, name))


@pytest.fixture(scope="module")
def batch(segmenter: Segmenter, square: UInt8Array) -> tuple[tuple[AnyArray, ...], NamedArrays]:
    """Two photos with two prompts each, and what encoder and decoder answer to them one after the other."""
    squares = np.stack([square, square[:, ::-1]])
    text, mask = segmenter.encode_prompts(["floor", "wall"])
    texts, masks = np.stack([text, text[::-1]]), np.stack([mask, mask[::-1]])
    features = segmenter.encode_images(squares)
    decoded = segmenter.decode(features, texts, masks)
    return (squares, texts, masks), {**features, **{name: getattr(decoded, name) for name in tensors.SEGMENTS}}


@pytest.mark.parametrize("max_decoded", [1, 64])
def test_joined_graphs_answer_as_one_after_the_other_whatever_one_run_may_take(
    segmenter: Segmenter, batch: tuple[tuple[AnyArray, ...], NamedArrays], max_decoded: int
) -> None:
    given, expected = batch
    squares, texts, masks = given
    found = JoinedGraphs(segmenter.image_encoder, segmenter.concept_decoder, max_decoded)(squares, texts, masks, features=True)
    assert set(found) == {*tensors.FEATURES, *tensors.SEGMENTS}
    for name, values in found.items():
        # A run of other photos and concepts may add in another order.
        np.testing.assert_allclose(values.astype(np.float64), expected[name].astype(np.float64), rtol=0, atol=1e-5)


def test_what_does_not_fit_is_said_as_in_a_plain_run(segmenter: Segmenter) -> None:
    with pytest.raises(TensorError, match=r"\['picture'\].*\['image'\]"):
        segmenter.image_encoder.bound({"picture": np.zeros((1, 7, 7, 3), np.uint8)}, ())
    with pytest.raises(TensorError, match=r"uint8 \[1, 7, 7, 3\]"):
        segmenter.image_encoder.bound({tensors.IMAGE: np.zeros((1, 7, 7, 3), np.uint8)}, ())
