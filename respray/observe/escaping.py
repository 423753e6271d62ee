"""Strangers' text on its way to a log or a terminal: one record stays one line, and no escape sequence gets through."""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), line and paragraph separators, half surrogate pairs, and marks that turn the writing direction around.
# Joiners stay: Persian words and emoji are written with them.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\x1b"}


def one_line(text: str) -> str:
    r"""The text with harmful characters written as escapes.

    >>> one_line("a\nb\x1b[2J")
    'a\\nb\\x1b[2J'
    """
    return _HARMFUL.sub(lambda found: _SHORT.get(found[0]) or _escape(found[0]), text)


def lines(text: str) -> str:
    r"""The same for text of several lines, such as a traceback: lines after the first are indented, so that none looks like a record.

    >>> lines("Traceback\n2026-01-01 INFO forged")
    'Traceback\n  2026-01-01 INFO forged'
    """
    return "\n  ".join(one_line(line) for line in text.split("\n"))


def json_safe(line: str) -> str:
    r"""A line of JSON in which harmful characters, inside of strings, are JSON escapes: it means the same.

    >>> json_safe('{"a":"\x9b"}')
    '{"a":"\\u009b"}'
    """
    return _HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
