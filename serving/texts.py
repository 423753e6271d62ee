"""Text features kept inside one pipeline instance, so that a known prompt costs no request to another model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
KEPT = 512  # prompts; 16 MB at SAM3's full size (32 tokens of 256 FP32 each)


class TextMemory:
    """The features of the prompts that were asked for lately, by their token ids. One thread at a time.

    Triton's response cache answers for the whole server and sees to it that a prompt is encoded once; asking it costs a request to Triton
    for every prompt of every photo, which this saves.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._features: OrderedDict[bytes, Array] = OrderedDict()

    def get(self, ids: Array, encode: Callable[[], Array]) -> Array:
        """The features for `ids` (int32 [1,T]): float32 [T,D], from `encode` where they are not known yet."""
        key = ids.tobytes()
        if key not in self._features:
            # A copy: what another model answered lies in shared memory that belongs to that answer.
            self._features[key] = np.array(encode())
            if len(self._features) > self._kept:
                self._features.popitem(last=False)
        self._features.move_to_end(key)
        return self._features[key]
