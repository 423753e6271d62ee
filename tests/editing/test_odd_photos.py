"""Photos that no camera takes: a pixel, a line, all black, all white.

Compiled loops check no bounds: whatever is no number must not become an index. One test runs the others with the check compiled in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.quality.speed import segments_of
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Remove, Rule, Texture, Tone
from respray.editing.apply import edit_photo
from respray.editing.core.codes import encode_scene
from respray.editing.paint.recolor_pixels import apply_light
from respray.imaging.arrays import UInt8Array

RULES: list[Rule] = [
    Recolor(color="#5E7F8C"),
    Recolor(color="#FFFFFF"),
    Recolor(color="#000000", strength=0.3),
    Tone(exposure=1.0, contrast=1.0, saturation=-1.0),
    Texture(texture="oak_planks"),
    Remove(mode="transparent"),
    Remove(mode="inpaint"),
    Remove(mode="background", color="#00FF00"),
]
# As in a black photo, where a reference's luminance is 0.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def photo_of(kind: str, height: int, width: int) -> UInt8Array:
    if kind == "noise":
        return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return np.full((height, width, 3), {"black": 0, "white": 255}[kind], np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 300), (7, 500), (65, 66)], ids=str)
@pytest.mark.parametrize("kind", ["black", "white", "noise"])
def test_every_rule_answers_a_picture_of_the_photos_size(kind: str, size: tuple[int, int]) -> None:
    half = np.zeros((72, 72), np.uint8)
    half[:, :36] = 255
    for mask in (np.full((72, 72), 255, np.uint8), half, photo_of("noise", 72, 72)[..., 0].copy()):
        for rule in RULES:
            output = Output(name="out", edits=[Edit(concept="floor", rule=rule)])
            request = PhotoRequest(concepts=[ConceptQuery(name="floor", prompts=["floor"])], outputs=[output])
            result = edit_photo(photo_of(kind, *size), segments_of(mask), request, [])
            picture = cv2.imdecode(np.frombuffer(result.files[0], np.uint8), cv2.IMREAD_UNCHANGED)
            assert picture.shape[:2] == size


@pytest.mark.slow
def test_no_loop_reads_outside_its_arrays(tmp_path: Path) -> None:
    # A cache of its own: whether bounds are checked is no part of the key under which Numba keeps what it compiled.
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "every_rule and 7 or numbers"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stdout[-3000:]
    assert " passed" in result.stdout


def test_numbers_that_are_none_become_a_code_and_no_index() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, -1.0, 1e30, 0.0], np.float32)
    assert encode_scene(odd).tolist() == [0, 255, 0, 0, 255, 0]
    table = np.linspace(0.0, 1.0, 8192, dtype=np.float32)[:, None].repeat(4, axis=1)
    out = np.empty((1, len(odd), 3), np.float32)
    apply_light(odd[None], np.zeros((1, len(odd)), np.float32), np.float32(1), table, np.ones((1, 1, 3), np.float32), (0, 0, 1, 6), out)
    assert out[0, :, 0].tolist() == [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
