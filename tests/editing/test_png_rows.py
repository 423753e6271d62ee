"""A mask that is read by the short way has the pixels that Pillow reads, and whatever is not plainly such a file goes the long one."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from respray.contract.errors import ImageError
from respray.contract.png_file import SIGNATURE
from respray.editing.mask.png_rows import read_mask, unfilter
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import decode_mask
from respray.imaging.grey_png import stored_rows
from respray.imaging.isolated import DecoderProcess, decoding_in

WIDTH, HEIGHT = 283, 31


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecoderProcess]:
    one = DecoderProcess()
    yield one
    one.close()


def chunk(kind: bytes, body: bytes, damage: int = 0) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ damage)


def png(rows: bytes, *before: bytes, header: bytes = b"\x08\0\0\0\0", after: bytes = b"", damage: int = 0) -> bytes:
    """A file of stored rows, its pixels in two chunks; with further chunks before and after them."""
    data = zlib.compress(rows)
    pixels = chunk(b"IDAT", data[:50]) + chunk(b"IDAT", data[50:], damage)
    return SIGNATURE + chunk(b"IHDR", struct.pack(">II", WIDTH, HEIGHT) + header) + b"".join(before) + pixels + after + chunk(b"IEND", b"")


def any_rows(seed: int = 0, filters: tuple[int, ...] = (0, 1, 2, 3, 4)) -> UInt8Array:
    """Every stored byte is some picture's; long runs of zeros as masks have them."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 256, (HEIGHT, 1 + WIDTH)).astype(np.uint8)
    rows[:, 20:240] *= random.integers(0, 2, (HEIGHT, 1), np.uint8)
    rows[:, 0] = random.choice(filters, HEIGHT)
    return rows


@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (0, 1, 2, 3, 4)])
def test_every_filter_is_undone_as_pillow_does(filters: tuple[int, ...]) -> None:
    for seed in range(8):
        rows = any_rows(seed, filters)
        theirs = np.asarray(Image.open(io.BytesIO(png(rows.tobytes()))))
        assert np.array_equal(unfilter(rows), theirs)


def test_masks_are_the_same_by_the_short_way_in_the_decoders_process(decoder: DecoderProcess) -> None:
    drawn = np.zeros((120, 200), np.uint8)
    drawn[30:90, 50:160] = 255
    for mask in (drawn, drawn // 255, (drawn > 0) * np.uint8(7), np.zeros_like(drawn), drawn.T.copy(), drawn[40:41], drawn[:, 60:61]):
        stream = io.BytesIO()
        Image.fromarray(mask).save(stream, "PNG")
        assert decoder.decode_mask(stream.getvalue()).stored
        with decoding_in(decoder):
            assert np.array_equal(read_mask(stream.getvalue()), decode_mask(stream.getvalue()))


ROWS = any_rows().tobytes()
WRONG_SUM = zlib.compress(ROWS)[:-1] + b"\0"
LEFT_TO_PILLOW = {
    "interlaced": png(ROWS, header=b"\x08\0\0\0\1"),
    "of 16 bits": png(ROWS, header=b"\x10\0\0\0\0"),
    "of a palette": png(ROWS, chunk(b"PLTE", bytes(768)), header=b"\x08\3\0\0\0"),
    "in colour": png(ROWS, header=b"\x08\2\0\0\0"),
    "with a transparent grey": png(ROWS, chunk(b"tRNS", b"\0\0")),
    "turned": png(ROWS, chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")),
    "turned behind its pixels": png(ROWS, after=chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")),
    "with a text": png(ROWS, chunk(b"tEXt", b"Comment\0drawn")),
    "with a row too few": png(ROWS[: -1 - WIDTH]),
    "with a byte too many": png(ROWS + b"\0"),
    "with a filter that there is not": png(b"\5" + ROWS[1:]),
    "with a wrong checksum of a chunk": png(ROWS, damage=1),
    "with a wrong checksum of its pixels": png(ROWS).replace(zlib.compress(ROWS)[50:], WRONG_SUM[50:]),
    "cut off": png(ROWS)[:-20],
    "without an end": png(ROWS)[:-12],
    "with pixels in two places": png(ROWS[:300], after=chunk(b"pHYs", bytes(9)) + chunk(b"IDAT", ROWS[300:])),
    "without pixels": SIGNATURE + chunk(b"IHDR", struct.pack(">II", WIDTH, HEIGHT) + b"\x08\0\0\0\0") + chunk(b"IEND", b""),
    "with a second header": png(ROWS, chunk(b"IHDR", struct.pack(">II", 9, 9) + b"\x08\0\0\0\0")),
    "with an endless chunk": png(ROWS, b"\xff\xff\xff\xffIDAT"),
    "nothing but a signature": SIGNATURE,
    "another format": b"\xff\xd8\xff\xe0" + bytes(100),
}


@pytest.mark.parametrize("name", LEFT_TO_PILLOW)
def test_what_is_not_plainly_such_a_file_is_left_to_pillow(name: str, decoder: DecoderProcess) -> None:
    data = LEFT_TO_PILLOW[name]
    assert stored_rows(data) is None
    try:
        expected = decode_mask(data)
    except ImageError as error:
        with pytest.raises(ImageError) as said, decoding_in(decoder):
            read_mask(data)
        assert str(said.value) == str(error)
    else:
        with decoding_in(decoder):
            assert np.array_equal(read_mask(data), expected)


def test_what_only_says_how_large_pixels_are_is_no_reason_to() -> None:
    told = [chunk(b"pHYs", bytes(9)), chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 45455))]
    rows = stored_rows(png(ROWS, *told, after=chunk(b"tIME", bytes(7))))
    assert rows is not None and rows.tobytes() == ROWS
