"""Filling the place of a removed object: which method, at which size, and how the filling is joined to the photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import cv2
import numpy as np

from respray.editing.core.shapes import grown
from respray.editing.fill.diffusion import diffused
from respray.editing.fill.layers import Filling, membrane, patched, reduced, searched_size
from respray.editing.fill.patchmatch import Guess
from respray.imaging.arrays import BoolArray, UInt8Array


@dataclass(frozen=True)
class FillParameters:
    """Which hole is filled, how, and how the filling is joined to the photo.

    Not refitted: chosen by hand on the tuning rooms (seeds 9000-9019 of the renderer; docs/quality.md).
    """

    grow_share: float = 0.008
    """The hole is the matte plus this share of the longest side all around (soft edge), and again as much below (contact shadow)."""
    soft_edge: int = 2
    """Of that, what is surely the edge (pixels)."""
    max_thin_share: float = 0.012
    """Holes thinner than this share of the longest side are filled by Telea's method, which is exact enough and fast there."""
    telea_radius: int = 4
    """Pixels around a point that Telea's method looks at."""
    min_layered_share: float = 0.03
    """A hole larger than this share of the photo has more than one surface behind it: see `respray.editing.fill.patchmatch.Guess`."""
    surroundings: float = 1.0
    """Surroundings that are searched, relative to the hole's size."""
    rim_blur: float = 1.5
    """Steps at the rim are averaged along it by a Gaussian of this many reduced pixels."""
    min_seen: float = 0.2
    """A reduced pixel belongs to the rim where both sides have more than this share of its neighbourhood: sums of a few pixels only are
    too coarse."""


class Inpainter(Protocol):
    """A learned filler, such as a LaMa-class network in ONNX."""

    def fill(self, image: UInt8Array, hole: BoolArray) -> UInt8Array:
        """Fill `hole` (bool [H,W]) of uint8 [H,W,3]; pixels outside the hole may be ignored by the caller."""


def hole_of(
    alpha: UInt8Array,
    protected: UInt8Array | None = None,
    onto: BoolArray | None = None,
    parameters: FillParameters = FillParameters(),
) -> BoolArray:
    """The hole to fill for a matte: grown to take the soft edge and the contact shadow, never into protected pixels.

    Args:
        alpha: uint8 [H,W], the matte.
        protected: uint8 [H,W], above 0 where nothing may be filled.
        onto: bool [H,W], where a shadow may fall, if that is known: what stands on a rug is not taken out with it.
        parameters: of filling.

    Returns:
        Bool [H,W].
    """
    height, width = alpha.shape
    grow = max(2, round(parameters.grow_share * max(height, width)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
    mask = cv2.dilate((alpha > 0).astype(np.uint8), kernel)
    lower = np.zeros_like(mask)
    lower[grow:] = mask[:-grow]
    hole = cv2.max(mask, lower) > 0
    if onto is not None:
        hole &= onto | grown(alpha > 0, parameters.soft_edge)
    if protected is not None:
        hole &= protected == 0
    return hole


def fill(
    image: UInt8Array,
    hole: BoolArray,
    network: Inpainter | None = None,
    floor: BoolArray | None = None,
    flat: bool = False,
    parameters: FillParameters = FillParameters(),
) -> UInt8Array:
    """Fill a hole. A thin one: by Telea's method. Else by the network where one is mounted, else by PatchMatch.

    Args:
        image: uint8 [H,W,3], sRGB; not changed.
        hole: bool [H,W].
        network: a learned filler.
        floor: bool [H,W], what of the photo is floor, where that is known: then floor is filled from floor, and what stands on it from
            what stands on it.
        flat: whether what is removed lay on the floor, as a rug does.
        parameters: of filling.

    Returns:
        uint8 [H,W,3], sRGB; outside the hole as `image`, and `image` itself where there is no hole.
    """
    p = parameters
    if not hole.any():
        return image
    height, width = hole.shape
    thickness = 2.0 * float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 5).max())
    if thickness < p.max_thin_share * max(height, width):
        return diffused(image, hole, p.telea_radius)
    x, y, w, h = cv2.boundingRect(hole.astype(np.uint8))
    margin = round(p.surroundings * max(w, h)) + 16
    x0, y0, x1, y1 = max(0, x - margin), max(0, y - margin), min(width, x + w + margin), min(height, y + h + margin)
    crop, gap = image[y0:y1, x0:x1], hole[y0:y1, x0:x1]
    if network is not None:
        filled = network.fill(crop, gap)
    else:
        guess: Guess = "across" if float(hole.mean()) > p.min_layered_share else "diffused"
        filled = _join(crop, patched(crop, gap, None if floor is None else floor[y0:y1, x0:x1], guess, flat), gap, p)
    result = image.copy()
    result[y0:y1, x0:x1] = np.where(gap[..., None], filled, crop)
    return result


def _join(crop: UInt8Array, filling: Filling, gap: BoolArray, parameters: FillParameters) -> UInt8Array:
    """Spread what is left of a step at the rim smoothly over the hole (a membrane, as in Perez et al., "Poisson Image Editing", 2003); but
    beside what stands in front of the filling there is to be a step."""
    height, width = gap.shape
    size = searched_size(height, width)
    filled, beside = filling.picture, filling.goes_on_from & ~gap
    hidden, known = reduced(gap, size)[..., None], reduced(beside, size)
    outside = cv2.resize(crop * beside[..., None], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    inside = cv2.resize(filled * gap[..., None], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    # What is known at the rim, and one reduced pixel into the hole.
    near = (3, 3)
    seen = cv2.blur(known, near)[..., None]
    rim = (hidden > parameters.min_seen) & (seen > parameters.min_seen)
    step = np.where(rim, cv2.blur(outside, near) / np.maximum(seen, 1e-4) - inside / np.maximum(hidden, 1e-4), 0.0).astype(np.float32)
    mass = cv2.GaussianBlur(rim.astype(np.float32), (0, 0), parameters.rim_blur)[..., None]
    even = cv2.GaussianBlur(step, (0, 0), parameters.rim_blur) / np.maximum(mass, 1e-4)
    smooth = cv2.resize(np.round(membrane(even, rim[..., 0])).astype(np.int16), (width, height), interpolation=cv2.INTER_LINEAR)
    return cast(UInt8Array, cv2.add(filled, smooth, dtype=cv2.CV_8U))
