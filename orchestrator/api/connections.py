"""uvicorn's HTTP/1.1 with an end to connections that are held open: what uvicorn leaves to a proxy in front of it.

https://www.uvicorn.org/settings/ knows a time limit for the pause between two requests only. Here, a request's header must be there
within so many seconds, and a reader must take a little of what is written to it in every so many.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import sys
import termios
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator.api.problems import MEDIA_TYPE, ApiProblem

HEADER_SECONDS = 15.0
"""For the header of a request, from the connection or its first byte."""
READER_SECONDS = 180.0
"""For a reader to take the next READER_BYTES of what waits for it, however much that is. A slow one is heard of seldom: its system makes
room for a sixteenth of its buffer at once, or for a whole segment, which on loopback has 64 KiB. That is half a MB of reading."""
READER_BYTES = 48 << 10
SPARE_CONNECTIONS = 64
"""Beyond the most that are accepted, which are told so; further ones are closed unheard, as each takes a file's place in this process."""


class GuardedProtocol(H11Protocol):
    """H11Protocol with both limits, and problem documents for what is no HTTP and for one connection too many."""

    header_seconds, reader_seconds = HEADER_SECONDS, READER_SECONDS
    _header_timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # uvicorn's own answer to one too many is plain text, and does not say when to come again.
        self._most_connections, self.limit_concurrency = self.limit_concurrency, None
        self._guarded_app = self.app
        self.app = self._unless_crowded

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_header()
        if self._most_connections is not None and len(self.connections) > self._most_connections + SPARE_CONNECTIONS:
            self._give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._header_done()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._header_done()
        else:
            self._await_header()

    def on_response_complete(self) -> None:
        self._header_done()
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._await_reader()  # it closes when all is taken

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():
            self._await_reader()  # the end of the last answer is not taken yet
        else:
            super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        self._stop_waiting_for_reader()
        super().resume_writing()

    async def _unless_crowded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._most_connections is not None and len(self.connections) > self._most_connections:
            detail = f"{self._most_connections} connections are open, and no more are accepted at the same time"
            await ApiProblem(503, detail, "busy", headers={"Connection": "close"}).response()(scope, receive, send)
        else:
            await self._guarded_app(scope, receive, send)

    def _await_reader(self) -> None:
        """Look after a while how much the reader has taken."""
        self._stop_waiting_for_reader()
        self._reader_timer = self.loop.call_later(self.reader_seconds, self._look_at_reader, self._unread)

    def _look_at_reader(self, unread: int) -> None:
        """Give up a reader that has taken too little of what was unread."""
        self._reader_timer = None
        if not self.transport.get_write_buffer_size():
            if self.cycle is None or self.cycle.response_complete:
                super().timeout_keep_alive_handler()
        elif unread - self._unread < READER_BYTES:
            self._give_up()
        else:
            self._await_reader()

    @property
    def _unread(self) -> int:
        """Bytes that are here still: in asyncio's buffer, and in the system's, which may hold megabytes (SIOCOUTQ of tcp(7))."""
        queued = fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        return self.transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)

    def _stop_waiting_for_reader(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def send_400_response(self, msg: str) -> None:
        problem = ApiProblem(400, "what was sent is not HTTP/1.1, or has a header that is too long").problem
        body = json.dumps(problem.model_dump()).encode()
        headers = [("content-type", MEDIA_TYPE), ("connection", "close"), ("content-length", str(len(body)))]
        try:
            for event in (h11.Response(status_code=400, headers=headers, reason=b"Bad Request"), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        except h11.LocalProtocolError:
            pass  # an answer is being written already
        self.transport.close()

    def _await_header(self) -> None:
        """The time runs from the first byte on, and is not prolonged by further ones."""
        if self._header_timer is None:
            self._header_timer = self.loop.call_later(self.header_seconds, self._give_up)

    def _header_done(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _give_up(self) -> None:
        self.transport.abort()
