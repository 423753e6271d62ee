"""TensorRT engines by way of the private bucket: built once per kind of GPU, then fetched by every other pod of that kind.

They lie under `engines/` as on the volume (`engine_cache`), each folder with a manifest of its own. Like those that are built, they answer
the probe before they serve.
"""

from __future__ import annotations

import logging
from pathlib import Path

from respray.weights.engine_cache import graph_hash
from respray.weights.errors import NothingThereError, WeightsError
from respray.weights.s3_push import push
from respray.weights.s3_sync import Sync, SyncSource

log = logging.getLogger(__name__)

ENGINES = "engines"
PLANS = "*.plan"


def push_engines(source: SyncSource, root: Path, graphs: list[Path]) -> list[str]:
    """Upload the engines below `root` (the volume's `engines/`) that were built from these graphs; their folders, by GPU and TensorRT.

    Raises:
        WeightsError: the bucket cannot be written.
    """
    pushed = []
    for folder in sorted(root.glob(f"*/*/*-{graph_hash(graphs)}")):
        if any(folder.glob(PLANS)):
            name = folder.relative_to(root).as_posix()
            push(source, f"{ENGINES}/{name}", folder)
            pushed.append(name)
    return pushed


def fetch_engines(source: SyncSource, root: Path, folder: Path) -> bool:
    """Bring the engines of one kind of GPU, TensorRT and graph to `folder` below `root`; whether the bucket has them.

    Without them they are built, which takes minutes: a bucket that cannot be read is said, and is no error.
    """
    name = folder.relative_to(root).as_posix()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        Sync(source, f"{ENGINES}/{name}", folder).run(name)
    except NothingThereError:
        return False
    except (WeightsError, OSError) as error:
        log.warning("engines are built here, because they could not be fetched: %s", error)
        return False
    return any(folder.glob(PLANS))
