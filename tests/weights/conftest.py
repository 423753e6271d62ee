"""A network between a worker and its S3 server that can be broken on purpose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest


class BrokenNetwork:
    """A TCP proxy in front of a server that can be told to lose, damage and hold back what comes back.

    `sent` counts the bytes that came back through it. `cut_after`: close a connection once so many bytes came back through it.
    `flip_at`: change the byte at this position of a connection's answer, in the first `flips` connections that get so far.
    `hold_after`: once so many bytes came back in all, `held` is set and nothing more passes until `release`.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent = 0
        self.cut_after: int | None = None
        self.cuts = 0
        self.flip_at: int | None = None
        self.flips = 0
        self.hold_after: int | None = None
        self.held, self._open = threading.Event(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        position = 0
        with suppress(OSError), client, server:
            while data := server.recv(65536):
                block = bytearray(data)
                if self.flip_at is not None and self.flips > 0 and position <= self.flip_at < position + len(block):
                    block[self.flip_at - position] ^= 1
                    self.flips -= 1
                if self.cut_after is not None and self.cuts > 0 and position + len(block) > self.cut_after:
                    self.cuts -= 1
                    client.sendall(block[: self.cut_after - position])
                    client.shutdown(socket.SHUT_RDWR)  # close() alone waits for the thread that is reading from it
                    return
                if self.hold_after is not None and self.sent >= self.hold_after:
                    self.held.set()
                    self._open.wait()
                client.sendall(block)
                position += len(block)
                self.sent += len(block)

    def release(self) -> None:
        """Let everything pass again."""
        self.hold_after = None
        self._open.set()

    def close(self) -> None:
        """Accept no more connections, and let go of those that are held."""
        self.release()
        self._listener.close()


@pytest.fixture
def broken_network(s3_endpoint: str) -> Iterator[BrokenNetwork]:
    """The network between a worker and the S3 server."""
    proxy = BrokenNetwork(int(s3_endpoint.rsplit(":", 1)[1]))
    yield proxy
    proxy.close()
