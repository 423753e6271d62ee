"""Photos and requests for the serving tests."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor


def jpeg(seed: int = 0, width: int = 320, height: int = 240) -> bytes:
    """A JPEG of two smooth fields, different for every seed."""
    generator = np.random.default_rng(seed)
    top, bottom = generator.integers(40, 220, (2, 3))
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2], image[height // 2 :] = top, bottom
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=90)
    return file.getvalue()


def mask(width: int = 64, height: int = 48) -> bytes:
    """A PNG mask that selects the left half."""
    image = np.zeros((height, width), np.uint8)
    image[:, : width // 2] = 255
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def request(*prompts: str, colors: tuple[str, ...] = ("#5E7F8C",), masked: bool = False) -> PhotoRequest:
    """One concept per prompt, and one output per colour that recolours the first concept. `masked`: the concepts bring attachment 0."""
    concepts = [
        ConceptQuery(name=f"concept {number}", prompts=[prompt], threshold=0.0, mask_attachment=0 if masked else None)
        for number, prompt in enumerate(prompts)
    ]
    outputs = [
        Output(name=f"output {number}", edits=[Edit(concept="concept 0", rule=Recolor(color=color))]) for number, color in enumerate(colors)
    ]
    return PhotoRequest(concepts=concepts, outputs=outputs, preview_size=32)
