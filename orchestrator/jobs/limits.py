"""Limits on what a job message may ask for. One place, so that the documentation and the tests cannot drift from the code."""

from __future__ import annotations

MAX_MESSAGE_BYTES = 20 << 20
"""Largest job message, pictures inside it included. The largest that a queue takes: Runpod's /runsync, 20 MB, of which /run takes 10 MB
(docs.runpod.io/serverless/endpoints/operation-reference); Cloudflare Queues take 128 KB, and Redis more than this."""
MAX_MESSAGE_TEXT_BYTES = 1 << 20
"""Largest job message without the pictures inside it. A thousand items with long keys take about half of it."""
MAX_INLINE_BYTES = MAX_MESSAGE_BYTES * 3 // 4
"""Largest picture inside a message: base64 makes four bytes of three."""
MAX_ITEMS = 1000
MAX_CONCEPTS = 16
"""Concepts that a message may edit, and those that it may protect: each the largest batch that the decoder's buckets know."""
MAX_EDITS = 16
"""Edits of one concept in one output: a floor and its rugs, the walls of a room each in another colour."""
MAX_OUTPUT_EDITS = 64
"""Edits of all concepts of one output: each takes about as long as the others. Bounds the time."""
MAX_RULES = 32
MAX_LOOKS = 32
"""As many outputs of a photo as rules make."""
MAX_NAME_CHARACTERS = 64
"""Concept names and rule ids."""
MAX_ID_CHARACTERS = 128
"""User and job ids."""
MAX_KEY_BYTES = 1024
"""S3's own limit on a key, in UTF-8 bytes."""
MAX_URL_CHARACTERS = 2048
MAX_LINK_CHARACTERS = 8192
"""Links of photos and results: presigned URLs with a session token have some two thousand characters, with long names more."""
MAX_LINK_SECONDS = 604_800
"""Longest life of presigned links that are made here: SigV4's own limit, seven days
(docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html)."""
MAX_BATCH_CONCURRENCY = 64
MAX_NESTING = 12
"""Depth of a message; the formats need nine, for a corner of a rug in a list of edits of a look."""
MAX_PHOTO_BYTES = 128 << 20
MAX_MASK_BYTES = 32 << 20
MAX_TEXTURE_BYTES = 32 << 20
MAX_ATTACHMENTS_BYTES = 96 << 20
"""All masks and textures of one photo together: they cross to Triton in one message, of which its server holds several copies for each
photo in its pipelines. A mask of 48 megapixels with soft edges has one or two MB as a PNG."""
MAX_ATTACHMENT_MEGAPIXELS = 200.0
MAX_RECORD_BYTES = 64 << 20
