"""The benchmark of stage 2 edits what it says, and its figures add up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.stage2 import STAGES, WARM_UP, Case, measure, run_cases, write_photo
from respray.triton.errors import PhotoError

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    masks = {name: np.asarray(Image.open(GOLDEN / "masks" / f"{name}.png")) > 0 for name in ("wall", "floor", "sofa", "picture")}
    scene: Any = SimpleNamespace(photo=np.asarray(Image.open(GOLDEN / "room.jpg")), masks=masks | {"table": masks["picture"]})
    home = tmp_path_factory.mktemp("stage2")
    write_photo(scene, (160, 120), home / WARM_UP)
    write_photo(scene, (480, 320), home / "small")
    return home / "small"


@pytest.mark.parametrize(("masks", "format"), [("network", "jpeg"), ("user", "png")])
def test_seconds_of_the_stages_are_those_of_the_photo(folder: Path, masks: str, format: str) -> None:
    found = next(iter(run_cases([Case("small", 4, masks, format, folder, 1)])))
    assert set(found.seconds) == set(STAGES)
    assert sum(found.seconds.values()) == pytest.approx(found.total_seconds, abs=1e-3)
    assert found.seconds["decode"] > 0 and found.seconds["matte"] > 0 and found.seconds["apply"] > 0
    assert found.ratio == pytest.approx(found.total_seconds / found.baseline_seconds, rel=0.1)
    assert found.output_bytes > 0 and found.photo_bytes == (folder / "photo.jpg").stat().st_size


def test_a_photo_that_cannot_be_edited_is_no_figure(folder: Path) -> None:
    (folder.parent / "broken").mkdir()
    for file in folder.iterdir():
        (folder.parent / "broken" / file.name).write_bytes(file.read_bytes())
    (folder.parent / "broken" / "wall.png").write_bytes(b"no picture")
    with pytest.raises(PhotoError):
        measure(Case("small", 1, "user", "png", folder.parent / "broken", 1))
