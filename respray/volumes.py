"""Where the models' volume is mounted when nobody says so. Runpod mounts one network volume at another path in each of its products."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

DEFAULT = Path("/models")
# Serverless workers: https://docs.runpod.io/storage/network-volumes#network-volumes-for-serverless
# Pods, unless their template says otherwise: https://docs.runpod.io/pods/storage/types
RUNPOD_MOUNTS = (Path("/runpod-volume"), Path("/workspace"))
# Set by Runpod itself: https://docs.runpod.io/pods/templates/environment-variables; workers have the second one, too.
RUNPOD_MARKS = ("RUNPOD_POD_ID", "RUNPOD_ENDPOINT_ID")


def models_root(environment: Mapping[str, str]) -> Path:
    """The models' folder: MODEL_PATH or MODEL_CACHE_DIR (`~` is this user's home); else, on Runpod, the volume mounted there; else /models.

    Only on Runpod: elsewhere a mount at /workspace is somebody's source code.
    """
    if given := environment.get("MODEL_PATH", "").strip() or environment.get("MODEL_CACHE_DIR", "").strip():
        return Path(given).expanduser()
    if any(environment.get(mark) for mark in RUNPOD_MARKS):
        return next((mount for mount in RUNPOD_MOUNTS if os.path.ismount(mount)), DEFAULT)
    return DEFAULT
