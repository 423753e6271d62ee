"""What of a photo's metadata its outputs keep."""

from __future__ import annotations

from PIL import Image

from respray.contract.photo_facts import KeptMetadata


def read_metadata(image: Image.Image, data: bytes, orientation: int) -> tuple[KeptMetadata, tuple[str, ...]]:
    """What outputs keep of a picture's metadata, and warnings about what could not be read."""
    return KeptMetadata(), ()
