"""A `.env` file as editors and other systems write it, and values that came through another reader of such files."""

from __future__ import annotations

from pathlib import Path

from dotenv import dotenv_values

from orchestrator.errors import SettingsError

QUOTED = "its value stands in quotes, which `docker --env-file`, `kubectl --from-env-file` and consoles pass on; leave them out"


def read_env_file(file: Path) -> dict[str, str]:
    """The values of a `.env` file.

    Raises:
        SettingsError: it cannot be read, or is no text: Windows' Notepad may write UTF-16.
    """
    try:
        return {name: value for name, value in dotenv_values(file).items() if value is not None}
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}); make it readable for this user, or remove it") from None


def is_quoted(value: str) -> bool:
    """Whether a value begins and ends with the same quote: no setting's does where a reader of env files has taken its own away."""
    return len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
