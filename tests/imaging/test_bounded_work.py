"""Limits hold for work, memory and log, not for sizes alone."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from respray.contract.errors import ImageError
from respray.contract.jpeg_file import MAX_SCANS, MAX_SEGMENTS, check_jpeg
from respray.contract.photo_file import inspect
from respray.imaging.decode import decode


def jpeg(**options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 80, 3), np.uint8)).save(stream, "JPEG", **options)
    return stream.getvalue()


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is said `count` times more."""
    data = jpeg(progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + b"\xff\xd9"


def test_a_jpeg_of_many_scans_is_refused_and_an_ordinary_progressive_one_is_not() -> None:
    inspect(jpeg(progressive=True))
    inspect(with_scans(MAX_SCANS - 12))
    for accept in (inspect, decode):
        with pytest.raises(ImageError, match=f"more than {MAX_SCANS} scans"):
            accept(with_scans(MAX_SCANS))


def test_a_baseline_photo_is_walked_up_to_its_pixels_only() -> None:
    check_jpeg(jpeg() + b"\xff\xda\0\2" * MAX_SCANS * 2)


def test_a_jpeg_of_many_segments_is_refused_at_once() -> None:
    block = b"\xff\xe1\0\x22Exif\0\0" + bytes(26)
    data = jpeg()
    assert inspect(data[:2] + block * (MAX_SEGMENTS // 2) + data[2:]).width == 80
    began = time.process_time()
    with pytest.raises(ImageError, match=f"more than {MAX_SEGMENTS} blocks of metadata"):
        inspect(data[:2] + block * 300_000 + data[2:])
    assert time.process_time() - began < 1.0


def tiled_tiff(side: int, tile_width: int, tile_height: int, order: str = "<") -> bytes:
    """An RGB TIFF of side x side pixels in one black tile."""
    data = zlib.compress(bytes(min(tile_width * tile_height * 3, 1 << 20)))
    tags = [(256, side), (257, side), (258, 8), (259, 8), (262, 1), (277, 1), (284, 1), (322, tile_width), (323, tile_height)]
    tags += [(324, 8 + 2 + 12 * 11 + 4), (325, len(data))]
    body = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    return (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, len(tags)) + body + bytes(4) + data


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tile_may_not_be_far_larger_than_the_photo(order: str) -> None:
    assert decode(tiled_tiff(64, 256, 256, order)).shape == (64, 64, 3)
    for width, height in ((26_000, 26_000), (64, 1 << 24), (1 << 24, 64)):
        with pytest.raises(ImageError, match="the TIFF's tiles are"):
            inspect(tiled_tiff(64, width, height, order))


def test_a_tiff_of_many_tags_is_refused() -> None:
    tags = b"".join(struct.pack("<HHII", n, 7, 1 << 26, 8) for n in range(65_535))
    with pytest.raises(ImageError, match="65535 tags"):
        inspect(b"II*\0" + struct.pack("<IH", 8, 65_535) + tags + bytes(4))


def test_broken_tags_write_nothing_to_the_log() -> None:
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), *((n, 7, 1 << 26, 8) for n in range(1000, 1900))]
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4)
    program = (
        "import sys, logging; logging.basicConfig(level='DEBUG')\n"
        "from respray.imaging.decode import decode\nfrom respray.contract.errors import ImageError\n"
        "data = sys.stdin.buffer.read()\n"
        "for _ in range(3):\n    try:\n        decode(data)\n    except ImageError as error:\n        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stderr == b"", done.stderr[:500]
