"""Colour maths: sRGB, linear light, CIE Lab (D65), OKLab and CIEDE2000.

Linear (display-linear) RGB means linear-light sRGB primaries, 0..1; scene-linear is the same with the camera's shoulder undone.
Sources: IEC 61966-2-1 (sRGB), CIE 15 (Lab), B. Ottosson, "A perceptual color space for image processing" (2020) for OKLab, Sharma, Wu,
Dalal, "The CIEDE2000 color-difference formula" (2005).
"""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from respray.imaging.arrays import FloatArray, UInt8Array

# Relative luminance of linear sRGB (Rec. 709 primaries).
LUMINANCE = np.array([0.2126729, 0.7151522, 0.0721750], np.float32)
RGB_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
WHITE_D65 = RGB_TO_XYZ.sum(axis=1)
OKLAB_M1 = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]]
)
OKLAB_M2 = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]]
)
LMS_TO_RGB, OKLAB_TO_LMS = (np.linalg.inv(matrix) for matrix in (OKLAB_M1, OKLAB_M2))
# Bins of the linear -> 8-bit table: 20 per code even in the darkest, linear part of the sRGB curve.
ENCODE_BINS = 65535
# Cameras keep light linear up to about here and press the rest into a shoulder; the last value keeps code 255 finite (half a code away).
SCENE_KNEE = 0.8
LAST_REST = 0.98
SCENE_TOP = SCENE_KNEE - (1.0 - SCENE_KNEE) * float(np.log1p(-LAST_REST))


def srgb_to_linear(values: FloatArray) -> FloatArray:
    """sRGB 0..1 -> linear 0..1, any shape."""
    values = np.asarray(values, np.float64)
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.0) + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: FloatArray) -> FloatArray:
    """Linear 0..1 -> sRGB 0..1, any shape; values outside are clipped."""
    values = np.clip(np.asarray(values, np.float64), 0.0, 1.0)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


@lru_cache(maxsize=1)
def decode_table() -> FloatArray:
    """float32 [256]: linear value of every 8-bit sRGB code."""
    return srgb_to_linear(np.arange(256) / 255.0).astype(np.float32)


@lru_cache(maxsize=1)
def encode_table() -> UInt8Array:
    """uint8 [65536]: 8-bit sRGB code of linear value i / 65535."""
    codes: UInt8Array = np.round(linear_to_srgb(np.arange(ENCODE_BINS + 1) / ENCODE_BINS) * 255.0).astype(np.uint8)
    return codes


def decode_srgb(image: UInt8Array) -> FloatArray:
    """uint8 sRGB -> float32 linear, any shape."""
    return cast(FloatArray, cv2.LUT(image, decode_table()).reshape(image.shape))


def encode_srgb(linear: FloatArray) -> UInt8Array:
    """float32 linear -> uint8 sRGB, rounded to the nearest code; values outside 0..1 are clipped."""
    index = np.multiply(linear, np.float32(ENCODE_BINS))
    np.add(index, np.float32(0.5), out=index)
    np.clip(index, 0, ENCODE_BINS, out=index)
    return encode_table()[index.astype(np.uint16)]


def from_display(linear: FloatArray) -> FloatArray:
    """Display-linear 0..1 -> scene-linear 0..SCENE_TOP: undoes the shoulder with which cameras fit highlights into a picture.

    Identity up to SCENE_KNEE. A pixel that the camera pressed against white gets the light back that it most likely had, so that a
    glint stays a glint on a darker paint.

    Args:
        linear: any shape; what lies above 1 counts as 1.

    Returns:
        Float64 of the same shape.

    Example:
        >>> bool(from_display(np.array(0.5)) == 0.5), bool(from_display(np.array(1.0)) > 1.0)
        (True, True)
    """
    linear = np.asarray(linear, np.float64)
    rest = np.clip((linear - SCENE_KNEE) / (1.0 - SCENE_KNEE), 0.0, LAST_REST)
    return np.where(linear <= SCENE_KNEE, linear, SCENE_KNEE - (1.0 - SCENE_KNEE) * np.log1p(-rest))


def to_display(scene: FloatArray) -> FloatArray:
    """Scene-linear -> display-linear 0..1: the inverse of `from_display`, a smooth shoulder above SCENE_KNEE."""
    scene = np.maximum(np.asarray(scene, np.float64), 0.0)
    over = np.maximum(scene - SCENE_KNEE, 0.0) / (1.0 - SCENE_KNEE)
    display: FloatArray = np.minimum(scene, SCENE_KNEE) + (1.0 - SCENE_KNEE) * -np.expm1(-over)
    return display


@lru_cache(maxsize=1)
def _scene_decode_table() -> FloatArray:
    return from_display(decode_table()).astype(np.float32)


@lru_cache(maxsize=1)
def scene_encode_table() -> UInt8Array:
    """uint8 [65536]: 8-bit sRGB code of scene-linear value i / 65535 x SCENE_TOP."""
    steps = np.arange(ENCODE_BINS + 1) / ENCODE_BINS * SCENE_TOP
    codes: UInt8Array = np.round(linear_to_srgb(to_display(steps)) * 255.0).astype(np.uint8)
    codes[-1] = 255
    return codes


def decode_scene(image: UInt8Array) -> FloatArray:
    """uint8 sRGB -> float32 scene-linear, any shape."""
    if image.size == 0:  # cv2.LUT answers None
        return np.zeros(image.shape, np.float32)
    return cast(FloatArray, cv2.LUT(image, _scene_decode_table()).reshape(image.shape))


def max_channel(linear: FloatArray) -> FloatArray:
    """The largest channel: float32 [h,w,3] -> [h,w]. NumPy's own reduction of three values a pixel takes ten times as long."""
    red, green, blue = cv2.split(linear)
    return cast(FloatArray, cv2.max(cv2.max(red, green), blue))


def min_channel(linear: FloatArray) -> FloatArray:
    """The smallest channel: float32 [h,w,3] -> [h,w]."""
    red, green, blue = cv2.split(linear)
    return cast(FloatArray, cv2.min(cv2.min(red, green), blue))


def hex_to_srgb(color: str) -> UInt8Array:
    """'#rrggbb' -> uint8 [3], sRGB.

    Example:
        >>> hex_to_srgb("#22304A").tolist()
        [34, 48, 74]
    """
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)


def srgb_to_hex(color: npt.ArrayLike) -> str:
    """Three 8-bit sRGB codes -> '#RRGGBB'.

    Example:
        >>> srgb_to_hex([34, 48, 74])
        '#22304A'
    """
    red, green, blue = (round(float(v)) for v in np.asarray(color).reshape(3))
    return f"#{red:02X}{green:02X}{blue:02X}"


def hex_to_linear(color: str) -> FloatArray:
    """'#rrggbb' -> float32 [3] linear."""
    return decode_srgb(hex_to_srgb(color))


def linear_to_hex(color: FloatArray) -> str:
    """Linear [3] -> '#RRGGBB' (clipped)."""
    return srgb_to_hex(linear_to_srgb(color) * 255.0)


def luminance(linear: FloatArray) -> FloatArray:
    """Linear [...,3] -> relative luminance [...]."""
    return linear @ LUMINANCE


def linear_to_lab(linear: FloatArray) -> FloatArray:
    """Linear [...,3] -> CIE L*a*b*, D65 white."""
    xyz = np.asarray(linear, np.float64) @ RGB_TO_XYZ.T / WHITE_D65
    delta = 6.0 / 29.0
    f = np.where(xyz > delta**3, np.cbrt(xyz), xyz / (3 * delta**2) + 4.0 / 29.0)
    return np.stack([116.0 * f[..., 1] - 16.0, 500.0 * (f[..., 0] - f[..., 1]), 200.0 * (f[..., 1] - f[..., 2])], axis=-1)


def srgb8_to_lab(image: UInt8Array) -> FloatArray:
    """uint8 sRGB [...,3] -> CIE L*a*b*."""
    return linear_to_lab(srgb_to_linear(np.asarray(image, np.float64) / 255.0))


def hex_to_lab(color: str) -> FloatArray:
    """'#rrggbb' -> CIE L*a*b* [3]."""
    return srgb8_to_lab(hex_to_srgb(color))


def linear_to_oklab(linear: FloatArray) -> FloatArray:
    """Linear [...,3] -> OKLab."""
    lab: FloatArray = np.cbrt(np.asarray(linear, np.float64) @ OKLAB_M1.T) @ OKLAB_M2.T
    return lab


def oklab_to_linear(lab: FloatArray) -> FloatArray:
    """OKLab -> linear, unclipped."""
    return (np.asarray(lab, np.float64) @ OKLAB_TO_LMS.T) ** 3 @ LMS_TO_RGB.T


def delta_e_2000(lab_1: FloatArray, lab_2: FloatArray) -> FloatArray:
    """CIEDE2000 difference (kL = kC = kH = 1). Formula numbers are those of Sharma et al. 2005.

    Args:
        lab_1: CIE L*a*b* (D65), [...,3].
        lab_2: the same.

    Returns:
        The difference, [...]; 1 is about what one just sees.

    Example:
        >>> round(float(delta_e_2000(hex_to_lab("#808080"), hex_to_lab("#848484"))), 2)
        1.5
    """
    l1, a1, b1 = np.moveaxis(np.asarray(lab_1, np.float64), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(lab_2, np.float64), -1, 0)
    mean_c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2.0) ** 7
    g = 0.5 * (1.0 - np.sqrt(mean_c7 / (mean_c7 + 25.0**7)))  # (4)
    a1p, a2p = (1.0 + g) * a1, (1.0 + g) * a2  # (5)
    c1, c2 = np.hypot(a1p, b1), np.hypot(a2p, b2)  # (6)
    h1 = np.degrees(np.arctan2(b1, a1p)) % 360.0  # (7)
    h2 = np.degrees(np.arctan2(b2, a2p)) % 360.0
    grey = c1 * c2 == 0.0
    dh = h2 - h1
    # Opposite hues are 180 degrees apart up to rounding, and must count as no more.
    half = 180.0 + 1e-9
    dh = np.where(dh > half, dh - 360.0, np.where(dh < -half, dh + 360.0, dh))  # (10)
    dh = np.where(grey, 0.0, dh)
    dhp = 2.0 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2.0))  # (11)
    mean_l, mean_c = (l1 + l2) / 2.0, (c1 + c2) / 2.0  # (12), (13)
    total = h1 + h2
    wrapped = np.where(total < 360.0, (total + 360.0) / 2.0, (total - 360.0) / 2.0)
    mean_h = np.where(np.abs(h1 - h2) <= half, total / 2.0, wrapped)  # (14)
    mean_h = np.where(grey, total, mean_h)
    t = (
        1.0
        - 0.17 * np.cos(np.radians(mean_h - 30.0))
        + 0.24 * np.cos(np.radians(2.0 * mean_h))
        + 0.32 * np.cos(np.radians(3.0 * mean_h + 6.0))
        - 0.20 * np.cos(np.radians(4.0 * mean_h - 63.0))
    )  # (15)
    rotation = 30.0 * np.exp(-(((mean_h - 275.0) / 25.0) ** 2))  # (16)
    mean_cp7 = mean_c**7
    rc = 2.0 * np.sqrt(mean_cp7 / (mean_cp7 + 25.0**7))  # (17)
    sl = 1.0 + 0.015 * (mean_l - 50.0) ** 2 / np.sqrt(20.0 + (mean_l - 50.0) ** 2)  # (18)
    sc = 1.0 + 0.045 * mean_c  # (19)
    sh = 1.0 + 0.015 * mean_c * t  # (20)
    rt = -np.sin(np.radians(2.0 * rotation)) * rc  # (21)
    dl, dc = (l2 - l1) / sl, (c2 - c1) / sc
    difference: FloatArray = np.sqrt(np.maximum(dl**2 + dc**2 + (dhp / sh) ** 2 + rt * dc * dhp / sh, 0.0))  # (22)
    return difference
