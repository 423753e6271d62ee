"""The parts of a concept that can be told apart: the instances that the network saw, or what is connected; and those that an edit means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import cv2
import numpy as np

from respray.editing.core.labels import spread_labels
from respray.editing.core.reduce import average
from respray.imaging.arrays import BoolArray, UInt8Array, UInt16Array

# From this alpha on a pixel connects what lies beside it.
CONNECTING_ALPHA = 128
# What is smaller than this share of the photo is a speck: no part, and with the part that is nearest to it.
MIN_PART_SHARE = 2e-4
# Parts are told apart at this size, larger photos averaged down to it. Bounds time and memory.
MAX_WORK_PIXELS = 1_500_000
# The largest of very many. Bounds the number of masks.
MAX_PARTS = 64


@dataclass(frozen=True)
class Parts:
    """Which part of a concept each place of the photo belongs to, or is nearest to.

    Attributes:
        found: uint16 [h,w], stretched over the photo: the part's number, from 1; 0 where it is nobody's.
        scores: of the parts in order: the network's, or the share of the photo where they are what is connected.
    """

    found: UInt16Array
    scores: Sequence[float]

    @cached_property
    def labels(self) -> UInt16Array:
        """`found`, with the number of the nearest part where it is nobody's. (Most edits are of all parts, and never ask.)"""
        return self.found if self.found.all() else spread_labels(self.found)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.scores)

    def at(self, point: tuple[float, float]) -> int:
        """The number of the part at a point (fractions of the photo)."""
        return int(self.labels[pixel_of(point, self.labels.shape)])

    def where(self, numbers: Sequence[int], size: Sequence[int]) -> BoolArray:
        """Where some parts are, bool [H,W] of `size` (height, width)."""
        chosen = np.isin(self.labels, list(numbers)).astype(np.uint8)
        return cv2.resize(chosen, (size[1], size[0]), interpolation=cv2.INTER_NEAREST) > 0


def pixel_of(point: tuple[float, float], shape: Sequence[int]) -> tuple[int, int]:
    """Row and column of the pixel of an array [H,W] that a point (x, y), fractions 0..1, lies on.

    Example:
        >>> pixel_of((1.0, 0.5), (10, 20))
        (5, 19)
    """
    return min(shape[0] - 1, int(point[1] * shape[0])), min(shape[1] - 1, int(point[0] * shape[1]))


def connected_parts(alpha: UInt8Array) -> Parts:
    """The connected parts of a matte, the largest first.

    Args:
        alpha: uint8 [H,W], the matte.

    Returns:
        At least one part.
    """
    small = _at_work_size(alpha)
    connecting = cast(UInt8Array, cv2.threshold(small, CONNECTING_ALPHA - 1, 1, cv2.THRESH_BINARY)[1])
    # All of it happens in the box of what there is.
    x, y, width, height = cv2.boundingRect(connecting)
    if not width:
        return Parts(np.ones((1, 1), np.uint16), [0.0])
    box = slice(y, y + height), slice(x, x + width)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(connecting[box], connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    shares = areas / small.size
    order = [int(index) for index in np.argsort(-areas, kind="stable")[:MAX_PARTS] if shares[index] >= MIN_PART_SHARE]
    if len(order) <= 1:
        return Parts(np.ones((1, 1), np.uint16), [float(shares.sum())])
    numbers = np.zeros(count, np.uint16)
    for number, index in enumerate(order, start=1):
        numbers[index + 1] = number
    found = np.zeros(small.shape, np.uint16)
    found[box] = numbers[labels]
    return Parts(found, [float(shares[index]) for index in order])


def instance_parts(instances: Sequence[UInt8Array], scores: Sequence[float], size: Sequence[int]) -> Parts:
    """The instances that the network saw, each where it is the most probable.

    Args:
        instances: uint8 [h,w] of each, probability x 255; at least one.
        scores: of each.
        size: height and width of the photo.
    """
    shrink = min(1.0, (MAX_WORK_PIXELS / (size[0] * size[1])) ** 0.5)
    target = (max(1, round(size[1] * shrink)), max(1, round(size[0] * shrink)))
    # Stretched before they are compared: the border between two that touch is then no staircase of the network's pixels.
    first, *others = (cast(UInt8Array, cv2.resize(instance, target, interpolation=cv2.INTER_LINEAR)) for instance in instances)
    highest, labels = first.copy(), np.ones(first.shape, np.uint16)
    for number, instance in enumerate(others, start=2):
        higher = instance > highest
        labels[higher] = number
        np.maximum(highest, instance, out=highest)
    return Parts(labels, list(scores))


def _at_work_size(alpha: UInt8Array) -> UInt8Array:
    height, width = alpha.shape
    shrink = (MAX_WORK_PIXELS / (width * height)) ** 0.5
    if shrink >= 1.0:
        return alpha
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return average(alpha, size)
