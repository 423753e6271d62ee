"""Every constant of a model says what it means, and the examples in docstrings are true."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
from types import ModuleType

import pytest

MODULES = [
    "surface.exposure",
    "surface.illuminant",
    "surface.noise",
    "surface.reflection",
    "surface.shading",
    "surface.surface",
    "paint.burnt_areas",
    "paint.gamut",
    "paint.recolor",
    "paint.tone",
    "texture.camera",
    "texture.lay",
    "texture.lines",
    "texture.plane",
    "texture.sample",
]


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(f"respray.editing.{request.param}")


def parameters_in(module: ModuleType) -> list[type]:
    """The dataclasses of parameters that a module defines."""
    found = [value for name, value in vars(module).items() if name.endswith("Parameters") and value.__module__ == module.__name__]
    return [value for value in found if isinstance(value, type)]


def test_every_parameter_is_frozen_and_documented(module: ModuleType) -> None:
    for kind in parameters_in(module):
        body = ast.parse(inspect.getsource(kind)).body[0]
        assert isinstance(body, ast.ClassDef)
        documented = [
            field.target.id
            for field, text in zip(body.body, body.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
        ]
        assert documented == [field.name for field in dataclasses.fields(kind)]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(kind(), documented[0], None)


def test_examples_in_docstrings_are_true(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
