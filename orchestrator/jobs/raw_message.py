"""A message as it came, decoded once: what the parser, dead letters and refusals all read.

    message = decode_message(body)

Decoding never fails: a message that is no JSON object says so in `problem`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from hashlib import sha256
from typing import Any, TypeAlias
from uuid import UUID

from orchestrator.errors import JobError, megabytes
from orchestrator.jobs import limits
from orchestrator.jobs.hidden import LONG_BASE64, hide, hide_in_text

_MARK = "\ufeff"
"""The byte-order mark that Windows' editors write."""
_LARGEST_EXACT = 2**53
"""Up to here every whole number is a double (RFC 8259, section 6)."""
_JSON_NAMES = {str: "a string", list: "an array", int: "a number", float: "a number", bool: "true or false", type(None): "null"}

Received: TypeAlias = str | bytes | Mapping[str, Any]
"""A job as an intake hands it over: text, or JSON that its client has read already."""


@dataclass(frozen=True)
class RawMessage:
    """One decoded message.

    Attributes:
        received: What the intake handed over. A client that reads JSON by itself may hand over anything that JSON has.
        fields: The JSON object, not validated; None where it is none.
        problem: Why there are no fields, in one sentence; empty where there are.
    """

    received: Received
    fields: dict[str, Any] | None
    problem: str = ""

    @property
    def claimed_id(self) -> str:
        """What the message calls its job, for the event that refuses it; it proves nothing."""
        fields = self.fields or {}
        named = (fields.get(name) for name in ("job_id", "jobId"))
        return next((value[: limits.MAX_ID_CHARACTERS] for value in named if isinstance(value, str)), "")

    @property
    def fingerprint(self) -> str:
        """The same for the same message, whatever it is."""
        received: object = self.received
        return sha256(received if isinstance(received, bytes) else str(received).encode("utf-8", "replace")).hexdigest()[:32]

    @property
    def presentable(self) -> Any:
        """The message as a dead letter keeps it: as it came, and of one that is too large or no JSON its beginning as text.

        Without what must not be kept: links' queries, which are credentials, and the pictures inside it.
        """
        received: object = self.received
        hidden = hide(self.fields) if self.fields is not None else None
        if isinstance(received, Mapping):
            return hidden if hidden is not None else hide_in_text(_as_text(received))[: limits.MAX_MESSAGE_TEXT_BYTES]
        if hidden is not None and hidden != self.fields:
            return json.dumps(hidden, ensure_ascii=False)
        text = received.decode("utf-8", "replace") if isinstance(received, bytes) else received
        return hide_in_text(text if isinstance(text, str) else repr(text))[: limits.MAX_MESSAGE_TEXT_BYTES]


def decode_message(received: Received | RawMessage) -> RawMessage:
    """Decode what an intake handed over; what is decoded already is returned as it is."""
    if isinstance(received, RawMessage):
        return received
    try:
        return RawMessage(received, _decode(received))
    except JobError as error:
        return RawMessage(received, None, str(error))


def _decode(received: Received) -> dict[str, Any]:
    """The JSON object with string keys: valid, not too large or deep, no field twice. Raises JobError."""
    if isinstance(received, str | bytes):
        data = received
    else:
        try:
            # So that size, depth and number rules are the same for every intake.
            data = json.dumps(received, allow_nan=False, default=_meant)
        except (TypeError, ValueError, RecursionError) as error:
            raise JobError(f"the message is not JSON: {error}") from None
    size = len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass"))
    if size > limits.MAX_MESSAGE_BYTES:
        raise JobError(f"the message has {megabytes(size)}; at most {megabytes(limits.MAX_MESSAGE_BYTES)} are accepted")
    if size > limits.MAX_MESSAGE_TEXT_BYTES:
        # Before it is read: a million small objects take a thousand times the memory of one long text.
        size -= sum(end - start for start, end in (m.span() for m in LONG_BASE64.finditer(_latin(data))))
        if size > limits.MAX_MESSAGE_TEXT_BYTES:
            most = megabytes(limits.MAX_MESSAGE_TEXT_BYTES)
            raise JobError(f"the message has {megabytes(size)} beside its base64 files; at most {most} are accepted")
    try:
        text = data.decode() if isinstance(data, bytes) else data  # json would also guess UTF-16 and UTF-32
        fields = _loads(text)
        if isinstance(fields, str) and _begins_an_object(fields):
            fields = _loads(fields)  # a producer that serialised twice
    except RecursionError:
        raise JobError("the message is nested too deeply") from None
    except UnicodeDecodeError as error:
        if isinstance(data, bytes) and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise JobError("the message is not UTF-8 but UTF-16 (in PowerShell, Set-Content -Encoding utf8)") from None
        raise JobError(f"the message is not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise JobError(f"the message is not JSON: {_why_not(text, error)}") from None
    if not isinstance(fields, dict):
        raise JobError(f"the message must be a JSON object, not {_JSON_NAMES[type(fields)]}")
    if _depth(fields) > limits.MAX_NESTING:
        raise JobError(f"the message is nested more than {limits.MAX_NESTING} levels deep")
    return fields


def _why_not(text: str, error: ValueError) -> str:
    """Where JSON ends; what never began as an object (YAML, a page of HTML, nothing) has no such place that helps."""
    begins = text.removeprefix(_MARK).strip()[:20]
    if not begins:
        return "it is empty"
    if "integer string conversion" in str(error):  # Python's advice is for programmers
        return f"a number in it has more than {sys.get_int_max_str_digits()} digits"
    return str(error) if begins[0] in '{["' else f"a job is an object in braces, and this begins with {begins!r}"


def _meant(value: object) -> str | float:
    """What Celery's JSON has beside JSON's own types, and gives back as Python's: ids, prices and times of its senders' databases."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes) and value.isascii():  # as `base64.b64encode` returns it
        return value.decode()
    if isinstance(value, UUID | date | time):
        return str(value) if isinstance(value, UUID) else value.isoformat()
    raise TypeError(f"{type(value).__name__} is none of its types; files travel as base64 text, and all else as numbers and text")


def _loads(text: str) -> Any:
    return json.loads(
        text.removeprefix(_MARK), object_pairs_hook=_no_duplicates, parse_constant=_no_constants, parse_float=_whole_or_fraction
    )


def _whole_or_fraction(text: str) -> int | float:
    """JSON has one kind of number, and languages without whole numbers of their own write 2.0 for 2."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) <= _LARGEST_EXACT else value


def _begins_an_object(text: str) -> bool:
    return text.removeprefix(_MARK).lstrip().startswith("{")


def _latin(data: str | bytes) -> str:
    """As many characters as bytes."""
    return (data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")).decode("latin-1")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"field {name[:80]!r} stands twice in one object")
        result[name] = value
    return result


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _depth(value: dict[str, Any]) -> int:
    """How many objects and arrays lie inside each other."""
    levels, level = 0, list[Any]([value])
    while level:
        levels += 1
        level = [
            inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer) if isinstance(inner, dict | list)
        ]
    return levels


def _as_text(received: object) -> str:
    try:
        return json.dumps(received, default=repr)
    except (TypeError, ValueError, RecursionError):
        return "a message that cannot be shown"
