"""What of a message must not be kept or shown: the queries of its links, which are credentials, and the pictures inside it.

Links in every field but that of the callback's address: senders also put them where a key belongs. In text that could not be read as a
message, every URL's query goes. Long base64 goes wherever it stands.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

from respray.observe.redaction import without_query
from respray.schemes import scheme_of

LINKS = frozenset({"input_url", "output_url", "preview_url", "url", "photo"})
ADDRESS = "callback_url"
"""The only field whose link is no credential, and is needed whole where a dead letter is delivered again."""
FILES = frozenset({"input_base64", "base64", "photo"})
MAX_FILE_CHARACTERS = 256
"""A file's text that is shorter is kept: it is a mistake that somebody may want to see."""
_QUERY = re.compile(r"(?P<keep>https?:(?:\\?/){2}[^\s?\"']{1,4096})\?[^\s\"']+", re.I)
LONG_BASE64 = re.compile(r"[A-Za-z0-9+/=_\\-]{1024,}", re.ASCII)
"""What pictures inside a message look like; some writers of JSON escape the slash."""


def hide(value: Any, field: str = "") -> Any:
    """JSON data without links' queries and pictures.

    Args:
        value: The data.
        field: The field that it stands in.
    """
    if isinstance(value, str):
        return _hide_string(value, field)
    if isinstance(value, dict):
        # A map in a link's field is of links, whatever they are called.
        return {key: hide(item, field if field in LINKS and isinstance(item, str) else str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [hide(item, field) for item in value]
    return value


def hide_in_text(text: str) -> str:
    """The same for a text that is no JSON."""
    return LONG_BASE64.sub(lambda match: _stand_in(match.group()), _QUERY.sub(r"\g<keep>?***", text))


def _hide_string(value: str, field: str) -> str:
    if field != ADDRESS and scheme_of(value) in ("https", "http"):
        if "?" not in value and "@" not in value:
            return value
        try:
            return f"{without_query(value)}?***"
        except ValueError:
            return "a link that is no URL"
    if field in FILES and len(value) > MAX_FILE_CHARACTERS:
        return _stand_in(value)
    return LONG_BASE64.sub(lambda match: _stand_in(match.group()), value)


def _stand_in(text: str) -> str:
    return f"<{len(text)} characters, sha256 {sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}, left out>"
