"""What the worker needs of a store: read, look, write (also conditionally), list. Small on purpose; each store is one module.

Implementations are blocking and safe to use from several threads; `threads.py` brings them to the event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256


class Expect(Enum):
    """What a write expects to find: anything, or nothing."""

    ANYTHING = "anything"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Stat:
    """What a store knows about an object.

    Attributes:
        size: Bytes.
        etag: Changes with the content.
        digest: SHA-256 of the content in hex, where it is known.
    """

    size: int
    etag: str
    digest: str | None = None


def digest_of(data: bytes) -> str:
    """SHA-256 in hex."""
    return sha256(data).hexdigest()


class Opened(ABC):
    """One stored object that is read in parts, all of the same content however long it takes.

    Attributes:
        stat: What it is.
    """

    stat: Stat

    @abstractmethod
    def read(self, start: int, size: int) -> bytes:
        """So many bytes from `start` on, fewer at the end only.

        Raises:
            Conflict: It was written anew.
            StorageError: The store does not answer.
        """

    def close(self) -> None:  # noqa: B027 (not every store keeps something open)
        """Let go of it."""


class Storage(ABC):
    """A flat space of keys (`outputs/u/j/0.png`) and bytes."""

    @abstractmethod
    def read(self, key: str, limit: int) -> tuple[bytes, Stat]:
        """Read the whole object.

        Args:
            key: The object.
            limit: Most bytes that are accepted.

        Raises:
            NotFound: There is none.
            TooLarge: It has more bytes; it is then not read.
            AccessDenied: The store refuses.
            StorageError: The store does not answer, or not with what was stored.
        """

    @abstractmethod
    def open(self, key: str) -> Opened:
        """Open an object for reading in parts. Raises NotFound, AccessDenied, StorageError."""

    @abstractmethod
    def stat(self, key: str) -> Stat | None:
        """What is stored under a key, or None. Raises AccessDenied, StorageError."""

    def size(self, key: str) -> int | None:
        """Bytes of an object, or None, where that is all that is asked: nothing of it is read. Errors as of `stat`."""
        found = self.stat(key)
        return None if found is None else found.size

    @abstractmethod
    def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        """Store atomically and verify what was stored.

        Args:
            key: The object.
            data: Its content.
            media_type: What its content is, as `image/png`.
            expect: Store only where nothing, or that very object, is stored.

        Returns:
            What is stored now.

        Raises:
            Conflict: The condition does not hold, and what is stored are not these very bytes.
            AccessDenied: The store refuses.
            StorageError: The store does not answer, or has stored something else.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none. Raises AccessDenied, StorageError."""

    @abstractmethod
    def keys(self, prefix: str) -> Iterator[str]:
        """Keys that begin with a prefix, in order, fetched page by page. Raises AccessDenied, StorageError."""

    def link(self, key: str, seconds: int) -> str | None:
        """A link with which anybody can read an object for a while, a credential; None where the store has none.

        Args:
            key: The object, there or not.
            seconds: For how long.

        Raises:
            StorageError: It cannot be signed.
        """
        return None

    @abstractmethod
    def check(self) -> None:
        """Raise StorageError unless the store answers and its bucket or folder is there."""

    def close(self) -> None:  # noqa: B027 (a folder has none)
        """Let go of connections."""
