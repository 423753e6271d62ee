"""What the C libraries of processes that handle one photo after the other are told before they start.

Memory: a photo's arrays (megabytes each) come and go hundreds of times per photo. By its defaults glibc gives much of that memory back to
the kernel between two uses and pays with page faults for having it again: 5,000 per 1200 x 800 photo, up to a tenth of the time to edit it.
What is kept instead is bounded by TRIM_BYTES per process. And it comes in pages of 2 MB where the kernel has them to give (Linux's default,
"madvise", waits to be asked): a twelfth of the processor seconds of any edit goes into finding pages of 4 kB.

Threads: a pod edits as many photos at once as it has cores, and one photo's work is shared out among RESPRAY_THREADS threads of ours.
OpenBLAS and OpenCV would each start a thread per core more in every process. OpenBLAS's wait for their next small matrix by yielding over
and over: a fifth of the processor seconds of a 12-megapixel edit on two cores, more on more.
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
    """The settings as variables for a process to be started; other libraries ignore them.

    Source: mallopt(3); glibc's manual, "Memory Allocation Tunables"; OpenBLAS's README ("Setting the number of threads using environment
    variables"); OpenCV's modules/core/src/parallel.cpp (`OPENCV_FOR_THREADS_NUM`).
    """
    return {
        "MALLOC_MMAP_THRESHOLD_": str(MAPPED_BYTES),
        "MALLOC_TRIM_THRESHOLD_": str(TRIM_BYTES),
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "OPENBLAS_NUM_THREADS": "1",
        "OPENCV_FOR_THREADS_NUM": "1",
    }


def keep_memory() -> None:
    """What is said of memory for this process, where its C library is glibc."""
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if set_option is not None:
            set_option(_M_MMAP_THRESHOLD, MAPPED_BYTES)
            set_option(_M_TRIM_THRESHOLD, TRIM_BYTES)
