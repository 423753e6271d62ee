"""What a user's mask selects: its colours and its alpha -> one value per pixel, however the tool that drew it says "selected".

White selects. A brush of one colour, a class of a palette, and the 1 or 3 of a map of labels mean the same; several colours or labels mean
several things, and such a mask is refused rather than read as a weak one.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from respray.contract.errors import ImageError
from respray.imaging.arrays import UInt8Array

# Channels that differ by less are grey: JPEG leaves some colour at the edges of a grey mask.
COLOURFUL = 48
# Shares of the pixels that are seen: fewer colourful ones are dirt, and fewer of another kind are no second colour.
DIRT = 1e-3
OTHER = 0.02
HUE_REACH = 15
"""Steps of OpenCV's 180 hues by which the pixels of one brush differ at most."""
DIM = 32
"""What is nowhere brighter is no weak selection (12 %) but a label."""
A_LABEL = 0.005
"""The share of a mask that a label's things have at least."""
LOSSY = frozenset({"JPEG", "MPO", "WEBP", "AVIF", "HEIF"})
ACCEPTED = "accepted is white where the concept is and black elsewhere, or one colour on black, or the selection as alpha"


def selection(colour: UInt8Array, alpha: UInt8Array | None, *, lossy: bool = False) -> UInt8Array:
    """What a mask selects, uint8 [h,w], 255 wholly.

    Where alpha is not opaque, transparent is not selected; where every opaque pixel is black, the selection is the alpha.

    Args:
        colour: uint8 [h,w] grey or [h,w,3] sRGB.
        alpha: uint8 [h,w]; None where every pixel is opaque.
        lossy: whether its file format leaves noise around labels.

    Raises:
        ImageError: It has several colours or labels.
    """
    grey = colour if colour.ndim == 2 else _of_colours(colour, alpha)
    if alpha is not None:
        shown = cast(UInt8Array, cv2.multiply(grey, alpha, scale=1 / 255))
        in_alpha = not shown.any() and int(alpha.min(initial=255)) < int(alpha.max(initial=0))
        grey = alpha if in_alpha else shown
    return _of_labels(grey, lossy)


def _of_colours(colour: UInt8Array, alpha: UInt8Array | None) -> UInt8Array:
    """uint8 [h,w,3] -> uint8 [h,w]: luminance of a grey picture; of a brush of one colour how much of it there is."""
    red, green, blue = cv2.split(colour)
    most, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    seen = np.uint8(1) if alpha is None else (alpha > 0).astype(np.uint8)
    colourful = (cv2.subtract(most, least) > COLOURFUL).astype(np.uint8) * seen
    count, total = cv2.countNonZero(colourful), colour.shape[0] * colour.shape[1]
    if count <= DIRT * total:
        used = [channel for channel in (red, green, blue) if cv2.countNonZero(channel)]
        if len(used) == 1:
            return cast(UInt8Array, used[0])  # as simulators write a class: the luminance of a small number in one channel is nothing
        return cast(UInt8Array, cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY))
    hues = np.bincount(cv2.cvtColor(colour, cv2.COLOR_RGB2HSV)[..., 0][colourful > 0], minlength=180)
    around = np.convolve(np.tile(hues, 3), np.ones(2 * HUE_REACH + 1, np.int64), "same")[180:360]
    bright_greys = cv2.countNonZero((most > 255 // 2).astype(np.uint8) * seen * (1 - colourful))
    if int(around.max()) < (1.0 - OTHER) * count or bright_greys > OTHER * count:
        raise ImageError(f"it has several colours, as a photo or a map of labels has; {ACCEPTED}")
    peak = float(np.percentile(most[colourful > 0], 90))
    return cast(UInt8Array, cv2.convertScaleAbs(most, alpha=255.0 / peak))


def _of_labels(grey: UInt8Array, lossy: bool) -> UInt8Array:
    """A mask of 0 and 1, or 0 and another small number, as one of 0 and 255."""
    top = int(grey.max(initial=0))
    if not 0 < top < DIM or (top > 1 and grey.all()):  # nothing is black: a weak selection all over
        return grey
    counts = np.bincount(grey.ravel())[1:]
    labels = np.flatnonzero(counts) + 1
    if not lossy and len(labels) > 1:
        if np.count_nonzero(counts >= A_LABEL * grey.size) < 2:
            return grey  # the rest of a soft mask that was erased
        named = ", ".join(map(str, labels[:8])) + (" and others" if len(labels) > 8 else "")
        raise ImageError(f"it has values of {named} only, of 255, as a map of several labels has; {ACCEPTED}")
    return (grey > (int(counts.argmax()) + 1) // 2).astype(np.uint8) * np.uint8(255)
