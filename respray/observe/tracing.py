"""OpenTelemetry traces: one trace is one photo, from the first download to the callback, across workers and attempts.

The trace's id follows from the job and the photo's index. So the callback that another worker delivers an hour later joins the trace of
the photo, and anybody with a log line can compute the id: `python -m respray.observe.tracing USER_ID JOB_ID IDX`.

The code opens its spans with `span`, through OpenTelemetry's API alone, which does nothing until `export_spans` has given it an SDK.
Triton continues the trace that comes with a request (`--trace-config mode=opentelemetry`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from respray.observe.redaction import Redactor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

MAX_ATTRIBUTE_CHARACTERS = 256
"""Characters of a text that a span keeps: keys and errors may be long."""
_tracer = trace.get_tracer("respray")
_redactor = Redactor()


def keep_out_of_spans(secrets: Iterable[str]) -> None:
    """Mask these secrets in all spans from now on; what stands in a secret's place is masked anyway."""
    _redactor.learn(secrets)


def job_prefix(user_id: str, job_id: str) -> str:
    """What the id of a trace is made of, with the index: where the job's results lie."""
    return f"outputs/{user_id}/{job_id}/"


def trace_id(prefix: str, idx: int) -> int:
    """128 bits: the same for all work on one photo of a job, whoever does it."""
    return int.from_bytes(sha256(f"{prefix}#{idx}".encode()).digest()[:16], "big")


def photo_context(prefix: str, idx: int) -> Context:
    """A context in the photo's trace, for spans that have no parent in this process.

    Args:
        prefix: The job's outputs prefix, see `job_prefix`.
        idx: The photo's index in its job.
    """
    digest = sha256(f"{prefix}#{idx}".encode()).digest()
    root = SpanContext(
        trace_id(prefix, idx), int.from_bytes(digest[16:24], "big"), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
    return trace.set_span_in_context(NonRecordingSpan(root))


@contextmanager
def span(
    name: str, attributes: Mapping[str, str | int], kind: SpanKind = SpanKind.CLIENT, context: Context | None = None
) -> Iterator[Span]:
    """A span around a block. An exception that leaves the block is recorded in it, without what stands in a secret's place.

    Args:
        name: The span's name.
        attributes: What it says; names begin with `respray.`, long texts are cut.
        kind: CLIENT for a request to somebody else.
        context: Where its parent is; None: the span that is open here.
    """
    known = {key: _redactor.value(value) for key, value in attributes.items()}
    short = {key: value[:MAX_ATTRIBUTE_CHARACTERS] if isinstance(value, str) else value for key, value in known.items()}
    with _tracer.start_as_current_span(
        name, context=context, kind=kind, attributes=short, record_exception=False, set_status_on_exception=False
    ) as opened:
        try:
            yield opened
        except Exception as error:
            # Not the SDK's own record: an exception's text may hold an address with a password in it.
            said = _redactor.text(str(error))[:MAX_ATTRIBUTE_CHARACTERS]
            opened.add_event("exception", {"exception.type": type(error).__qualname__, "exception.message": said})
            mark_failed(opened, said)
            raise


def mark_failed(opened: Span, reason: str | None) -> None:
    """Say that what a span stands for ended badly, though no exception left it."""
    opened.set_status(Status(StatusCode.ERROR, _redactor.text(reason or "")[:MAX_ATTRIBUTE_CHARACTERS]))


def request_headers() -> dict[str, str]:
    """Headers that hand the open span on to a server; none where nothing is traced."""
    headers: dict[str, str] = {}
    if trace.get_current_span().is_recording():
        propagate.inject(headers)
    return headers


def export_spans(processor: SpanProcessor | None = None, service: str = "respray-worker") -> TracerProvider:
    """Let the process record its spans, once and until it ends. Needs the `tracing` extra.

    Args:
        processor: Takes finished spans; None: sends them to OTEL_EXPORTER_OTLP_ENDPOINT.
        service: The name that the spans carry.

    Returns:
        The SDK's provider, which sends what is left when the process ends.
    """
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if processor is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        processor = BatchSpanProcessor(OTLPSpanExporter())
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    return provider


if __name__ == "__main__":
    if len(sys.argv) != 4 or not sys.argv[3].isdigit():
        sys.exit("usage: python -m respray.observe.tracing USER_ID JOB_ID IDX")
    print(f"{trace_id(job_prefix(sys.argv[1], sys.argv[2]), int(sys.argv[3])):032x}")
