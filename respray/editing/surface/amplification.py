"""What becomes of a photo's errors on a surface that is painted lighter."""

from __future__ import annotations

import numpy as np

from respray.editing.core.codes import worth_of_code
from respray.editing.core.color import LUMINANCE, from_display, hex_to_linear
from respray.editing.surface.surface import Surface

# Rounding to 8 bits (Bennett, "Spectra of quantized signals", 1948), standard deviation in codes.
ROUNDING = 12.0**-0.5


def shown_errors(surface: Surface, color: str) -> float:
    """The photo's noise, rounding and JPEG errors on a surface as they would stand in its new colour.

    Args:
        surface: the surface.
        color: '#rrggbb', the new colour.

    Returns:
        Standard deviation, 8-bit codes of the new picture, where nothing smooths it.
    """
    old = surface.reflection.luminance
    new = float(from_display(hex_to_linear(color)) @ LUMINANCE) * surface.light
    worth_old, worth_new = worth_of_code(np.array([old, new], np.float32))
    jpeg = 0.0 if surface.jpeg is None else float(np.hypot(surface.jpeg.usual, surface.jpeg.grain))
    codes = max(float(np.hypot(jpeg, ROUNDING)), surface.noise / float(worth_old))
    return codes * float(worth_old / worth_new) * new / old
