"""CIE L*a*b* of one sRGB colour in plain Python, so that reading a palette loads no array library."""

from __future__ import annotations

# IEC 61966-2-1 (sRGB) and its matrix to XYZ for D65; CIE 15 for L*a*b*.
_RGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_WHITE = tuple(sum(row) for row in _RGB_TO_XYZ)
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27


def hex_to_luminance(color: str) -> float:
    """Relative luminance Y of `#rrggbb`, 0..1.

    >>> round(hex_to_luminance("#FFFFFF"), 4)
    1.0
    """
    return _xyz(color)[1]


def hex_to_lab(color: str) -> tuple[float, float, float]:
    """CIE L*a*b* (D65, 2 degrees) of `#rrggbb`.

    Args:
        color: sRGB as `#rrggbb`.

    Returns:
        L* 0..100, a*, b*.

    Raises:
        ValueError: Not six hexadecimal digits after `#`.

    >>> [round(value) for value in hex_to_lab("#FF0000")]
    [53, 80, 67]
    """
    x, y, z = (_cube_root(value / white) for value, white in zip(_xyz(color), _WHITE, strict=True))
    return 116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)


def _xyz(color: str) -> tuple[float, float, float]:
    codes = [int(color[start : start + 2], 16) / 255.0 for start in (1, 3, 5)]
    linear = [code / 12.92 if code <= 0.04045 else ((code + 0.055) / 1.055) ** 2.4 for code in codes]
    x, y, z = (sum(weight * value for weight, value in zip(row, linear, strict=True)) for row in _RGB_TO_XYZ)
    return x, y, z


def _cube_root(ratio: float) -> float:
    return float(ratio ** (1 / 3)) if ratio > _EPSILON else (_KAPPA * ratio + 16.0) / 116.0
