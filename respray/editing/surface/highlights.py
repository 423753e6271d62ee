"""Highlights of a surface, for paints that mirror more or less than the old one did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from respray.contract.request import Sheen
from respray.editing.core.field import Tile, upsample
from respray.editing.surface.shading import extrapolate
from respray.editing.surface.surface import Surface
from respray.imaging.arrays import FloatArray


@dataclass(frozen=True)
class HighlightParameters:
    """What counts as a highlight, and what becomes of it. Chosen on the rooms 8000-8011 and by looking at pictures."""

    matte: float = 0.1
    """Highlights of a matte paint over the photo's: a trace, without which they leave flat patches."""
    satin: float = 0.5
    """The same of a satin paint."""
    gloss: float = 1.6
    """The same of a gloss paint."""
    widest: float = 0.2
    """Bright places up to this wide, share of the longest side of the surface's box, may be highlights; wider ones are light."""
    least: float = 0.04
    """Brighter than around by less than this share is no highlight."""
    min_shading: float = 0.02
    """Shading is clipped here, so that black pixels have a logarithm."""
    edge: tuple[float, float] = (0.05, 0.09)
    """How wide the edge of a bright place on a surface without colour is, share of the longest side: up to the first of the two it is a
    highlight, from the second on a lamp's glow."""
    mirrored: tuple[float, float] = (0.3, 0.5)
    """How bright it is over what is around it, share of a white surface's light: up to the first it may be mirrored, from the second on it
    is sun. Paint mirrors some hundredths of a window or a lamp, whatever its own colour."""
    grain: float = 0.006
    """Standard deviation of the blur, share of the longest side, that takes joints and grain out before edges are looked at."""
    height: tuple[float, float] = (0.15, 0.3)
    """How far it stands out (log): up to the first it is grain or uneven light, from the second on a highlight."""
    least_seen: float = 0.002
    """Share of the surface that must be a highlight for a sheen to be seen."""


class SheenChange:
    """How a sheen changes a surface's light; may be used from several threads.

    Highlights are what the dichromatic model takes for mirrored (`surface.reflection`), which burnt-out pixels hardly show, and bright
    places that stand out from the light around them. A surface without a colour of its own mirrors and scatters light of one colour: there
    a bright place is a highlight where its edge is sharper than that of a lamp's glow, and it is no brighter than what paint mirrors, as
    the sun is. What it mirrors is laid on the new colour as it is, and not dimmed by it.

    Attributes:
        factor: what is mirrored over what the photo shows mirrored.
        unsure: whether no highlights are seen.
    """

    def __init__(self, surface: Surface, sheen: Sheen, parameters: HighlightParameters = HighlightParameters()) -> None:
        p = parameters
        self._trust = np.float32(surface.reflection.colored)
        self.factor = {"matte": p.matte, "satin": p.satin, "gloss": p.gloss}[sheen]
        shading, specular = surface.reflection.decompose(surface.small)
        self._around = _light_around(shading, surface, p)
        out = np.where(surface.solid, np.maximum(shading - self._around, np.float32(0)), np.float32(0))
        self._mirrored = (np.float32(1) - self._trust) * _mirrored(out, self._around, surface, p)
        seen = np.maximum(specular, out * np.maximum(self._trust, self._mirrored)) > p.least
        self.unsure = bool((seen & surface.solid).mean() < p.least_seen * surface.solid.mean())

    def change(self, tile: Tile, shading: FloatArray, specular: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Shading and specular light, float32 [h,w] each, of a tile of the surface's box, as the new paint has them."""
        standing_out = np.maximum(shading - upsample(self._around, tile), np.float32(0))
        mirrored = standing_out * upsample(self._mirrored, tile)
        own = shading - mirrored + np.float32(self.factor - 1.0) * self._trust * standing_out
        return own, (specular + mirrored) * np.float32(self.factor)


def _mirrored(standing_out: FloatArray, around: FloatArray, surface: Surface, parameters: HighlightParameters) -> FloatArray:
    """How surely each bright place of a surface without colour is mirrored light, float32 [hs,ws], 0..1.

    Args:
        standing_out: float32 [hs,ws], shading above what is around it.
        around: float32 [hs,ws], that.
        surface: the surface.
        parameters: what is a highlight.
    """
    p, side = parameters, max(standing_out.shape)
    log = np.log1p(standing_out / np.maximum(around, np.float32(p.min_shading)))
    # Joints and grain have steep sides too, but few of a glow's pixels.
    log = cv2.GaussianBlur(log, (0, 0), max(1.0, p.grain * side))
    across, down = (cast(FloatArray, cv2.Sobel(log, -1, *axis, scale=1 / 8)) for axis in ((1, 0), (0, 1)))
    slope: FloatArray = np.hypot(across, down)
    bright = (standing_out > p.least * around).astype(np.uint8)
    count, labels = cv2.connectedComponents(bright, connectivity=8)
    sure = np.zeros(count, np.float32)
    for number in range(1, count):
        place = labels == number
        height = float(np.percentile(log[place], 95))
        rim = place & (log > 0.3 * height) & (log < 0.7 * height)
        width = height / max(float(np.median(slope[rim])) if rim.any() else 1.0, 1e-6) / side
        amount = float(np.percentile(standing_out[place], 90)) * surface.reflection.luminance / surface.light
        sure[number] = _falls(width, p.edge) * _falls(amount, p.mirrored) * (1.0 - _falls(height, p.height))
    # Up to its foot, which is not above the threshold.
    return cast(FloatArray, cv2.GaussianBlur(cv2.dilate(sure[labels], np.ones((5, 5), np.uint8)), (0, 0), 1.0))


def _falls(value: float, between: tuple[float, float]) -> float:
    """1 up to the first of two values, 0 from the second on."""
    return float(np.clip((between[1] - value) / (between[1] - between[0]), 0.0, 1.0))


def _light_around(shading: FloatArray, surface: Surface, parameters: HighlightParameters) -> FloatArray:
    """Shading with bright places levelled out, and a little more: float32 [hs,ws]."""
    p = parameters
    log = extrapolate(np.log(np.maximum(shading, p.min_shading)).astype(np.float32), surface.solid)
    radius = max(1, round(p.widest * max(log.shape) / 2.0))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # Grain first: an opening follows the darkest pixels.
    opened = cv2.morphologyEx(cv2.GaussianBlur(log, (0, 0), max(1.0, radius / 8.0)), cv2.MORPH_OPEN, kernel)
    around: FloatArray = np.exp(cast(FloatArray, cv2.GaussianBlur(opened, (0, 0), radius / 4.0))) * np.float32(1.0 + p.least)
    return around
