"""A proxy in front of an S3 server that lets a share of the requests fail, as networks and stores do."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Sequence

KINDS = ("500", "503", "slow", "truncated", "reset", "answer lost")
SLOW_SECONDS = 0.5
_BLOCK = 65536


class ChaosProxy:
    """Forwards one request per connection to 127.0.0.1:`port`; `share` of them meet one of `kinds`.

    `500`, `503`: answered so, not forwarded. `slow`: answered late. `truncated`: the answer's body breaks off. `reset`: the connection
    breaks before anything is forwarded. `answer lost`: the request is carried out and its answer never arrives.
    """

    def __init__(self, port: int, share: float = 0.3, kinds: Sequence[str] = KINDS, seed: int = 1) -> None:
        self.target, self.share, self.kinds = port, share, kinds
        self.injected, self.total = 0, 0
        self.requests: list[str] = []
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """As STORAGE_S3_ENDPOINT."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            head, body = _read_request(connection)
            if not head:
                return
            with self._lock:
                self.total += 1
                self.requests.append(head.decode("latin-1"))
                del self.requests[:-2000]
                kind = self._random.choice(self.kinds) if self._random.random() < self.share else ""
                self.injected += bool(kind)
            if kind in ("500", "503"):
                code = {"500": "InternalError", "503": "SlowDown"}[kind]
                content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
                connection.sendall(
                    f"HTTP/1.1 {kind} Injected\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode() + content
                )
            elif kind != "reset":
                if kind == "slow":
                    time.sleep(SLOW_SECONDS)
                self._forward(connection, head, body, kind)

    def _forward(self, connection: socket.socket, head: bytes, body: bytes, kind: str) -> None:
        # One request per connection keeps the proxy simple: both sides are told that it closes.
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"expect:"))]
        with socket.create_connection(("127.0.0.1", self.target), timeout=30) as upstream:
            upstream.sendall(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]) + b"\r\n\r\n" + body)
            answer = b"".join(iter(lambda: upstream.recv(_BLOCK), b""))
        if kind == "answer lost":
            return
        headers, _, content = answer.partition(b"\r\n\r\n")
        if kind == "truncated" and content:
            content = content[: len(content) // 2]
        connection.sendall(headers + b"\r\n\r\n" + content)


def _read_request(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        block = connection.recv(_BLOCK)
        if not block:
            return b"", b""
        data += block
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
    if b"100-continue" in head.lower() and len(body) < length:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    while len(body) < length:
        block = connection.recv(_BLOCK)
        if not block:
            return b"", b""
        body += block
    return head, body
