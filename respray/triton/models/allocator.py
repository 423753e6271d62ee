"""How the C allocator keeps memory in processes that handle one photo after the other.

A photo's arrays (megabytes each) come and go hundreds of times per photo. By its defaults glibc gives much of that memory back to the
kernel between two uses and pays with page faults for having it again: 5,000 per 1200 x 800 photo, up to a tenth of the time to edit it.
What is kept instead is bounded by TRIM_BYTES per process.
"""

from __future__ import annotations

import ctypes
import sys

# Larger blocks stay mappings of their own, which go back to the kernel at once: glibc's own upper limit for adapting this threshold.
MAPPED_BYTES = 32 << 20
# Free memory at the end of the heap that is kept.
TRIM_BYTES = 256 << 20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def environment() -> dict[str, str]:
    """The settings as variables for a process to be started (mallopt(3)); other allocators ignore them."""
    return {"MALLOC_MMAP_THRESHOLD_": str(MAPPED_BYTES), "MALLOC_TRIM_THRESHOLD_": str(TRIM_BYTES)}


def adopt() -> None:
    """The same for this process, where its C library is glibc."""
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:
            set_option(_M_MMAP_THRESHOLD, MAPPED_BYTES)
            set_option(_M_TRIM_THRESHOLD, TRIM_BYTES)
