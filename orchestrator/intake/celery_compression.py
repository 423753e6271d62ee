"""Compressed bodies of Celery messages, unpacked up to the size of the largest message: 5 MB of gzip can hold 1 GB.

Kombu unpacks a body before anything else sees the message, and without a limit. Its registry of decoders is the way in; what fails there
reaches the consumer as a message that cannot be decoded.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from kombu import compression

from orchestrator.errors import megabytes
from orchestrator.jobs.limits import MAX_MESSAGE_BYTES

MAX_BODY_BYTES = 2 * MAX_MESSAGE_BYTES
"""A task's body: the largest job, and what Celery puts around it."""
_ANY_HEADER = zlib.MAX_WBITS | 32
"""zlib's own, which Celery writes and calls gzip, and gzip's, which others write."""
_REGISTRY: Any = compression  # the package is half typed
_KINDS: dict[str, Callable[[], Any]] = {
    "application/x-gzip": partial(zlib.decompressobj, _ANY_HEADER),
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": lzma.LZMADecompressor,
}


def bound_decoders() -> None:
    """Have kombu unpack no more than `MAX_BODY_BYTES` of a message; a compression that cannot be bounded is refused, whoever brought it."""
    for kind in _REGISTRY.encoders():
        encode, _ = _REGISTRY.get_encoder(kind)
        decode = partial(_unpack, _KINDS[kind]) if kind in _KINDS else partial(_refuse, kind)
        _REGISTRY.register(encode, decode, kind)


def _unpack(decompressor: Callable[[], Any], body: bytes) -> bytes:
    unpacking = decompressor()
    data: bytes = unpacking.decompress(body, MAX_BODY_BYTES + 1)
    if len(data) > MAX_BODY_BYTES:
        raise ValueError(f"it unpacks to more than the {megabytes(MAX_BODY_BYTES)} that are accepted")
    if not unpacking.eof:
        raise ValueError("its compressed body is cut off")
    return data


def _refuse(kind: str, body: bytes) -> NoReturn:
    raise ValueError(f"compression {kind} is not accepted; accepted are gzip, bzip2 and lzma")
