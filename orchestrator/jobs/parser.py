"""The one parser of job messages: both formats in, one frozen `Job` out. The formats never leak past this module.

    job = parse_job(message, catalog)

Everything that can be known before a download is checked here: fields, ids, keys, presets, palette colours, textures, rules, formats.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from orchestrator.errors import JobError
from orchestrator.jobs.job_types import Job
from orchestrator.jobs.messages import PaletteMessage, RuleMessage
from orchestrator.jobs.name_catalog import Catalog
from orchestrator.jobs.palette_job import build_palette_job
from orchestrator.jobs.raw_message import RawMessage, Received, decode_message
from orchestrator.jobs.rule_job import build_rule_job
from orchestrator.jobs.validation_messages import shown, validation_messages

PALETTE_FIELDS = frozenset({"job_id", "user_id", "callback_url", "idempotency_prefix", "batch_concurrency", "looks"})
RULE_FIELDS = frozenset({"jobId", "userId", "rules", "imageCount"})

M = TypeVar("M", PaletteMessage, RuleMessage)


def parse_job(message: Received | RawMessage, catalog: Catalog, workers_api_url: str | None = None) -> Job:
    """Parse either format: decode, validate, build.

    Args:
        message: A message, decoded or not.
        catalog: What it may name.
        workers_api_url: Where callbacks of rule jobs go; None: they have none.

    Raises:
        JobError: With one sentence per problem.
    """
    raw = decode_message(message)
    if raw.fields is None:
        raise JobError(raw.problem)
    if _is_rule_message(raw.fields):
        return build_rule_job(_validate(RuleMessage, raw.fields), catalog, workers_api_url)
    return build_palette_job(_validate(PaletteMessage, raw.fields), catalog)


def _is_rule_message(fields: dict[str, Any]) -> bool:
    palette, rule = sorted(PALETTE_FIELDS & set(fields)), sorted(RULE_FIELDS & set(fields))
    if palette and rule:
        raise JobError(f"the message mixes both formats: {', '.join(palette)} of a palette job with {', '.join(rule)} of a rule job")
    if not palette and not rule:
        kinds = PALETTE_FIELDS | RULE_FIELDS
        around = next((name for name, value in fields.items() if isinstance(value, dict) and kinds & set(value)), None)
        raise JobError(
            "the message is no job: a palette job has job_id, user_id, concepts (or looks) and items; "
            "a rule job has userId, jobId, concepts, rules and imageCount"
            + ("" if around is None else f"; what {shown(around)} holds is to be sent alone")
        )
    return bool(rule)


def _validate(model: type[M], fields: dict[str, Any]) -> M:
    if _has_lone_surrogate(fields):  # JSON can spell it and UTF-8 cannot
        raise JobError("message: invalid JSON: a string holds half a surrogate pair")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise JobError(validation_messages(error, model)) from None


def _has_lone_surrogate(value: object) -> bool:
    waiting = [value]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, dict):
            waiting.extend(entry)
            waiting.extend(entry.values())
        elif isinstance(entry, list):
            waiting.extend(entry)
        elif isinstance(entry, str) and not entry.isascii() and any("\ud800" <= character <= "\udfff" for character in entry):
            return True
    return False
