"""Rendered rooms with exact masks, albedo and light: training data for the demo model, ground truth for tests.

room = scenes.sample_room(7)
scene = scenes.render(room, 900, 600)
truth = scenes.render(room, 900, 600, overrides={"wall": (0.11, 0.21, 0.26)})
"""

from training.scenes.camera import PLANE_NAMES, Camera
from training.scenes.render import Scene, concept_materials, render
from training.scenes.rooms import sample_room
from training.scenes.scene_spec import CONCEPTS, RoomSpec, Sensor, without
from training.scenes.sensor import develop, neutral, srgb_decode, srgb_encode
from training.scenes.textures import PLANKS, pack

__all__ = [
    "CONCEPTS",
    "PLANE_NAMES",
    "PLANKS",
    "Camera",
    "RoomSpec",
    "Scene",
    "Sensor",
    "concept_materials",
    "develop",
    "neutral",
    "pack",
    "render",
    "sample_room",
    "srgb_decode",
    "srgb_encode",
    "without",
]
