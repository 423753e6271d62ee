"""EXIF blocks: which of a photo's entries its outputs keep, copied byte for byte in the file's own byte order.

Tags and types are those of CIPA DC-008 (EXIF 2.32), https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, and TIFF 6.0.
What is kept is listed: position, maker notes, thumbnails, serial numbers, and whatever nobody knows yet are left out by not being named.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

DESCRIPTION, MAKE, MODEL, SOFTWARE, DATE_TIME, ARTIST, COPYRIGHT = 270, 271, 272, 305, 306, 315, 33432
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, EXIF_DIRECTORY = 282, 283, 296, 34665
EXIF_VERSION, DATE_TIME_ORIGINAL, COLOUR_SPACE = 36864, 36867, 40961
RESOLUTION = frozenset({X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT})
# From 40091: XPTitle, XPComment, XPAuthor, XPKeywords, XPSubject, what Windows' property pages write, in UTF-16.
KEPT = frozenset({DESCRIPTION, MAKE, MODEL, SOFTWARE, DATE_TIME, ARTIST, COPYRIGHT, *range(40091, 40096)})
KEPT_OF_CAPTURE = frozenset(
    {
        *(33434, 33437, 34850, 34855, 34864, 34866),  # exposure time, aperture, programme, sensitivity
        *(DATE_TIME_ORIGINAL, 36868, 36880, 36881, 36882, 37520, 37521, 37522),  # capture time, its time zone and fractions of a second
        *range(37377, 37387),  # shutter speed, aperture, brightness, bias, distance, metering, light source, flash, focal length
        37510,  # the user's comment
        *(41986, 41987, 41988, 41989, 41990, 41992, 41993, 41994),  # exposure and white balance modes, zoom, 35 mm, scene, rendering
        *(42034, 42035, 42036),  # the lens: specification, make, model
    }
)
# Bytes of one value and of a block: a JPEG's segment holds 65,533, and its name takes 6.
MAX_VALUE = 32_768
MAX_BLOCK = 60_000
MAX_ENTRIES = 1_024
INCH, CENTIMETRE = 2, 3
HEADER = b"Exif\0\0"
_ASCII, _SHORT, _RATIONAL, _UNDEFINED, _LONG = 2, 3, 5, 7, 4
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 129: 1}


@dataclass(frozen=True)
class Entry:
    """One value: its TIFF type, the number of its elements, and its bytes in the block's byte order."""

    kind: int
    count: int
    data: bytes


Directory = dict[int, Entry]


class BrokenExifError(ValueError):
    """An EXIF block whose structure leads nowhere."""


@dataclass(frozen=True)
class ExifBlock:
    """The kept entries of a photo. `order` is struct's: "<" or ">"."""

    order: str
    image: Directory
    capture: Directory

    @classmethod
    def empty(cls) -> ExifBlock:
        """A block of nothing."""
        return cls(">", {}, {})

    @classmethod
    def read(cls, data: bytes) -> ExifBlock:
        """The kept entries of a TIFF block (EXIF without its header, or a whole TIFF file).

        Raises:
            BrokenExifError: it is no TIFF block, or its first directory lies outside of it.
        """
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
        if order is None or len(data) < 8:
            raise BrokenExifError("it does not start as TIFF does")
        image = _read_directory(data, order, struct.unpack_from(order + "I", data, 4)[0], KEPT | RESOLUTION | {EXIF_DIRECTORY})
        pointer = image.pop(EXIF_DIRECTORY, None)
        capture: Directory = {}
        if pointer is not None and pointer.kind in (_LONG, 13) and pointer.count == 1:
            capture = _read_directory(data, order, struct.unpack(order + "I", pointer.data)[0], KEPT_OF_CAPTURE)
        return cls(order, image, capture)

    def with_texts(self, texts: Mapping[int, bytes]) -> ExifBlock:
        """With texts where the block has none, as other places of the file say them (`ARTIST` and others; UTF-8 as many writers do it)."""
        image, capture = dict(self.image), dict(self.capture)
        for tag, text in texts.items():
            directory = capture if tag in KEPT_OF_CAPTURE else image
            if text.strip(b"\0 ") and len(text) < MAX_VALUE and not directory.get(tag, Entry(0, 0, b"")).data.strip(b"\0 "):
                directory[tag] = Entry(_ASCII, len(text) + 1, text + b"\0")
        return ExifBlock(self.order, image, capture)

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Pixels per inch across and down; None where the block does not say."""
        across, down = (self._rational(tag) for tag in (X_RESOLUTION, Y_RESOLUTION))
        unit = self.image.get(RESOLUTION_UNIT)
        inches = 2.54 if unit is not None and unit.data == struct.pack(self.order + "H", CENTIMETRE) else 1.0
        return None if across is None or down is None else (across * inches, down * inches)

    def _rational(self, tag: int) -> float | None:
        entry = self.image.get(tag)
        if entry is None or entry.kind != _RATIONAL or entry.count != 1:
            return None
        above, below = struct.unpack(self.order + "II", entry.data)
        return above / below if below else None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to keep beside a resolution."""
        return not self.capture and not self.image.keys() - RESOLUTION

    def to_bytes(self, dpi: tuple[float, float] | None) -> bytes:
        """The block as a TIFF structure without the EXIF header, colours said to be sRGB; longest values go first where it is too long."""
        image, capture = {tag: entry for tag, entry in self.image.items() if tag not in RESOLUTION}, dict(self.capture)
        if dpi is not None:
            across, down = (Entry(_RATIONAL, 1, struct.pack(self.order + "II", round(value * 1_000), 1_000)) for value in dpi)
            image |= {X_RESOLUTION: across, Y_RESOLUTION: down, RESOLUTION_UNIT: Entry(_SHORT, 1, struct.pack(self.order + "H", INCH))}
        capture[EXIF_VERSION] = Entry(_UNDEFINED, 4, b"0232")
        capture[COLOUR_SPACE] = Entry(_SHORT, 1, struct.pack(self.order + "H", 1))
        while sum(len(entry.data) + 13 for entry in (*image.values(), *capture.values())) > MAX_BLOCK - 64:
            longest = max((image, capture), key=lambda directory: max((len(entry.data) for entry in directory.values()), default=0))
            del longest[max(longest, key=lambda tag: len(longest[tag].data))]
        start = b"II*\0" if self.order == "<" else b"MM\0*"
        image[EXIF_DIRECTORY] = Entry(_LONG, 1, b"\0\0\0\0")
        second = 8 + len(_directory_bytes(image, self.order, 8))
        image[EXIF_DIRECTORY] = Entry(_LONG, 1, struct.pack(self.order + "I", second))
        first = _directory_bytes(image, self.order, 8)
        return start + struct.pack(self.order + "I", 8) + first + _directory_bytes(capture, self.order, second)


def _read_directory(data: bytes, order: str, at: int, kept: frozenset[int]) -> Directory:
    if at + 2 > len(data) or at < 8:
        raise BrokenExifError("a directory lies outside of it")
    (count,) = struct.unpack_from(order + "H", data, at)
    directory: Directory = {}
    for position in range(at + 2, min(at + 2 + 12 * min(count, MAX_ENTRIES), len(data) - 11), 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, position)
        size = _SIZES.get(kind, 0) * number
        if tag not in kept or not 0 < size <= MAX_VALUE:
            continue
        value = position + 8 if size <= 4 else struct.unpack_from(order + "I", data, position + 8)[0]
        if value + size <= len(data):
            directory[tag] = Entry(kind, number, data[value : value + size])
    return directory


def _directory_bytes(directory: Directory, order: str, at: int) -> bytes:
    """A directory that begins at offset `at` of its block, and its values behind it."""
    entries, values = b"", b""
    end = at + 2 + 12 * len(directory) + 4
    for tag, entry in sorted(directory.items()):
        inside = entry.data.ljust(4, b"\0")
        if len(entry.data) > 4:
            inside = struct.pack(order + "I", end + len(values))
            values += entry.data + b"\0" * (len(entry.data) % 2)  # values begin at even offsets
        entries += struct.pack(order + "HHI", tag, entry.kind, entry.count) + inside
    return struct.pack(order + "H", len(directory)) + entries + b"\0\0\0\0" + values
