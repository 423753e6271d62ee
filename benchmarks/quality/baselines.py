"""Three shortcuts that many tools use for recolouring; the table shows them beside ours."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from respray.editing.core.color import hex_to_srgb
from respray.imaging.arrays import FloatArray, UInt8Array

TINT_STRENGTH = 0.6


def alpha_tint(photo: UInt8Array, share: FloatArray, color: str) -> UInt8Array:
    """The colour laid over at 60 % in sRGB. `share` is the matte, float32 [H,W,1] in 0..1."""
    return _mix(photo, photo * (1 - TINT_STRENGTH) + hex_to_srgb(color) * np.float32(TINT_STRENGTH), share)


def hsv_swap(photo: UInt8Array, share: FloatArray, color: str) -> UInt8Array:
    """Hue and saturation of the target, value of the photo."""
    hsv = cv2.cvtColor(photo, cv2.COLOR_RGB2HSV)
    hsv[..., :2] = cv2.cvtColor(hex_to_srgb(color)[None, None], cv2.COLOR_RGB2HSV)[0, 0, :2]
    return _mix(photo, cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32), share)


def lab_keep_lightness(photo: UInt8Array, share: FloatArray, color: str) -> UInt8Array:
    """a and b of the target, L of the photo."""
    lab = cv2.cvtColor(photo.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    lab[..., 1:] = cv2.cvtColor(hex_to_srgb(color)[None, None].astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)[0, 0, 1:]
    return _mix(photo, cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255.0, share)


BASELINES: dict[str, Callable[[UInt8Array, FloatArray, str], UInt8Array]] = {
    "alpha tint": alpha_tint,
    "HSV swap": hsv_swap,
    "Lab L-keep": lab_keep_lightness,
}


def _mix(photo: UInt8Array, new: FloatArray, share: FloatArray) -> UInt8Array:
    mixed: UInt8Array = np.clip(np.round(photo * (1 - share) + new * share), 0, 255).astype(np.uint8)
    return mixed
