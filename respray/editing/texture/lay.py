"""A material on a surface, in perspective, under the surface's own light, with the photo's highlights back on top."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from respray.catalog.preset import orientation_of
from respray.catalog.texture import find_texture
from respray.contract.errors import EditError
from respray.contract.request import Texture
from respray.editing.core.field import Tile, upsample
from respray.editing.surface.exposure import expose
from respray.editing.surface.shading import smooth_shading
from respray.editing.surface.surface import Surface
from respray.editing.texture import plane as planes
from respray.editing.texture.camera import RoomCamera, estimate_camera
from respray.editing.texture.lines import Segments2D, find_segments
from respray.editing.texture.plane import Plane
from respray.editing.texture.sample import Material, make_material, sample
from respray.imaging.arrays import FloatArray, UInt8Array
from respray.imaging.decode import decode

USER_SIZE_M = 1.0
USER_GLOSS = 0.4
USER_MEGAPIXELS = 50.0
# A table's top that is seen lies at least this far below the camera, in metres.
LEAST_DROP = 0.1


class PhotoGeometry:
    """Lines and camera of one photo, found when first needed and shared by all its edits."""

    def __init__(self, photo: UInt8Array) -> None:
        self._photo = photo

    @cached_property
    def segments(self) -> Segments2D:
        return find_segments(self._photo)

    @cached_property
    def camera(self) -> RoomCamera:
        height, width = self._photo.shape[:2]
        return estimate_camera(self.segments, width, height)

    def plane(self, concept: str, surface: Surface, height_m: float) -> Plane:
        """The plane of a surface, for a camera `height_m` above the floor.

        How it lies is told by the concept's name (`orientation_of`); what no preset knows is taken for a wall, of little
        confidence. A top's plane is as uncertain: its height is a usual one, and below its edge there is more of the thing.
        """
        lie = orientation_of(concept)
        if lie is not None and lie.plane == "ceiling":
            return planes.floor_or_ceiling(self.camera, True, height_m)
        if lie is not None and lie.plane == "floor":
            plane = planes.floor_or_ceiling(self.camera, False, max(height_m - lie.height_m, LEAST_DROP))
            return planes.assumed(plane) if lie.height_m else plane
        mask = np.zeros(self._photo.shape[:2], bool)
        x0, y0, x1, y1 = surface.box
        mask[y0:y1, x0:x1] = surface.alpha >= 128
        plane = planes.wall(self.camera, mask, self.segments, height_m)
        return planes.assumed(plane) if lie is None else plane


class TexturePainter:
    """`Texture` prepared for one `Surface`; may be used from several threads."""

    margin = 0

    def __init__(self, surface: Surface, rule: Texture, material: Material, plane: Plane) -> None:
        self._surface, self._material, self._strength = surface, material, rule.strength
        self.confidence = plane.confidence
        self._shading = smooth_shading(surface)
        peak = float(np.percentile(material.levels[0].max(axis=-1), 95))
        self._exposure = expose(surface, self._shading, peak)
        self._to_repeat = _repeat_matrix(rule, material) @ plane.to_plane

    def paint(self, tile: Tile, linear: FloatArray) -> FloatArray:
        """See `respray.editing.paint.composite.Painter`."""
        rows, width = linear.shape[:2]
        left, top = self._surface.box[:2]
        out = sample(self._material, self._to_repeat, left + tile.x0, top + tile.y0, rows, width)
        out *= (upsample(self._shading, tile) * np.float32(self._exposure))[..., None]
        if self._material.gloss:
            _, shine = self._surface.reflection.parts(linear)
            out += (shine * np.float32(self._material.gloss * self._surface.reflection.luminance))[..., None]
        if self._strength < 1.0:
            out = linear + (out - linear) * np.float32(self._strength)
        return out


def material_of(rule: Texture, attachments: list[bytes]) -> Material:
    """The rule's material: from the catalogue, or the attached picture. Raises `EditError`, `ImageError`."""
    if (rule.texture is None) == (rule.attachment is None):
        raise EditError("texture takes either the id of a catalogue texture or an attached picture, and not both")
    if rule.texture is not None:
        return _catalogue_material(rule.texture)
    index = rule.attachment
    if index is None or index >= len(attachments):
        raise EditError(f"the texture refers to attachment {index}, but {len(attachments)} were sent")
    image = decode(attachments[index], USER_MEGAPIXELS)
    return make_material(image, (USER_SIZE_M, USER_SIZE_M * image.shape[0] / image.shape[1]), USER_GLOSS)


@lru_cache(maxsize=4)
def _catalogue_material(texture_id: str) -> Material:
    entry = find_texture(texture_id)
    return make_material(decode(entry.read()), entry.size_m, entry.gloss)


def _repeat_matrix(rule: Texture, material: Material) -> FloatArray:
    """Metres on the plane -> repeats: size, rotation about the plane's origin, offset. float64 [3,3]."""
    width = (rule.size_m or material.size_m[0]) * rule.scale
    height = width * material.size_m[1] / material.size_m[0]
    turn = np.radians(rule.rotation)
    rotate = np.array([[np.cos(turn), np.sin(turn), 0.0], [-np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    return np.array([[1 / width, 0.0, rule.offset[0]], [0.0, 1 / height, rule.offset[1]], [0.0, 0.0, 1.0]]) @ rotate
