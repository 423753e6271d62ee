"""A model in a cache of the hub that somebody else fills: Runpod's cached models, whose download is not billed.

Layout and path: https://docs.runpod.io/serverless/endpoints/model-caching (the hub's own cache, `models--OWNER--NAME/snapshots/COMMIT`).
"""

from __future__ import annotations

from pathlib import Path

from respray.segmentation.spec import SPEC_FILE
from respray.weights.volume_errors import explained

RUNPOD_CACHE = Path("/runpod-volume/huggingface-cache/hub")


def find_snapshot(repository: str, cache: Path = RUNPOD_CACHE) -> Path | None:
    """The commit of `repository` that lies in the cache with exported graphs: the one of its branch `main`, else the latest; or None."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    with_graphs = {path.parent.parent.name: path.parent.parent for path in folder.glob(f"snapshots/*/graphs/{SPEC_FILE}")}
    branch = folder / "refs" / "main"
    if branch.is_file() and (snapshot := with_graphs.get(branch.read_text().strip())) is not None:
        return snapshot
    return max(with_graphs.values(), key=lambda path: path.stat().st_mtime, default=None)


def link_snapshot(snapshot: Path, folder: Path) -> None:
    """Let a model's `folder`, which does not exist yet or links to an earlier snapshot, be this one. VolumeError where that is refused."""
    with explained(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink():
            folder.unlink()
        folder.symlink_to(snapshot)
