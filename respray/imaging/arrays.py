"""Array types. The aliases say what is meant; OpenCV's type stubs know no dtype, so a checker sees arrays of anything."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy.typing as npt

# uint8: images [H,W,3] sRGB, mattes and masks [H,W] with 255 = fully selected.
UInt8Array: TypeAlias = npt.NDArray[Any]
# float32: linear light 0..1 unless a docstring says otherwise.
FloatArray: TypeAlias = npt.NDArray[Any]
# bool.
BoolArray: TypeAlias = npt.NDArray[Any]
# Indices into another array.
IntArray: TypeAlias = npt.NDArray[Any]
