"""What is compiled: it needs no folder to write to, and shares of work cover everything once."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import numpy as np
import pytest
from numba import float64
from numba.core.dispatcher import Dispatcher

from respray import editing
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


# What there is in a process that has only warmed up. Numba may have loaded it or compiled it: both take time from a photo.
WARMED_UP = """
import sys, warnings
from numba.core.dispatcher import Dispatcher
from respray.editing.core.compiled import DeclaredLoop
from respray.triton.models.applier import warm_up

def functions():
    found = (value for name, module in [*sys.modules.items()] if name.startswith("respray") for value in vars(module).values())
    return {getattr(value, "dispatcher", value) for value in found if isinstance(value, (DeclaredLoop, Dispatcher))}

def compiled():
    return {(loop.py_func.__module__, loop.py_func.__qualname__, str(types)) for loop in functions() for types in loop.signatures}

warnings.simplefilter("error")  # a loop that is called with something else says so
warm_up()
warm = compiled()
assert warm
"""
EDITS = """
import cv2
import numpy as np
from pathlib import Path
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Remove, Texture, Tone
from respray.editing.apply import edit_photo
from respray.editing.mask.select import Segments
from respray.imaging.decode import decode_photo

FLOOR = ((0.2, 0.6), (0.8, 0.6), (0.9, 0.95), (0.1, 0.95))
RULES = [
    ("wall", Recolor(color="#7C9082")), ("wall", Recolor(color="#F0F0F0", sheen="matte")),
    ("sofa", Recolor(color="#202020", sheen="gloss", strength=0.8)),
    ("sofa", Tone(exposure=-0.3, warmth=0.6, contrast=0.2)), ("floor", Texture(texture="tile_square")),
    ("floor", Texture(texture="tile_square", direction="along")), ("floor", Texture(texture="tile_square", quad=FLOOR)),
    ("sofa", Remove(mode="inpaint")), ("sofa", Remove(mode="transparent")), ("sofa", Remove(mode="background", color="#E9E4DA")),
]
photo = cv2.imread("respray/demo/photos/room_1.jpg")
region = np.zeros((3, 72, 72), np.uint8)
region[0, :40], region[1, 36:60, 10:50], region[2, 40:] = 255, 255, 255

def answer(region):
    ones = np.ones((len(region), 1), np.float32)
    return Segments(masks=region[:, None], scores=ones, boxes=np.zeros((len(region), 1, 4), np.float32), presence=ones[:, 0], region=region)

def concepts(names, **given):
    return [ConceptQuery(name=name, prompts=[name], kind="object" if name == "sofa" else "surface", **given) for name in names]

def edit(size, kind, rules, protect=(), feather=0.0, drawn=False):
    seen = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    if kind == "transparent.png":
        seen = np.dstack([seen, np.full(size[::-1], 128, np.uint8)])
    as_file = min(size) >= 8  # a smaller one is refused
    decoded = decode_photo(cv2.imencode("." + kind.split(".")[-1], seen)[1].tobytes()) if as_file else seen[..., :3]
    masks = [cv2.imencode(".png", cv2.resize(mask, size))[1].tobytes() for mask in region] if drawn else []
    names = ("wall", "sofa", "floor")
    asked = [query.model_copy(update={"mask_attachment": number if drawn else None}) for number, query in enumerate(concepts(names))]
    outputs = [Output(name=str(number), edits=[Edit(concept=name, rule=rule)]) for number, (name, rule) in enumerate(rules)]
    request = PhotoRequest(concepts=asked, outputs=outputs, protect=list(protect), feather=feather)
    edit_photo(decoded, answer(region), request, masks)
"""


CASES = {
    "rules": "edit((257, 257), 'jpg', RULES); edit((31, 17), 'jpg', RULES); edit((160, 120), 'transparent.png', RULES, ['floor'], 4.0)",
    # Of one pixel; of one row; narrower and as wide as a tile, whose rows then follow each other in memory; upright; long; large.
    "sizes": "edit((4000, 3000), 'jpg', RULES[:1])\n"
    "for size in ((1, 1), (50, 1), (1, 50), (256, 300), (333, 777), (700, 60)): edit(size, 'jpg', RULES[:4])",
    "drawn masks": "edit((800, 600), 'png', RULES[:2], drawn=True); edit((2000, 100), 'jpg', RULES[2:4], drawn=True)",
    "more surfaces than eight bits can number": """
many = [str(number) for number in range(130)]
region = np.zeros((len(many), 1, 260), np.uint8)
for number in range(len(many)):
    region[number, 0, 2 * number : 2 * number + 2] = 255
edits = [Edit(concept=name, rule=Recolor(color="#7C9082")) for name in many]
seen = cv2.resize(photo, (260, 20))
edit_photo(seen, answer(region), PhotoRequest(concepts=concepts(many), outputs=[Output(name="out", edits=edits)]), [])
""",
}


def test_after_the_warm_up_no_photo_and_no_rule_needs_anything_compiled_or_loaded() -> None:
    """All in one process, whose warm-up takes longer than most of them: what one case had loaded is said under its name."""
    cases = (f"{code}\nassert compiled() == warm, ({name!r}, compiled() - warm)" for name, code in CASES.items())
    code = "\n".join((WARMED_UP, EDITS, *cases))
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr


def test_every_loop_is_declared_that_python_calls() -> None:
    """What `compiled` alone is given is part of other loops: no Python function has its name."""
    applier = importlib.import_module("respray.triton.models.applier")
    loaded = set(sys.modules)
    assert applier
    for info in pkgutil.walk_packages(editing.__path__, f"{editing.__name__}."):
        module = importlib.import_module(info.name)
        parts = {name for name, value in vars(module).items() if isinstance(value, Dispatcher)}
        if parts or any(isinstance(value, compiled.DeclaredLoop) for value in vars(module).values()):
            assert info.name in loaded, f"the applier does not load {info.name}, and so does not compile its loops"
        called = {name for function in _functions(module) for name in _names(function.__code__)}
        assert not parts & called, f"{info.name}: declare with compiled_for what {parts & called} is called with"


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    for value in [*vars(module).values()]:
        if getattr(value, "__module__", None) != module.__name__:
            continue
        members = vars(value).values() if isinstance(value, type) else (value,)
        for member in members:
            function = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", None) or member
            if isinstance(function, FunctionType):
                yield function


def _names(code: CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def test_a_call_that_was_not_declared_is_answered_and_said() -> None:
    @compiled.compiled_for(float64(float64))
    def doubled(value: float) -> float:
        return 2 * value

    assert doubled(1.5) == 3.0
    with pytest.warns(compiled.LateCompilation, match=r"doubled is not declared for \(array\(float64, 1d, C\)\)"):
        answer = doubled(np.array([1.0, 2.0]))  # type: ignore[arg-type]
    assert list(answer) == [2.0, 4.0]  # type: ignore[call-overload]


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
