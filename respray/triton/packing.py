"""JSON and encoded files as the UINT8 vectors in which they cross Triton (see `docs/architecture.md` for why no BYTES)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from respray.triton.errors import PhotoError

UInt8Vector = npt.NDArray[np.uint8]
Int64Vector = npt.NDArray[np.int64]


def from_bytes(data: bytes) -> UInt8Vector:
    """A read-only uint8 vector over the bytes, without a copy."""
    return np.frombuffer(data, dtype=np.uint8)


def pack(files: Sequence[bytes]) -> tuple[UInt8Vector, Int64Vector]:
    """Concatenate files. Triton takes no empty tensor, so no file at all is one zero byte with sizes [0].

    Returns:
        Data uint8 [sum of sizes], and sizes int64 [number of files] in bytes.
    """
    if not any(files):
        return np.zeros(1, dtype=np.uint8), np.array([len(file) for file in files] or [0], dtype=np.int64)
    return from_bytes(b"".join(files)), np.array([len(file) for file in files], dtype=np.int64)


class PackedFiles(Sequence[bytes]):
    """The files that `pack` was given, each copied out when it is asked for: together they may be many times as large as any of them."""

    def __init__(self, data: UInt8Vector, sizes: Int64Vector) -> None:
        """Nothing is copied yet.

        Args:
            data: uint8 [sum of sizes].
            sizes: int64 [number of files] in bytes.

        Raises:
            PhotoError: the sizes do not add up to the data.
        """
        none = sizes.size == 1 and sizes[0] == 0
        if not none and (np.any(sizes < 0) or int(sizes.sum()) != (data.size if sizes.any() else 0)):
            raise PhotoError(f"File sizes {sizes.tolist()} add up to {int(sizes.sum())} bytes; {data.size} bytes were given.")
        ends = [] if none else np.cumsum(sizes).tolist()
        self._data, self._places = data, [slice(end - size, end) for size, end in zip(sizes.tolist(), ends, strict=not none)]

    def __len__(self) -> int:
        """How many files there are."""
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...

    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """A copy of one file, or of several."""
        if isinstance(index, slice):
            return [self._data[place].tobytes() for place in self._places[index]]
        return self._data[self._places[index]].tobytes()


def unpack(data: UInt8Vector, sizes: Int64Vector) -> list[bytes]:
    """All the files that `pack` was given. Arguments and errors as of `PackedFiles`."""
    return list(PackedFiles(data, sizes))
