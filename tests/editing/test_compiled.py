"""What is compiled: it needs no folder to write to, and shares of work cover everything once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from respray.editing.core import compiled

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("count", [0, 1, 511, 1024, 100_003])
def test_shares_cover_everything_once(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "CORES", 3)
    seen: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        compiled.shared(pool, count, lambda first, last: seen.extend(range(first, last)))
    assert sorted(seen) == list(range(count))


def test_an_error_in_a_share_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "CORES", 3)

    def fail(first: int, last: int) -> None:
        raise ValueError("a share failed")

    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="a share failed"):
        compiled.shared(pool, 10_000, fail)


@pytest.mark.slow
def test_edits_without_a_folder_for_the_cache(tmp_path: Path) -> None:
    # A read-only container: Numba finds no place for its cache, and says so when a function is compiled.
    code = """
import numba.core.caching as c
c.CacheImpl._locator_classes = []
from respray.triton.models.applier import warm_up
warm_up()
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir())
