"""A callback receiver on loopback, so that the demo shows a job's whole round trip without an account anywhere."""

from __future__ import annotations

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 1 << 20


class CallbackReceiver:
    """Accepts callbacks whose signature is right; `received` has their JSON bodies in the order of arrival.

    `host` is `127.0.0.1:port`, `secret` what the sender must sign with, `delay` the seconds that every answer takes.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.secret = secrets.token_urlsafe(24)
        self.received: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                time.sleep(delay)
                body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), MAX_BODY_BYTES))
                try:
                    Webhook(receiver.secret.encode()).verify(body, {name.lower(): value for name, value in self.headers.items()})
                except WebhookVerificationError:
                    self.send_response(401)
                else:
                    receiver.received.append(json.loads(body))
                    self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """The demo's terminal belongs to the progress bar."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def host(self) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self._server.server_port}"

    def settings(self) -> dict[str, str]:
        """The worker's settings that make it call here; they win over whatever the environment is set up for."""
        return {
            "adapter": "local",
            "callback_secret": self.secret,
            "callback_allow_hosts": self.host,
            "workers_api_url": f"http://{self.host}",
        }

    def __enter__(self) -> CallbackReceiver:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
