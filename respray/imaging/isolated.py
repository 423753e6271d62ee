"""Decoding in a process of its own, which is ended when it takes too long or more memory than the header was accepted for.

A decoder is C code that reads what strangers send: it may run for minutes, take memory without end, or crash. Here that costs one file its
answer, and nobody else anything.

    decoder = DecoderProcess()
    photo = decoder.decode_photo(data)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from math import prod

import numpy as np

from respray.contract.errors import ImageError
from respray.contract.photo_facts import PhotoFacts
from respray.contract.photo_file import DEFAULT_MEGAPIXELS, inspect
from respray.imaging import decode as in_process
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import DecodedPhoto
from respray.imaging.grey_png import stored_rows

DECODE_SECONDS = 60.0
"""How long one file may be decoded. 200 megapixels of AVIF take some 20 s of one core."""
ASK_SECONDS = 0.25
"""How often it is asked meanwhile whether anybody still waits for the file."""
MAX_ANSWER = 1 << 16
# What the decoder needs to find its libraries; no secret of whoever starts it.
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
# Memory goes back to the kernel after each large file, and not after each of its blocks (mallopt(3)), and comes in large pages.
_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


@dataclass(frozen=True)
class DecodedMask:
    """A user's mask.

    Attributes:
        values: uint8 [h,w], the pixels as `decode.decode_mask` gives them; where `stored`, rows uint8 [h,1+w] of `grey_png.stored_rows`.
        stored: the pixels are yet to be made of the rows, for which there is no quick loop here.
    """

    values: UInt8Array
    stored: bool


class DecoderProcess:
    """One such process, started with the first file and again after it was ended. One file at a time."""

    def __init__(self, seconds: float = DECODE_SECONDS) -> None:
        """`seconds` is how long one file may take."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Start the process, which takes a moment to load its libraries; nothing waits for that but the first file."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        # Where this process finds its packages: inside Triton the interpreter's own path is another one.
        paths = os.pathsep.join(filter(None, sys.path))
        environment |= {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "MALLOC_ARENA_MAX": "2", **_ALLOCATOR}
        command = [sys.executable or "python3", "-m", "respray.imaging.decoder_main", str(theirs.fileno())]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=[theirs.fileno()])
        theirs.close()
        self._socket = ours
        self._finalizer = weakref.finalize(self, _end, self._process, ours)

    @property
    def pid(self) -> int:
        """The process's, once started; 0 where there is none."""
        return 0 if self._process is None else self._process.pid

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._finalizer()
            self._process = self._socket = None

    def decode(self, data: bytes, max_megapixels: float = DEFAULT_MEGAPIXELS, cancelled: Callable[[], bool] = lambda: False) -> UInt8Array:
        """As `respray.imaging.decode.decode`.

        Raises:
            ImageError: As there, and where decoding takes too long, more memory than its size in pixels justifies, or ends the process.
            InterruptedError: `cancelled` said so meanwhile.
        """
        return self._ask("decode", data, max_megapixels, cancelled)["pixels"]

    def decode_photo(
        self, data: bytes, max_megapixels: float = DEFAULT_MEGAPIXELS, cancelled: Callable[[], bool] = lambda: False
    ) -> DecodedPhoto:
        """As `respray.imaging.decode.decode_photo`; errors as `decode`."""
        arrays = self._ask("decode_photo", data, max_megapixels, cancelled)
        return DecodedPhoto(arrays["rgb"], arrays.get("alpha"), PhotoFacts.model_validate_json(arrays["facts"].tobytes()))

    def decode_mask(self, data: bytes, max_megapixels: float = 200.0, cancelled: Callable[[], bool] = lambda: False) -> DecodedMask:
        """A user's mask; errors as `decode`."""
        return _mask_of(self._ask("decode_mask", data, max_megapixels, cancelled))

    def _ask(self, task: str, data: bytes, max_megapixels: float, cancelled: Callable[[], bool]) -> dict[str, UInt8Array]:
        with self._lock:
            self.start()
            assert self._socket is not None and self._process is not None
            file = os.memfd_create("respray-photo", os.MFD_CLOEXEC)
            try:
                with open(file, "wb", closefd=False) as stream:
                    stream.write(data)
                question = json.dumps({"task": task, "max_megapixels": max_megapixels}).encode()
                with contextlib.suppress(BrokenPipeError, ConnectionError):  # it has ended: the answer says so
                    socket.send_fds(self._socket, [question], [file])
            finally:
                os.close(file)
            answer, descriptors = self._answer(cancelled)
            try:
                return _arrays(answer, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _answer(self, cancelled: Callable[[], bool]) -> tuple[dict[str, object], list[int]]:
        assert self._socket is not None and self._process is not None
        deadline = time.monotonic() + self._seconds
        while not select.select([self._socket], [], [], ASK_SECONDS)[0]:
            if cancelled():
                self.close()
                raise InterruptedError("The client cancelled the request while its photo was decoded.")
            if time.monotonic() > deadline:
                self.close()
                raise ImageError(f"the file takes more than {self._seconds:g} s to decode; save it again as a baseline JPEG or a PNG")
        try:
            said, descriptors, _, _ = socket.recv_fds(self._socket, MAX_ANSWER, 4)
        except ConnectionError:
            said, descriptors = b"", []
        if not said:
            process = self._process
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5.0)
            status = process.returncode
            self.close()
            how = signal.Signals(-status).name if status is not None and status < 0 else f"status {status}"
            raise ImageError(f"the file ends the program that decodes it ({how}), so it is corrupt; save it again as JPEG or PNG")
        return json.loads(said), list(descriptors)


_decoder: ContextVar[DecoderProcess | None] = ContextVar("decoder", default=None)


@contextlib.contextmanager
def decoding_in(decoder: DecoderProcess) -> Iterator[None]:
    """Within the block, `decode` and `decode_mask` of this module decode in that process; elsewhere in their caller's own."""
    token = _decoder.set(decoder)
    try:
        yield
    finally:
        _decoder.reset(token)


def decode(data: bytes, max_megapixels: float = DEFAULT_MEGAPIXELS) -> UInt8Array:
    """As `respray.imaging.decode.decode`, where `decoding_in` says."""
    decoder = _decoder.get()
    return in_process.decode(data, max_megapixels) if decoder is None else decoder.decode(data, max_megapixels)


def decode_mask(data: bytes, max_megapixels: float = 200.0) -> DecodedMask:
    """A user's mask, decoded where `decoding_in` says; errors as `respray.imaging.decode.decode_mask`."""
    decoder = _decoder.get()
    return _mask_of(mask_arrays(data, max_megapixels)) if decoder is None else decoder.decode_mask(data, max_megapixels)


def mask_arrays(data: bytes, max_megapixels: float) -> dict[str, UInt8Array]:
    """What `DecodedMask` is put together from: `rows` or `pixels`."""
    inspect(data, max_megapixels, min_side=1)
    rows = stored_rows(data)
    return {"pixels": in_process.decode_mask(data, max_megapixels)} if rows is None else {"rows": rows}


def _mask_of(arrays: dict[str, UInt8Array]) -> DecodedMask:
    stored = "rows" in arrays
    return DecodedMask(arrays["rows" if stored else "pixels"], stored)


def _arrays(answer: dict[str, object], descriptors: list[int]) -> dict[str, UInt8Array]:
    """The arrays of an answer, over the memory that it came in."""
    if "error" in answer:
        raise ImageError(str(answer["error"]))
    shapes = answer["shapes"]
    assert isinstance(shapes, dict) and len(descriptors) == 1
    # Whoever could shrink it could crash us.
    fcntl.fcntl(descriptors[0], fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    size = sum(map(prod, shapes.values()))
    if os.fstat(descriptors[0]).st_size < size:
        raise ImageError("the decoder gave fewer pixels than it says")
    memory, arrays, start = mmap.mmap(descriptors[0], size, mmap.MAP_SHARED | mmap.MAP_POPULATE), {}, 0
    for name, shape in shapes.items():
        arrays[name] = np.frombuffer(memory, np.uint8, prod(shape), start).reshape(shape)
        start += prod(shape)
    return arrays


def _end(process: subprocess.Popen[bytes], ours: socket.socket) -> None:
    ours.close()
    process.kill()
    process.wait()
