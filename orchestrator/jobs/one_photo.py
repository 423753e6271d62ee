"""The short form of a palette job: one photo inside the message, no items, ids or keys. For intakes whose answers carry results."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from orchestrator.jobs import keys, limits
from respray.schemes import scheme_of

USER = "inline"
"""Whose job it is where the message does not say."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_PLACES = ("items[0].input_base64", "items[0].input_url")


def is_one_photo(message: Any) -> bool:
    """Whether a message is in the short form."""
    return isinstance(message, Mapping) and "photo" in message and "items" not in message


def whole_message(message: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """The palette message that a short one stands for. What is wrong with it is the parser's to say.

    Args:
        message: `photo` (base64, a data: URL, or a link) and the fields of a palette job; `mask_keys` as in an item.
        name: What the queue calls it: a part of the made-up job id.
    """
    fields = dict(message)
    photo, masks, options = fields.pop("photo"), fields.pop("mask_keys", None), fields.get("options")
    options = options if isinstance(options, Mapping) else {}
    job = fields.setdefault("job_id", _UNSAFE.sub("-", name or uuid4().hex).strip("-_")[: limits.MAX_ID_CHARACTERS] or uuid4().hex)
    user = fields.setdefault("user_id", USER)
    is_link = isinstance(photo, str) and scheme_of(photo) not in (None, "data")
    item: dict[str, Any] = {"idx": 0, "input_url" if is_link else "input_base64": photo}
    if "looks" not in fields:
        item["output_key"] = f"{keys.outputs_prefix(user, job)}0.{_extension(fields, options)}"
    if options.get("preview_size"):
        item["preview_key"] = f"{keys.previews_prefix(user, job)}0_thumb.jpg"
    if masks is not None:
        item["mask_keys"] = masks
    return fields | {"items": [item]}


def in_short_words(error: str) -> str:
    """An error of the whole message as one of the short message."""
    for place in _PLACES:
        error = error.replace(place, "photo")
    return error


def _extension(fields: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """What was asked for; else PNG where something is removed, which may need transparency, and JPEG, which is small."""
    if isinstance(wanted := options.get("format"), str):
        return wanted
    concepts = fields.get("concepts")
    given = concepts.values() if isinstance(concepts, Mapping) else ()
    edits = [edit for entry in given for edit in (entry if isinstance(entry, list) else [entry])]
    removes = any(isinstance(edit, Mapping) and "remove" in (edit.get("action"), edit.get("type")) for edit in edits)
    return "png" if removes else "jpg"
