"""Empty the machine code for other GPUs in a CUDA library, so that it packs to a third.

The section `.nv_fatbin` holds, per source file, one entry for each architecture; the driver takes the entry of its own GPU by the headers,
which stay as they are. The layout was read off such files: a region's header (magic, version, size of header and of all entries), then
entries (kind, version, size of header and of payload, and the architecture 28 bytes in). Kind 1 is PTX and stays.
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

REGION = 0xBA55ED50
CUBIN = 2


def keep_architecture(path: Path, architecture: int) -> dict[int, int]:
    """Overwrite machine code for all but one architecture (90 for H100 and H200) with zeros.

    Returns:
        Bytes of machine code by architecture before.

    Raises:
        ValueError: the file has no code for that architecture, so nothing was changed.
    """
    content = bytearray(path.read_bytes())
    start, size = _section(content, b".nv_fatbin")
    entries = list(_entries(content, start, start + size))
    there: Counter[int] = Counter()
    for kind, target, _, length in entries:
        if kind == CUBIN:
            there[target] += length
    if architecture not in there:
        raise ValueError(f"{path} has no code for sm_{architecture}; it has {', '.join(f'sm_{one}' for one in sorted(there)) or 'none'}")
    for kind, target, offset, length in entries:
        if kind == CUBIN and target != architecture:
            content[offset : offset + length] = bytes(length)
    path.write_bytes(content)
    return dict(there)


def _section(content: bytearray, wanted: bytes) -> tuple[int, int]:
    """Place and size of a section of a 64-bit ELF file (`man 5 elf`)."""
    if content[:5] != b"\x7fELF\x02":
        raise ValueError("not a 64-bit ELF file")
    table = struct.unpack_from("<Q", content, 40)[0]
    entry, count, names = struct.unpack_from("<HHH", content, 58)
    headers = [struct.unpack_from("<IIQQQQ", content, table + index * entry) for index in range(count)]
    strings = headers[names][4]
    for name, _, _, _, offset, size in headers:
        end = content.index(0, strings + name)
        if content[strings + name : end] == wanted:
            return int(offset), int(size)
    raise ValueError(f"no section {wanted.decode()}")


def _entries(content: bytearray, start: int, end: int) -> list[tuple[int, int, int, int]]:
    """Kind, architecture, place and size of each payload."""
    found = []
    place = start
    while place + 16 <= end:
        magic, _, header, length = struct.unpack_from("<IHHQ", content, place)
        if magic != REGION:
            place += 8
            continue
        inner, last = place + header, place + header + length
        while inner + 32 <= last:
            kind, _, own, payload = struct.unpack_from("<HHIQ", content, inner)
            found.append((kind, int(struct.unpack_from("<I", content, inner + 28)[0]), inner + own, int(payload)))
            inner += own + payload
        place = last
    return found
