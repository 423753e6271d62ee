"""Turn pydantic's errors into sentences that name the field, what was given and what is accepted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.jobs import limits
from orchestrator.jobs.hidden import hide_in_text

# In the words of JSON, which senders write, not of Python.
_JSON_WORDS = {
    "model_type": "input should be an object",
    "dict_type": "input should be an object",
    "list_type": "input should be a valid array",
    "tuple_type": "input should be a valid array",
}


def validation_messages(error: ValidationError, model: type[BaseModel] | None = None) -> list[str]:
    """One sentence per problem, of very many the first ones.

    Args:
        error: What pydantic found.
        model: The model that was validated; unknown fields are then answered with the ones that are accepted there.
    """
    return sentences_of(error.errors(include_url=False, include_context=True), model)


def sentences_of(details: Sequence[Any], model: type[BaseModel] | None = None) -> list[str]:
    """The same for pydantic's errors that somebody else has collected."""
    sentences = []
    for detail in details[: limits.MAX_PROBLEMS]:
        place = _path(detail["loc"])
        if detail["type"] == "extra_forbidden":
            sentences.append(f"{place}: unknown field{_accepted(model, detail['loc'][:-1])}")
        elif detail["type"] == "missing":
            sentences.append(f"{place}: is missing")
        else:
            said = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
            message = _JSON_WORDS.get(detail["type"]) or _size(detail) or (said if said[:2].isupper() else said[0].lower() + said[1:])
            given = f" (given: {shown(detail.get('input'))})" if detail["type"] != "value_error" else ""
            fields = _accepted(model, detail["loc"]) if detail["type"] == "model_type" else ""
            sentences.append(f"{place}: {message}{given}{fields}")
    if len(details) > limits.MAX_PROBLEMS:
        sentences.append(f"and {len(details) - limits.MAX_PROBLEMS} more problems")
    return sentences


def _size(detail: ErrorDetails) -> str:
    """What is wrong with the number of entries of a list or an object; nothing for other problems."""
    given, bounds = detail["input"], detail.get("ctx", {})
    if detail["type"] not in ("too_short", "too_long") or not isinstance(given, dict | list | tuple):
        return ""
    bound, limit = ("least", bounds["min_length"]) if detail["type"] == "too_short" else ("most", bounds["max_length"])
    return f"must have at {bound} {limit} {'entry' if limit == 1 else 'entries'}, and has {len(given)}"


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return (text if len(text) <= 200 else text[:197] + "...") or "message"


def _accepted(model: Any, location: tuple[int | str, ...]) -> str:
    """Which fields (as messages spell them) the model at a location has, for a sentence's end; empty where it cannot be told."""
    for part in location:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return ""
        if isinstance(part, int):
            continue
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        if field is None:
            continue  # the key of a mapping
        model = _inner(field.annotation)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return ""
    return f"; accepted here: {', '.join(f.alias or name for name, f in model.model_fields.items())}"


def _inner(annotation: Any) -> Any:
    """The model inside `list[Model]`, `dict[str, Model]` or `Model | None`."""
    candidates = [annotation]
    while candidates:
        candidate = candidates.pop()
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        candidates.extend(getattr(candidate, "__args__", ()))
    return None


def shown(value: Any) -> str:
    """A value as an error message shows it: cut where it is long, in JSON's words for null, true and false, no link's signature in it."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else hide_in_text(repr(value)[: limits.MAX_LINK_CHARACTERS])
    return text if len(text) <= 80 else text[:77] + "..."
