"""Scene-linear light to 8-bit codes. Apart from `color`, which processes without pixels import too: this is compiled."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import float32, uint8, void

from respray.editing.core.color import ENCODE_BINS, SCENE_TOP, decode_scene, scene_encode_table
from respray.editing.core.compiled import compiled_for
from respray.imaging.arrays import FloatArray, UInt8Array

# Rows of the table of what a code is worth, over scene-linear light from 0 to 1.
WORTH_ROWS = 4096


def encode_scene(scene: FloatArray) -> UInt8Array:
    """Encode light for the screen.

    Args:
        scene: float32 of any shape, scene-linear; what is no number counts as 0.

    Returns:
        uint8 sRGB of the same shape, rounded to the nearest code.

    Example:
        >>> encode_scene(np.array([0.0, 0.5, 9.0], np.float32)).tolist()
        [0, 188, 255]
    """
    codes = np.empty(scene.shape, np.uint8)
    _look_up(np.ascontiguousarray(scene).ravel(), scene_encode_table(), np.float32(ENCODE_BINS / SCENE_TOP), codes.ravel())
    return codes


@compiled_for(void(float32[::1], uint8[::1], float32, uint8[::1]))
def _look_up(values: FloatArray, table: UInt8Array, scale: np.float32, codes: UInt8Array) -> None:
    """`table` at `values` x `scale`, rounded and clipped to its ends, into `codes`; what is no number counts as 0."""
    last = len(table) - 1
    for i in range(len(values)):
        place = values[i] * scale + np.float32(0.5)
        if place >= last:
            codes[i] = table[last]
        else:
            codes[i] = table[np.uint32(place)] if place > 0 else table[0]


def worth_of_code(light: FloatArray) -> FloatArray:
    """How much light one 8-bit code is worth.

    Args:
        light: scene-linear, any shape; above 1 counts as 1.

    Returns:
        Float32 of the same shape: the slope of the code's curve there, scene-linear light per code.

    Example:
        >>> (1.0 / worth_of_code(np.array([0.01, 0.5], np.float32))).round().tolist()
        [1644.0, 168.0]
    """
    return np.take(
        _worths(), np.clip(np.asarray(light) * np.float32(WORTH_ROWS - 1) + np.float32(0.5), 0, WORTH_ROWS - 1).astype(np.uint16)
    )


@lru_cache(maxsize=1)
def _worths() -> FloatArray:
    """`worth_of_code` over light from 0 to 1, float32 [WORTH_ROWS]."""
    scene = decode_scene(np.arange(256, dtype=np.uint8)[None, :, None]).ravel()
    return np.interp(np.linspace(0.0, 1.0, WORTH_ROWS), scene, np.gradient(scene)).astype(np.float32)
