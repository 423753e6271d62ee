"""Storage keys: what a message may name, and the two key schemes (docs/reference/contract.md, "Keys").

A job may read below `inputs/{user}/{job}/` and write below `outputs/`, `previews/` and `masks/` of the same user and job. Nothing
else: keys come from a message, and another user's folder is one typo (or one lie) away.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from orchestrator.jobs import limits
from respray.contract.photo_file import ImageFormat
from respray.schemes import scheme_of

EXTENSIONS: dict[str, ImageFormat] = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
ALPHA_FORMATS: tuple[ImageFormat, ...] = ("png", "webp")

# Format characters are a part of names: joiners of Persian, Indic and emoji, direction marks (iOS and Windows copy them along), tags of
# flags, soft hyphens. Not these: what turns the text around it (a name would look like another), and what nobody sees anywhere.
_UNSEEN = frozenset("\u200b\ufeff\u180e" + "".join(map(chr, (*range(0x202A, 0x202F), *range(0x2061, 0x2070), *range(0xFFF9, 0xFFFC)))))
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:+=|~-]*")
# Encoded forms of what is forbidden: some gateways decode a key once more than they should.
_ENCODED = re.compile(r"%(?:2e|2f|5c|00)", re.I)
# `orchestrator/records`: the job's manifest, its items' records and its versions.
_RECORD = re.compile(r"manifest\.json(/|$)|manifest/([0-9]+|versions)\.json(/|$)|manifest$")
_SLUG = re.compile(r"[^A-Za-z0-9_-]+")


def id_problem(value: str) -> str | None:
    """What is wrong with a user or job id, or None. Ids become parts of keys."""
    if not value or len(value) > limits.MAX_ID_CHARACTERS:
        return f"must have 1 to {limits.MAX_ID_CHARACTERS} characters, has {len(value)}"
    if not _ID.fullmatch(value) or ".." in value:
        return f"{value!r} may hold letters, digits and ._@:+=|~- only, must start with a letter or digit and not contain '..'"
    return None


def has_control_characters(text: str) -> bool:
    """Whether there is something in a name or key that a reader would not see, or would see as something else."""
    return any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _UNSEEN for c in text)


def key_problem(key: str, prefix: str) -> str | None:
    """What is wrong with a storage key, or None.

    Args:
        key: The key as a message names it.
        prefix: What it must lie below.
    """
    shown = key if len(key) <= 120 else key[:117] + "..."
    if not key:
        return f"is empty; accepted is a key below {prefix!r}"
    if len(key.encode("utf-8", "surrogatepass")) > limits.MAX_KEY_BYTES:
        return f"is longer than {limits.MAX_KEY_BYTES} bytes"
    if has_control_characters(key):
        return f"{shown!r} contains control characters"
    if "\\" in key:
        return f"{shown!r} contains a backslash; parts of a key are separated by '/'"
    if key.startswith("/") or scheme_of(key):
        links = '; a link or a data: URL has a field of its own (input_url, input_base64; of a mask {"url": ...}, {"base64": ...})'
        return f"{shown!r} is absolute; accepted is a key below {prefix!r}{'' if key.startswith('/') else links}"
    if _ENCODED.search(key):
        return f"{shown!r} contains an encoded dot, slash, backslash or NUL"
    parts = key.split("/")
    if ".." in parts or "." in parts:
        return f"{shown!r} contains '.' or '..' as a part"
    if "" in parts:
        return f"{shown!r} has an empty part ('//' or a '/' at the end)"
    if not key.startswith(prefix):
        return f"{shown!r} is outside this job's own prefix {prefix!r}"
    return None


def format_of(key: str) -> ImageFormat | None:
    """The image format that a key's extension promises, or None for an extension that is not known."""
    name = key.rsplit("/", 1)[-1]
    return EXTENSIONS.get(name.rsplit(".", 1)[-1].lower()) if "." in name else None


def safe_names(names: Sequence[str]) -> dict[str, str]:
    """Concept names as parts of keys, distinct within one job: `wall` stays, `accent wall` becomes `accent_wall`.

    Names with anything else in them keep their readable part and get a hash, so that two names never share a key and the same
    name gives the same key on every run.
    """
    taken: dict[str, str] = {}
    # Plain names first: they keep their spelling whoever else is in the job.
    for name in sorted(names, key=lambda n: (_SLUG.sub("_", n) != n, n)):
        slug = _SLUG.sub("_", name).strip("_") or "concept"
        if (slug != name and slug != name.replace(" ", "_")) or slug.lower() in (s.lower() for s in taken.values()):
            slug = f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        taken[name] = slug
    return taken


def inputs_prefix(user: str, job: str) -> str:
    """Where a job's photos, masks and textures lie."""
    return f"inputs/{user}/{job}/"


def outputs_prefix(user: str, job: str) -> str:
    """Where a job's results and its manifest lie."""
    return f"outputs/{user}/{job}/"


def previews_prefix(user: str, job: str) -> str:
    """Where a job's previews lie."""
    return f"previews/{user}/{job}/"


def masks_prefix(user: str, job: str) -> str:
    """Where a job's instance masks lie."""
    return f"masks/{user}/{job}/"


def record_problem(key: str, prefix: str) -> str | None:
    """What is wrong with an output's key that lies on or under a record of its job, or None.

    Args:
        key: The output's key, below `prefix`.
        prefix: The job's outputs prefix.
    """
    if _RECORD.match(key.removeprefix(prefix)):
        return f"{key!r} is where the job's own records lie; accepted is any other key below {prefix!r}"
    return None


def mask_key(user: str, job: str, concept_slug: str, idx: int, instance: int) -> str:
    """Key of one instance mask; instances count from 1."""
    return f"{masks_prefix(user, job)}{concept_slug}/{idx}_{instance}.png"
