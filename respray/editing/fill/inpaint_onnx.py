"""A learned inpainter from an ONNX file (LaMa-class networks), where an operator has mounted one. onnxruntime is imported only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from respray.contract.errors import EditError
from respray.imaging.arrays import BoolArray, UInt8Array

# File names that are looked for in a model folder, and below its `inpaint` folder.
PATTERNS = ("lama*.onnx", "inpaint*.onnx")
# Networks exported with free sizes are run at this size.
FREE_SIDE = 512


class OnnxInpainter:
    """Inputs, in this order: image float32 [1,3,h,w] in 0..1, mask float32 [1,1,h,w] (1 = hole). Output: image in 0..1 or 0..255."""

    def __init__(self, path: Path) -> None:
        """Load the graph; `EditError` when it does not take an image and a mask."""
        try:
            import onnxruntime
        except ImportError:
            raise EditError(
                f"{path.name} is an inpainting model, but onnxruntime is not installed; install it or remove the file"
            ) from None
        self._session: Any = onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
        inputs = self._session.get_inputs()
        channels = [item.shape[1] for item in inputs if len(item.shape) == 4]
        if len(inputs) != 2 or channels != [3, 1]:
            given = ", ".join(f"{item.name} {item.shape}" for item in inputs)
            raise EditError(f"{path.name} takes {given}; an inpainting model must take an image [1,3,h,w] and a mask [1,1,h,w]")
        self._names = [item.name for item in inputs]
        height, width = inputs[0].shape[2:]
        self._size = (width if isinstance(width, int) else FREE_SIDE, height if isinstance(height, int) else FREE_SIDE)

    def fill(self, image: UInt8Array, hole: BoolArray) -> UInt8Array:
        """See `respray.editing.fill.inpaint.Inpainter`."""
        height, width = hole.shape
        small = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        gap = (cv2.resize(hole.astype(np.uint8), self._size, interpolation=cv2.INTER_NEAREST) > 0).astype(np.float32)
        feed = dict(zip(self._names, (small.transpose(2, 0, 1)[None], gap[None, None]), strict=True))
        answer = self._session.run(None, feed)[0][0].transpose(1, 2, 0)
        # Exports differ in whether they scale the answer back to 8-bit codes.
        codes = answer * (255.0 if float(answer.max()) <= 2.0 else 1.0)
        large: UInt8Array = cv2.resize(np.clip(np.round(codes), 0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
        return large


def find_inpainter(folder: Path) -> OnnxInpainter | None:
    """The first inpainting model below a model folder, or None."""
    for place in (folder, folder / "inpaint"):
        for pattern in PATTERNS:
            for path in sorted(place.glob(pattern)):
                return OnnxInpainter(path)
    return None
