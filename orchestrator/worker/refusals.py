"""Telling the sender of a message that is no job: possible where the message still says, validly, whose job it is and whom to call.

Callbacks are per item, so this is one: that of the message's first item, failed, with the job's refusal as its error.
Items beyond it are not told one by one: their list is part of what was refused.
"""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from orchestrator.callbacks.client import CallbackEvent, attempt_of, event_id
from orchestrator.jobs import keys, limits
from orchestrator.jobs.fields import CallbackUrl, Index
from orchestrator.jobs.raw_message import RawMessage

MAX_REASON_CHARACTERS = 2000
"""How much of the reason travels in a callback; the dead letter has all of it."""
_URL = TypeAdapter[Any](CallbackUrl)
_INDEX = TypeAdapter[Any](Index)


def refusal(message: RawMessage, reason: str, workers_api_url: str | None) -> CallbackEvent | None:
    """The event for a refused message, or None where nobody can be told. Whether its address may be called is the client's to decide."""
    fields = message.fields
    if fields is None:
        return None
    named = [name for name in ("job_id", "jobId") if name in fields]
    if len(named) != 1 or not isinstance(job_id := fields[named[0]], str) or keys.id_problem(job_id) is not None:
        return None
    if named == ["job_id"]:
        url = _url(fields.get("callback_url"))
    else:
        url = f"{workers_api_url}/jobs/{job_id}/callback" if workers_api_url else None
    if url is None:
        return None
    given = fields.get("idempotency_prefix")
    prefix = given if isinstance(given, str) and 1 <= len(given) <= limits.MAX_ID_CHARACTERS and named == ["job_id"] else job_id
    idx = _first_index(fields.get("items"))
    error = f"the job was refused, nothing of it is done: {reason}"[:MAX_REASON_CHARACTERS]
    body = {"idx": idx, "status": "failed", "output_key": None, "preview_key": None, "error": error}
    identity = event_id(prefix, idx, "failed", message.fingerprint)
    # Not the key of the first item's own event, which may come in the same minute.
    return CallbackEvent(url, identity, prefix, idx, body, attempt_of(identity))


def _url(value: Any) -> str | None:
    try:
        return str(_URL.validate_python(value)) if isinstance(value, str) else None
    except ValidationError:
        return None


def _first_index(items: Any) -> int:
    first = items[0] if isinstance(items, list) and items else None
    try:
        return int(_INDEX.validate_python(first.get("idx"), strict=True)) if isinstance(first, dict) else 0
    except ValidationError:
        return 0
