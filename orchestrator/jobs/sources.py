"""Where a photo or mask comes from (a storage key, a link, the message itself), and where a result goes (a key, a link).

A link is a credential: its query is a signature. `label` names it without, and is what errors, records and traces show.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TypeAlias
from urllib.parse import urlsplit

from orchestrator.jobs import keys, limits
from respray.contract.photo_file import ImageFormat
from respray.observe.redaction import without_query
from respray.schemes import scheme_of

_DATA_URL = re.compile(r"data:[a-z0-9!#$&^_.+/-]{0,127}(?:;[a-z0-9_.+=-]{1,64}){0,4},", re.ASCII | re.I)
_SPACE = re.compile(r"[\r\n\t ]+")


@dataclass(frozen=True)
class StoreKey:
    """An object of the store, that is read or written."""

    key: str

    @property
    def label(self) -> str:
        """What it is called in errors and records."""
        return self.key

    @property
    def identity(self) -> str:
        """The same for the same place: a part of an item's fingerprint."""
        return self.key


@dataclass(frozen=True)
class WebLink:
    """A link, that is read with GET or written with PUT."""

    url: str = field(repr=False)

    @property
    def label(self) -> str:
        """The link without its query."""
        return without_query(self.url)

    @property
    def identity(self) -> str:
        """The whole link, hashed: a fresh signature may lead to fresh content, and who sends one wants the result there."""
        return f"url:{sha256(self.url.encode()).hexdigest()}"


@dataclass(frozen=True)
class InlineSource:
    """A file that came in the message.

    Attributes:
        data: The file.
        label: Where it stood in the message.
    """

    data: bytes = field(repr=False)
    label: str

    @cached_property
    def identity(self) -> str:
        """By its content."""
        return f"sha256:{sha256(self.data).hexdigest()}"


Source: TypeAlias = StoreKey | WebLink | InlineSource
Destination: TypeAlias = StoreKey | WebLink


_UNENCODED = "has spaces or characters that no URL has unencoded; percent-encode them (%20)"


def unencoded_problem(url: str) -> str | None:
    """What is wrong with the characters of an address, or None. Letters of any language are none of it: they have one encoding."""
    return _UNENCODED if not url.isprintable() or any(c in url for c in ' "<>\\^`{|}') else None


def link_problem(url: str) -> str | None:
    """What is wrong with a link, or None. Never shows its query. Whether its host may be asked is decided when it is."""
    if len(url) > limits.MAX_LINK_CHARACTERS:
        return f"must have at most {limits.MAX_LINK_CHARACTERS} characters, has {len(url)}"
    if not url.isascii() or unencoded_problem(url):
        return _UNENCODED
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is no URL; accepted is https://host/path?query"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return f"must be a whole https:// URL, and begins with {url.split(':', 1)[0][:20]!r}"
    if "@" in parts.netloc:
        return "contains a user name or password; accepted is a URL without"
    return None


def decode_base64(text: str, limit: int) -> bytes:
    """A file that travels as base64: standard or URL-safe alphabet, a `data:` URL or not, lines broken or not.

    Args:
        text: The base64.
        limit: Most bytes of the file.

    Raises:
        ValueError: In one sentence that does not repeat the text.
    """
    if scheme_of(text) == "data":
        prefix = _DATA_URL.match(text)
        if prefix is None or not prefix.group().lower().endswith(";base64,"):
            raise ValueError("begins with data: but not as 'data:image/jpeg;base64,' does")
        text = text[prefix.end() :]
    if len(text) > limit // 3 * 4 + limit // 16:  # with line breaks
        raise ValueError(f"has {len(text)} characters, which is more than a file of {limit / 1e6:.0f} MB has")
    text = _SPACE.sub("", text)
    if not text:
        raise ValueError("is empty; accepted is the base64 of an image file")
    if ("-" in text or "_" in text) and "+" not in text and "/" not in text:
        text = text.translate(str.maketrans("-_", "+/"))
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"is not base64 ({str(error)[:100]})") from None
    if len(data) > limit:
        raise ValueError(f"holds {len(data) / 1e6:.1f} MB; at most {limit / 1e6:.0f} MB are accepted")
    return data


def link_format(url: str) -> ImageFormat | None:
    """The image format that the extension of a link's path promises, or None."""
    return keys.format_of(urlsplit(url).path)
