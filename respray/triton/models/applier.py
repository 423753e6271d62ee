"""The `applier` model's work on plain arrays: tensors to `editing`'s types, one call, and back."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from typing import cast

import numpy as np

from respray.contract import tensors
from respray.contract.errors import EditError, ImageError
from respray.contract.photo_facts import PhotoFacts
from respray.contract.request import ConceptQuery, Edit, ObjectSource, Output, PhotoRequest, Recolor, Remove
from respray.editing.apply import edit_photo
from respray.editing.fill.inpaint import Inpainter
from respray.editing.mask.select import Segments
from respray.imaging.arrays import AnyArray, UInt8Array
from respray.imaging.decode import DecodedPhoto
from respray.triton.errors import PhotoError
from respray.triton.models.parse_request import Arrays, parse_request
from respray.triton.packing import Int64Vector, PackedFiles, UInt8Vector, from_bytes, pack
from respray.triton.private_files import open_lock_file


def apply(
    inputs: Arrays,
    object_source: ObjectSource = "instances",
    network: Inpainter | None = None,
    now: Callable[[], float] = time.perf_counter,
) -> Arrays:
    """Edit one photo.

    Args:
        inputs: the `applier` model's tensors by name (`docs/architecture.md`), the segments all or none.
        object_source: where objects' masks are taken from, as in `edit_photo`.
        network: fills what is removed, as in `edit_photo`.
        now: the clock of the report's timings, as there.

    Returns:
        The model's output tensors: `files`, `file_sizes` and `report`.

    Raises:
        PhotoError: something is wrong with the request or an attachment.
    """
    request = parse_request(inputs[tensors.REQUEST].tobytes())
    data, sizes = inputs[tensors.ATTACHMENTS], inputs[tensors.ATTACHMENT_SIZES]
    attachments = PackedFiles(cast(UInt8Vector, data), cast(Int64Vector, sizes))
    found = cast(dict[str, AnyArray], inputs)
    segments = Segments(**{name: found[name] for name in tensors.SEGMENTS}) if tensors.REGION in inputs else Segments.empty()
    try:
        result = edit_photo(_photo(inputs), segments, request, attachments, object_source=object_source, network=network, now=now)
    except (EditError, ImageError) as error:
        raise PhotoError(str(error)) from error
    files, file_sizes = pack(result.files)
    return {tensors.FILES: files, tensors.FILE_SIZES: file_sizes, tensors.REPORT: from_bytes(result.report.model_dump_json().encode())}


def _photo(inputs: Arrays) -> DecodedPhoto:
    alpha, facts = inputs.get(tensors.ALPHA), inputs.get(tensors.FACTS)
    return DecodedPhoto(
        cast(UInt8Array, inputs[tensors.PHOTO]),
        None if alpha is None else cast(UInt8Array, alpha),
        PhotoFacts() if facts is None else PhotoFacts.model_validate_json(facts.tobytes()),
    )


def warm_up() -> None:
    """Edit a small picture: loads what edits need compiled, and compiles it where that was never done, before a photo waits for it.

    Instances start at once; one after the other they go through here, so that the first compiles and the others load.
    """
    side = 96
    photo = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    coarse = side // 4
    region = np.zeros((1, coarse, coarse), np.uint8)
    region[:, coarse // 3 : -coarse // 3, coarse // 3 : -coarse // 3] = 255
    one = np.ones((1, 1), np.float32)
    segments = Segments(masks=region[None], scores=one, boxes=np.zeros((1, 1, 4), np.float32), presence=one[0], region=region)
    # A wall, whose border is made straight.
    edits = [Edit(concept="wall", rule=Recolor(color="#808080")), Edit(concept="wall", rule=Remove(mode="inpaint"))]
    request = PhotoRequest(concepts=[ConceptQuery(name="wall", prompts=["wall"])], outputs=[Output(name="wall", edits=edits)])
    with os.fdopen(open_lock_file("warm-up"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        edit_photo(photo, segments, request, [])
