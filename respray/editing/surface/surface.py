"""What the photo says about one edited surface: its connected parts, their reference colour, light colour and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from respray.contract.photo_facts import JpegTables
from respray.editing.core.color import decode_scene
from respray.editing.core.labels import spread_labels
from respray.editing.core.reduce import average
from respray.editing.surface.illuminant import Illuminant, expected_level
from respray.editing.surface.jpeg_error import JpegError, estimate_jpeg_error
from respray.editing.surface.noise import estimate_noise
from respray.editing.surface.paints import decide_seams, split_paints
from respray.editing.surface.reflection import DichromaticModel, ReflectionParameters, chroma_of, fit_reflection
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array

Box = tuple[int, int, int, int]

# Alpha (of 255) from which on a pixel shows as good as nothing but the surface.
SOLID_ALPHA = 250


@dataclass(frozen=True)
class SurfaceParameters:
    """How a concept is split into materials.

    None is fitted. Chosen on the tuning rooms (9000-9019) and the two real photos of the test data, where a glossy floor left and right of
    a bed is one material.
    """

    margin_share: float = 0.02
    """A surface's box has this share of the photo's longest side around it: what lies beside the surface, which mixed pixels are told apart
    by, is seen there."""
    min_margin: int = 16
    """At least so many pixels, though."""
    max_work_pixels: int = 120_000
    """Statistics need no more pixels than this; a larger crop is averaged down to the work picture first. Bounds the time."""
    max_color_distance: float = 0.18
    """Two parts are one material when their linear RGB colours, at luminance 1, differ by less than this (Euclidean) ..."""
    max_plane_sine: float = 0.05
    """... or when the paler is the stronger one under specular light: not further from the plane of that and white (sine of the angle)
    ..."""
    min_saturation_ratio: float = 0.05
    """... and not quite grey: its chroma is at least this share of the stronger one's."""
    max_light_ratio: float = 3.0
    """Light on two parts of one material differs by less than this factor; beyond it they are taken for two paints."""
    max_shadow_ratio: float = 10.0
    """The same where both have the same strong colour: no two paints do by chance, and a corner behind a sofa is that dark."""
    sure_chroma: float = 0.3
    """Chroma from which on a colour is strong in this sense; below it the factor grows with it."""
    min_wall_specular: float = 0.5
    """Share of a wall's own brightness below which what looks mirrored in it is light of another hue, a window's beside a lamp's: wall
    paint mirrors next to nothing but the lamps themselves."""
    min_part_share: float = 0.03
    """Parts smaller than this share of the concept have no say of their own, unless all are about as small: leaves, tiles."""
    max_parts: int = 32
    """Of those so many are looked at, the largest. Bounds the time."""


@dataclass(frozen=True)
class Surface:
    """One material of one concept.

    Attributes:
        box: (x0, y0, x1, y1), half open, photo pixels; it reaches beyond the matte.
        alpha: uint8 [h,w], the material's matte in the box.
        whole: uint8 [h,w], that of the concept.
        reflection: how it reflects.
        small: float32 [hs,ws,3], scene-linear RGB: the box at work resolution.
        solid: bool [hs,ws], the pixels of `small` that show nothing but this material.
        light: scene-linear luminance of a white surface in its place.
        tint: float32 [3], linear RGB of luminance 1: colour of the light on it.
        room: float32 [3], scene-linear RGB of all that it may mirror, on average: the photo's.
        noise: standard deviation of its luminance noise, scene-linear.
        coverage: uint8 [h,w], the concept's, where its matte is feathered (`mask.matte.Matte`).
        jpeg: how far JPEG may have moved its pixels; None in lossless photos.
    """

    box: Box
    alpha: UInt8Array
    whole: UInt8Array
    reflection: DichromaticModel
    small: FloatArray
    solid: BoolArray
    light: float
    tint: FloatArray
    room: FloatArray
    noise: float
    coverage: UInt8Array | None = None
    jpeg: JpegError | None = None


def find_surfaces(
    photo: UInt8Array,
    alpha: UInt8Array,
    illuminant: Illuminant,
    coverage: UInt8Array | None = None,
    jpeg: JpegTables | None = None,
    parameters: SurfaceParameters = SurfaceParameters(),
    reflection: ReflectionParameters = ReflectionParameters(),
    *,
    walls: bool = False,
) -> list[Surface]:
    """Split what a matte selects into materials.

    Args:
        photo: uint8 [H,W,3], sRGB.
        alpha: uint8 [H,W], the matte.
        illuminant: the photo's light.
        coverage: uint8 [H,W], as in `mask.matte.Matte`, where it is feathered.
        jpeg: of the photo's file.
        parameters: of the split.
        reflection: parameters of each material's reflection.
        walls: whether it is wall paint, which mirrors little, and whose paints that meet are materials of their own (`surface.paints`).

    Returns:
        The materials; an empty list where nothing is selected.
    """
    p = parameters
    x, y, width, height = cv2.boundingRect(alpha)
    if width == 0 or height == 0:
        return []
    margin = max(p.min_margin, round(p.margin_share * max(alpha.shape)))
    x0, y0, x1, y1 = max(0, x - margin), max(0, y - margin), x + width + margin, y + height + margin
    box = (x0, y0, min(x1, alpha.shape[1]), min(y1, alpha.shape[0]))
    crop, crop_alpha = photo[y0:y1, x0:x1], alpha[y0:y1, x0:x1]
    crop_coverage = None if coverage is None else coverage[y0:y1, x0:x1]
    height, width = crop_alpha.shape
    scale = min(1.0, (p.max_work_pixels / (width * height)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = at_work_size(crop, size)
    small_alpha = average(crop_alpha, size)
    solid = cast(UInt8Array, cv2.erode((small_alpha >= SOLID_ALPHA).astype(np.uint8), np.ones((3, 3), np.uint8)))
    if solid.sum() < 16:
        solid = (small_alpha >= max(1, int(small_alpha.max() * 0.6))).astype(np.uint8)
    if walls:
        reflection = replace(reflection, min_specular=p.min_wall_specular)
    paints = split_paints(small, solid) if walls else None
    if paints is None:
        split = _split(crop_alpha, solid, *_materials(small, solid, p, reflection))
    else:
        models = [fit_reflection(small[paints == number], reflection) for number in range(1, int(paints.max()) + 1)]
        split = _split(crop_alpha, solid, paints, models, crop)
    error = None if jpeg is None else estimate_jpeg_error(crop, crop_alpha, (x0, y0), jpeg)
    level = illuminant.level_beside(alpha)

    def part_of(part: UInt8Array, model: DichromaticModel, where: BoolArray) -> Surface:
        color = model.reference
        # The middle of its pixels, as a share of the photo's height.
        place = (y0 + (float(np.nonzero(where)[0].mean()) + 0.5) / len(where) * height) / len(alpha)
        tint, noise = illuminant.tint_on(color, place), estimate_noise(crop, part, SOLID_ALPHA)
        light = expected_level(level, color, place, illuminant.parameters)
        return Surface(box, part, crop_alpha, model, small, where, light, tint, illuminant.room, noise, crop_coverage, error)

    return [part_of(part, model, where) for part, model, where in split]


def as_painted(parts: Sequence[Surface], picture: UInt8Array, parameters: SurfaceParameters = SurfaceParameters()) -> list[Surface]:
    """Surfaces that were given new colours, as they look now, under the light that the photo has.

    Args:
        parts: the surfaces in the photo.
        picture: uint8 [H,W,3], sRGB, what became of it.
        parameters: of the split: where only some of a surface was painted, it has become several materials.
    """
    found: list[Surface] = []
    for part in parts:
        x0, y0, x1, y1 = part.box
        crop, solid = picture[y0:y1, x0:x1], part.solid.astype(np.uint8)
        small = at_work_size(crop, (solid.shape[1], solid.shape[0]))
        labels, models = _materials(small, solid, parameters, part.reflection.parameters)
        for alpha, model, where in _split(part.alpha, solid, labels, models):
            noise = estimate_noise(crop, alpha, SOLID_ALPHA)
            # In the light that the photo shows there, of which a part's own is the middle.
            shade = (
                1.0
                if len(models) == 1
                else fit_reflection(part.small[where], part.reflection.parameters).luminance / part.reflection.luminance
            )
            light = part.light * shade
            # What JPEG did to the old colours says nothing of the new ones.
            found.append(replace(part, alpha=alpha, reflection=model, small=small, solid=where, light=light, noise=noise, jpeg=None))
    return found


def _split(
    alpha: UInt8Array, solid: UInt8Array, labels: UInt8Array, models: Sequence[DichromaticModel], meeting: UInt8Array | None = None
) -> list[tuple[UInt8Array, DichromaticModel, BoolArray]]:
    """A matte uint8 [h,w] by materials (`labels` uint8 [hs,ws] from 1): of each its matte, its reflection and its solid pixels [hs,ws].
    `meeting`: what is seen there, uint8 [h,w,3], where they meet without a gap."""
    if len(models) == 1:
        return [(alpha, models[0], solid.astype(bool))]
    owner = cast(UInt8Array, cv2.resize(spread_labels(labels), alpha.shape[::-1], interpolation=cv2.INTER_NEAREST))
    if meeting is not None:
        decide_seams(owner, meeting, 1 + alpha.shape[0] // labels.shape[0], [model.reference for model in models])
    mattes = ((alpha * (owner == index), model, index) for index, model in enumerate(models, start=1))
    return [(part, model, (solid > 0) & (labels == index)) for part, model, index in mattes if part.any()]


def at_work_size(crop: UInt8Array, size: tuple[int, int]) -> FloatArray:
    """Reduce a part of a photo.

    Args:
        crop: uint8 [h,w,3], sRGB.
        size: width and height of the result.

    Returns:
        Float32 [hs,ws,3], scene-linear RGB.
    """
    return decode_scene(average(crop, size))


def _materials(
    small: FloatArray, solid: UInt8Array, parameters: SurfaceParameters, reflection: ReflectionParameters
) -> tuple[UInt8Array, list[DichromaticModel]]:
    """Label connected parts and join those of one material: labels uint8 [hs,ws] from 1, and the reflection of each."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA] if count > 1 else np.zeros(0)
    total = float(areas.sum())
    min_area = min(parameters.min_part_share * total, float(areas.max(initial=0.0)) / 2.0)
    order = [int(i) + 1 for i in np.argsort(-areas) if areas[i] >= min_area][: parameters.max_parts]
    groups: list[list[int]] = []
    models: list[DichromaticModel] = []
    for part in order:
        pixels = small[parts == part]
        model = fit_reflection(pixels, reflection)
        for index, other in enumerate(models):
            if _same_material(model, other, pixels, parameters):
                groups[index].append(part)
                break
        else:
            groups.append([part])
            models.append(model)
    labels = np.zeros(solid.shape, np.uint8)
    for index, group in enumerate(groups, start=1):
        if len(group) == 1:
            labels[parts == group[0]] = index
            continue
        labels[np.isin(parts, group)] = index
        models[index - 1] = fit_reflection(small[labels == index], reflection)
    # Small parts take the label of the nearest large one later; here they only must not be lost.
    return labels, models


def _same_material(one: DichromaticModel, other: DichromaticModel, pixels: FloatArray, parameters: SurfaceParameters) -> bool:
    """Whether a part (`one`, fitted to linear `pixels` [n,3]) may be the material of `other` under different light and specular light."""
    a, b = (item.reference / item.luminance for item in (one, other))
    if float(np.linalg.norm(a - b)) >= parameters.max_color_distance:
        strong, weak = (a, b) if chroma_of(a) >= chroma_of(b) else (b, a)
        if chroma_of(weak) < parameters.min_saturation_ratio * chroma_of(strong) or float((a - 1.0) @ (b - 1.0)) <= 0.0:
            return False
        # Specular light moves a colour towards white: what counts is the distance from the plane of the stronger colour and white.
        normal = np.cross(strong, np.ones(3))
        return abs(float(weak @ normal)) < parameters.max_plane_sine * float(np.linalg.norm(normal) * np.linalg.norm(weak))
    shading, _ = other.decompose(pixels[None])
    strength = min(1.0, min(float(chroma_of(a)), float(chroma_of(b))) / parameters.sure_chroma)
    limit = float(parameters.max_light_ratio * (parameters.max_shadow_ratio / parameters.max_light_ratio) ** strength)
    return 1.0 / limit < float(np.median(shading)) < limit
