"""Turn pydantic's errors into sentences that name the field, what was given and what is accepted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

MAX_PROBLEMS = 20
"""Problems that are told of one text: one with a thousand wrong entries does not need a thousand sentences."""
# In the words of JSON, which senders write, not of Python.
_JSON_WORDS = {
    "model_type": "input should be an object",
    "dict_type": "input should be an object",
    "list_type": "input should be a valid array",
    "tuple_type": "input should be a valid array",
}


def shown(value: Any, hide: Callable[[str], str] = str) -> str:
    """A value as an error message shows it: cut where it is long, in JSON's words for null, true and false; `hide` leaves out of it."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else hide(repr(value))
    return text if len(text) <= 80 else text[:77] + "..."


def sentences_of(
    details: Sequence[Any], model: type[BaseModel] | None = None, *, whole: str = "message", show: Callable[[Any], str] = shown
) -> list[str]:
    """One sentence per problem, of very many the first ones.

    Args:
        details: What pydantic found: a ValidationError's `errors()`.
        model: The model that was validated; unknown fields are then answered with the ones that are accepted there.
        whole: What all of it is called, for a problem that no field has.
        show: How a value is shown.
    """
    sentences = []
    details = [detail for detail in details if not _only_follows(detail)]
    for detail in details[:MAX_PROBLEMS]:
        place = _path(detail["loc"], whole)
        if detail["type"] == "extra_forbidden":
            sentences.append(f"{place}: unknown field{_accepted(model, detail['loc'][:-1])}")
        elif detail["type"] == "missing":
            sentences.append(f"{place}: is missing")
        else:
            said = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
            message = _JSON_WORDS.get(detail["type"]) or _size(detail) or (said if said[:2].isupper() else said[0].lower() + said[1:])
            given = f" (given: {show(detail.get('input'))})" if detail["type"] != "value_error" else ""
            fields = _accepted(model, detail["loc"]) if detail["type"] == "model_type" else ""
            sentences.append(f"{place}: {message}{given}{fields}")
    if len(details) > MAX_PROBLEMS:
        sentences.append(f"and {len(details) - MAX_PROBLEMS} more problems")
    return sentences


def _only_follows(detail: ErrorDetails) -> bool:
    """Whether a tuple is called too short that is not: pydantic counts the entries that are right, and tells of the others anyway."""
    return detail["type"] == "too_short" and len(detail["input"]) >= detail.get("ctx", {}).get("min_length", math.inf)


def _size(detail: ErrorDetails) -> str:
    """What is wrong with the number of entries of a list or an object; nothing for other problems."""
    given, bounds = detail["input"], detail.get("ctx", {})
    if detail["type"] not in ("too_short", "too_long") or not isinstance(given, dict | list | tuple):
        return ""
    bound, limit = ("least", bounds["min_length"]) if detail["type"] == "too_short" else ("most", bounds["max_length"])
    return f"must have at {bound} {limit} {'entry' if limit == 1 else 'entries'}, and has {len(given)}"


def _path(location: tuple[int | str, ...], whole: str) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return (text if len(text) <= 200 else text[:197] + "...") or whole


def _accepted(model: type[BaseModel] | None, location: tuple[int | str, ...]) -> str:
    """Which fields (as texts spell them) the model at a location has, for a sentence's end; empty where it cannot be told."""
    models = [model] if model is not None else []
    for part in location:
        fields = [field for m in models for name, field in m.model_fields.items() if part in (name, field.alias)]
        tagged = [m for m in models if any(field.default == part for field in m.model_fields.values())]
        if fields:
            models = _models(fields[0].annotation)
        elif len(models) > 1 and tagged:
            models = tagged  # pydantic puts the tag of a union's member into the location
        # Anything else is a place in a list, or the key of a mapping.
    if len(models) != 1:
        return ""
    return f"; accepted here: {', '.join(field.alias or name for name, field in models[0].model_fields.items())}"


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models inside `list[Model]`, `dict[str, Model]`, `Model | None` or `A | B`, each once."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(model for part in getattr(annotation, "__args__", ()) for model in _models(part)))
