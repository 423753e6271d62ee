"""A callback receiver, as the caller runs one: verifies every header of a callback and remembers what came."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.faults.processes import CALLBACK_SECRET

Plan = Callable[[int, dict[str, Any]], tuple[int, dict[str, str]]]


@dataclass
class Call:
    """One request that came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    status: int
    at: float = field(default_factory=time.time)
    problem: str | None = None


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


class Receiver:
    """`plan(number, body)` decides the answer: (status, headers). `delay` seconds pass before it. `down()` closes the port."""

    def __init__(self, secret: str = CALLBACK_SECRET, plan: Plan = lambda number, body: (200, {}), delay: float = 0.0) -> None:
        self.secret, self.plan, self.delay = secret, plan, delay
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.port = 0
        self.up()

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        """As CALLBACK_ALLOW_HOSTS."""
        return f"127.0.0.1:{self.port}"

    def up(self) -> None:
        """Listen, on the same port as before."""
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def delivered(self) -> list[Call]:
        """Calls that were answered with 2xx."""
        return [call for call in self.calls if call.status < 300]

    def verify(self, headers: dict[str, str], raw: bytes, prefix: str, idx: int) -> str | None:
        """What is wrong with a request (docs/reference/contract.md), or None."""
        if headers.get("authorization") != f"Bearer {self.secret}" or headers.get("x-gpu-callback-secret") != self.secret:
            return "wrong secret"
        try:
            Webhook(self.secret.encode()).verify(raw, headers)
        except WebhookVerificationError as error:
            return f"signature: {error}"
        minute = int(headers["webhook-timestamp"]) // 60
        attempts = (*range(1, 60), int(headers["webhook-id"][4:12], 16))
        keys = {hashlib.sha256(f"{prefix}:{idx}:{attempt}:{minute}".encode()).hexdigest()[:16] for attempt in attempts}
        return None if headers.get("x-idempotency-key") in keys else "wrong X-Idempotency-Key"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            """POST only."""

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {k.lower(): v for k, v in self.headers.items()}
                if len(raw) < int(self.headers.get("Content-Length", 0)) or not raw:
                    return  # the sender died in the middle
                body = json.loads(raw)
                parts = self.path.strip("/").split("/")
                prefix = parts[1] if len(parts) == 3 else ""
                with receiver._lock:
                    status, extra = receiver.plan(len(receiver.calls), body)
                    receiver.calls.append(
                        Call(self.path, headers, body, status, problem=receiver.verify(headers, raw, prefix, body["idx"]))
                    )
                time.sleep(receiver.delay)
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
