"""Array types with their dtypes. OpenCV's type stubs answer arrays of any number: whoever calls it names the dtype with `typing.cast`."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# uint8: images [H,W,3] sRGB, mattes and masks [H,W] with 255 = fully selected.
UInt8Array: TypeAlias = npt.NDArray[np.uint8]
# uint16: numbers of parts.
UInt16Array: TypeAlias = npt.NDArray[np.uint16]
# float32: linear light 0..1 unless a docstring says otherwise.
FloatArray: TypeAlias = npt.NDArray[np.float32]
# float64: geometry, in which pixels and metres need it.
Float64Array: TypeAlias = npt.NDArray[np.float64]
# bool.
BoolArray: TypeAlias = npt.NDArray[np.bool_]
# Indices into another array.
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
# Of any dtype, where it makes no difference.
AnyArray: TypeAlias = npt.NDArray[Any]
