"""A real HTTP server behind links: files that are read from it, uploads, and answers that a guard has to stand."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from orchestrator.worker.downloads import USUAL_LINK_BYTES
from tests.orchestrator.support import photo

TOKEN = "s3cr3t-signature-of-a-link"
"""Stands in every link's query; it must not be found anywhere afterwards."""


class LinkServer:
    """Answers by path. `seen` has (method, path, query) of every request, `stored` what was uploaded: headers and body by path."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.stored: dict[str, tuple[dict[str, str], bytes]] = {}
        self.elsewhere = "http://127.0.0.1:1/"
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                server.seen.append(("GET", parts.path, parts.query))
                server.answer(self, parts.path)

            def do_PUT(self) -> None:
                parts = urlsplit(self.path)
                server.seen.append(("PUT", parts.path, parts.query))
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = server.status_of_put(parts.path)
                if status == 200:
                    server.stored[parts.path] = (dict(self.headers), body)
                if parts.path == "/put-dawdling.png":
                    server.dawdle(self, b"x")
                else:
                    server.send(self, status, b"")

            def log_message(self, *arguments: object) -> None:
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        self.host = f"127.0.0.1:{self._http.server_address[1]}"

    def link(self, path: str, more: str = "") -> str:
        """A link with a signature."""
        return f"http://{self.host}{path}?X-Amz-Date=now&odd={TOKEN}{more}"

    def count(self, path: str) -> int:
        """Requests for a path."""
        return sum(seen[1] == path for seen in self.seen)

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()

    def status_of_put(self, path: str) -> int:
        """By path: 503 the first time, 403, or stored."""
        if path == "/put-busy.png" and self.count(path) == 1:
            return 503
        return 403 if path == "/put-expired.png" else 200

    def send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
        """One answer."""
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    def dawdle(self, handler: BaseHTTPRequestHandler, block: bytes, pause: float = 0.05) -> None:
        """An answer without an end."""
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(block)
                time.sleep(pause)

    def answer(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        """By path."""
        name = path.strip("/").split(".")[0]
        if name == "busy" and self.count(path) == 1:
            self.send(handler, 503, b"")
        elif name in ("missing", "expired"):
            self.send(handler, {"missing": 404, "expired": 403}[name], b"no")
        elif name == "down":
            self.send(handler, 500, b"")
        elif name == "page":
            self.send(handler, 200, b"<html>please log in</html>")
        elif name == "empty":
            self.send(handler, 200, b"")
        elif name == "zipped":
            self.send(handler, 200, gzip.compress(b"\0" * 1_000_000), Content_Encoding="gzip")
        elif name == "away":
            self.send(handler, 302, b"", Location=self.elsewhere)
        elif name == "inside":
            self.send(handler, 307, b"", Location="/0.jpg?again=1")
        elif name == "round":
            self.send(handler, 302, b"", Location=path)
        elif name.startswith("padded"):
            self.send(handler, 200, photo(9) + b"\0" * USUAL_LINK_BYTES)
        elif name == "huge":
            handler.send_response(200)
            handler.send_header("Content-Length", str(1 << 40))
            handler.end_headers()
        elif name in ("endless", "trickle"):
            self.dawdle(handler, *((b"\0" * (1 << 20), 0.0) if name == "endless" else (b"\xff", 0.05)))
        else:
            self.send(handler, 200, photo(int(name) if name.isdigit() else 0))
