"""Camera raw files, told by their signatures and TIFF tags. Pillow would open many of them as the thumbnail that they start with."""

from __future__ import annotations

from respray.contract.tiff_file import tiff_raw_name

_SIGNATURES = {
    "Olympus ORF": ((0, b"IIRO"), (0, b"IIRS"), (0, b"MMOR")),
    "Panasonic RW2": ((0, b"IIU\0"),),
    "Fujifilm RAF": ((0, b"FUJIFILMCCD-RAW"),),
    "Canon CR3": ((4, b"ftypcrx "),),
    "Canon CRW": ((6, b"HEAPCCDR"),),
    "Minolta MRW": ((0, b"\0MRM"),),
    "Sigma X3F": ((0, b"FOVb"),),
    "Phase One IIQ": ((8, b"IIII"), (8, b"MMMM")),
}


def raw_name(data: bytes) -> str | None:
    """What camera raw format `data` is in; None where it is in none."""
    for name, places in _SIGNATURES.items():
        if any(data.startswith(signature, at) for at, signature in places):
            return name
    return tiff_raw_name(data)
