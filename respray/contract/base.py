"""The base of all types that cross a boundary."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Base of all boundary types: unknown fields are errors, values are validated, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)
