"""uvicorn's HTTP/1.1 with an end to connections that are held open: what uvicorn leaves to a proxy in front of it.

https://www.uvicorn.org/settings/ knows a time limit for the pause between two requests only. Here, a request's header must be there
within so many seconds, and a reader must take what is written to it within so many.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestrator.api.problems import MEDIA_TYPE, ApiProblem

HEADER_SECONDS = 15.0
"""For the header of a request, from the connection or its first byte."""
READER_SECONDS = 30.0
"""For a reader to take the 48 KiB between asyncio's high and low mark of a full buffer."""


class GuardedProtocol(H11Protocol):
    """H11Protocol with both limits, and problem documents for what is no HTTP."""

    header_seconds, reader_seconds = HEADER_SECONDS, READER_SECONDS
    _header_timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
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

    def timeout_keep_alive_handler(self) -> None:
        # What the client has not taken by now it will not take.
        if not self.transport.is_closing():
            self.conn.send(event=h11.ConnectionClosed())
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader_timer = self.loop.call_later(self.reader_seconds, self._give_up)

    def resume_writing(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
        super().resume_writing()

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

    def _cancel_timers(self) -> None:
        for timer in (self._header_timer, self._reader_timer):
            if timer is not None:
                timer.cancel()

    def _give_up(self) -> None:
        self.transport.abort()
