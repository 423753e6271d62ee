"""A total time for each request to an S3 store, also for one that goes on byte by byte, and a size for what it says beside objects.

botocore's `read_timeout` is for one read of the socket: a store that sends one header a second, or takes an upload one byte a second, never
runs into it. Here the socket of a request that is late is shut down, and the thread that waits for it goes on with an error. And botocore
reads whole what is no object, an error's text for one, however long it is.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool, AWSHTTPSConnection, AWSHTTPSConnectionPool
from urllib3 import HTTPResponse

LOOK_EVERY_SECONDS = 0.5
SENT_AT_ONCE = 256 << 10
"""Bytes that are to be taken within one `read_timeout`."""
MAX_SAID_BYTES = 8 << 20
"""Bytes of an answer that is no object. The longest, a page of 1,000 keys of 1,024 bytes that are all written as %XX, has 3.5 MB."""
_running = threading.local()
"""`deadline`: that of the request which this thread is making."""


@dataclass(eq=False)
class Deadline:
    """One request's time. `is_over` says that its connection was cut off."""

    at: float
    is_over: bool = False
    _line: socket.socket | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def watch(self, line: socket.socket | None) -> None:
        """The connection that the request uses now; None: none any more."""
        with self._lock:
            self._line = line
            if self.is_over:
                _cut(line)

    def end(self) -> None:
        """Cut off the connection."""
        with self._lock:
            self.is_over = True
            _cut(self._line)


class Deadlines:
    """Ends requests of one client that are late, from one thread, which lives while there are any."""

    def __init__(self, client: Any) -> None:
        """`client` is a boto3 client, whose connections are of our kind from now on."""
        # botocore has no public way to choose them; it hands this dictionary to all its pools, those behind proxies included.
        client._endpoint.http_session._pool_classes_by_scheme.update(http=_Pool, https=_SecurePool)
        self._open: set[Deadline] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[Deadline]:
        """Requests of this thread in the block have so many seconds together."""
        deadline = Deadline(time.monotonic() + seconds)
        with self._changed:
            self._open.add(deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="store-deadlines", daemon=True)
                self._thread.start()
        _running.deadline = deadline
        try:
            yield deadline
        finally:
            _running.deadline = None
            deadline.watch(None)
            with self._changed:
                self._open.discard(deadline)

    def _look(self) -> None:
        idle_since = time.monotonic()
        while True:
            time.sleep(LOOK_EVERY_SECONDS)
            now = time.monotonic()
            with self._changed:
                late = [deadline for deadline in self._open if now > deadline.at and not deadline.is_over]
                idle_since = now if self._open else idle_since
                if now - idle_since > 60 * LOOK_EVERY_SECONDS:
                    self._thread = None
                    return
            for deadline in late:
                deadline.end()


class _Watched:
    """A connection that tells the deadline of its thread which socket it uses."""

    _line: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        line: socket.socket = super()._new_conn()  # type: ignore[misc]
        # A second handle: TLS takes the first one over, and shutting down either ends the connection.
        self._line = line.dup()
        self._tell()
        return line

    def request(self, *arguments: Any, **named: Any) -> Any:
        """Send a request, on a connection that may be open from an earlier one."""
        self._tell()
        return super().request(*arguments, **named)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        """Send in blocks: of one `sendall` without TLS, a socket's timeout is the time for all of it, however much that is."""
        if not isinstance(data, bytes):
            return super().send(data)  # type: ignore[misc,no-any-return]
        for start in range(0, len(data), SENT_AT_ONCE):
            super().send(data[start : start + SENT_AT_ONCE])  # type: ignore[misc]

    def close(self) -> None:
        """Close both handles."""
        super().close()  # type: ignore[misc]
        line, self._line = self._line, None
        if line is not None:
            self._tell()
            line.close()

    def _tell(self) -> None:
        deadline: Deadline | None = getattr(_running, "deadline", None)
        if deadline is not None:
            deadline.watch(self._line)


class _Connection(_Watched, AWSHTTPConnection):  # type: ignore[misc]  # botocore is not typed
    pass


class _SecureConnection(_Watched, AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _Answer(HTTPResponse):
    """An answer that ends after MAX_SAID_BYTES where botocore reads it whole, which it does by `stream`; objects are read otherwise."""

    def stream(self, *arguments: Any, **named: Any) -> Generator[bytes, None, None]:
        """The beginning of the body, block by block."""
        size = 0
        for block in super().stream(*arguments, **named):
            size += len(block)
            if size > MAX_SAID_BYTES:
                self.close()  # what is left of it must not be taken for the next answer
                return
            yield block


class _Bounded:
    """A pool with answers of our kind."""

    def urlopen(self, *arguments: Any, **named: Any) -> Any:
        """The answer to a request, with its body unread."""
        answer = super().urlopen(*arguments, **named)  # type: ignore[misc]
        answer.__class__ = _Answer  # urllib3 has no public way to choose it
        return answer


class _Pool(_Bounded, AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Connection


class _SecurePool(_Bounded, AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _SecureConnection


def _cut(line: socket.socket | None) -> None:
    if line is not None:
        with contextlib.suppress(OSError):  # it has ended by itself
            line.shutdown(socket.SHUT_RDWR)
