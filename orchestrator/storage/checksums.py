"""What proves that an object of an S3 store was read, or stored, as it is."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

from orchestrator.errors import StorageError
from orchestrator.storage.base import Stat


class Reading:
    """Reads until a checksum proves what was read, or two readings gave the same: not every ETag that looks like an MD5 is one."""

    def __init__(self, read: Callable[[], tuple[bytes, Stat, bool]], key: str) -> None:
        self._read, self._key, self._before = read, key, set[Stat]()

    def __call__(self) -> tuple[bytes, Stat]:
        data, stat, proven = self._read()
        if proven or stat in self._before:
            return data, stat
        self._before.add(stat)
        raise StorageError(f"the download of {self._key} does not have the checksum that its ETag says")


def etag_of(answer: dict[str, Any]) -> str:
    """The ETag of an upload; empty where the store says none, which proves nothing."""
    return str(answer.get("ETag", "")).strip('"')


def is_md5(answer: dict[str, Any]) -> bool:
    """Whether an object's ETag is its MD5: not of one in parts, nor of one that is encrypted with a key of its owner's
    (docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html, "ETag")."""
    own_key = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms") or "SSECustomerAlgorithm" in answer
    return not own_key and re.fullmatch(r"[0-9a-f]{32}", etag_of(answer)) is not None


def md5_of(data: bytes) -> bytes:
    """The MD5, as stores check it: no protection against anybody, but against accidents."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def base64_of(digest: bytes) -> str:
    """Bytes as headers have them."""
    return base64.b64encode(digest).decode()
