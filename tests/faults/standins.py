"""The other side of two hosted services, as their documentation describes it: Cloudflare Queues' pull API and Runpod's job API."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


@dataclass
class Message:
    """A message in the queue. It is visible from `visible_at` on; `lease` names who holds it."""

    body: str
    content_type: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    attempts: int = 0
    visible_at: float = 0.0
    lease: str = ""


class _StandIn:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Any]:
        """Status and JSON (None: no body)."""
        raise NotImplementedError

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            """Any method."""

            protocol_version = "HTTP/1.1"

            def _do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                parts = urlsplit(self.path)
                status, content = standin.answer(self.command, parts.path, parse_qs(parts.query), self.headers, body)
                data = b"" if content is None else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _do

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


class CloudflareQueue(_StandIn):
    """One queue. `trouble` answers are given first: [(status, json)]. After `most_attempts` a message goes to `dead`."""

    ACCOUNT, QUEUE, TOKEN = "acc123", "q456", "cf-token-only-for-tests"

    def __init__(self, most_attempts: int = 100) -> None:
        self.messages: list[Message] = []
        self.acked: list[str] = []
        self.retried: list[tuple[str, float]] = []
        self.dead: list[Message] = []
        self.trouble: list[tuple[int, Any]] = []
        self.pulls: list[dict[str, Any]] = []
        self._most = most_attempts
        super().__init__()

    def push(self, body: Any, content_type: str = "json") -> None:
        """As a producer's `queue.send(body, {contentType})`."""
        text = body if isinstance(body, str) else json.dumps(body)
        encoded = text if content_type == "text" else base64.b64encode(text.encode()).decode()
        with self._lock:
            self.messages.append(Message(encoded, content_type))

    def answer(self, method: str, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Any]:
        if headers.get("Authorization") != f"Bearer {self.TOKEN}":
            return 401, {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}
        base = f"/accounts/{self.ACCOUNT}/queues/{self.QUEUE}/messages"
        fields = json.loads(body or b"{}")
        with self._lock:
            if self.trouble:
                return self.trouble.pop(0)
            if path == base and method == "POST":
                text = fields["body"] if isinstance(fields["body"], str) else json.dumps(fields["body"])
                kind = fields.get("content_type", "json")
                encoded = text if kind == "text" else base64.b64encode(text.encode()).decode()
                self.messages.append(Message(encoded, kind))
                return 200, _success({})
            if path == f"{base}/pull":
                self.pulls.append(fields)
                return 200, _success(self._pull(fields))
            if path == f"{base}/ack":
                return 200, _success(self._settle(fields))
        return 404, {"success": False, "errors": [{"code": 7003, "message": f"no route for {path}"}]}

    def _pull(self, fields: dict[str, Any]) -> dict[str, Any]:
        now = time.time()
        given: list[dict[str, Any]] = []
        for message in list(self.messages):
            if message.visible_at > now or len(given) >= fields.get("batch_size", 5):
                continue
            if message.attempts >= self._most:
                self.messages.remove(message)
                self.dead.append(message)
                continue
            message.attempts += 1
            message.lease = uuid.uuid4().hex
            message.visible_at = now + fields.get("visibility_timeout_ms", 30_000) / 1000
            metadata = {"CF-Content-Type": message.content_type, "CF-sourceMessageSource": "dash"}
            given.append(
                {
                    "id": message.id,
                    "lease_id": message.lease,
                    "body": message.body,
                    "attempts": message.attempts,
                    "timestamp_ms": 0,
                    "metadata": metadata,
                }
            )
        return {"messages": given, "message_backlog_count": sum(m.visible_at <= now for m in self.messages)}

    def _settle(self, fields: dict[str, Any]) -> dict[str, Any]:
        held = {m.lease: m for m in self.messages if m.lease}
        for entry in fields.get("acks") or ():
            if message := held.get(entry["lease_id"]):
                self.messages.remove(message)
                self.acked.append(message.id)
        for entry in fields.get("retries") or ():
            if message := held.get(entry["lease_id"]):
                message.visible_at, message.lease = time.time() + entry.get("delay_seconds", 0), ""
                self.retried.append((message.id, entry.get("delay_seconds", 0)))
        return {"ackCount": len(fields.get("acks") or ()), "retryCount": len(fields.get("retries") or ()), "warnings": []}


def _success(result: Any) -> dict[str, Any]:
    return {"success": True, "errors": [], "messages": [], "result": result}


class RunpodApi(_StandIn):
    """Runpod's job API towards a worker: job-take, job-take-batch, job-stop, job-done, ping."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.stop: list[str] = []
        self.results: dict[str, dict[str, Any]] = {}
        self.progress: list[tuple[str, Any]] = []
        self.pings = 0
        super().__init__()

    def push(self, job_id: str, message: Any) -> None:
        """As a caller's POST /run."""
        with self._lock:
            self.jobs.append({"id": job_id, "input": message})

    def environment(self) -> dict[str, str]:
        """What the SDK needs to find us; set before it is imported."""
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{self.url}/v2/endpoint/job-take/$ID?gpu=none",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{self.url}/v2/endpoint/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
            "RUNPOD_WEBHOOK_PING": f"{self.url}/v2/endpoint/ping/$RUNPOD_POD_ID",
            "RUNPOD_POD_ID": "pod1",
            "RUNPOD_AI_API_KEY": "runpod-key-only-for-tests",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
            "RUNPOD_PING_INTERVAL": "1000",
        }

    def answer(self, method: str, path: str, query: dict[str, list[str]], headers: Any, body: bytes) -> tuple[int, Any]:
        if "/job-take" in path:
            with self._lock:
                count = int(query.get("batch_size", ["1"])[0])
                given, self.jobs = self.jobs[:count], self.jobs[count:]
            if not given:
                time.sleep(0.2)
                return 204, None
            return 200, given if "batch" in path else given[0]
        if "/job-stop/" in path:
            with self._lock:
                ids, self.stop = self.stop, []
            if not ids:
                time.sleep(0.2)
                return 204, None
            return 200, {"jobsToStop": ids}
        if "/job-done/" in path:
            content, job_id = json.loads(body), path.rsplit("/", 1)[-1]
            with self._lock:
                if content.get("status") == "IN_PROGRESS":
                    self.progress.append((job_id, content["output"]))
                else:
                    self.results[job_id] = content
            return 200, {"status": "ok"}
        if "/ping/" in path:
            self.pings += 1
            return 200, {}
        return 404, {"error": path}
