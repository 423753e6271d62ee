"""Pydantic's errors of a message as sentences, without what must not be told of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.jobs import limits
from orchestrator.jobs.hidden import hide_in_text
from respray.contract import sentences


def validation_messages(error: ValidationError, model: type[BaseModel] | None = None) -> list[str]:
    """See `respray.contract.sentences.sentences_of`."""
    return sentences_of(error.errors(include_url=False, include_context=True), model)


def sentences_of(details: Sequence[Any], model: type[BaseModel] | None = None) -> list[str]:
    """The same for pydantic's errors that somebody else has collected."""
    return sentences.sentences_of(details, model, show=shown)


def shown(value: Any) -> str:
    """A value as an error message shows it: cut where it is long, no link's signature in it."""
    return sentences.shown(value, lambda text: hide_in_text(text[: limits.MAX_LINK_CHARACTERS]))
