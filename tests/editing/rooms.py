"""Small synthetic pictures with known light, for tests that need an exact answer."""

from __future__ import annotations

import numpy as np

from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Rule
from respray.editing.core.color import encode_srgb, hex_to_linear
from respray.editing.mask.select import Segments
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array


def shading(height: int = 120, width: int = 160) -> FloatArray:
    """Light that falls off to the right, with a soft shadow; float32 [h,w], median near 0.8."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    shadow = 1.0 - 0.4 * np.exp(-(((x - 0.3) / 0.1) ** 2 + ((y - 0.6) / 0.15) ** 2))
    light: FloatArray = ((1.05 - 0.45 * x) * shadow).astype(np.float32)
    return light


def wall_photo(color: str, height: int = 120, width: int = 160, frame: str = "#808080") -> tuple[UInt8Array, BoolArray]:
    """A painted wall in `shading` inside a grey frame: photo uint8 [h,w,3], mask bool [h,w]."""
    mask = np.zeros((height, width), bool)
    mask[20:-20, 24:-24] = True
    linear = np.where(mask[..., None], hex_to_linear(color), hex_to_linear(frame)) * shading(height, width)[..., None]
    return encode_srgb(linear.astype(np.float32)), mask


def segments(*masks: BoolArray, presence: float = 1.0, score: float = 1.0) -> Segments:
    """A network's answer with one instance for each mask."""
    region = np.stack([mask.astype(np.uint8) * 255 for mask in masks])
    count = len(masks)
    return Segments(
        region=region,
        masks=region[:, None],
        scores=np.full((count, 1), score, np.float32),
        boxes=np.zeros((count, 1, 4), np.float32),
        presence=np.full(count, presence, np.float32),
    )


def request(edits: dict[str, Rule], protect: tuple[str, ...] = (), **options: object) -> PhotoRequest:
    """One PNG output with one edit for each concept; protected concepts are added."""
    names = [*edits, *(name for name in protect if name not in edits)]
    output = Output(name="out", edits=[Edit(concept=name, rule=rule) for name, rule in edits.items()])
    concepts = [ConceptQuery(name=name, prompts=[name]) for name in names]
    return PhotoRequest.model_validate({"concepts": concepts, "outputs": [output], "protect": list(protect), **options})
