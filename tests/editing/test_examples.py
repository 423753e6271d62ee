"""The examples in docstrings say what the code does."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ["core.codes", "core.color", "core.compiled", "core.unmix", "fill.ground", "mask.fringe", "mask.matte", "mask.select"]


@pytest.mark.parametrize("module", MODULES)
def test_examples_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"respray.editing.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
