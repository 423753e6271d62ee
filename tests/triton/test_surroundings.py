"""What servers' processes are told of the libraries' threads."""

from __future__ import annotations

import subprocess
import sys

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
