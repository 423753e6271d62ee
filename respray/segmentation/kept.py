"""What the network found for a prompt, to a file and back (`respray.contract.segments_file`): compressed maps, read within bounds."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass

import numpy as np

from respray.contract import tensors
from respray.contract.segments_file import (
    MAX_FILE_BYTES,
    MAX_PROMPT_CHARACTERS,
    SCORE_FLOOR,
    SegmentsFileError,
    SegmentsHead,
    read_segments,
    write_segments,
)
from respray.segmentation.arrays import Float32Array, NamedArrays, UInt8Array

# Level 6 takes twice the time of level 1 and saves a tenth; level 9 nothing more.
COMPRESSION = 6


@dataclass(frozen=True)
class FoundPrompt:
    """What was found for one prompt.

    Attributes:
        region: uint8 [h,w]. masks: uint8 [k,h,w], of the k instances that are kept.
        scores: float32 [k]. boxes: float32 [k,4]. presence: 0..1.
        floor: every instance of at least this score is among them.
    """

    region: UInt8Array
    masks: UInt8Array
    scores: Float32Array
    boxes: Float32Array
    presence: float
    floor: float


def keep(segments: NamedArrays, row: int, *, model: str, photo: str, prompt: str, threshold: float) -> bytes | None:
    """One prompt's answer as a file.

    Args:
        segments: the decoder's outputs without the batch dimension.
        row: the prompt's.
        model: digest of the model.
        photo: SHA-256 of the encoded photo.
        prompt: the words.
        threshold: the lowest that they were asked for with.

    Returns:
        The file; None where the answer cannot be kept (too large, or numbers that are none).
    """
    scores, boxes = segments[tensors.SCORES][row], segments[tensors.BOXES][row]
    presence = float(segments[tensors.PRESENCE][row])
    floor = min(SCORE_FLOOR, threshold)
    chosen = np.flatnonzero(scores >= floor)
    if not (np.isfinite(scores).all() and np.isfinite(boxes).all() and np.isfinite(presence)) or len(prompt) > MAX_PROMPT_CHARACTERS:
        return None
    maps = np.concatenate([segments[tensors.REGION][row][None], segments[tensors.MASKS][row][chosen]])
    # Boxes may leave the photo by a little; nothing reads them there.
    head = SegmentsHead(
        model=model,
        photo=photo,
        prompt=prompt,
        made=time.time(),
        size=maps.shape[1],
        floor=0.0 if len(chosen) == len(scores) else floor,
        presence=min(1.0, max(0.0, presence)),
        scores=[min(1.0, max(0.0, float(score))) for score in scores[chosen]],
        boxes=[(x0, y0, x1, y1) for x0, y0, x1, y1 in np.clip(boxes[chosen], 0.0, 1.0).tolist()],
    )
    data = write_segments(head, zlib.compress(_differences(maps).tobytes(), COMPRESSION))
    return data if len(data) <= MAX_FILE_BYTES else None


def recall(data: bytes, *, model: str, photo: str, size: int, queries: int) -> tuple[str, FoundPrompt]:
    """The prompt and what was found for it. No more memory is taken than the model's own sizes say.

    Args:
        data: the file.
        model: digest of the model that it must come from.
        photo: SHA-256 of the photo that it must be of.
        size: side of the model's masks.
        queries: instances that the model can find at most.

    Raises:
        SegmentsFileError: the file is damaged, or of another model, photo or size.
    """
    head, packed = read_segments(data)
    count = len(head.scores)
    if head.model != model or head.photo != photo:
        raise SegmentsFileError(f"kept segments of another {'model' if head.model != model else 'photo'}")
    if head.size != size or count > queries:
        raise SegmentsFileError(f"kept segments of {count} maps of {head.size} pixels; this model finds {queries} of {size}")
    wanted = (1 + count) * size * size
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, wanted + 1)
    except zlib.error as error:
        raise SegmentsFileError(f"kept segments whose maps cannot be unpacked ({error})") from None
    if len(raw) != wanted or not unpacker.eof or unpacker.unused_data:
        raise SegmentsFileError(f"kept segments whose maps do not unpack to {wanted} bytes")
    # Sums of bytes wrap around as the differences did.
    maps = np.cumsum(np.frombuffer(raw, np.uint8).reshape(1 + count, size, size), axis=1, dtype=np.uint8)
    found = FoundPrompt(
        region=maps[0],
        masks=maps[1:],
        scores=np.array(head.scores, np.float32),
        boxes=np.array(head.boxes, np.float32).reshape(count, 4),
        presence=head.presence,
        floor=head.floor,
    )
    return head.prompt, found


def rows_of(segments: NamedArrays, row: int) -> FoundPrompt:
    """A prompt's answer as the network gave it."""
    named = {name: segments[name][row] for name in (tensors.REGION, tensors.MASKS, tensors.SCORES, tensors.BOXES)}
    return FoundPrompt(**named, presence=float(segments[tensors.PRESENCE][row]), floor=0.0)


def merge(found: list[FoundPrompt]) -> NamedArrays:
    """Answers of at least one prompt as the decoder's outputs: one row each, K filled up with instances of score 0 and no pixel."""
    count, side = len(found), found[0].region.shape[-1]
    most = max(1, *(len(one.scores) for one in found))
    masks = np.zeros((count, most, side, side), np.uint8)
    # Below every threshold that is not 0 or less; and one of 0 takes in the network's own guesses, of which these have no pixel.
    scores, boxes = np.full((count, most), -1.0, np.float32), np.zeros((count, most, 4), np.float32)
    for row, one in enumerate(found):
        kept = len(one.scores)
        masks[row, :kept], scores[row, :kept], boxes[row, :kept] = one.masks, one.scores, one.boxes
    presence = np.array([one.presence for one in found], np.float32)
    region = np.stack([one.region for one in found])
    return dict(zip(tensors.SEGMENTS, (masks, scores, boxes, presence, region), strict=True))


def _differences(maps: UInt8Array) -> UInt8Array:
    """Each row but the first minus the one above: neighbouring rows are alike, and what repeats compresses."""
    result = maps.copy()
    result[:, 1:] -= maps[:, :-1]
    return result
