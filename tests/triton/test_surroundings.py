"""What servers' processes are told of the libraries' threads and of memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from respray.triton.models import surroundings

# Work that both libraries share out among the cores where they may.
WORK = """
import os
import cv2, numpy as np
square = np.ones((2000, 2000), np.float32)
square @ square
cv2.GaussianBlur(square, (0, 0), 5)
print(len(os.listdir("/proc/self/task")))
"""


def test_blas_and_opencv_work_in_the_thread_that_asks() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], env=surroundings.environment(), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


# Many arrays, each smaller than those for which NumPy asks the kernel itself.
ARRAYS = """
import re
import numpy as np
arrays = [np.ones(1 << 20, np.uint8) for _ in range(64)]
print(re.search("AnonHugePages: +([0-9]+) kB", open("/proc/self/smaps_rollup").read())[1])
"""
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(not HUGE_PAGES.exists() or "[never]" in HUGE_PAGES.read_text(), reason="this kernel gives no large pages")
def test_arrays_lie_in_large_pages() -> None:
    done = subprocess.run([sys.executable, "-c", ARRAYS], env=surroundings.environment(), capture_output=True, text=True, check=True)
    assert int(done.stdout) > 32 << 10  # half of them
