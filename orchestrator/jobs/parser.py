"""The one parser of job messages: both formats in, one frozen `Job` out. The formats never leak past this module.

    job = parse_job(message, catalog)

Everything that can be known before a download is checked here: fields, ids, keys, presets, palette colours, textures, rules, formats.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError

from orchestrator.errors import JobError
from orchestrator.jobs import limits
from orchestrator.jobs.catalog import Catalog
from orchestrator.jobs.job_builder import build_palette_job, build_rule_job
from orchestrator.jobs.job_types import Item, Job, Target
from orchestrator.jobs.messages import PaletteMessage, RuleMessage
from orchestrator.jobs.validation_messages import explain

__all__ = ["Item", "Job", "Message", "Target", "claimed_id", "load_message", "parse_job"]

Message: TypeAlias = str | bytes | Mapping[str, Any]
"""A job as an intake hands it over: text, or JSON that its client has read already."""

PALETTE_FIELDS = frozenset({"job_id", "user_id", "callback_url", "idempotency_prefix", "batch_concurrency"})
RULE_FIELDS = frozenset({"jobId", "userId", "rules", "imageCount"})

M = TypeVar("M", PaletteMessage, RuleMessage)


def parse_job(message: Message, catalog: Catalog, workers_api_url: str | None = None) -> Job:
    """Parse either format. `workers_api_url` is where callbacks of rule jobs go (None: they have none).

    Raises JobError with one sentence per problem.
    """
    fields = load_message(message)
    if _is_rule_message(fields):
        return build_rule_job(_validate(RuleMessage, fields), catalog, workers_api_url)
    return build_palette_job(_validate(PaletteMessage, fields), catalog)


def load_message(message: Message) -> dict[str, Any]:
    """A message as a dict with string keys: valid JSON, an object, not too large or deep, no field twice. Raises JobError."""
    if not isinstance(message, str | bytes):  # an intake's client has read it already, and it may be anything that JSON has
        try:
            message = json.dumps(message, allow_nan=False)  # so that size, depth and number rules are the same for every intake
        except (TypeError, ValueError, RecursionError) as error:
            raise JobError(f"the message is not JSON: {error}") from None
    size = len(message) if isinstance(message, bytes) else len(message.encode("utf-8", "surrogatepass"))
    if size > limits.MESSAGE_BYTES:
        raise JobError(f"the message has {size} bytes; at most {limits.MESSAGE_BYTES} are accepted")
    try:
        text = message.decode("utf-8-sig") if isinstance(message, bytes) else message  # json would also guess UTF-16 and UTF-32
        fields = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except RecursionError:
        raise JobError("the message is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise JobError(f"the message is not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise JobError(f"the message is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise JobError(f"the message must be a JSON object, not {type(fields).__name__}")
    if depth(fields) > limits.NESTING:
        raise JobError(f"the message is nested more than {limits.NESTING} levels deep")
    return fields


def claimed_id(message: Message) -> str:
    """What a refused message calls itself, for the event that says so; it proves nothing."""
    try:
        fields = load_message(message)
    except JobError:
        return ""
    return next((str(fields[n])[: limits.ID_CHARACTERS] for n in ("job_id", "jobId") if isinstance(fields.get(n), str)), "")


def _is_rule_message(fields: dict[str, Any]) -> bool:
    palette, rule = sorted(PALETTE_FIELDS & set(fields)), sorted(RULE_FIELDS & set(fields))
    if palette and rule:
        raise JobError(f"the message mixes both formats: {', '.join(palette)} of a palette job with {', '.join(rule)} of a rule job")
    if not palette and not rule:
        raise JobError(
            "the message is no job: a palette job has job_id, user_id, concepts and items; "
            "a rule job has userId, jobId, concepts, rules and imageCount"
        )
    return bool(rule)


def _validate(model: type[M], fields: dict[str, Any]) -> M:
    try:
        # JSON mode: lists for tuples and the like are as JSON has them, everything else stays strict.
        return model.model_validate_json(json.dumps(fields, ensure_ascii=True))
    except ValidationError as error:
        raise JobError(explain(error, model)) from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"field {name[:80]!r} stands twice in one object")
        result[name] = value
    return result


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def depth(value: Any) -> int:
    """How many objects and arrays lie inside each other."""
    levels, level = 0, [value]
    while level:
        levels += 1
        level = [
            inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer) if isinstance(inner, dict | list)
        ]
    return levels
