"""A mask explained by the photo's colours: the colour-guided filter, and how far its answer may be trusted.

He, Sun, Tang, "Guided Image Filtering" (2013): in every window the mask is a linear function of colour; every pixel averages the functions
of the windows that it lies in. Where colour does not separate the two sides, such a function is noise, and the mask's own edge is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imaging.arrays import FloatArray

# Regularisation: colour differences below its root (in 0..1) do not move the edge.
EPSILON = 1e-4
# Share of the answer's variance that colour explains: below the first value the mask's own edge stays, above the second the photo's is
# taken. Fitted on rendered rooms with exact and with displaced masks.
NO_EVIDENCE, EVIDENCE = 0.8, 0.97
# Slope with which an answer is made into an edge before it is asked how well colour explains it.
EDGE_SLOPE = 3.0
# Variances below this are those of a flat mask, which needs no explaining.
FLAT = 1e-3


@dataclass(frozen=True)
class _Windows:
    """The photo's colour statistics in every window. Planes float32 [h,w]: `colours` and their means `means` (red, green, blue), `inverse`:
    the six different entries of the inverse covariance (rr, rg, rb, gg, gb, bb); `box` and `near`: sizes of window and of averaging.
    """

    colours: tuple[FloatArray, ...]
    means: tuple[FloatArray, ...]
    inverse: tuple[FloatArray, ...]
    box: tuple[int, int]
    near: tuple[int, int]

    def fit(self, mask: FloatArray) -> tuple[list[FloatArray], FloatArray, FloatArray]:
        """Fit a mask float32 [h,w]: planes of the model in each window (three weights, offset), and the variances explained and there."""
        mean = cv2.blur(mask, self.box)
        products: list[FloatArray] = [np.multiply(colour, mask) for colour in self.colours]
        red, green, blue = (cv2.blur(both, self.box) - own * mean for both, own in zip(products, self.means, strict=True))
        rr, rg, rb, gg, gb, bb = self.inverse
        weights = [rr * red + rg * green + rb * blue, rg * red + gg * green + gb * blue, rb * red + gb * green + bb * blue]
        offset = mean - sum(weight * own for weight, own in zip(weights, self.means, strict=True))
        explained = np.maximum(weights[0] * red + weights[1] * green + weights[2] * blue, 0.0)
        squares: FloatArray = np.multiply(mask, mask)
        variance = np.maximum(cv2.blur(squares, self.box) - mean * mean, 0.0)
        return [*weights, offset], explained, variance


def coefficients(guide: FloatArray, mask: FloatArray, radius: int) -> FloatArray:
    """Linear model per pixel, float32 [h,w,4] (three colour weights, offset), of a mask float32 [h,w] on a photo float32 [h,w,3].

    Both are in 0..1; `radius` is the window's, in pixels. Where the photo gives no evidence of an edge the model answers the mask itself.
    """
    windows = _windows(guide, radius)
    model, _, _ = windows.fit(mask)
    near = [cv2.blur(plane, windows.near) for plane in model]
    answer = near[3] + sum(weight * colour for weight, colour in zip(near[:3], windows.colours, strict=True))
    # The question is how well colour separates the two sides of the *new* edge: a displaced mask's own edge never fits the colours.
    _, explained, variance = windows.fit(np.clip((answer - 0.5) * np.float32(EDGE_SLOPE) + 0.5, 0.0, 1.0))
    share = cv2.blur(explained, windows.near) / (cv2.blur(variance, windows.near) + np.float32(FLAT))
    trust = np.clip((share - NO_EVIDENCE) * np.float32(1.0 / (EVIDENCE - NO_EVIDENCE)), 0.0, 1.0)
    planes = [plane * trust for plane in near]
    planes[3] += (1.0 - trust) * mask
    return cv2.merge([plane.astype(np.float32) for plane in planes])


def _windows(guide: FloatArray, radius: int) -> _Windows:
    box = (2 * radius + 1, 2 * radius + 1)
    half = max(1, radius // 2)
    red, green, blue = cv2.split(guide)
    mr, mg, mb = (cv2.blur(plane, box) for plane in (red, green, blue))
    rr = cv2.blur(red * red, box) - mr * mr + np.float32(EPSILON)
    gg = cv2.blur(green * green, box) - mg * mg + np.float32(EPSILON)
    bb = cv2.blur(blue * blue, box) - mb * mb + np.float32(EPSILON)
    rg: FloatArray = cv2.blur(red * green, box) - mr * mg
    rb: FloatArray = cv2.blur(red * blue, box) - mr * mb
    gb: FloatArray = cv2.blur(green * blue, box) - mg * mb
    # Cofactors over the determinant: the inverse of a symmetric 3 x 3 matrix.
    cofactors: list[FloatArray] = [
        gg * bb - gb * gb,
        gb * rb - rg * bb,
        rg * gb - gg * rb,
        rr * bb - rb * rb,
        rb * rg - rr * gb,
        rr * gg - rg * rg,
    ]
    scale: FloatArray = 1.0 / (cofactors[0] * rr + cofactors[1] * rg + cofactors[2] * rb)
    inverse = tuple(plane * scale for plane in cofactors)
    return _Windows((red, green, blue), (mr, mg, mb), inverse, box, (2 * half + 1, 2 * half + 1))
