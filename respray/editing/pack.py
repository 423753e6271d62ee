"""The files of one photo and what the report says of each: outputs, then their previews, then instance masks."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from respray.contract.photo_facts import KeptMetadata
from respray.contract.photo_file import MEDIA_TYPES
from respray.contract.report import FileReport
from respray.contract.request import Output
from respray.editing.core.reduce import shrink
from respray.editing.mask.find import FoundConcept
from respray.imaging.arrays import UInt8Array
from respray.imaging.encode import encode, preview


class Package:
    """Encoded files in the order in which they are answered."""

    def __init__(self, metadata: KeptMetadata = KeptMetadata()) -> None:
        """`metadata` goes into every output, and into no preview or mask."""
        self._metadata = metadata
        self._outputs: list[tuple[bytes, FileReport]] = []
        self._previews: list[tuple[bytes, FileReport]] = []
        self._masks: list[tuple[bytes, FileReport]] = []

    def add_output(self, output: Output, image: UInt8Array) -> None:
        """Encode an output (uint8 [H,W,3|4], sRGB, straight alpha)."""
        report = FileReport(kind="output", name=output.name, media_type=MEDIA_TYPES[output.format])
        self._outputs.append((encode(image, output.format, output.quality, self._metadata), report))

    def add_preview(self, output: Output, image: UInt8Array, size: int) -> None:
        """Encode an output's preview, `size` pixels on the longest side."""
        report = FileReport(kind="preview", name=output.name, media_type=MEDIA_TYPES["jpeg"])
        self._previews.append((preview(shrink(image, size)), report))

    def add_masks(self, found: Iterable[FoundConcept]) -> None:
        """Encode the instance masks of concepts, as PNG."""
        for concept in found:
            for number, mask in enumerate(instance_masks(concept), start=1):
                report = FileReport(kind="mask", name=concept.report.name, instance=number, media_type=MEDIA_TYPES["png"])
                self._masks.append((encode(mask, "png"), report))

    @property
    def size(self) -> int:
        """Bytes of all files so far."""
        return sum(len(data) for data in self.files)

    @property
    def files(self) -> list[bytes]:
        """The encoded files."""
        return [data for data, _ in self._outputs + self._previews + self._masks]

    @property
    def reports(self) -> list[FileReport]:
        """What each of them is."""
        return [report for _, report in self._outputs + self._previews + self._masks]


def instance_masks(concept: FoundConcept) -> list[UInt8Array]:
    """The mask of each instance: the concept's matte where that instance is the most probable, or what of it is connected.

    Args:
        concept: as `respray.editing.mask.find.find_mattes` has found it.

    Returns:
        Masks uint8 [H,W] of the photo's size; none where the concept was not found.
    """
    if concept.matte is None:
        return []
    alpha, pieces = concept.matte.alpha, concept.pieces
    if pieces is not None and pieces.count > 1:
        return [np.where(pieces.where([number], alpha.shape), alpha, np.uint8(0)) for number in range(1, pieces.count + 1)]
    if len(concept.instances) <= 1:
        return [alpha]
    height, width = alpha.shape
    owner = np.stack(concept.instances).argmax(axis=0).astype(np.uint8)
    owner_full = cv2.resize(owner, (width, height), interpolation=cv2.INTER_NEAREST)
    return [np.where(owner_full == index, alpha, np.uint8(0)) for index in range(len(concept.instances))]
