"""Where graphs run, and arrays that stay there between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnxruntime

from respray.contract.parameters import DeviceKind
from respray.segmentation.arrays import AnyArray


@dataclass(frozen=True)
class Device:
    """One processor.

    Attributes:
        kind: `cuda` is ONNX Runtime's own provider, `tensorrt-rtx` NVIDIA's plugin for RTX cards; both run on the same GPUs.
        index: of the GPU. memory: bytes that one graph may take there (0: no limit; of `cuda` alone).
        recorded: replay a graph as a CUDA graph (`cuda` alone): inputs and outputs then keep their place and their shapes.
    """

    kind: DeviceKind = "cpu"
    index: int = 0
    memory: int = 0
    recorded: bool = False

    @classmethod
    def named(cls, name: str, memory: int = 0) -> Self:
        """`cpu`, `cuda:0` or `tensorrt-rtx:1`, as configurations of models write it."""
        kind, _, index = name.partition(":")
        return cls(kind, int(index or 0), memory)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    @property
    def storage(self) -> tuple[str, int]:
        """Type and number of its memory, as ONNX Runtime binds it."""
        return ("cpu", 0) if self.kind == "cpu" else ("cuda", self.index)


CPU = Device()
ANY_GPU = Device("cuda")
"""CUDA where this ONNX Runtime has it and its libraries load, else the CPU."""


class DeviceArray:
    """An array in the memory of the device that made it: rows of a contiguous tensor that stays alive as long as they do."""

    def __init__(self, owner: onnxruntime.OrtValue, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int = 0) -> None:
        """`offset` bytes into the memory of `owner` lie `shape` values of `dtype`."""
        self.owner, self.dtype, self.shape, self.offset = owner, dtype, shape, offset

    @classmethod
    def over(cls, value: onnxruntime.OrtValue) -> Self:
        """All of a tensor."""
        return cls(value, np.dtype(_DTYPES[value.data_type()]), tuple(value.shape()))

    @property
    def pointer(self) -> int:
        """Address of its first value, in its device's memory."""
        return int(self.owner.data_ptr()) + self.offset

    @property
    def rows(self) -> int:
        """Entries along the first axis."""
        return self.shape[0]

    def part(self, start: int, end: int) -> Self:
        """Rows `start` to `end`, no copy."""
        row = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        return type(self)(self.owner, self.dtype, (end - start, *self.shape[1:]), self.offset + start * row)

    def numpy(self) -> AnyArray:
        """A copy in CPU memory."""
        start = self.offset // self.dtype.itemsize
        return np.array(self.owner.numpy().reshape(-1)[start : start + int(np.prod(self.shape, dtype=np.int64))].reshape(self.shape))


_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
