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
from respray.contract.photo_facts import JpegTables, PhotoFacts
from respray.contract.request import ConceptQuery, Edit, ObjectSource, Output, PhotoRequest, Recolor, Remove
from respray.editing.apply import edit_photo
from respray.editing.core.compiled import compile_all
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
    report = result.report.model_copy(update={"call": request.call})
    return {tensors.FILES: files, tensors.FILE_SIZES: file_sizes, tensors.REPORT: from_bytes(report.model_dump_json().encode())}


def _photo(inputs: Arrays) -> DecodedPhoto:
    alpha, facts = inputs.get(tensors.ALPHA), inputs.get(tensors.FACTS)
    return DecodedPhoto(
        cast(UInt8Array, inputs[tensors.PHOTO]),
        None if alpha is None else cast(UInt8Array, alpha),
        PhotoFacts() if facts is None else PhotoFacts.model_validate_json(facts.tobytes()),
    )


def warm_up() -> None:
    """Load what edits need compiled, and compile it where that was never done, before a photo waits for it; then edit a small picture, for
    whatever else is made at first use.

    Instances start at once; one after the other they go through here, so that the first compiles and the others load.
    """
    photo, segments = _small_room()
    concepts = [ConceptQuery(name="wall", prompts=["wall"]), ConceptQuery(name="sofa", prompts=["sofa"], kind="object")]
    # What is dark and becomes light is smoothed, and so is what is burnt out; the rest of the wall is not.
    edits = [Edit(concept="wall", rule=Recolor(color="#505050")), Edit(concept="sofa", rule=Recolor(color="#F0F0F0"))]
    outputs = [Output(name="painted", edits=edits), Output(name="filled", edits=[Edit(concept="sofa", rule=Remove(mode="inpaint"))])]
    request = PhotoRequest(concepts=concepts, outputs=outputs)
    with os.fdopen(open_lock_file("warm-up"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        compile_all()
        edit_photo(photo, segments, request, [])


def _small_room() -> tuple[DecodedPhoto, Segments]:
    """A picture with what makes edits go all their ways: JPEG's errors, straight lines, light and dark, and two masks that meet and are a
    little off."""
    height, width, cell = 96, 192, 4
    seen = np.full((height, width, 3), 160, np.uint8)
    seen[8:32, 4:20] = 250
    for left in range(28, width, 28):
        seen[16:40, left : left + 16] = (160, 120, 90)
    wall = np.zeros((height, width), np.uint8)
    wall[8:64, : width - 12] = 255
    sofa = np.zeros_like(wall)
    sofa[44:80, 40:88] = 255
    wall[sofa > 0] = 0
    seen[sofa > 0], seen[80:] = (20, 20, 24), (200, 190, 170)
    noise = np.random.default_rng(0).integers(-3, 4, seen.shape, np.int16)
    seen = np.clip(seen + noise, 0, 255).astype(np.uint8)
    seen.flags.writeable = False  # as tensors are
    # The network saw both a pixel further to the right.
    region = np.roll(np.stack([wall, sofa])[:, ::cell, ::cell], 1, axis=2)
    ones = np.ones((2, 1), np.float32)
    segments = Segments(masks=region[:, None], scores=ones, boxes=np.zeros((2, 1, 4), np.float32), presence=ones[:, 0], region=region)
    return DecodedPhoto(seen, None, PhotoFacts(jpeg=JpegTables(luma=(8,) * 64, chroma=(8,) * 64))), segments
