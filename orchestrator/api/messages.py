"""Job messages over HTTP: what the sender may leave out is put in, and the whole is written in one way, so that the same is the same."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from orchestrator.api.keys import Caller
from orchestrator.api.problems import ApiProblem, FieldProblem
from orchestrator.errors import JobError
from orchestrator.jobs.parser import RULE_FIELDS
from orchestrator.jobs.raw_message import RawMessage, Received, decode_message


def read_message(received: Received) -> dict[str, Any]:
    """The fields of a message. Raises JobError."""
    raw = decode_message(received)
    if raw.fields is None:
        raise JobError(raw.problem)
    return raw.fields


def is_rule_message(fields: dict[str, Any]) -> bool:
    """Whether a message that may lack its ids is of the format with rules."""
    return bool(RULE_FIELDS & set(fields))


def with_ids(fields: dict[str, Any], caller: Caller, job_id: str | None = None) -> dict[str, Any]:
    """The message with its user and its job.

    Args:
        fields: The message; ids that it has stay.
        caller: Whose it is.
        job_id: The id where it has none; None: one that follows from its content.

    Raises:
        ApiProblem: It is another user's.
    """
    user_field, job_field = ("userId", "jobId") if is_rule_message(fields) else ("user_id", "job_id")
    user = fields.get(user_field, caller.user_id)
    if isinstance(user, str) and user != caller.user_id:
        message = f"is {user[:80]!r}; accepted is {caller.user_id!r}, the key's own, or none"
        raise ApiProblem(403, f"{user_field}: {message}", "key", [FieldProblem(field=user_field, message=message)])
    whole = {user_field: user, **{name: value for name, value in fields.items() if name != user_field}}
    if job_field not in whole:
        whole = {job_field: job_id or f"job-{sha256(text_of(whole).encode('utf-8', 'backslashreplace')).hexdigest()[:24]}", **whole}
    return whole


def text_of(fields: dict[str, Any]) -> str:
    """The message as text. The order of its fields is the sender's: concepts are edited in it. Raises JobError where there is none."""
    try:
        return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise JobError("the message holds a number beyond 1.8e308, the largest that is read everywhere") from None


def as_raw(fields: dict[str, Any]) -> RawMessage:
    """The message as the parser and the worker take it."""
    return decode_message(text_of(fields))
