"""Limits on what a job message may ask for. One place, so that the documentation and the tests cannot drift from the code."""

from __future__ import annotations

MESSAGE_BYTES = 1 << 20
"""Largest job message. A thousand items with long keys take about half of it."""
ITEMS = 1000
CONCEPTS = 16
"""Concepts a message may name, protected ones included: the largest batch that the decoder's buckets know."""
RULES = 32
NAME_CHARACTERS = 64
"""Concept names and rule ids."""
ID_CHARACTERS = 128
"""User and job ids."""
KEY_BYTES = 1024
"""S3's own limit on a key, in UTF-8 bytes."""
URL_CHARACTERS = 2048
BATCH_CONCURRENCY = 64
NESTING = 12
"""Depth of a message; the formats need six."""
PHOTO_BYTES = 128 << 20
MASK_BYTES = 32 << 20
TEXTURE_BYTES = 32 << 20
ATTACHMENT_MEGAPIXELS = 200.0
MANIFEST_BYTES = 64 << 20
