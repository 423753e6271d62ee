"""What is compiled: it needs no folder to write to, and shares of work cover everything once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from respray.editing.core import compiled
from respray.editing.core.compiled_cache import OneAtATime

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


def test_after_the_warm_up_a_photo_needs_nothing_compiled_that_was_not() -> None:
    # In a process of its own: what other tests have compiled is loaded.
    code = """
import sys
from pathlib import Path
import numpy as np
from numba.core.dispatcher import Dispatcher
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.apply import edit_photo
from respray.editing.mask.select import Segments
from respray.imaging.decode import decode_photo
from respray.triton.models.applier import warm_up

def loops():
    found = (loop for module in [*sys.modules.values()] for loop in vars(module).values() if isinstance(loop, Dispatcher))
    return [loop for loop in found if loop.py_func.__module__.startswith("respray")]

def asleep():
    # Those that others call are part of them, and wake where one of them is compiled for arrays that lie otherwise in memory.
    parts = {name for loop in loops() for name in loop.py_func.__code__.co_names}
    return {loop.py_func.__qualname__ for loop in loops() if not loop.signatures} - parts

warm_up()
before = asleep()
region = np.zeros((2, 72, 72), np.uint8)
region[0, 5:40], region[1, 40:66, 10:50] = 255, 255
ones = np.ones((2, 1), np.float32)
segments = Segments(masks=region[:, None], scores=ones, boxes=np.zeros((2, 1, 4), np.float32), presence=ones[:, 0], region=region)
concepts = [ConceptQuery(name="wall", prompts=["wall"]), ConceptQuery(name="sofa", prompts=["sofa"], kind="object")]
edits = [Edit(concept=concept.name, rule=Recolor(color=color)) for concept, color in zip(concepts, ("#7C9082", "#F0F0F0"))]
photo = decode_photo(Path("respray/demo/photos/room_1.jpg").read_bytes())
edit_photo(photo, segments, PhotoRequest(concepts=concepts, outputs=[Output(name="out", edits=edits)]), [])
assert not before - asleep(), before - asleep()
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert result.returncode == 0, result.stderr


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


def test_processes_that_compile_one_loop_for_different_arguments_keep_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two write at once; the second begins while the first is in the middle of it."""
    first, second, reader = (OneAtATime(str(tmp_path), "loop", "as it is") for _ in range(3))
    writing, go_on = threading.Event(), threading.Event()
    save = first._save_data

    def slowly(name: str, data: object) -> None:
        writing.set()
        assert go_on.wait(60)
        save(name, data)

    monkeypatch.setattr(first, "_save_data", slowly)
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first.save, "rows side by side", "code of the first")
        assert writing.wait(60)
        other = pool.submit(second.save, "rows apart", "code of the second")
        # Without a lock it is done now, with the number that the first has chosen.
        with suppress(TimeoutError):
            other.result(0.5)
        go_on.set()
        for saved in (one, other):
            saved.result(60)
    assert reader.load("rows side by side") == "code of the first" and reader.load("rows apart") == "code of the second"


def test_a_loop_is_never_that_of_an_earlier_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is ended before it has written what it has compiled anew."""
    OneAtATime(str(tmp_path), "loop", "as it was").save("rows", "old code")
    changed = OneAtATime(str(tmp_path), "loop", "as it is")

    def ended(name: str, data: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(changed, "_save_data", ended)
    with pytest.raises(KeyboardInterrupt):
        changed.save("rows", "new code")
    assert OneAtATime(str(tmp_path), "loop", "as it is").load("rows") is None


def test_every_compiled_loop_has_such_a_cache() -> None:
    assert type(compiled.compiled(lambda value: value + 1)._cache._cache_file) is OneAtATime  # type: ignore[attr-defined]
