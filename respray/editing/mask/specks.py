"""Small holes in a plane and small islands of it that the photo shows nothing of: a network's blotches, not switches or sockets."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from respray.editing.core.reduce import average
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

# Alpha (0..255) nearer to 0 or 255 than this is as good as it.
SOFT = 8


@dataclass(frozen=True)
class SpeckParameters:
    """What is a speck, and when the photo shows nothing of it. Chosen on rooms 9000-9007 (docs/log/edges-and-borders.md)."""

    max_share: float = 0.004
    """Share of the picture: what is larger is no speck."""
    max_count: int = 64
    """The largest are looked at. Bounds the time."""
    rim: float = 1.0
    """An edge belongs to a speck that is so near to it (cells: pixels of the network's mask); what it is compared with is ..."""
    around: float = 3.0
    """... so near."""
    max_contrast: float = 6.0
    """Codes (0..255) by which the medians of both may differ in a channel."""
    min_edge: float = 4.0
    """Codes from one pixel to the next that are an edge, ..."""
    edge_ratio: float = 1.25
    """... unless the surface has such all over, within this factor."""


@dataclass(frozen=True)
class Settled:
    """`alpha` uint8 [H,W], how many holes were `filled` in it, and how many islands were `dropped` from it."""

    alpha: UInt8Array
    filled: int = 0
    dropped: int = 0


def settle_specks(alpha: UInt8Array, small: FloatArray, cell: float, parameters: SpeckParameters = SpeckParameters()) -> Settled:
    """Fill holes and drop islands that the photo does not tell from what is around them.

    Args:
        alpha: uint8 [H,W], a plane's matte.
        small: float32 [h,w,3], the photo in codes 0..255, at any size.
        cell: a pixel of the network's mask, in pixels of `small`.
        parameters: of the decision.
    """
    height, width = small.shape[:2]
    matte = average(alpha, (width, height))
    result, counts = alpha, []
    # With their soft rims: what is joined to a larger thing by its rim is part of it.
    for selected, value in ((matte < 255 - SOFT, 255), (matte > SOFT, 0)):
        unseen = [speck for speck in _specks(selected, parameters) if not _seen(speck, selected, small, cell, parameters)]
        # Crumbs go without a word.
        counts.append(sum(int(shape.sum()) >= cell**2 for _, _, shape in unseen))
        for x0, y0, shape in unseen:
            result = result.copy() if result is alpha else result
            _settle(result, (x0, y0), shape, value, (height, width))
    return Settled(result, *counts)


def _specks(selected: BoolArray, parameters: SpeckParameters) -> list[tuple[int, int, BoolArray]]:
    """Left, top and shape (bool [h,w]) of the specks of a mask, largest first."""
    height, width = selected.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(selected.astype(np.uint8), connectivity=4)
    limit = parameters.max_share * selected.size
    found = []
    for label in sorted(range(1, count), key=lambda label: (-int(stats[label, cv2.CC_STAT_AREA]), label)):
        x, y, w, h, area = (int(value) for value in stats[label])
        # What the picture's edge cuts may be large.
        if area <= limit and x > 0 and y > 0 and x + w < width and y + h < height:
            found.append((x, y, labels[y : y + h, x : x + w] == label))
    return found[: parameters.max_count]


def _seen(speck: tuple[int, int, BoolArray], selected: BoolArray, photo: FloatArray, cell: float, parameters: SpeckParameters) -> bool:
    """Whether the photo (float32 [h,w,3]) shows that a speck is another thing than what is around it."""
    p = parameters
    x0, y0, shape = speck
    rim, around = max(1, round(p.rim * cell)), max(3, round(p.around * cell))
    padded = np.pad(shape.astype(np.uint8), around)
    top, left = max(0, y0 - around), max(0, x0 - around)
    bottom, right = min(photo.shape[0], y0 + shape.shape[0] + around), min(photo.shape[1], x0 + shape.shape[1] + around)
    padded = padded[top - y0 + around :, left - x0 + around :][: bottom - top, : right - left]
    near, wide = (cv2.dilate(padded, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0 for reach in (rim, around))
    pixels = photo[top:bottom, left:right]
    beside = wide & ~near & ~selected[top:bottom, left:right]
    if not beside.any():
        return True
    contrast = np.abs(np.median(pixels[padded > 0], axis=0) - np.median(pixels[beside], axis=0)).max()
    across, down = (cv2.Sobel(pixels, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    edges = np.sqrt((across**2 + down**2).mean(axis=2))
    usual = max(p.min_edge, p.edge_ratio * float(np.percentile(edges[beside], 95)))
    return bool(contrast > p.max_contrast or np.percentile(edges[near], 95) > usual)


def _settle(alpha: UInt8Array, corner: tuple[int, int], shape: BoolArray, value: int, size: tuple[int, int]) -> None:
    """Give a speck and its soft rim one value, in place. `size`: (h, w) of the picture that it was found in."""
    height, width = alpha.shape
    down, over = height / size[0], width / size[1]
    grown = cv2.dilate(np.pad(shape.astype(np.uint8), 2), np.ones((5, 5), np.uint8))
    x0, y0 = round((corner[0] - 2) * over), round((corner[1] - 2) * down)
    large = (
        cv2.resize(grown, (max(1, round(grown.shape[1] * over)), max(1, round(grown.shape[0] * down))), interpolation=cv2.INTER_NEAREST) > 0
    )
    top, left = max(0, y0), max(0, x0)
    view = alpha[top : y0 + large.shape[0], left : x0 + large.shape[1]]
    view[large[top - y0 :, left - x0 :][: view.shape[0], : view.shape[1]]] = value
