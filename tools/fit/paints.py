"""Recolouring as an error: what `tools.fit.reflection` and `tools.fit.recolor` minimise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.quality.metrics import HALO_PIXELS, exposure_between, inner
from respray.contract.request import Recolor
from respray.editing.core.codes import encode_scene
from respray.editing.core.color import decode_scene, decode_srgb, delta_e_2000, encode_srgb, srgb8_to_lab
from respray.editing.core.field import Tile
from respray.editing.paint.burnt_areas import BurntAreaParameters
from respray.editing.paint.recolor import Recolorer, RecolorParameters
from respray.editing.surface.illuminant import estimate_illuminant
from respray.editing.surface.reflection import ReflectionParameters
from respray.editing.surface.surface import find_surfaces
from respray.imaging.arrays import UInt8Array
from tools.fit.rooms import Repainted, matte_of


def repaint(case: Repainted, reflection: ReflectionParameters, recolor: RecolorParameters, burnt: BurntAreaParameters) -> UInt8Array:
    """Recolour a surface whose matte is exact, without its edges: uint8 [H,W,3]."""
    edited = case.photo.copy()
    light = estimate_illuminant(case.photo)
    for surface in find_surfaces(case.photo, matte_of(case.mask), light, reflection=reflection):
        x0, y0, x1, y1 = surface.box
        tile = Tile(0, 0, x1 - x0, y1 - y0, x1 - x0, y1 - y0)
        painter = Recolorer(surface, Recolor(color=case.color), recolor, burnt)
        painted = encode_scene(painter.paint(tile, decode_scene(case.photo[y0:y1, x0:x1])))
        edited[y0:y1, x0:x1] = np.where((surface.alpha > 0)[..., None], painted, edited[y0:y1, x0:x1])
    return edited


def paint_error(
    cases: Sequence[Repainted],
    reflection: ReflectionParameters = ReflectionParameters(),
    recolor: RecolorParameters = RecolorParameters(),
    burnt: BurntAreaParameters = BurntAreaParameters(),
) -> float:
    """Mean CIEDE2000 to the truth inside the surfaces, after one exposure factor for each, as `benchmarks.quality.metrics.score` has it."""
    return float(np.mean([_difference(case, repaint(case, reflection, recolor, burnt)) for case in cases]))


def _difference(case: Repainted, edited: UInt8Array) -> float:
    solid = inner(case.mask, HALO_PIXELS)
    if solid.sum() < 50:
        solid = case.mask
    factor = np.float32(exposure_between(edited, case.truth, solid))
    ours = encode_srgb(decode_srgb(edited[solid]) * factor)
    return float(delta_e_2000(srgb8_to_lab(ours), srgb8_to_lab(case.truth[solid])).mean())
