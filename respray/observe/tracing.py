"""OpenTelemetry traces: one trace is one photo, from the first download to the callback, across workers and attempts.

The trace's id follows from the job and the photo's index. So the callback that another worker delivers an hour later joins the trace of
the photo, and anybody with a log line can compute the id: `python -m respray.observe.tracing USER_ID JOB_ID IDX`.

The worker is wrapped from outside, as OpenTelemetry's own instrumentations do it: without this module nothing of it knows about traces,
and without OTEL_EXPORTER_OTLP_ENDPOINT nothing is wrapped. Triton continues the trace that comes with a request
(`--trace-config mode=opentelemetry`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import wrapt
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_LONGEST_ATTRIBUTE = 256


def job_prefix(user_id: str, job_id: str) -> str:
    """What the id of a trace is made of, with the index: where the job's results lie."""
    return f"outputs/{user_id}/{job_id}/"


def trace_id(prefix: str, idx: int) -> int:
    """128 bits: the same for all work on one photo of a job, whoever does it."""
    return int.from_bytes(sha256(f"{prefix}#{idx}".encode()).digest()[:16], "big")


def parent(prefix: str, idx: int) -> Context:
    """A context in the photo's trace, for spans that have no parent in this process."""
    digest = sha256(f"{prefix}#{idx}".encode()).digest()
    root = SpanContext(
        trace_id(prefix, idx), int.from_bytes(digest[16:24], "big"), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return trace.set_span_in_context(NonRecordingSpan(root))


class Tracing:
    """Switched on by making one, off by `stop`. `processor` takes finished spans (None: sends them to OTEL_EXPORTER_OTLP_ENDPOINT)."""

    def __init__(self, processor: SpanProcessor | None = None, service: str = "respray-worker") -> None:
        if processor is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            processor = BatchSpanProcessor(OTLPSpanExporter())
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("respray")
        self._undo: list[Callable[[], None]] = []
        self._wrap("orchestrator.worker.item_runner", "ItemFlow", "run", self._item)
        self._wrap("orchestrator.worker.item_runner", "ItemFlow", "_fetch", self._stage("download", lambda args: {"respray.key": args[0]}))
        self._wrap("orchestrator.worker.item_runner", "ItemFlow", "_upload", self._stage("upload", lambda args: {"respray.key": args[1]}))
        pipeline = self._stage("pipeline", lambda args: {"respray.bytes": len(args[0])})
        self._wrap("orchestrator.worker.backend", "PipelineGate", "infer", pipeline)
        self._wrap("orchestrator.callbacks.deliverer", "Deliverer", "deliver", self._callback)
        self._wrap("tritonclient.grpc.aio", "InferenceServerClient", "infer", self._request)

    def stop(self) -> None:
        """Send what is left, and unwrap everything."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()
        self._provider.shutdown()

    def _wrap(self, module: str, kind: str, method: str, wrapper: Callable[..., Any]) -> None:
        owner = getattr(__import__(module, fromlist=[kind]), kind)
        original = owner.__dict__[method]
        wrapt.wrap_function_wrapper(owner, method, wrapper)
        self._undo.append(lambda: setattr(owner, method, original))

    @contextmanager
    def _span(
        self, name: str, attributes: dict[str, Any], kind: SpanKind = SpanKind.INTERNAL, context: Context | None = None
    ) -> Iterator[trace.Span]:
        short = {key: value[:_LONGEST_ATTRIBUTE] if isinstance(value, str) else value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(name, context=context, kind=kind, attributes=short) as span:
            yield span

    async def _item(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The root of a photo's work in one attempt."""
        state, item = args[:2]
        attributes = {"respray.job_id": state.job.job_id, "respray.user_id": state.job.user_id, "respray.idx": item.idx}
        attributes |= {"respray.attempt": state.attempt, "respray.concepts": len(item.request.concepts)}
        with self._span("item", attributes, SpanKind.CONSUMER, parent(state.job.prefix, item.idx)) as span:
            tracked = await wrapped(*args, **kwargs)
            if tracked.record.status != "completed":
                span.set_status(Status(StatusCode.ERROR, (tracked.record.error or "")[:_LONGEST_ATTRIBUTE]))
            return tracked

    def _stage(self, name: str, describe: Callable[[tuple[Any, ...]], dict[str, Any]]) -> Callable[..., Any]:
        async def traced(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            with self._span(name, describe(args), SpanKind.CLIENT):
                return await wrapped(*args, **kwargs)

        return traced

    async def _callback(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """In the photo's trace, also when it is delivered long after and by another worker."""
        prefix, tracked = args[:2]
        callback = tracked.record.callback
        if callback is None or callback.state != "owed":
            return await wrapped(*args, **kwargs)
        attributes = {"respray.idx": tracked.record.idx, "respray.event_id": callback.event_id}
        with self._span("callback", attributes, SpanKind.PRODUCER, parent(prefix, tracked.record.idx)) as span:
            done = await wrapped(*args, **kwargs)
            outcome = done.record.callback.state if done.record.callback else ""
            span.set_attribute("respray.outcome", outcome)
            if outcome == "owed":
                span.set_status(Status(StatusCode.ERROR, (done.record.callback.error or "")[:_LONGEST_ATTRIBUTE]))
            return done

    async def _request(self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Hand the trace to Triton, as gRPC metadata."""
        headers = dict(kwargs.pop("headers", None) or {})
        propagate.inject(headers)
        return await wrapped(*args, headers=headers, **kwargs)


if __name__ == "__main__":
    if len(sys.argv) != 4 or not sys.argv[3].isdigit():
        sys.exit("usage: python -m respray.observe.tracing USER_ID JOB_ID IDX")
    print(f"{trace_id(job_prefix(sys.argv[1], sys.argv[2]), int(sys.argv[3])):032x}")
