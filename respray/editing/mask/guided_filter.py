"""A mask explained by the photo's colours: the colour-guided filter, and how far its answer may be trusted.

He, Sun, Tang, "Guided Image Filtering" (2013): in every window the mask is a linear function of colour; every pixel averages the functions
of the windows that it lies in. Where colour does not separate the two sides, such a function is noise, and the mask's own edge is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import float32, void

from respray.editing.core.compiled import compiled_for
from respray.editing.core.windows import window_means
from respray.imaging.arrays import FloatArray


@dataclass(frozen=True)
class FilterParameters:
    """When colour is believed to explain a mask. Colours and masks are in 0..1.

    `no_evidence` and `evidence` were fitted on rendered rooms with exact and with displaced masks, by boundary F and matte error
    (docs/quality.md). The others are not refitted: chosen by hand on the same rooms.
    """

    epsilon: float = 1e-4
    """Regularisation: colour differences below its root do not move the edge."""
    no_evidence: float = 0.8
    """Share of the answer's variance that colour explains: below this the mask's own edge stays ..."""
    evidence: float = 0.97
    """... and above this the photo's is taken; linear in between."""
    edge_slope: float = 3.0
    """Slope with which an answer is made into an edge before it is asked how well colour explains it."""
    flat: float = 1e-3
    """Variances below this are those of a flat mask, which needs no explaining."""


def coefficients(guide: FloatArray, mask: FloatArray, radius: int, parameters: FilterParameters = FilterParameters()) -> FloatArray:
    """Fit a linear model of a mask on a photo's colours to every pixel. Where the photo gives no evidence of an edge, the model answers
    the mask itself.

    Args:
        guide: float32 [h,w,3], the photo (sRGB codes over 255).
        mask: float32 [h,w], 0..1.
        radius: of the window, in pixels.
        parameters: of the filter.

    Returns:
        Float32 [4,h,w]: three colour weights and an offset.
    """
    p = parameters
    half = max(1, radius // 2)
    colours = np.empty((9, *mask.shape), np.float32)
    _multiply_colours(guide, colours)
    averages = window_means(colours, radius)
    epsilon = np.float32(p.epsilon)
    model = window_means(_fitted(guide, mask, averages, radius, epsilon)[:4], half)
    edge = np.empty_like(mask)
    _answer(guide, model, np.float32(p.edge_slope), edge)
    # The question is how well colour separates the two sides of the *new* edge: a displaced mask's own edge never fits the colours.
    explained, variance = window_means(_fitted(guide, edge, averages, radius, epsilon)[4:], half)
    share = explained / (variance + np.float32(p.flat))
    trust = np.clip((share - p.no_evidence) * np.float32(1.0 / (p.evidence - p.no_evidence)), 0.0, 1.0)
    model *= trust
    model[3] += (1.0 - trust) * mask
    return model


def _fitted(guide: FloatArray, mask: FloatArray, averages: FloatArray, radius: int, epsilon: np.float32) -> FloatArray:
    """The model of a mask float32 [h,w] in every window, and how good it is: float32 [6,h,w], three colour weights, offset, the variance
    that they explain and the variance that there is. `averages`: of `_multiply_colours`' planes."""
    products = np.empty((5, *mask.shape), np.float32)
    _multiply_mask(guide, mask, products)
    model = np.empty((6, *mask.shape), np.float32)
    _fit(averages, window_means(products, radius), epsilon, model)
    return model


@compiled_for(void(float32[:, :, ::1], float32[:, :, ::1]))
def _multiply_colours(guide: FloatArray, planes: FloatArray) -> None:
    """Red, green, blue and their products rr, rg, rb, gg, gb, bb of a photo float32 [h,w,3] into planes [9,h,w]."""
    for y in range(guide.shape[0]):
        for x in range(guide.shape[1]):
            red, green, blue = guide[y, x]
            planes[0, y, x], planes[1, y, x], planes[2, y, x] = red, green, blue
            planes[3, y, x], planes[4, y, x], planes[5, y, x] = red * red, red * green, red * blue
            planes[6, y, x], planes[7, y, x], planes[8, y, x] = green * green, green * blue, blue * blue


@compiled_for(void(float32[:, :, ::1], float32[:, ::1], float32[:, :, ::1]))
def _multiply_mask(guide: FloatArray, mask: FloatArray, planes: FloatArray) -> None:
    """A mask float32 [h,w], its products with red, green and blue, and its square into planes [5,h,w]."""
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            value = mask[y, x]
            planes[0, y, x], planes[4, y, x] = value, value * value
            for c in range(3):
                planes[1 + c, y, x] = value * guide[y, x, c]


@compiled_for(void(float32[:, :, ::1], float32[:, :, ::1], float32, float32[:, :, ::1]))
def _fit(colours: FloatArray, masks: FloatArray, epsilon: np.float32, model: FloatArray) -> None:
    """Least squares in every window, from averages of both functions above, into `model` as `_fitted` says."""
    none = np.float32(0)
    for y in range(colours.shape[1]):
        for x in range(colours.shape[2]):
            red, green, blue = colours[0, y, x], colours[1, y, x], colours[2, y, x]
            rr = colours[3, y, x] - red * red + epsilon
            rg = colours[4, y, x] - red * green
            rb = colours[5, y, x] - red * blue
            gg = colours[6, y, x] - green * green + epsilon
            gb = colours[7, y, x] - green * blue
            bb = colours[8, y, x] - blue * blue + epsilon
            mean = masks[0, y, x]
            mr, mg, mb = masks[1, y, x] - red * mean, masks[2, y, x] - green * mean, masks[3, y, x] - blue * mean
            # Cofactors over the determinant: the inverse of a symmetric 3 x 3 matrix.
            crr, crg, crb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
            cgg, cgb, cbb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
            scale = np.float32(1) / (crr * rr + crg * rg + crb * rb)
            wr = (crr * mr + crg * mg + crb * mb) * scale
            wg = (crg * mr + cgg * mg + cgb * mb) * scale
            wb = (crb * mr + cgb * mg + cbb * mb) * scale
            model[0, y, x], model[1, y, x], model[2, y, x] = wr, wg, wb
            model[3, y, x] = mean - wr * red - wg * green - wb * blue
            model[4, y, x] = max(wr * mr + wg * mg + wb * mb, none)
            model[5, y, x] = max(masks[4, y, x] - mean * mean, none)


@compiled_for(void(float32[:, :, ::1], float32[:, :, ::1], float32, float32[:, ::1]))
def _answer(guide: FloatArray, model: FloatArray, slope: np.float32, edge: FloatArray) -> None:
    """What a model float32 [4,h,w] says of a photo, made steeper by `slope`: into `edge` float32 [h,w], 0..1."""
    half = np.float32(0.5)
    for y in range(edge.shape[0]):
        for x in range(edge.shape[1]):
            value = model[3, y, x]
            for c in range(3):
                value += model[c, y, x] * guide[y, x, c]
            edge[y, x] = min(max((value - half) * slope + half, np.float32(0)), np.float32(1))
