"""Schemes of URLs, which have no case (RFC 3986, section 3.1): phones and spreadsheets write `Https://`."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):", re.I | re.ASCII)


def scheme_of(text: str) -> str | None:
    """The scheme that a text begins with, in lower case, as `https` or `data`; None: it has none, and is a key, a path or a name."""
    found = _SCHEME.match(text[:64])
    return found["scheme"].lower() if found else None


def with_lower_scheme(address: str) -> str:
    """An address with its scheme as libraries compare it; what has no `://` stays as it is."""
    scheme, mark, rest = address.partition("://")
    return f"{scheme.lower()}{mark}{rest}" if mark and scheme_of(address) == scheme.lower() else address
