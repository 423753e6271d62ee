"""From environment variables and a `.env` file to settings; what cannot be used is told all at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import SettingsError
from orchestrator.settings.env_file import QUOTED, is_quoted, read_env_file
from orchestrator.settings.fields import Settings, spellings
from orchestrator.settings.problems import bucket_problems, queue_problems, sending_problems, triton_address
from respray.schemes import with_lower_scheme
from respray.volumes import models_root


def load_settings(environment: Mapping[str, str] | None = None, env_file: Path | None = Path(".env"), **overrides: Any) -> Settings:
    """Read the environment (and `.env`, which it overrides) into Settings; `overrides` are by field name, from the command line.

    Raises SettingsError naming every setting that contradicts itself or has a value that cannot be used.
    """
    values: dict[str, str] = {}
    if env_file is not None and env_file.is_file():
        values.update(read_env_file(env_file))
    values.update(os.environ if environment is None else environment)
    chosen, problems = _choose(values)
    chosen["model_path"] = str(models_root(values | ({"MODEL_PATH": chosen["model_path"]} if "model_path" in chosen else {})))
    if "triton_url" in chosen:
        try:
            chosen["triton_url"] = triton_address(chosen["triton_url"])
        except SettingsError as error:
            problems.append(str(error))
    try:
        settings = Settings(**{**chosen, **{k: v for k, v in overrides.items() if v is not None}})
    except ValidationError as error:
        problems += [_sentence(detail) for detail in error.errors(include_url=False)]
        raise SettingsError("; ".join(problems)) from None
    addresses = settings.endpoints()
    if len({a.rstrip("/") for a in addresses.values()}) > 1:
        problems.append(
            " and ".join(f"{name} ({address})" for name, address in addresses.items()) + " name different storage; set one of them"
        )
    problems += [*bucket_problems(settings), *queue_problems(settings), *sending_problems(settings)]
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


def _choose(values: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The value of each field, and a sentence for every setting whose spellings disagree. Empty values count as not set."""
    chosen: dict[str, str] = {}
    problems: list[str] = []
    for name, field in Settings.model_fields.items():
        given = {s: values[s].strip() for s in spellings(field) if values.get(s, "").strip()}
        if name.endswith(("_url", "_endpoint")):
            given = {spelling: with_lower_scheme(address) for spelling, address in given.items()}
        problems += [f"{spelling}: {QUOTED}" for spelling, value in given.items() if is_quoted(value)]
        if len(set(given.values())) > 1:
            problems.append(f"{' and '.join(given)} are the same setting and have different values; set one of them, or both alike")
        if given:
            chosen[name] = next(iter(given.values()))
    return chosen, problems


def _sentence(detail: Any) -> str:
    """A problem with one value, never showing the value of a secret."""
    field = Settings.model_fields.get(str(detail["loc"][0]))
    if field is None:
        field = next((f for f in Settings.model_fields.values() if detail["loc"][0] in spellings(f)), None)
    name = spellings(field)[0] if field else str(detail["loc"][0])
    secret = field is not None and "SecretStr" in str(field.annotation)
    given = "" if secret else f" (given: {str(detail.get('input'))[:80]!r})"
    return f"{name}: {detail['msg'][0].lower()}{detail['msg'][1:]}{given}"
