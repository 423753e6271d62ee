"""Limits hold for work, memory and log, not for sizes alone."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from respray.contract.errors import ImageError
from respray.contract.gif_file import MAX_BLOCKS, check_gif
from respray.contract.jpeg_file import MAX_SCANS, MAX_SEGMENTS, check_jpeg
from respray.contract.photo_file import inspect, open_photo
from respray.contract.png_file import MAX_CHUNKS, MAX_TEXT, without_useless_chunks
from respray.imaging.decode import decode
from respray.imaging.profile import MAX_PROFILE_BYTES, to_srgb


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


def gif_with(comments: bytes) -> bytes:
    """A GIF with these blocks before its picture."""
    stream = io.BytesIO()
    Image.new("P", (80, 64)).save(stream, "GIF")
    data = stream.getvalue()
    start = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    return data[:start] + comments + data[start:]


@pytest.mark.parametrize(
    "comments", [b"!\xfe\x01a\0" * MAX_BLOCKS, b"!\xfe" + (b"\x01a" * MAX_BLOCKS) + b"\0", b"!\xfe\0" * MAX_BLOCKS * 2]
)
def test_a_gif_of_many_comments_is_refused_before_pillow_keeps_them(comments: bytes) -> None:
    """Of 60 MB, Pillow makes 2.1 GB."""
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=f"more than {MAX_BLOCKS} blocks before its picture"):
            inspect(gif_with(comments))
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_an_ordinary_gif_with_comments_and_animation_blocks_is_read() -> None:
    assert inspect(gif_with(b"")).width == 80
    many = b"!\xff\x0bXMP DataXMP" + (b"\xff" + bytes(255)) * 20_000 + b"\0" + b"!\xfe\x05hello\0" * 100
    assert inspect(gif_with(many)).width == 80
    for end in range(13, 60):  # cut off anywhere
        check_gif(gif_with(many)[:end])


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


def png_with(*chunks: tuple[bytes, bytes], behind_pixels: bool = False) -> bytes:
    """A PNG with further chunks, before or behind its pixels."""
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 80, 3), np.uint8)).save(stream, "PNG")
    data = stream.getvalue()
    place = len(data) - 12 if behind_pixels else 33
    more = b"".join(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)
    return data[:place] + more + data[place:]


@pytest.mark.parametrize("behind_pixels", [False, True])
@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"comment\0\0" + zlib.compress(bytes(MAX_TEXT + 1))),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(1 << 26))),
        (b"iCCP", b"profile\0\0" + zlib.compress(bytes(1 << 26))),
        (b"tEXt", b"comment\0" + b"a" * (MAX_TEXT + 1)),
    ],
    ids=["zTXt", "iTXt", "iCCP", "tEXt"],
)
def test_a_png_is_accepted_without_a_text_that_is_too_large(chunk: tuple[bytes, bytes], behind_pixels: bool) -> None:
    data = png_with(chunk, behind_pixels=behind_pixels)
    assert inspect(data).width == 80
    assert np.array_equal(decode(data), decode(png_with()))


@pytest.mark.parametrize("kind", [b"tEXt", b"tIME", b"iCCP"])
def test_a_png_is_accepted_without_a_small_chunk_whose_checksum_is_wrong(kind: bytes) -> None:
    whole = png_with((kind, b"Comment\0by a tool"))
    assert np.array_equal(decode(whole.replace(b"by a tool", b"by a Tool")), decode(png_with()))


def test_large_texts_of_ordinary_photos_stay() -> None:
    data = png_with((b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"a" * (5 << 20))))
    assert without_useless_chunks(data) is data
    _, image = open_photo(data)
    assert image is not None and len(image.info["xmp"]) == 5 << 20


def test_a_png_of_many_chunks_or_texts_is_refused_at_once() -> None:
    began = time.process_time()
    with pytest.raises(ImageError, match=f"more than {MAX_CHUNKS} blocks"):
        inspect(png_with(*[(b"teSt", b"")] * (MAX_CHUNKS + 1)))
    packed = (b"zTXt", b"comment\0\0" + zlib.compress(bytes(1 << 26), 9))
    with pytest.raises(ImageError, match="MiB of texts"):
        inspect(png_with(*[packed] * 500))
    assert time.process_time() - began < 2.0


def test_profiles_are_neither_kept_nor_read_without_limit() -> None:
    picture = Image.new("RGB", (8, 8), (10, 200, 30))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tracemalloc.start()
    for number in range(12):
        assert to_srgb(picture, srgb + bytes(4 << 20) + bytes([number])).getpixel((0, 0)) == (10, 200, 30)
    assert to_srgb(picture, srgb + bytes(MAX_PROFILE_BYTES)) is picture
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1 << 20
