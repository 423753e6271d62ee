"""Errors of this package. Every message says what was given and what would be accepted."""

from __future__ import annotations


class ImageError(ValueError):
    """An encoded image that cannot be used: not an image, a refused format, too large, animated, truncated or corrupt."""
