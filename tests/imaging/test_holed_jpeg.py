"""A JPEG of which a part is zeros is refused; one whose own codes are zeros is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from respray.contract.errors import ImageError
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import decode
from respray.imaging.holed_jpeg import HOLE


def photo() -> UInt8Array:
    """Light and noise, enough for holes."""
    noise = np.random.default_rng(3).normal(0, 6, (320, 480, 3))
    light = np.linspace(60, 220, 480)[None, :, None]
    codes: UInt8Array = (light + noise).clip(0, 255).astype(np.uint8)
    return codes


def saved(pixels: UInt8Array, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **{"quality": 88, **options})
    return stream.getvalue()


def holed(data: bytes, begin: float, end: float) -> bytes:
    first, last = int(len(data) * begin), int(len(data) * end)
    return data[:first] + bytes(last - first) + data[last:]


KINDS: dict[str, dict[str, object]] = {
    "baseline": {},
    "optimised": {"optimize": True},
    "without subsampling": {"subsampling": 0},
    "progressive": {"progressive": True},
    "with restarts": {"restart_marker_rows": 1},
}


HOLES = [(kind, hole) for kind in KINDS for hole in ((0.3, 0.5), (0.5, 0.53), (0.6, 0.95)) if (kind, hole) != ("progressive", (0.5, 0.53))]


@pytest.mark.parametrize(("kind", "hole"), HOLES, ids=str)
def test_a_hole_of_zeros_is_refused(kind: str, hole: tuple[float, float]) -> None:
    whole = saved(photo(), **KINDS[kind])
    assert decode(whole).shape == (320, 480, 3)
    with pytest.raises(ImageError, match=r"hole: zeros from byte|truncated or corrupt"):
        decode(holed(whole, *hole))


def test_zeros_that_are_a_white_backgrounds_own_codes_are_none() -> None:
    pixels = np.full((640, 960, 3), 255, np.uint8)
    pixels[200:300, 300:500] = photo()[:100, :200]
    data = saved(pixels, optimize=True)
    assert HOLE in data
    assert np.abs(decode(data).astype(int) - pixels).mean() < 2
    with pytest.raises(ImageError, match="hole"):
        decode(holed(data, 0.4, 0.6))


def test_zeros_elsewhere_are_none() -> None:
    data = saved(photo())
    comment = b"\xff\xfe" + (2002).to_bytes(2, "big") + bytes(2000)
    for other in (data + bytes(5000), data[:20] + comment + data[20:], data[:-2]):
        assert np.array_equal(decode(other), decode(data))
