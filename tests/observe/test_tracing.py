"""One trace per photo: real item flow, real callbacks, a collector that speaks OTLP, and Triton's own spans in the same trace."""

from __future__ import annotations

import asyncio
import base64
import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

pytest.importorskip("wrapt", reason="the tracing extra is not installed")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from respray.observe.tracing import job_prefix, trace_id
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target

ROOT = Path(__file__).resolve().parents[2]


class Collector(http.server.ThreadingHTTPServer):
    """Takes OTLP over HTTP, and callbacks at /callback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.callbacks = 0

    def of(self, trace: int) -> list[Any]:
        """Spans of one trace."""
        return [span for span in list(self.spans) if int.from_bytes(span.trace_id, "big") == trace]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Collector

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = b""
        if self.path == "/callback":
            self.server.callbacks += 1
        else:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if "json" in self.headers.get("Content-Type", ""):
                # Triton's exporter. JSON has ids in hex, where protobuf's own JSON mapping would expect base64.
                document = json.loads(body, object_hook=_binary_ids)
                request = json_format.ParseDict(document, ExportTraceServiceRequest(), ignore_unknown_fields=True)
            else:
                request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.server.spans.extend(scope.spans)
            answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def _binary_ids(entry: dict[str, Any]) -> dict[str, Any]:
    for name in ("traceId", "spanId", "parentSpanId"):
        if name in entry:
            entry[name] = base64.b64encode(bytes.fromhex(entry[name])).decode()
    return entry


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class TracingServer(EmbeddedServer):
    """The embedded server with Triton's own tracing on, as the Triton image is started in production."""

    collector = ""

    def _server_command(self, files: Any) -> list[str]:
        settings = ["mode=opentelemetry", f"opentelemetry,url={self.collector}/v1/traces", "rate=1", "level=TIMESTAMPS"]
        # Send spans at once: the batch processor waits five seconds otherwise.
        settings.append("opentelemetry,bsp_schedule_delay=200")
        return [*super()._server_command(files), *(f"--trace-config={setting}" for setting in settings)]


def _joined(spans: list[Any]) -> bool:
    """Whether Triton's span of the request hangs below the worker's, and the model's own below that."""
    requests = {span.span_id for span in spans if span.name == "pipeline"}
    triton = {span.span_id for span in spans if span.parent_span_id in requests}
    return any(span.parent_span_id in triton and "pipeline_bls" in {a.value.string_value for a in span.attributes} for span in spans)


@pytest.mark.server
def test_one_photo_is_one_trace_from_download_through_triton_to_callback(collector: Collector, demo_graphs: Path, tmp_path: Path) -> None:
    from PIL import Image

    address = f"http://127.0.0.1:{collector.server_port}"

    def traced(job_id: str, server: TracingServer) -> list[Any]:
        """The spans of one photo's trace, after one job on the server."""
        photo = tmp_path / "store" / "inputs" / "u" / job_id / "0.jpg"
        photo.parent.mkdir(parents=True)
        Image.new("RGB", (96, 64), (150, 140, 130)).save(photo)
        job = {
            "job_id": job_id,
            "user_id": "u",
            "concepts": {"wall": {"action": "recolor", "value": "#7C9082"}},
            "items": [{"idx": 0, "input_key": f"inputs/u/{job_id}/0.jpg", "output_key": f"outputs/u/{job_id}/0.png"}],
            "callback_url": f"{address}/callback",
        }
        (tmp_path / f"{job_id}.json").write_text(json.dumps(job))
        environment = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "TRITON_URL": server.grpc_url,
            "GPU_CALLBACK_SECRET": "s",
            "CALLBACK_ALLOW_HOSTS": f"127.0.0.1:{collector.server_port}",
            "PYTHONPATH": str(ROOT),
        }
        job = str(tmp_path / f"{job_id}.json")
        command = [sys.executable, "-m", "orchestrator.cli.app", "run", job, "--store", str(tmp_path / "store")]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        trace = trace_id(job_prefix("u", job_id), 0)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not _joined(collector.of(trace)):
            time.sleep(0.1)
        return collector.of(trace)

    repository = build(demo_graphs, target("embedded", pipeline_instances=1, applier_instances=1, warm_up=False), tmp_path / "repository")
    TracingServer.collector = address
    with TracingServer(repository, ServerOptions(log_file=tmp_path / "triton.log")) as server:
        # An exporter gives a batch up that it cannot hand over in time, on a machine that stands still, say: then another job.
        for attempt in range(1, 4):
            job_id = f"traced{attempt}"
            spans = traced(job_id, server)
            if _joined(spans):
                break
    names = [span.name for span in spans]
    assert {"item", "download", "pipeline", "upload", "callback"} <= set(names), names
    assert collector.callbacks == attempt
    # Triton's span of the request hangs below ours.
    assert _joined(spans), names
    item = next(span for span in spans if span.name == "item")
    assert {a.key: a.value.string_value for a in item.attributes if a.value.HasField("string_value")}["respray.job_id"] == job_id


def test_nothing_is_wrapped_without_an_endpoint_and_everything_is_unwrapped_at_the_end() -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from orchestrator.worker.backend import PipelineGate
    from orchestrator.worker.item_runner import ItemFlow
    from respray.observe.tracing import Tracing

    before = (ItemFlow.__dict__["run"], PipelineGate.__dict__["infer"])
    tracing = Tracing(SimpleSpanProcessor(InMemorySpanExporter()))
    assert ItemFlow.__dict__["run"] is not before[0]
    tracing.stop()
    assert (ItemFlow.__dict__["run"], PipelineGate.__dict__["infer"]) == before


def test_failed_item_is_an_error_in_its_trace() -> None:
    from types import SimpleNamespace as Names

    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.trace import StatusCode

    from respray.observe.tracing import Tracing

    memory = InMemorySpanExporter()
    tracing = Tracing(SimpleSpanProcessor(memory))
    try:
        state = Names(job=Names(job_id="j", user_id="u", prefix=job_prefix("u", "j")), attempt=2)
        item = Names(idx=7, request=Names(concepts=[1, 2]))

        async def run(*_: Any) -> Any:
            return Names(record=Names(status="failed", error="the photo is no photo"))

        asyncio.run(tracing._item(run, None, (state, item), {}))
    finally:
        tracing.stop()
    (span,) = memory.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR and span.status.description == "the photo is no photo"
    assert span.context is not None and span.context.trace_id == trace_id(job_prefix("u", "j"), 7)
    assert span.attributes is not None and span.attributes["respray.attempt"] == 2


def test_id_can_be_computed_from_a_log_line() -> None:
    command = [sys.executable, "-m", "respray.observe.tracing", "u", "traced", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f"{trace_id(job_prefix('u', 'traced'), 0):032x}"
    assert subprocess.run(command[:-1], cwd=ROOT, capture_output=True, check=False).returncode == 1
