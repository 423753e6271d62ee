"""A GIF's blocks before its first picture, walked without Pillow, which keeps an object of each of them."""

from __future__ import annotations

from respray.contract.errors import ImageError

SIGNATURES = (b"GIF87a", b"GIF89a")
# A block has at most 255 bytes: 16 MB of comments, and an XMP packet of 5 MB is 20,000 blocks.
MAX_BLOCKS = 65_536
_EXTENSION = 0x21


def check_gif(data: bytes) -> None:
    """Count blocks up to the first picture. `data` may be of any format.

    Raises:
        ImageError: More than MAX_BLOCKS blocks of comments and other additions.
    """
    if not data.startswith(SIGNATURES) or len(data) < 13:
        return
    flags = data[10]
    position, blocks = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0), 0
    while position + 2 < len(data) and data[position] == _EXTENSION:
        position += 2  # its kind
        while True:
            blocks += 1
            if blocks > MAX_BLOCKS:
                raise ImageError(f"the GIF has more than {MAX_BLOCKS} blocks before its picture; save it again without its comments")
            length = data[position] if position < len(data) else 0
            position += 1 + length
            if not length:
                break
