"""Array types by what they hold; shapes, units and colour spaces stand in docstrings."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# float32 for pictures, float64 for geometry.
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
# uint8: photos in sRGB, labels.
Bytes: TypeAlias = npt.NDArray[np.uint8]
Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.signedinteger[Any]]
