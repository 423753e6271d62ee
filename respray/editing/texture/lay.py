"""A material on a surface, in perspective, under the surface's own light, with the photo's highlights back on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from respray.catalog.preset import orientation_of
from respray.catalog.texture import find_texture
from respray.contract.errors import EditError
from respray.contract.request import Texture
from respray.editing.core.field import Tile, upsample
from respray.editing.surface.exposure import choose_exposure
from respray.editing.surface.shading import smooth_shading
from respray.editing.surface.surface import Surface
from respray.editing.texture import plane as planes
from respray.editing.texture.camera import RoomCamera, estimate_camera
from respray.editing.texture.lines import Segments2D, find_segments
from respray.editing.texture.plane import Plane
from respray.editing.texture.sample import Material, make_material, sample_material
from respray.imaging import isolated
from respray.imaging.arrays import Float64Array, FloatArray, UInt8Array
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
    peak_percentile: float = 95.0
    """Of the texture's largest channel: its bright parts, which exposure looks at."""


LAYING = LayingParameters()


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

    def plane(self, concept: str, surface: Surface, height_m: float) -> Plane:
        """Find the plane of a surface.

        How it lies is told by the concept's name (`orientation_of`); what no preset knows is taken for a wall, of little
        confidence. A top's plane is as uncertain: its height is a usual one, and below its edge there is more of the thing.

        Args:
            concept: the surface's name.
            surface: where it is.
            height_m: metres from the floor up to the camera.
        """
        lie = orientation_of(concept)
        if lie is not None and lie.plane == "ceiling":
            return planes.horizontal_plane(self.camera, True, height_m)
        if lie is not None and lie.plane == "floor":
            plane = planes.horizontal_plane(self.camera, False, max(height_m - lie.height_m, LAYING.min_drop))
            return planes.as_assumed(plane) if lie.height_m else plane
        mask = np.zeros(self._photo.shape[:2], bool)
        x0, y0, x1, y1 = surface.box
        mask[y0:y1, x0:x1] = surface.alpha >= 128
        plane = planes.wall_plane(self.camera, mask, self.segments, height_m)
        return planes.as_assumed(plane) if lie is None else plane


class TexturePainter:
    """`Texture` prepared for one `Surface`; may be used from several threads. A `respray.editing.paint.composite.Painter`.

    Attributes:
        confidence: 0..1, that of the plane.
    """

    margin = 0

    def __init__(self, surface: Surface, rule: Texture, material: Material, plane: Plane) -> None:
        self._surface, self._material, self._strength = surface, material, rule.strength
        self.confidence = plane.confidence
        self._shading = smooth_shading(surface)
        peak = float(np.percentile(material.levels[0].max(axis=-1), LAYING.peak_percentile))
        self._exposure = choose_exposure(surface, self._shading, peak)
        self._to_repeat = _repeat_matrix(rule, material) @ plane.to_plane

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
        out = sample_material(self._material, self._to_repeat, left + tile.x0, top + tile.y0, rows, width)
        out *= (upsample(self._shading, tile) * np.float32(self._exposure))[..., None]
        if self._material.gloss:
            _, specular = self._surface.reflection.decompose(linear)
            out += (specular * np.float32(self._material.gloss * self._surface.reflection.luminance))[..., None]
        if self._strength < 1.0:
            out = linear + (out - linear) * np.float32(self._strength)
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
    if rule.texture is not None:
        return _catalogue_material(rule.texture)
    index = rule.attachment
    if index is None or index >= len(attachments):
        raise EditError(f"the texture refers to attachment {index}, but {len(attachments)} were sent")
    image = isolated.decode(attachments[index], LAYING.attached_megapixels)
    return make_material(image, (LAYING.attached_width, LAYING.attached_width * image.shape[0] / image.shape[1]), LAYING.attached_gloss)


@lru_cache(maxsize=4)
def _catalogue_material(texture_id: str) -> Material:
    entry = find_texture(texture_id)
    return make_material(decode(entry.read()), entry.size_m, entry.gloss)


def _repeat_matrix(rule: Texture, material: Material) -> Float64Array:
    """Metres on the plane -> repeats: size, rotation about the plane's origin, offset. float64 [3,3]."""
    width = (rule.size_m or material.size_m[0]) * rule.scale
    height = width * material.size_m[1] / material.size_m[0]
    turn = np.radians(rule.rotation)
    rotate: Float64Array = np.array([[np.cos(turn), np.sin(turn), 0.0], [-np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    return np.array([[1 / width, 0.0, rule.offset[0]], [0.0, 1 / height, rule.offset[1]], [0.0, 0.0, 1.0]]) @ rotate
