"""The process behind `isolated.DecoderProcess`: takes encoded files over a socket, answers with pixels in shared memory.

Run as `python -m respray.imaging.decoder_main DESCRIPTOR`, the socket's.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable

import numpy as np

from respray.contract.errors import ImageError
from respray.contract.photo_file import inspect
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import decode, decode_photo
from respray.imaging.isolated import mask_arrays

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SPARE_BYTES = 512 << 20
"""Memory beyond what a file's size in pixels justifies: libraries' tables, threads' stacks."""
BYTES_PER_PIXEL = 48
"""A 16-bit TIFF with alpha takes most: 16-bit values, floats and their product, and the result."""
Arrays = dict[str, UInt8Array]


def photo_arrays(data: bytes, max_megapixels: float) -> Arrays:
    """A photo's pixels, its alpha where it has one, and its facts as JSON: what `isolated.DecoderProcess.decode_photo` puts together."""
    photo = decode_photo(data, max_megapixels)
    alpha: Arrays = {} if photo.alpha is None else {"alpha": photo.alpha}
    return {"rgb": photo.rgb, **alpha, "facts": np.frombuffer(photo.facts.model_dump_json().encode(), np.uint8)}


TASKS: dict[str, Callable[[bytes, float], Arrays]] = {
    "decode": lambda data, limit: {"pixels": decode(data, limit)},
    "decode_mask": mask_arrays,
    "decode_photo": photo_arrays,
}


def main(descriptor: int) -> None:
    """Answer one file after the other until the other side is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # C libraries write what they think of a file, in the file's own words, and as often as it likes.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with socket.socket(fileno=descriptor) as ours:
        while True:
            question, files, _, _ = socket.recv_fds(ours, 1 << 16, 1)
            if not question:
                return
            asked = json.loads(question)
            with open(files[0], "rb") as stream:
                stream.seek(0)
                data = stream.read()
            answer(ours, asked["task"], data, asked["max_megapixels"])
            del data


def answer(ours: socket.socket, task: str, data: bytes, max_megapixels: float) -> None:
    """Decode one file and send what came of it."""
    try:
        limit_memory(SPARE_BYTES + 4 * len(data))
        info = inspect(data, max_megapixels, min_side=1)  # what a photo needs beyond that, its task says
        limit_memory(SPARE_BYTES + 4 * len(data) + BYTES_PER_PIXEL * info.width * info.height)
        arrays = TASKS[task](data, max_megapixels)
        memory = shared(arrays)
    except ImageError as error:
        ours.send(json.dumps({"error": str(error)[:4096]}).encode())
    except MemoryError:
        ours.send(json.dumps({"error": "the file needs far more memory than a photo of its size in pixels; save it again"}).encode())
    else:
        socket.send_fds(ours, [json.dumps({"shapes": {name: array.shape for name, array in arrays.items()}}).encode()], [memory])
        os.close(memory)


def limit_memory(extra: int) -> None:
    """Let this process take so many bytes more than it has now."""
    with open("/proc/self/statm") as table:
        now = int(table.read().split()[0]) * mmap.PAGESIZE
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + extra if hard == resource.RLIM_INFINITY else min(hard, now + extra), hard))


def shared(arrays: Arrays) -> int:
    """A descriptor of memory that holds the arrays, one after the other."""
    descriptor = os.memfd_create("respray-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    for array in arrays.values():
        rest = np.ascontiguousarray(array).data.cast("B")
        while rest:  # written, not mapped: the kernel need not clear pages first
            rest = rest[os.write(descriptor, rest) :]
    return descriptor


if __name__ == "__main__":
    main(int(sys.argv[1]))
