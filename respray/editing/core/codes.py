"""Scene-linear light to 8-bit codes. Apart from `color`, which processes without pixels import too: this is compiled."""

from __future__ import annotations

import numpy as np

from respray.editing.core.color import ENCODE_BINS, SCENE_TOP, scene_encode_table
from respray.editing.core.compiled import compiled
from respray.imaging.arrays import FloatArray, UInt8Array


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


@compiled
def _look_up(values: FloatArray, table: UInt8Array, scale: np.float32, codes: UInt8Array) -> None:
    """`table` at `values` x `scale`, rounded and clipped to its ends, into `codes`; what is no number counts as 0."""
    last = len(table) - 1
    for i in range(len(values)):
        place = values[i] * scale + np.float32(0.5)
        if place >= last:
            codes[i] = table[last]
        else:
            codes[i] = table[np.uint32(place)] if place > 0 else table[0]
