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
    min_colored: float = 0.2
    """A surface with less colour of its own (`surface.reflection`) hardly tells its highlights from its light."""


class SheenChange:
    """How a sheen changes a surface's light; may be used from several threads.

    Highlights are what the dichromatic model takes for mirrored (`surface.reflection`), which burnt-out pixels hardly show, and bright
    places that stand out from the light around them; these as far as the surface has a colour of its own: on a pale one, which mirrors
    and scatters light of one colour, they are sunlight as likely.

    Attributes:
        unsure: whether highlights can hardly be told.
    """

    def __init__(self, surface: Surface, sheen: Sheen, parameters: HighlightParameters = HighlightParameters()) -> None:
        p = parameters
        self._trust = np.float32(surface.reflection.colored)
        self._factor = np.float32({"matte": p.matte, "satin": p.satin, "gloss": p.gloss}[sheen])
        self._around = _light_around(surface, p)
        self.unsure = surface.reflection.colored < p.min_colored

    def change(self, tile: Tile, shading: FloatArray, specular: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Shading and specular light, float32 [h,w] each, of a tile of the surface's box, as the new paint has them."""
        standing_out = np.maximum(shading - upsample(self._around, tile), np.float32(0))
        return shading + (self._factor - np.float32(1)) * self._trust * standing_out, specular * self._factor


def _light_around(surface: Surface, parameters: HighlightParameters) -> FloatArray:
    """Shading with bright places levelled out, and a little more: float32 [hs,ws]."""
    p = parameters
    shading, _ = surface.reflection.decompose(surface.small)
    log = extrapolate(np.log(np.maximum(shading, p.min_shading)).astype(np.float32), surface.solid)
    radius = max(1, round(p.widest * max(log.shape) / 2.0))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # Grain first: an opening follows the darkest pixels.
    opened = cv2.morphologyEx(cv2.GaussianBlur(log, (0, 0), max(1.0, radius / 8.0)), cv2.MORPH_OPEN, kernel)
    around: FloatArray = np.exp(cast(FloatArray, cv2.GaussianBlur(opened, (0, 0), radius / 4.0))) * np.float32(1.0 + p.least)
    return around
