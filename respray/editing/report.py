"""Honest numbers about one edit, measured on the finished 8-bit pixels and not on the editor's own intermediate values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from respray.contract.report import EditReport
from respray.contract.request import Recolor, Remove, Rule
from respray.editing.core.color import LUMINANCE, decode_scene, delta_e_2000, hex_to_lab, linear_to_hex, linear_to_lab, to_display
from respray.editing.surface.amplification import shown_errors
from respray.editing.surface.surface import SOLID_ALPHA, Surface
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

# At most this many solid pixels are measured, evenly spread.
MAX_SAMPLES = 60_000
# Without solid pixels, those are measured whose alpha is at least this share of the largest.
MIN_ALPHA_RATIO = 0.9
# Light (pixel over the surface's reference, times the photo's level) below which a pixel is too dark to divide by it.
MIN_SHADE = 0.05
# A warning is given where a surface's median luminance (scene-linear) or its share of the photo is below this, ...
MIN_LUMINANCE = 0.01
MIN_AREA_SHARE = 0.002
# ... the confidence in its plane is, ...
MIN_CONFIDENCE = 0.4
# ... a filled hole is a larger share of the photo than this, or more of the surface than this has reached white.
MAX_HOLE_SHARE = 0.03
# ... or the photo's errors would stand in the new colour with this standard deviation (8-bit codes), on the largest part.
MAX_SHOWN_ERRORS = 4.0
MAX_CLIPPED = 0.02


@dataclass(frozen=True)
class Samples:
    """Pixels of surfaces before an edit.

    Attributes:
        chosen: for every surface, the rows and columns of the picture that were looked at, and which of these pixels are meant, bool.
        codes: uint8 [n,3], sRGB.
        light: float32 [n,3], the light on them.
        highest: the surfaces' largest alpha.
        share: of the picture that they cover, 0..1.
    """

    chosen: Sequence[tuple[slice, slice, BoolArray]]
    codes: UInt8Array
    light: FloatArray
    highest: int
    share: float

    def of(self, picture: UInt8Array) -> UInt8Array:
        """The same pixels of another picture, uint8 [n,3]."""
        return np.concatenate([picture[rows, columns][where] for rows, columns, where in self.chosen])


def sample(parts: Sequence[Surface], picture: UInt8Array) -> Samples:
    """Look at a picture (uint8 [H,W,3], sRGB) before surfaces in it are edited: at their solid pixels, or the most opaque ones."""
    share = sum(_total(part) for part in parts) / 255.0 / (picture.shape[0] * picture.shape[1])
    highest = max((int(part.alpha.max()) for part in parts), default=0)
    solid = SOLID_ALPHA if highest >= SOLID_ALPHA else max(1, round(highest * MIN_ALPHA_RATIO))
    step = max(1, int((sum(p.alpha.size for p in parts) / MAX_SAMPLES) ** 0.5))
    if not any((p.alpha[::step, ::step] >= solid).any() for p in parts):
        step = 1  # a few pixels between the samples
    chosen: list[tuple[slice, slice, BoolArray]] = []
    codes, lights = [np.zeros((0, 3), np.uint8)], [np.zeros((0, 3), np.float32)]
    for part in parts:
        x0, y0, x1, y1 = part.box
        chosen.append((slice(y0, y1, step), slice(x0, x1, step), part.alpha[::step, ::step] >= solid))
        codes.append(picture[chosen[-1][:2]][chosen[-1][2]])
        light = (decode_scene(codes[-1]) @ LUMINANCE) * np.float32(part.light / part.reflection.luminance)
        lights.append(light[:, None] * part.tint)
    return Samples(chosen, np.concatenate(codes), np.concatenate(lights), highest, share)


def measure(
    concept: str,
    rule: Rule,
    parts: list[Surface],
    before: Samples,
    after: UInt8Array,
    *,
    requested: str | None = None,
    mirrored: FloatArray | None = None,
    geometry: float | None = None,
) -> EditReport:
    """Measure one edit.

    `measured` divides every edited pixel by the light that fell on it, read from the photo before the edit (luminance over the surface's
    reference luminance, times the level and tint of the photo's light), without what a floor mirrors, and takes the median. `clipped` and
    `out_of_gamut` count edited pixels whose channels touch 255 or 0. Where nothing is fully selected, the most opaque pixels are measured,
    with a warning.

    Args:
        concept: its name.
        rule: what was done.
        parts: the surfaces that were edited.
        before: what `sample` saw of them.
        after: uint8 [H,W,3], sRGB.
        requested: the colour that was asked for, '#RRGGBB'.
        mirrored: float32 [3], scene-linear RGB that the edited pixels hold beside the paint.
        geometry: confidence in the surfaces' planes, 0..1.

    Returns:
        The report of the edit.
    """
    coverage, highest = before.share, before.highest
    if not parts:
        nothing = [f"nothing of '{concept}' to edit"]
        return EditReport(concept=concept, rule=rule.rule, requested=requested, coverage=coverage, warnings=nothing)
    old, new, shade = before.codes, before.of(after), before.light
    warnings: list[str] = []
    if highest < SOLID_ALPHA:
        warnings.append(f"'{concept}' is only partly selected, nowhere more than {highest / 255:.0%}: its old colour shows through")
    old_light, new_light = decode_scene(old) @ LUMINANCE, decode_scene(new) @ LUMINANCE
    clipped = float(np.mean(_touches(new, 255) & ~_touches(old, 255)))
    crushed = float(np.mean(_touches(new, 0) & ~_touches(old, 0)))
    measured = delta = None
    if requested is not None:
        lit = np.minimum(np.minimum(*shade.T[:2]), shade.T[2]) > MIN_SHADE
        paint = decode_scene(new) - (0.0 if mirrored is None else mirrored)
        albedo = np.median(paint[lit] / shade[lit], axis=0) if lit.any() else np.median(paint, axis=0)
        albedo = to_display(albedo)
        measured = linear_to_hex(albedo)
        delta = float(delta_e_2000(linear_to_lab(albedo), hex_to_lab(requested)))
    if float(np.median(old_light)) < MIN_LUMINANCE:
        warnings.append(f"'{concept}' is very dark in the photo: its colour and light are uncertain")
    if isinstance(rule, Recolor):
        largest = max(parts, key=_total)
        shown = shown_errors(largest, rule.color) * rule.strength
        if shown > MAX_SHOWN_ERRORS:
            what, better = ("noise", "") if largest.jpeg is None else ("noise and compression", ", or one saved at a higher quality,")
            warnings.append(
                f"'{concept}' is so dark in the photo that its {what} would show as {shown:.0f} of 255 levels in {rule.color.upper()}, and "
                f"would have to be smoothed with fine relief: a brighter photo{better} carries this colour better"
            )
    if coverage < MIN_AREA_SHARE:
        warnings.append(f"'{concept}' covers only {coverage:.2%} of the photo")
    if geometry is not None and geometry < MIN_CONFIDENCE:
        warnings.append(
            f"the perspective of '{concept}' is uncertain: the photo shows too few straight lines, or its name does not tell how it lies; "
            "check the texture's direction and size"
        )
    removed = isinstance(rule, Remove)
    if isinstance(rule, Remove) and rule.mode == "inpaint" and coverage > MAX_HOLE_SHARE:
        warnings.append(f"{coverage:.0%} of the photo was filled in for '{concept}': look at it, such a hole is guesswork")
    if clipped > MAX_CLIPPED and not removed:
        warnings.append(f"{clipped:.0%} of '{concept}' reached pure white in a channel: a darker colour or exposure keeps more detail")
    return EditReport(
        concept=concept,
        rule=rule.rule,
        requested=requested,
        measured=measured,
        delta_e=None if delta is None else round(delta, 2),
        coverage=round(coverage, 5),
        # A background's or a filling's light, whites and blacks say nothing about the edit.
        clipped=None if removed else round(clipped, 4),
        out_of_gamut=None if removed else round(crushed, 4),
        shading_correlation=None if removed else _correlation(old_light, new_light),
        geometry_confidence=geometry,
        warnings=warnings,
    )


def _total(part: Surface) -> float:
    """Sum of a surface's matte."""
    return float(cv2.sumElems(part.alpha)[0])


def _touches(codes: UInt8Array, value: int) -> BoolArray:
    """Which pixels [n,3] have a channel of this value. (NumPy's `any` along so short an axis takes ten times as long.)"""
    red, green, blue = codes.T
    touches: BoolArray = (red == value) | (green == value) | (blue == value)
    return touches


def _correlation(old: FloatArray, new: FloatArray) -> float | None:
    """Pearson correlation of log luminance before and after; None on a flat surface."""
    a, b = np.log(np.maximum(old, 1e-4)), np.log(np.maximum(new, 1e-4))
    if a.std() < 1e-3 or b.std() < 1e-3:
        return None
    return round(float(np.corrcoef(a, b)[0, 1]), 4)
