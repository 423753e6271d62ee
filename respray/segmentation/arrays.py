"""Array types of the package. A graph's tensors come by name and have each a dtype of its own, so those are arrays of anything."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

UInt8Array: TypeAlias = npt.NDArray[np.uint8]
Int32Array: TypeAlias = npt.NDArray[np.int32]
IntArray: TypeAlias = npt.NDArray[np.intp]
Float32Array: TypeAlias = npt.NDArray[np.float32]
AnyArray: TypeAlias = npt.NDArray[Any]
NamedArrays: TypeAlias = dict[str, AnyArray]
