"""Keeps secrets out of everything that leaves the process: logs, events, errors, manifests.

Two nets: every secret of the settings is replaced wherever it appears, and so are values that look like credentials in places where
they usually stand (URL user info, bearer tokens, presigned query strings), since libraries put foreign URLs into their messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

MASK = "***"
_SHORTEST = 6  # shorter values are no secrets, and masking them would blank out ordinary words and parts of keys
_PATTERNS = (
    (re.compile(r"(?P<keep>://)[^/\s@\"']{1,512}@"), r"\g<keep>" + MASK + "@"),
    (re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{4,}", re.I), r"\g<keep>" + MASK),
    (
        re.compile(r"(?P<keep>[?&](?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature|token|sig)=)[^&\s\"']+", re.I),
        r"\g<keep>" + MASK,
    ),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]{8,}"), MASK),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), MASK),
)


class Redactor:
    """Replaces secrets in text and in JSON-like values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= _SHORTEST for form in (secret, quote(secret, safe=""), quote(secret))}
        # Longest first, so that a secret that contains another is not left half visible.
        self._secrets = sorted(forms, key=len, reverse=True)

    def text(self, value: str) -> str:
        """The text with every known or likely secret replaced by `***`."""
        for secret in self._secrets:
            value = value.replace(secret, MASK)
        for pattern, replacement in _PATTERNS:
            value = pattern.sub(replacement, value)
        return value

    def value(self, value: Any) -> Any:
        """The same for strings anywhere inside dicts and lists."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value
