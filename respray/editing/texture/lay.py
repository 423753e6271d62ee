"""A material on a surface, in perspective, under the surface's own light, with the photo's highlights back on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from respray.catalog.preset import orientation_of
from respray.catalog.texture import find_texture
from respray.contract.errors import EditError
from respray.contract.report import PlaneReport
from respray.contract.request import Direction, Texture
from respray.editing.core.field import Tile, upsample
from respray.editing.core.painter import Painter
from respray.editing.surface.exposure import choose_exposure
from respray.editing.surface.reflection import DichromaticModel
from respray.editing.surface.shading import smooth_shading
from respray.editing.surface.surface import Surface
from respray.editing.texture import plane as planes
from respray.editing.texture import rug
from respray.editing.texture.camera import RoomCamera, estimate_camera
from respray.editing.texture.corners import Facet, find_facets
from respray.editing.texture.lines import Segments2D, find_segments
from respray.editing.texture.plane import Plane
from respray.editing.texture.sample import Material, make_material, sample_material
from respray.imaging import isolated
from respray.imaging.arrays import BoolArray, Float64Array, FloatArray, UInt8Array
from respray.imaging.decode import decode


@dataclass(frozen=True)
class LayingParameters:
    """What is assumed about materials and things that nobody described. By what is usual; nothing is fitted."""

    attached_width: float = 1.0
    """Metres that an attached picture is wide, where the rule does not say."""
    attached_gloss: float = 0.4
    """Gloss of an attached picture, 0..1: between cloth and lacquer."""
    attached_megapixels: float = 50.0
    """Largest attached picture that is read. Bounds memory."""
    min_drop: float = 0.1
    """Metres: a table's top that is seen lies at least this far below the camera."""
    laid_gloss: float = 0.0
    """Gloss of an attached picture that is laid down once: a rug has none, whatever the floor mirrors."""
    min_axis_confidence: float = 0.4
    """Confidence in the camera below which the room's directions are a guess, as for the report's warning (`respray.editing.report`)."""


LAYING = LayingParameters()
# Width and height of what is laid down once, in its own.
ONCE = (1.0, 1.0)


class PhotoGeometry:
    """Lines and camera of one photo, found when first needed and shared by all its edits."""

    def __init__(self, photo: UInt8Array) -> None:
        self._photo = photo

    @cached_property
    def segments(self) -> Segments2D:
        """The photo's straight edges."""
        return find_segments(self._photo)

    @cached_property
    def camera(self) -> RoomCamera:
        """The photo's camera."""
        height, width = self._photo.shape[:2]
        return estimate_camera(self.segments, width, height)

    def planes(self, concept: str, surface: Surface, rule: Texture) -> list[tuple[Plane, Float64Array | None]]:
        """Find the planes of a surface.

        How it lies is told by the concept's name (`orientation_of`); what no preset knows is taken for a wall, of little
        confidence. A top's plane is as uncertain: its height is a usual one, and below its edge there is more of the thing.

        Args:
            concept: the surface's name.
            surface: where it is.
            rule: what is laid on it.

        Returns:
            One plane, or those of walls that meet at corners, from left to right; each with the line of the photo where it begins,
            float64 [3] (`corners.Facet`).
        """
        height, width = self._photo.shape[:2]
        if rule.quad is not None:
            return [(rug.plane_of(rule.quad, width, height), None)]
        lie, height_m = orientation_of(concept), rule.camera_height_m
        if lie is not None and lie.plane != "wall":
            plane = planes.horizontal_plane(self.camera, lie.plane == "ceiling", max(height_m - lie.height_m, LAYING.min_drop))
            if rule.direction is not None and not self.lacks_axes:
                plane = planes.find_along(plane, self.camera, self._where(surface, surface.whole), not lie.height_m)
            return [(planes.as_assumed(plane) if lie.height_m else plane, None)]
        if lie is not None and (facets := self._facets(surface, height_m)):
            return [(facet.plane(self.camera), facet.border) for facet in facets]
        plane = planes.wall_plane(self.camera, self._where(surface, surface.alpha), self.segments, height_m)
        return [(planes.as_assumed(plane) if lie is None else plane, None)]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the photo, pixels."""
        return self._photo.shape[1], self._photo.shape[0]

    @property
    def lacks_axes(self) -> bool:
        """Whether the photo's lines do not tell the room's directions."""
        return self.camera.confidence < LAYING.min_axis_confidence

    def _facets(self, surface: Surface, height_m: float) -> list[Facet]:
        """The walls that a concept has, all its materials together."""
        return [] if self.lacks_axes else find_facets(self.camera, self._where(surface, surface.whole), self.segments, height_m)

    def _where(self, surface: Surface, alpha: UInt8Array) -> BoolArray:
        """A matte of a surface's box in the whole photo, bool [H,W]."""
        mask = np.zeros(self._photo.shape[:2], bool)
        x0, y0, x1, y1 = surface.box
        mask[y0:y1, x0:x1] = alpha >= 128
        return mask


class TexturePainter(Painter):
    """`Texture` prepared for one `Surface`; may be used from several threads.

    Attributes:
        confidence: 0..1, that of the planes; None where the rule says where they lie.
        planes: how many there are.
        laid: where they are.
        warnings: sentences for the report.
    """

    margin = 0
    brightens = False

    def __init__(
        self,
        concept: str,
        surface: Surface,
        rule: Texture,
        material: Material,
        geometry: PhotoGeometry,
        mirrors: DichromaticModel | None = None,
    ) -> None:
        """Prepare for a surface, in the light of the photo.

        Args:
            concept: the surface's name.
            surface: what of the photo it is.
            rule: how the material lies.
            material: what is laid.
            geometry: of the photo.
            mirrors: how the surface reflects where it has new colours already; None: as in the photo.
        """
        self._mirrors = surface.reflection if mirrors is None else mirrors
        found = geometry.planes(concept, surface, rule)
        self._surface, self._material, self._strength = surface, material, rule.strength
        self.confidence = None if rule.quad is not None else min(plane.confidence for plane, _ in found)
        self.planes = len(found)
        self.laid = [_report(rule, material, plane, border, geometry.size) for plane, border in found]
        self.warnings: list[str] = []
        if rule.direction is not None and geometry.lacks_axes:
            self.warnings.append(
                f"the photo shows too few straight lines to tell the room's directions: 'direction' of '{concept}' is measured from "
                "where the camera looks"
            )
        self._shading = smooth_shading(surface)
        self._exposure = choose_exposure(surface, self._shading, material.peak)
        self._facets = [(_repeat_matrix(rule, material, plane) @ plane.to_plane, border) for plane, border in found]

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """Paint one tile.

        Args:
            tile: where it lies in the surface's box.
            linear: float32 [h,w,3], scene-linear RGB of the photo there.

        Returns:
            Float32 [h,w,3], scene-linear RGB.
        """
        rows, width = linear.shape[:2]
        left, top = self._surface.box[:2]
        out = self._sampled(left + tile.x0, top + tile.y0, rows, width)
        out *= (upsample(self._shading, tile) * np.float32(self._exposure))[..., None]
        if self._material.gloss:
            _, specular = self._mirrors.decompose(linear)
            out += (specular * np.float32(self._material.gloss * self._mirrors.luminance))[..., None]
        if self._strength < 1.0:
            out = linear + (out - linear) * np.float32(self._strength)
        return out

    def _sampled(self, x0: int, y0: int, rows: int, width: int) -> FloatArray:
        """The material in a rectangle of the photo, each plane to the right of the line where it begins."""
        out: FloatArray | None = None
        for number, (to_repeat, border) in enumerate(self._facets):
            share = None if border is None else _right_of(border, x0, y0, rows, width)
            ends = None if number + 1 == len(self._facets) else self._facets[number + 1][1]
            if share is not None and not share.any():
                break
            if ends is not None and float(_right_of(ends, x0, y0, rows, width).min()) >= 1.0:
                continue
            here = sample_material(self._material, to_repeat, x0, y0, rows, width)
            out = here if out is None or share is None else out + (here - out) * share[..., None]
        assert out is not None  # the last plane has no end
        return out


def material_of(rule: Texture, attachments: Sequence[bytes]) -> Material:
    """Find a rule's material: from the catalogue, or the attached picture.

    Args:
        rule: which names one or the other.
        attachments: encoded pictures.

    Raises:
        EditError: the rule names both, none, or a picture that was not sent.
        ImageError: the picture cannot be read.
    """
    if (rule.texture is None) == (rule.attachment is None):
        raise EditError("texture takes either the id of a catalogue texture or an attached picture, and not both")
    once = rule.quad is not None
    if rule.texture is not None:
        return _catalogue_material(rule.texture, once)
    index = rule.attachment
    if index is None or index >= len(attachments):
        raise EditError(f"the texture refers to attachment {index}, but {len(attachments)} were sent")
    image = isolated.decode(attachments[index], LAYING.attached_megapixels)
    if once:
        return make_material(image, ONCE, LAYING.laid_gloss, repeats=False)
    return make_material(image, (LAYING.attached_width, LAYING.attached_width * image.shape[0] / image.shape[1]), LAYING.attached_gloss)


@lru_cache(maxsize=4)
def _catalogue_material(texture_id: str, once: bool) -> Material:
    entry = find_texture(texture_id)
    return make_material(decode(entry.read()), ONCE if once else entry.size_m, entry.gloss, repeats=not once)


def _right_of(line: Float64Array, x0: int, y0: int, rows: int, width: int) -> FloatArray:
    """How much of each pixel of a rectangle lies to the right of a line (`corners.Facet`), float32 [rows,width]."""
    xs = np.arange(x0, x0 + width)[None] + 0.5
    ys = np.arange(y0, y0 + rows)[:, None] + 0.5
    share: FloatArray = np.clip(line[0] * xs + line[1] * ys + line[2] + 0.5, 0.0, 1.0).astype(np.float32)
    return share


def _report(rule: Texture, material: Material, plane: Plane, border: Float64Array | None, size: tuple[int, int]) -> PlaneReport:
    """A plane in fractions of the photo, with as many digits as make a thousandth of a pixel."""
    fractions = np.array([*size, 1.0])
    matrix = plane.to_plane * fractions
    rounded = [float(f"{value:.7g}") for value in (matrix / np.abs(matrix).max()).ravel()]
    begins = None
    if border is not None:
        line = border * fractions
        a, b, c = (float(f"{value:.7g}") for value in line / np.hypot(*line[:2]))
        begins = (a, b, c)
    turn = round(_turned(rule, plane), 3)
    return PlaneReport(kind=plane.kind, to_metres=rounded, repeat=_repeat_size(rule, material), turn=turn, begins=begins)


def _repeat_size(rule: Texture, material: Material) -> tuple[float, float]:
    """Metres."""
    width = (rule.size_m or material.size_m[0]) * rule.scale
    return width, width * material.size_m[1] / material.size_m[0]


def _turned(rule: Texture, plane: Plane) -> float:
    """Degrees on the plane from u to v."""
    return rule.rotation + (0.0 if rule.direction is None else _turn(rule.direction, plane))


def _repeat_matrix(rule: Texture, material: Material, plane: Plane) -> Float64Array:
    """Metres on the plane -> repeats: size, direction and rotation about the plane's origin, offset. float64 [3,3]."""
    width, height = _repeat_size(rule, material)
    turn = np.radians(_turned(rule, plane))
    rotate: Float64Array = np.array([[np.cos(turn), np.sin(turn), 0.0], [-np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    return np.array([[1 / width, 0.0, rule.offset[0]], [0.0, 1 / height, rule.offset[1]], [0.0, 0.0, 1.0]]) @ rotate


def _turn(direction: Direction, plane: Plane) -> float:
    """Degrees on the plane from u to v. (From below, a ceiling's v is to the left of its u.)"""
    degrees = {"along": 0.0, "across": 90.0}[direction] if isinstance(direction, str) else direction
    return plane.along + (-degrees if plane.kind == "ceiling" else degrees)
