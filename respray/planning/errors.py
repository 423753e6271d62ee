"""The error of planning."""

from __future__ import annotations


class PlanError(Exception):
    """The plan was asked for something that cannot be computed; the message says what is accepted."""
