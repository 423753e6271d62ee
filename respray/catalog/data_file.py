"""Data files (YAML or JSON) into their types, with errors that say where and what."""

from __future__ import annotations

import json
from importlib.resources.abc import Traversable
from typing import TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from respray.contract.errors import EditError
from respray.contract.sentences import sentences_of

T = TypeVar("T", bound=BaseModel)
HEX_PATTERN = r"^#[0-9A-Fa-f]{6}$"
ID_PATTERN = r"^[a-z0-9][a-z0-9_\-.]*$"


class Data(BaseModel):
    """Base of the data files' types: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse(kind: type[T], text: str, source: str) -> T:
    """A data file's text as its type. Raises `EditError` that names the file, the field and what is wrong."""
    try:
        # YAML takes most JSON, but not what is indented with tabs.
        return kind.model_validate(json.loads(text) if source.lower().endswith(".json") else _from_yaml(text))
    except json.JSONDecodeError as error:
        raise EditError(f"{source} is not valid JSON: {error}") from error
    except yaml.YAMLError as error:
        raise EditError(f"{source} is not valid YAML: {yaml_problem(error)}") from error
    except ValidationError as error:
        raise EditError(f"{source}: {'; '.join(sentences_of(error.errors(), kind, whole='the file'))}") from error


def load(kind: type[T], file: Traversable, called: str) -> T:
    """A data file as its type.

    Args:
        kind: The type.
        file: What is read, text in UTF-8.
        called: What the file is called where it cannot be read.

    Raises:
        EditError: As `parse`, and for a file that cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or error) if isinstance(error, OSError) else "it is no text in UTF-8"
        raise EditError(f"{called} cannot be read: {why}") from error
    return parse(kind, text, file.name)


def yaml_problem(error: yaml.YAMLError) -> str:
    """What is wrong with a text, and in which line, in one line; PyYAML's own words are several, with a drawing."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem or error.context}: line {mark.line + 1} column {mark.column + 1}"
    return " ".join(str(error).split())


def _from_yaml(text: str) -> object:
    """What YAML says, by its parser in C where there is one: the catalogue is read at each start."""
    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return yaml.safe_load(text)  # whose error shows the line


def refuse_repeats(kind: str, names: list[str]) -> None:
    """Raise ValueError where a name stands twice."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{kind} given twice: {', '.join(repeated)}")
