"""`/healthz` (the process lives), `/readyz` (photos pass, queue and store answer, no shutdown), `/metrics` (Prometheus)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from orchestrator.errors import ResprayError, SettingsError
from orchestrator.worker.worker import Worker
from respray.observe.metrics import Metrics

log = logging.getLogger(__name__)

PATIENCE = 10.0


class Health:
    """What the probes report. `problem` says why the worker is not ready, or is None."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self._stopped_at: float | None = None

    def stop(self) -> None:
        """Not ready from now on; the grace period begins with the first call."""
        self._stopped_at = self._stopped_at or time.monotonic()

    def grace_left(self, grace: float) -> float:
        """What is left of the grace period, in seconds, and at least one."""
        return max(1.0, grace - (time.monotonic() - (self._stopped_at or time.monotonic())))

    async def problem(self) -> str | None:
        """Ask Triton and the store now; of the queue, what its intake saw last."""
        if self._stopped_at is not None:
            return "the worker is shutting down"
        if self.worker is None:
            return "the worker is starting"
        if (problem := await self.worker.backend.problem()) is not None:
            return problem
        if self.worker.queue_problem is not None:
            return self.worker.queue_problem
        try:
            await self.worker.storage.check()
        except ResprayError as error:
            return str(error)
        return None


@contextlib.asynccontextmanager
async def serve_health(host: str, port: int, health: Health, metrics: Metrics) -> AsyncIterator[int]:
    """Serve the probes from a thread of their own, so that a busy event loop cannot make the process look dead. Yields the port."""
    loop = asyncio.get_running_loop()
    handler = _handler(loop, health.problem, metrics)
    try:
        server = _server(host)((host, port), handler)
    except OSError as error:
        raise SettingsError(f"HEALTH_PORT={port} on HEALTH_HOST={host} cannot be used ({error.strerror}); 0 takes any free port") from None
    Thread(target=server.serve_forever, daemon=True, name="health").start()
    log.info("probes and metrics on http://%s:%d", host, server.server_port)
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()


def _server(host: str) -> type[ThreadingHTTPServer]:
    """A server of the address's family: `::` is every address of both, which an IPv6-only cluster's probes need."""
    return type("Server", (ThreadingHTTPServer,), {"address_family": socket.AF_INET6}) if ":" in host else ThreadingHTTPServer


def _handler(
    loop: asyncio.AbstractEventLoop, problem: Callable[[], Awaitable[str | None]], metrics: Metrics
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Three addresses, GET only."""

        timeout = PATIENCE  # a connection that says nothing does not keep its thread

        def do_GET(self) -> None:
            if self.path == "/healthz":
                self._answer(200, {"status": "alive"})
            elif self.path == "/readyz":
                reason = self._ask()
                self._answer(
                    200 if reason is None else 503, {"status": "ready"} if reason is None else {"status": "not ready", "reason": reason}
                )
            elif self.path == "/metrics":
                self._send(200, metrics.text(), "text/plain; version=0.0.4; charset=utf-8")
            else:
                self._answer(404, {"error": "there is /healthz, /readyz and /metrics"})

        def _ask(self) -> str | None:
            async def ask() -> str | None:
                return await problem()

            future = asyncio.run_coroutine_threadsafe(ask(), loop)
            try:
                return future.result(PATIENCE)
            except Exception as error:  # a probe must get an answer whatever is wrong
                future.cancel()
                return f"the check did not end ({type(error).__name__})"

        def _answer(self, status: int, body: dict[str, str]) -> None:
            self._send(status, json.dumps(body).encode(), "application/json")

        def _send(self, status: int, body: bytes, media_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug(format, *args)

    return Handler
