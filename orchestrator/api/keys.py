"""API keys: who calls. A key belongs to one user id and is known here by its SHA-256 only.

    NAME/USER/sha256-HEX    one key in API_KEYS, entries separated by commas or white space

A key has 256 bits of chance, so that a fast hash of it gives nothing away.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from orchestrator.errors import SettingsError
from orchestrator.jobs import keys as job_keys

LOCAL_USER = "local"
"""The user of an interface without keys."""
PREFIX = "respray_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"sha256-[0-9a-f]{64}")
MAX_KEY_CHARACTERS = 200


@dataclass(frozen=True)
class ApiKey:
    """One key: its name, its user and its hash."""

    name: str
    user_id: str
    digest: str

    @property
    def line(self) -> str:
        """As API_KEYS has it."""
        return f"{self.name}/{self.user_id}/sha256-{self.digest}"


@dataclass(frozen=True)
class Caller:
    """Who sent a request: the user whose files and jobs it may see, and the key by name."""

    user_id: str
    name: str


def make_key(name: str, user_id: str) -> tuple[str, ApiKey]:
    """A new key, which is shown once, and what is kept of it. Raises SettingsError for a name or user that cannot be one."""
    if not _NAME.fullmatch(name):
        raise SettingsError(f"the key's name {name!r} may hold up to 64 letters, digits and ._- only, and starts with a letter or digit")
    if problem := job_keys.id_problem(user_id):
        raise SettingsError(f"the user id {problem}")
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, ApiKey(name, user_id, _digest(secret))


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """The keys of API_KEYS. Raises SettingsError naming the entry that cannot be used, never more of it than its name."""
    return _keys((f"API_KEYS: entry {position}", entry) for position, entry in enumerate(_entries(text), 1))


def read_keys(text: str | None, file: Path | None) -> tuple[ApiKey, ...]:
    """The keys of both settings. Raises SettingsError as `parse_keys`, by the line of a file, and for a file that cannot be read."""
    keys = parse_keys(text or "")
    try:
        more = file.read_text(encoding="utf-8") if file is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"API_KEYS_FILE={file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    lines = enumerate((line.partition("#")[0] for line in more.splitlines()), 1)
    return _keys(((f"API_KEYS_FILE={file}: line {number}", entry) for number, line in lines for entry in _entries(line)), keys)


def _entries(text: str) -> list[str]:
    return [entry for entry in re.split(r"[\s,]+", text) if entry]


def _keys(entries: Iterable[tuple[str, str]], found: tuple[ApiKey, ...] = ()) -> tuple[ApiKey, ...]:
    """The keys of entries, each behind where it stands, after those that were found before."""
    for place, entry in entries:
        name, _, rest = entry.partition("/")
        user, _, digest = rest.partition("/")
        if not _NAME.fullmatch(name) or job_keys.id_problem(user) or not _HASH.fullmatch(digest):
            raise SettingsError(f"{place} is no key; accepted is NAME/USER/sha256-HEX, as `respray api key --name NAME --user USER` prints")
        if any(name == other.name for other in found):
            raise SettingsError(f"{place}: the name {name!r} stands twice; accepted is each name once")
        found += (ApiKey(name, user, digest.removeprefix("sha256-")),)
    return found


def caller_of(authorization: str | None, keys: Sequence[ApiKey]) -> Caller | None:
    """Who an Authorization header speaks for; None for nobody. Every key is compared, in the same time whatever was sent."""
    scheme, _, token = (authorization or "").partition(" ")
    digest = _digest(token.strip()[:MAX_KEY_CHARACTERS]) if scheme.lower() == "bearer" else ""
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = Caller(key.user_id, key.name)
    return found


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
