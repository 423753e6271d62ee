"""Keeps secrets out of everything that leaves the process: logs, events, errors, manifests.

Two nets. Every secret of the settings is replaced wherever it appears. In sentences (logs, errors), which libraries write too, so is what
stands where credentials stand: a URL's user info, a signed link's query, an Authorization header. Data (keys, ids, names) is not judged by
its looks: "basic kitchen" is a file, and `hf_...` may be somebody's user id.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

MASK = "***"
MIN_SECRET = 6
"""Characters; shorter values are no secrets, and masking them would blank out ordinary words and parts of keys."""
_WORD = re.compile("[a-z]{1,15}")
"""A secret that is a word (MinIO's own `minioadmin`, a user `respray`) is hidden in sentences and addresses only: a key, an id or a name in
data may hold it, comes from a message, and is to name the file that exists."""
SENTENCES = frozenset({"error", "message", "reason", "warnings"})
"""Fields of events and records that hold sentences."""
_QUERY = r"X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential)|AWSAccessKeyId|Signature|token|sig"
_IN_URLS = (
    (re.compile(r"(?P<keep>://)[^/\s\"']{1,512}@"), rf"\g<keep>{MASK}@"),  # up to the last @: a password may hold one
    (re.compile(rf"(?P<keep>[?&](?:{_QUERY})=)[^&\s\"']+", re.I), rf"\g<keep>{MASK}"),
)
_IN_HEADERS = (re.compile(r"(?P<keep>authorization\W{1,4}(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{4,}", re.I), rf"\g<keep>{MASK}")
_SECRET_NAME = re.compile("password|secret|token|signature|credential", re.I)
_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://", re.I)


class Redactor:
    """Replaces secrets in text and in JSON-like values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        self._in_data: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Replace these secrets, too, from now on."""
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= MIN_SECRET}
        # Longest first, so that a secret that contains another is not left half visible.
        self._secrets = sorted(forms | set(self._secrets), key=len, reverse=True)
        self._in_data = [secret for secret in self._secrets if not _WORD.fullmatch(secret)]

    def text(self, value: str) -> str:
        """A sentence with every known secret, and what stands in a secret's place, replaced by `***`."""
        value = _hidden(value, self._secrets)
        for pattern, replacement in (*_IN_URLS, _IN_HEADERS):
            value = pattern.sub(replacement, value)
        return value

    def value(self, value: Any, field: str = "") -> Any:
        """JSON-like data with secrets replaced: known ones anywhere, others in URLs and in the fields that hold sentences."""
        if isinstance(value, str):
            if field in SENTENCES:
                return self.text(value)
            return self._url(value) if _URL.match(value) else self._known(value)
        if isinstance(value, dict):
            return {self._known(key) if isinstance(key, str) else key: self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, field) for item in value]
        return value

    def _known(self, value: str) -> str:
        return _hidden(value, self._in_data)

    def _url(self, value: str) -> str:
        value = _hidden(value, self._secrets)
        for pattern, replacement in _IN_URLS:
            value = pattern.sub(replacement, value)
        return value


def _hidden(value: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        value = value.replace(secret, MASK)
    return value


def _forms(secret: str) -> set[str]:
    """A secret as it may be written: plain, in URLs (percent-encoded there, or decoded by whoever read it there), in JSON, in Python."""
    plain = {secret, unquote(secret)}
    encoded = {form for text in plain for form in (quote(text, safe=""), quote(text), quote_plus(text))}
    encoded |= {_ESCAPE.sub(lambda escape: escape[0].lower(), form) for form in encoded}
    return plain | encoded | {form for text in plain for form in (json.dumps(text)[1:-1], repr(text)[1:-1])}


def secrets_in(address: str) -> list[str]:
    """What opens the door in a URL: its password, also with the user in a Basic header, and what its query calls so."""
    credentials, _, _ = address.partition("://")[2].rpartition("@")
    _, colon, password = credentials.partition(":")
    found = [password, b64encode(unquote(credentials).encode()).decode()] if colon else []
    try:
        query = parse_qsl(urlsplit(address).query)
    except ValueError:  # brackets that hold no address
        query = []
    return found + [value for name, value in query if _SECRET_NAME.search(name)]


def without_query(url: str) -> str:
    """A link as it may be shown: scheme, host and path, without its query, user and fragment; at most 200 characters."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that hold no address
        return "a link"
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return shown if len(shown) <= 200 else shown[:197] + "..."
