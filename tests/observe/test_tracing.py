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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

pytest.importorskip("opentelemetry.sdk", reason="the tracing extra is not installed")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from respray.observe.tracing import export_spans, job_prefix, span, trace_id
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from tests.faults.receiver import Receiver
from tests.orchestrator.support import PhotoRefused, TinyPipeline, palette_job, put_photos, tiny_worker
from tests.triton.repositories import cold_repository

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
def receiver() -> Iterator[Receiver]:
    """A callback receiver that answers 200."""
    server = Receiver()
    yield server
    server.down()


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

    def traced(job_id: str, server: EmbeddedServer) -> list[Any]:
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
        message = str(tmp_path / f"{job_id}.json")
        command = [sys.executable, "-m", "orchestrator.cli.app", "run", message, "--store", str(tmp_path / "store")]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        trace = trace_id(job_prefix("u", job_id), 0)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not _joined(collector.of(trace)):
            time.sleep(0.1)
        return collector.of(trace)

    repository = cold_repository(demo_graphs, tmp_path)
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


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """What the spans of this process go to; the SDK takes one provider a process."""
    memory = InMemorySpanExporter()
    export_spans(SimpleSpanProcessor(memory))
    return memory


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Callable[[], list[ReadableSpan]]:
    """Takes the spans that have ended since the last call."""

    def take() -> list[ReadableSpan]:
        ended = list(exporter.get_finished_spans())
        exporter.clear()
        return ended

    take()
    return take


def _work(folder: Path, pipeline: TinyPipeline, **options: Any) -> None:
    """A job of one photo without the server, in its second delivery."""
    put_photos(folder, "job_1", 1)

    async def work() -> None:
        async with tiny_worker(folder, pipeline, **options) as worker:
            callback_url = f"http://{options['allow']}/callback" if "allow" in options else None
            await worker.start(palette_job(count=1) | ({"callback_url": callback_url} if callback_url else {}), 2, final=True).finished()

    asyncio.run(work())


def test_spans_of_a_photo_hang_together(spans: Callable[[], list[ReadableSpan]], receiver: Receiver, tmp_path: Path) -> None:
    _work(tmp_path, TinyPipeline(), allow=receiver.host)
    ended = {span.name: span for span in spans()}
    assert set(ended) == {"item", "download", "pipeline", "upload", "callback"}
    assert {span.context.trace_id for span in ended.values() if span.context} == {trace_id(job_prefix("u_abc", "job_1"), 0)}
    for name in ("download", "pipeline", "upload"):
        assert ended[name].parent == ended["item"].context and ended[name].kind is SpanKind.CLIENT
    told = ended["callback"].attributes
    assert told is not None and told["respray.outcome"] == "delivered" and str(told["respray.event_id"]).startswith("msg_")
    assert (ended["item"].attributes or {}).items() >= {"respray.user_id": "u_abc", "respray.attempt": 2, "respray.idx": 0}.items()
    assert (ended["download"].attributes or {})["respray.key"] == "inputs/u_abc/job_1/0.jpg"
    assert (ended["pipeline"].attributes or {})["respray.bytes"] == (tmp_path / "inputs/u_abc/job_1/0.jpg").stat().st_size


def test_failed_item_is_an_error_in_its_trace(spans: Callable[[], list[ReadableSpan]], tmp_path: Path) -> None:
    _work(tmp_path, TinyPipeline(fail=lambda number, photo: PhotoRefused("the photo is no photo")))
    ended = {span.name: span for span in spans()}
    status = ended["item"].status
    assert status.status_code is StatusCode.ERROR and status.description == "the photo is no photo"
    assert ended["pipeline"].status.status_code is StatusCode.ERROR


def test_callback_that_stays_owed_is_an_error_in_its_trace(spans: Callable[[], list[ReadableSpan]], tmp_path: Path) -> None:
    _work(tmp_path, TinyPipeline(), allow="127.0.0.1:1", secret=None)
    (told,) = [span for span in spans() if span.name == "callback"]
    assert told.status.status_code is StatusCode.ERROR and told.status.description == "GPU_CALLBACK_SECRET is not set"


def test_nothing_is_recorded_or_sent_on_without_an_endpoint() -> None:
    """In a process of its own: OpenTelemetry's API without its SDK."""
    script = (
        "import sys\n"
        "from respray.observe.tracing import photo_context, request_headers, span\n"
        "with span('item', {}, context=photo_context('outputs/u/j/', 0)) as opened, span('pipeline', {}):\n"
        "    assert not opened.is_recording() and request_headers() == {}\n"
        "assert not any(name.startswith('opentelemetry.sdk') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_id_can_be_computed_from_a_log_line() -> None:
    command = [sys.executable, "-m", "respray.observe.tracing", "u", "traced", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f"{trace_id(job_prefix('u', 'traced'), 0):032x}"
    assert subprocess.run(command[:-1], cwd=ROOT, capture_output=True, check=False).returncode == 1


def test_no_password_of_an_address_stands_in_a_span(spans: Callable[[], list[ReadableSpan]]) -> None:
    with pytest.raises(OSError, match="pass-word"), span("download", {}):
        raise OSError("cannot reach http://proxyuser:pass-word@127.0.0.1:9/bucket")
    (failed,) = [one for one in spans() if one.name == "download"]
    assert failed.status.status_code is StatusCode.ERROR
    assert [event.name for event in failed.events] == ["exception"]
    assert "cannot reach" in failed.to_json() and "pass-word" not in failed.to_json()
