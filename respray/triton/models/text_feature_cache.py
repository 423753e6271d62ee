"""Text features kept inside one pipeline instance, so that a known prompt costs no request to another model."""

from __future__ import annotations

import fcntl
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from respray.triton.private_files import open_lock_file

Array = npt.NDArray[np.generic]
MAX_PROMPTS = 512  # prompts; 16 MB at SAM3's full size (32 tokens of 256 FP32 each)


class TextFeatureCache:
    """The features of the prompts that were asked for lately, by their token ids. One thread at a time.

    Triton's response cache answers for the whole server; asking it costs a request to Triton for every prompt of every photo, which this
    saves. The cache does not join requests that are under way, so of the instances (each a process of its own) only one at a time
    asks for a prompt: the first has it encoded, and the others find it in the cache.
    """

    def __init__(self, max_prompts: int = MAX_PROMPTS) -> None:
        self._max_prompts = max_prompts
        self._features: OrderedDict[bytes, Array] = OrderedDict()
        self._locks = open_lock_file("texts")
        weakref.finalize(self, os.close, self._locks)

    def get(self, ids: Array, encode: Callable[[], Array]) -> Array:
        """The features for `ids` (int32 [1,T]): float32 [T,D], from `encode` where they are not known yet."""
        key = ids.tobytes()
        if key not in self._features:
            with self._alone(key):
                # A copy: what another model answered lies in shared memory that belongs to that answer.
                self._features[key] = np.array(encode())
            if len(self._features) > self._max_prompts:
                self._features.popitem(last=False)
        self._features.move_to_end(key)
        return self._features[key]

    @contextmanager
    def _alone(self, key: bytes) -> Iterator[None]:
        """Wait until no other instance of this server asks for the same prompt. A lock of the kernel's, which a killed instance lets go."""
        # The instances' parent is their server. The byte that is locked need not exist.
        byte = int.from_bytes(sha256(b"%d " % os.getppid() + key).digest()[:7], "big")
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, byte)
        try:
            yield
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, byte)
