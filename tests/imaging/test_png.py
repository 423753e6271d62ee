"""The parallel PNG encoder: other programs read exactly what went in, at every size and band boundary."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from respray.imaging import png


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (40, 60, 3), (41, 37, 4), (257, 129, 3)])
@pytest.mark.parametrize("band_bytes", [64, 1 << 20])
def test_pillow_and_opencv_read_what_went_in(shape: tuple[int, ...], band_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "BAND_BYTES", band_bytes)
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    image[: shape[0] // 2] //= 64
    data = png.encode_png(image)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.info["srgb"] == 0
        assert np.array_equal(np.asarray(opened), image)
    read = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image.ndim == 3:
        read = cv2.cvtColor(read, cv2.COLOR_BGR2RGB if shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    assert np.array_equal(read, image)
