"""The live view against real servers: a worker's own metrics and health server, Triton's format, an events file that grows."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import pytest

from orchestrator.service.health import Health, serve_health
from respray.observe.metrics import Metrics
from respray.top.observation import Jobs, parse, triton_view, worker_view
from respray.top.sources import WORKER, MetricsSource
from tests.commands import respray

pytest.importorskip("textual", reason="the top extra is not installed")
from textual.widgets import DataTable, Sparkline, Static

from respray.top.app import Top

_TRITON = """
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="sam3_image_encoder",version="1"}} {requests}
# TYPE nv_inference_count counter
nv_inference_count{{model="sam3_image_encoder",version="1"}} {requests}
# TYPE nv_inference_exec_count counter
nv_inference_exec_count{{model="sam3_image_encoder",version="1"}} {runs}
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{{model="sam3_image_encoder",version="1"}} {queue}
# TYPE nv_inference_compute_infer_duration_us counter
nv_inference_compute_infer_duration_us{{model="sam3_image_encoder",version="1"}} {compute}
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{{model="sam3_image_encoder",version="1"}} 3
"""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Any

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.server.looks += 1
        n = self.server.looks
        body = _TRITON.format(requests=8 * n, runs=2 * n, queue=80_000 * n, compute=20_000 * n).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def triton() -> Iterator[str]:
    """Answers in Triton's format; every look finds eight requests more."""
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.looks = 0
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _rows(app: Top, name: str) -> list[list[str]]:
    table = app.query_one(f"#{name}", DataTable)
    return [[str(cell) for cell in table.get_row_at(row)] for row in range(table.row_count)]


def test_view_follows_a_worker_its_jobs_and_its_triton(triton: str, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text("")

    async def scenario() -> None:
        metrics = Metrics()
        async with serve_health("127.0.0.1", 0, Health(), metrics) as port:
            app = Top(f"http://127.0.0.1:{port}", triton, events, every=60)
            async with app.run_test(size=(160, 40)) as pilot:
                metrics.items.labels("completed").inc(30)
                metrics.items.labels("failed").inc(2)
                metrics.stage_seconds.labels("segment").observe(0.25)
                metrics.stage_seconds.labels("segment").observe(0.75)
                metrics.items_in_flight.set(4)
                metrics.callbacks_owed.set(5)
                with events.open("a") as file:
                    file.write(json.dumps({"event": "progress", "job_id": "j1", "idx": 0, "stage": "stored", "done": 1, "total": 2}) + "\n")
                    file.write(json.dumps({"event": "finish", "job_id": "j0", "status": "failed", "error": "x"}) + '\n{"event": "fin')
                await app.refresh_now()
                await pilot.pause()
                text = str(app.query_one("#numbers", Static).render())
                assert "30 completed, 2 failed" in text and "4 photos" in text and "callbacks owed 5" in text
                assert ["segment", "0.500"] in [row[:2] for row in _rows(app, "stages")]
                assert _rows(app, "jobs") == [
                    ["j0", "░" * 12 + " 0/0", "", "failed"],
                    ["j1", "█" * 6 + "░" * 6 + " 1/2", "stored", "working"],
                ]
                (model,) = _rows(app, "models")
                assert model[0] == "sam3_image_encoder" and model[2:] == ["4.0", "10.0", "10.0", "3"]
                assert max(app.query_one("#rate", Sparkline).data or [0]) > 0
                with events.open("a") as file:
                    file.write('ish", "job_id": "j1", "status": "completed"}\n')
                await app.refresh_now()
                assert _rows(app, "jobs")[0][3] == "completed"
                await pilot.press("p")
                metrics.items.labels("completed").inc(100)
                await app.refresh_now()
                assert "30 completed" in str(app.query_one("#numbers", Static).render()), "paused"
                await pilot.press("q")

    asyncio.run(scenario())


def test_without_a_terminal_it_is_told_once(triton: str, tmp_path: Path) -> None:
    metrics, events = Metrics(), tmp_path / "events.jsonl"
    metrics.items.labels("completed").inc(30)
    events.write_text(json.dumps({"event": "progress", "job_id": "j1", "idx": 0, "stage": "stored", "done": 1, "total": 2}) + "\n")

    async def scenario() -> CompletedProcess[str]:
        async with serve_health("127.0.0.1", 0, Health(), metrics) as port:
            arguments = ("top", f"HTTP://127.0.0.1:{port}", "--triton", triton, "--events", str(events), "--every", "0.1")
            return await asyncio.to_thread(respray, *arguments, cwd=tmp_path, environment={})

    done = asyncio.run(scenario())
    assert done.returncode == 0 and "\x1b" not in done.stdout, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["completed", "30"] in lines and ["j1", "1/2", "stored", "working"] in lines
    assert next(line for line in lines if line[:1] == ["sam3_image_encoder"])[2:] == ["4.0", "10.0", "10.0", "3"]
    away = respray("top", "http://127.0.0.1:1", cwd=tmp_path, environment={})
    assert (away.returncode, away.stdout) == (1, "") and "http://127.0.0.1:1/metrics" in away.stderr


def test_worker_that_does_not_answer_is_said_and_does_not_end_the_view(tmp_path: Path) -> None:
    async def scenario() -> None:
        app = Top("http://127.0.0.1:1", None, tmp_path / "none.jsonl", every=60)
        async with app.run_test() as pilot:
            await pilot.pause()
            problem = str(app.query_one("#problem", Static).render())
            assert "http://127.0.0.1:1/metrics" in problem and "none.jsonl: No such file" in problem

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (httpx.Response(404), "http://h/metrics: no metrics there (404); a worker's are on its HEALTH_PORT, Triton's"),
        (httpx.Response(200, text="nv_gpu_count 1\n"), "http://h/metrics: no metric there begins with respray_; a worker's are"),
        (httpx.Response(200, html="<p>\n"), "http://h/metrics: "),
    ],
)
def test_another_servers_port_is_told(answer: httpx.Response, problem: str) -> None:
    async def fetch() -> str:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: answer)) as client:
            source = MetricsSource("http://h", WORKER, client)
            assert await source.fetch() is None
            return source.problem

    assert asyncio.run(fetch()).startswith(problem)


def test_rates_are_differences_and_a_restarted_worker_is_not_negative() -> None:
    earlier = parse('respray_items_total{status="completed"} 100\nrespray_retries_total{what="storage"} 7\n', at=0)
    later = parse('respray_items_total{status="completed"} 130\nrespray_retries_total{what="storage"} 7\n', at=60)
    assert worker_view(earlier, later).completed == 30
    assert worker_view(later, parse('respray_items_total{status="completed"} 2\n', at=61)).completed == 0
    assert triton_view(earlier, later) == ()


def test_jobs_pass_over_what_is_no_event_and_forget_the_oldest() -> None:
    jobs = Jobs()
    for line in ("not json", "[]", '{"event": "worker", "status": "ready"}', '{"event": "progress", "job_id": 5}'):
        jobs.feed(line)
    assert not jobs.lines
    for number in range(250):
        jobs.feed(json.dumps({"event": "finish", "job_id": f"j{number}", "status": "completed"}))
    assert len(jobs.lines) == 200 and "j0" not in jobs.lines and "j249" in jobs.lines
