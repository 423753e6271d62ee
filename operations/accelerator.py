"""May this process use CUDA? Asked before anything loads it: a broken installation does not raise, it aborts the process."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from operations.doctor import cuda, cudnn
from operations.doctor.finding import PASS
from operations.doctor.situation import Situation


def cuda_problem(environment: Mapping[str, str] | None = None) -> str | None:
    """Why CUDA cannot be used here (the caller takes the CPU path and says so), or None where every library loads.

    Each library is loaded in a child process first; costs a fraction of a second, so ask once.
    """
    if environment is None:
        return _of_this_process()
    situation = Situation(environment, gpu="required")
    for check in (cuda, cudnn):
        for finding in check.run(situation):
            if finding.status != PASS:
                return finding.what
    return None


@functools.cache
def _of_this_process() -> str | None:
    return cuda_problem(dict(os.environ))
