"""A TIFF's first directory, read without Pillow: what a decoder would allocate for it, and whether it is a camera's raw file."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from respray.contract.errors import ImageError

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES, PLANAR = 256, 257, 258, 259, 262, 274, 277, 284
TILE_WIDTH, TILE_HEIGHT, SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT = 322, 323, 330, 338, 339
REDUCED, A_MASK = 1, 4  # bits of NewSubfileType
NEW_SUBFILE_TYPE, SUBFILE_TYPE, STRIPS, TILES = 254, 255, 273, 324
_NEEDED = frozenset({WIDTH, HEIGHT, BITS, PHOTOMETRIC, STRIPS, TILES})
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {WHITE_IS_ZERO: "grey", BLACK_IS_ZERO: "grey", RGB: "RGB", PALETTE: "palette", CMYK: "CMYK", YCBCR: "YCbCr", LAB: "CIELAB"}
_NUMBERS = {1: "", 2: " signed", 3: " floating-point"}
SIGNED, FLOAT = 2, 3
# None, CCITT, LZW, JPEG, ZIP (two numbers), PackBits, ThunderScan, LZMA, ZSTD: what Pillow's own libtiff is built with.
COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32809, 32946, 34925, 50000})
SEPARATE = 2
STRAIGHT_ALPHA = 2
ACCEPTED_TIFF = (
    "8 and 16 bits of grey, RGB or CMYK, 8 bits of CIELAB, palettes and bilevel are read, without compression, with LZW, ZIP or JPEG"
)
DNG_VERSION = 50706
RAW_PHOTOMETRICS = frozenset({32803, 34892})  # colour filter array, linear raw
# Writers use tiles of up to 1,024 pixels, also for photos that are smaller than one.
MAX_TILE_SIDE = 2_048
MAX_TAGS = 1_024
MAX_SUB_DIRECTORIES = 16
MAX_VALUES = 16
_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # TIFF's types of integers
Directory = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class _Layout:
    """Byte order, and the sizes of classic TIFF or BigTIFF."""

    order: str
    big: bool

    @classmethod
    def of(cls, data: bytes) -> _Layout | None:
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        version = struct.unpack(order + "H", data[2:4])[0] if order and len(data) >= 16 else 0
        return cls(order, version == 43) if order and version in (42, 43) else None

    @property
    def word(self) -> str:
        """The format of an offset or count."""
        return "Q" if self.big else "I"

    def is_whole(self, data: bytes, at: int) -> bool:
        """Whether the directory at `at` lies in the file, and the values of the tags that a picture cannot do without."""
        head, size = ("Q", 20) if self.big else ("H", 12)
        begins = at + struct.calcsize(self.order + head)
        if at < 8 or begins > len(data):
            return False
        (count,) = struct.unpack_from(self.order + head, data, at)
        if begins + count * size > len(data):
            return False
        needed = {struct.unpack_from(self.order + "H", data, begins + n * size)[0] for n in range(count)} & _NEEDED
        return WIDTH in needed and needed <= self.directory(data, at).keys()

    def next(self, data: bytes, at: int) -> int:
        """The offset of the directory behind the one at `at`; 0 where there is none."""
        head, size = ("Q", 20) if self.big else ("H", 12)
        (count,) = struct.unpack_from(self.order + head, data, at)
        end = at + struct.calcsize(self.order + head) + count * size
        word = self.order + self.word
        return int(struct.unpack_from(word, data, end)[0]) if end + struct.calcsize(word) <= len(data) else 0

    def first(self, data: bytes) -> int:
        """The first directory's offset."""
        return int(struct.unpack_from(self.order + self.word, data, 8 if self.big else 4)[0])

    def directory(self, data: bytes, at: int) -> dict[int, tuple[int, ...]]:
        """Integer tags of the directory at `at`, at most MAX_VALUES values each; nothing of what lies outside the file."""
        head = self.order + ("Q" if self.big else "H")
        if at < 8 or at + struct.calcsize(head) > len(data):
            return {}
        (count,) = struct.unpack_from(head, data, at)
        if count > MAX_TAGS:
            raise ImageError(f"the TIFF has {count} tags; at most {MAX_TAGS} are accepted")
        entry = self.order + "HH" + self.word
        size, inside = (20, 8) if self.big else (12, 4)
        tags: dict[int, tuple[int, ...]] = {}
        for position in range(at + struct.calcsize(head), at + struct.calcsize(head) + count * size, size):
            if position + size > len(data):
                break
            tag, kind, number = struct.unpack_from(entry, data, position)
            if kind not in _FORMATS:
                continue
            value = struct.calcsize(entry) + position
            if struct.calcsize("=" + _FORMATS[kind]) * number > inside:
                (value,) = struct.unpack_from(self.order + self.word, data, value)
            values = f"{self.order}{min(number, MAX_VALUES)}{_FORMATS[kind]}"
            if value + struct.calcsize(values) <= len(data):
                tags[tag] = struct.unpack_from(values, data, value)
        return tags


def first_directory(data: bytes) -> Directory:
    """The integer tags of the first picture; {} where `data` is no TIFF.

    Raises:
        ImageError: More than MAX_TAGS tags.
    """
    layout = _Layout.of(data)
    return layout.directory(data, layout.first(data)) if layout else {}


def has_pages(data: bytes) -> bool:
    """Whether a TIFF has another page behind its first, and not only a smaller copy or a mask of it."""
    layout = _Layout.of(data)
    at = layout.next(data, layout.first(data)) if layout else 0
    tags = layout.directory(data, at) if layout and at else {}
    return WIDTH in tags and not tags.get(NEW_SUBFILE_TYPE, (0,))[0] & (REDUCED | A_MASK)


def check_tiff(data: bytes) -> None:
    """Refuse what would cost more than the photo's size tells. `data` may be of any format.

    And what decoders here read as something that it is not: numbers with a sign or of 32 bits, and channels that lie apart.

    Raises:
        ImageError: A truncated directory, a thumbnail before its photo, more than MAX_TAGS tags, a tile side above the photo's own and
            MAX_TILE_SIDE (decoders allocate whole tiles), or samples or a compression that are not read here, by their name.
    """
    layout = _Layout.of(data)
    if layout is None:
        return
    begins = layout.first(data)
    tags = layout.directory(data, begins)
    if not layout.is_whole(data, begins):
        raise ImageError(f"the TIFF is truncated or corrupt: its {len(data)} bytes do not hold its directory; the whole file is needed")
    if WIDTH in tags:
        _check_samples(tags)
        _check_thumbnail(layout, data, tags)
    for side, tile, name in ((WIDTH, TILE_WIDTH, "wide"), (HEIGHT, TILE_HEIGHT, "high")):
        photo, given = max(tags.get(side, (0,))), max(tags.get(tile, (0,)))
        if given > max(photo + 15, MAX_TILE_SIDE):  # sides of tiles are multiples of 16
            raise ImageError(f"the TIFF's tiles are {given} pixels {name} and the photo is {photo}; at most {MAX_TILE_SIDE} are accepted")


def describe(tags: Directory) -> str:
    """What a TIFF's pixels are, for a person."""
    bits, formats = tags.get(BITS, (1,)), tags.get(SAMPLE_FORMAT, (1,))
    colour = _COLOURS.get(tags.get(PHOTOMETRIC, (-1,))[0], "unknown colour")
    channels = tags.get(SAMPLES, (len(bits),))[0]
    number = _NUMBERS.get(formats[0], " unusual")
    apart = ", its channels apart (planar)" if _is_planar(tags) else ""
    return f"{colour}, {channels} channel{'s' * (channels != 1)} of {max(bits)}{number} bit{'s' * (max(bits) != 1)}{apart}"


def not_read(tags: Directory) -> ImageError:
    """The error for a TIFF of a layout that is not read here."""
    return ImageError(f"the TIFF is {describe(tags)}, which is not read here; {ACCEPTED_TIFF}: save it so, with interleaved channels")


def _check_samples(tags: Directory) -> None:
    compression = tags.get(COMPRESSION, (1,))[0]
    if compression not in COMPRESSIONS:
        raise ImageError(f"the TIFF's compression ({compression}) is not read here; save it without compression, or with LZW or ZIP")
    bits, formats = tags.get(BITS, (1,)), tags.get(SAMPLE_FORMAT, (1,))
    if SIGNED in formats or (max(bits) > 16 and FLOAT not in formats):
        raise not_read(tags)
    if _is_planar(tags) and not _planar_is_read(tags, compression):
        raise not_read(tags)


def _check_thumbnail(layout: _Layout, data: bytes, tags: Directory) -> None:
    """Refuse a file whose first picture says that it is a reduced copy, and whose other pictures are larger (TIFF 6.0, NewSubfileType)."""
    reduced = tags.get(NEW_SUBFILE_TYPE, (0,))[0] & REDUCED or tags.get(SUBFILE_TYPE, (1,))[0] == 2
    if not reduced:
        return
    below = [layout.directory(data, at) for at in tags.get(SUB_DIRECTORIES, ())[:MAX_SUB_DIRECTORIES]]
    at = layout.first(data)
    for _ in range(MAX_SUB_DIRECTORIES):
        at = layout.next(data, at)
        if not 8 <= at < len(data):
            break
        below.append(layout.directory(data, at))
    width, height = (tags.get(side, (0,))[0] for side in (WIDTH, HEIGHT))
    largest = max(((other.get(WIDTH, (0,))[0], other.get(HEIGHT, (0,))[0]) for other in below), default=(0, 0))
    if largest[0] * largest[1] > width * height:
        sizes = f"of {width} x {height} pixels of a photo of {largest[0]} x {largest[1]}"
        raise ImageError(f"the TIFF's first picture is a thumbnail {sizes}; save the photo as a TIFF of one picture, or as JPEG or PNG")


def _is_planar(tags: Directory) -> bool:
    return tags.get(PLANAR, (1,))[0] == SEPARATE


def _planar_is_read(tags: Directory, compression: int) -> bool:
    """Pillow reads channels that lie apart byte for byte where they are not compressed; libtiff joins the others."""
    bits, extra = set(tags.get(BITS, (1,))), tags.get(EXTRA_SAMPLES, ())
    photometric, channels = tags.get(PHOTOMETRIC, (-1,))[0], tags.get(SAMPLES, (1,))[0]
    if compression == 1:
        plain_grey = photometric == BLACK_IS_ZERO and channels == 1 and bits <= {1, 8}
        return plain_grey or (photometric in (RGB, CMYK) and bits == {8} and extra in ((), (STRAIGHT_ALPHA,)))
    return channels == 1 or (photometric in (RGB, CMYK, YCBCR) and bits <= {8, 16} and len(extra) <= 1)


def tiff_raw_name(data: bytes) -> str | None:
    """What camera raw file a TIFF is, by its tags; None where it is none. Its first picture would be a thumbnail."""
    layout = _Layout.of(data)
    if layout is None:
        return None
    if data[8:10] == b"CR":
        return "Canon CR2"
    tags = layout.directory(data, layout.first(data))
    if DNG_VERSION in tags:
        return "DNG"
    below = [layout.directory(data, at) for at in tags.get(SUB_DIRECTORIES, ())[:MAX_SUB_DIRECTORIES]]
    raw = any(RAW_PHOTOMETRICS & set(directory.get(PHOTOMETRIC, ())) for directory in (tags, *below))
    return "raw (NEF, ARW and others)" if raw else None
