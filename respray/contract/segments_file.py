"""Kept segments as a file: what the network found for one prompt in one photo. The head is read here, without NumPy; the maps are not.

    RSEG1\\n | SHA-256 of the rest, 32 bytes | length of the head, 4 bytes big-endian | head as JSON | maps, zlib

The maps are uint8 [1 + instances, size, size], the region first, each row but a map's first as the difference to the one above it.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from respray.contract.base import StrictModel

MAGIC = b"RSEG1\n"
MAX_HEAD_BYTES = 64 << 10
MAX_FILE_BYTES = 4 << 20
"""Of one prompt. At SAM3's full size a map has 83 kB before it is compressed, and at most 33 are kept."""
MAX_INSTANCES = 256
MAX_MAP_SIDE = 1024
MAX_PROMPT_CHARACTERS = 512
SCORE_FLOOR = 0.05
"""Instances below this score are not kept: nobody asks for such a threshold, and they are most of the bytes. See `SegmentsHead.floor`."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class SegmentsFileError(ValueError):
    """No file of kept segments, or a damaged one."""


class SegmentsHead(StrictModel):
    """What the maps are of.

    `model` is the digest of what found them, `photo` the SHA-256 of the encoded photo's bytes, `made` seconds since 1970. `scores` and
    `boxes` are of the instances that are kept, in the network's order. `floor`: every instance of at least this score is among them, so
    they answer thresholds from there on. `size` is the maps' side.
    """

    format: Literal[1] = 1
    model: Sha256
    photo: Sha256
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    made: float = Field(ge=0.0, allow_inf_nan=False)
    size: int = Field(gt=0, le=MAX_MAP_SIDE)
    floor: Share
    presence: Share
    scores: list[Share] = Field(max_length=MAX_INSTANCES)
    boxes: list[tuple[Share, Share, Share, Share]] = Field(max_length=MAX_INSTANCES)


def write_segments(head: SegmentsHead, maps: bytes) -> bytes:
    """The file. `maps` are compressed already."""
    text = head.model_dump_json().encode()
    rest = len(text).to_bytes(4, "big") + text + maps
    return MAGIC + hashlib.sha256(rest).digest() + rest


def read_segments(data: bytes) -> tuple[SegmentsHead, memoryview]:
    """The head, and the maps as they are compressed.

    Raises:
        SegmentsFileError: What is wrong with the file.
    """
    if len(data) > MAX_FILE_BYTES:
        raise SegmentsFileError(f"kept segments of {len(data)} bytes; at most {MAX_FILE_BYTES} are accepted")
    start = len(MAGIC) + 32
    if not data.startswith(MAGIC) or len(data) < start + 4:
        raise SegmentsFileError("no file of kept segments")
    rest = memoryview(data)[start:]
    if hashlib.sha256(rest).digest() != data[len(MAGIC) : start]:
        raise SegmentsFileError("kept segments that do not have the checksum that they were stored with")
    length = int.from_bytes(rest[:4], "big")
    if length > min(MAX_HEAD_BYTES, len(rest) - 4):
        raise SegmentsFileError(f"kept segments with a head of {length} bytes")
    try:
        head = SegmentsHead.model_validate_json(bytes(rest[4 : 4 + length]))
    except ValidationError as error:
        first = error.errors()[0]
        raise SegmentsFileError(f"kept segments whose head is not valid ({'.'.join(map(str, first['loc']))}: {first['msg']})") from None
    if len(head.scores) != len(head.boxes):
        raise SegmentsFileError(f"kept segments of {len(head.scores)} scores and {len(head.boxes)} boxes")
    return head, rest[4 + length :]
