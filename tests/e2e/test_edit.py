"""`respray edit` as a person types it: files beside the photo, a table of what was asked and measured, errors that say what to change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from rich.console import Console

from orchestrator.cli.edit import Edited, _tell
from tests.commands import respray
from tests.e2e.cli import OURS

PHOTOS = Path(__file__).resolve().parents[2] / "respray/demo/photos"


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def edit(cwd: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator.cli.app", "edit", *arguments]
    return subprocess.run(command, cwd=cwd, env=clean() | settings, capture_output=True, text=True, timeout=240, check=False)


def read(file: Path, mode: str = "RGB") -> npt.NDArray[np.uint8]:
    with Image.open(file) as image:
        assert mode in ("RGB", image.mode)
        return np.asarray(image.convert(mode))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2):
        (tmp_path / f"room_{number}.jpg").write_bytes((PHOTOS / f"room_{number}.jpg").read_bytes())
    return tmp_path


@pytest.mark.server
def test_photos_are_edited_and_it_says_how(folder: Path, triton_url: str) -> None:
    (folder / "bin").mkdir()
    opened = folder / "opened"
    (folder / "bin/xdg-open").write_text(f'#!/bin/sh\necho "$@" > {opened}\n')
    (folder / "bin/xdg-open").chmod(0o755)
    height, width = read(folder / "room_1.jpg").shape[:2]
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2, 20 : width // 2 - 20], mask[: height // 2, width // 2 + 20 : -20] = 255, 255
    Image.fromarray(mask).save(folder / "wall.png")
    where = ("--mask", "Wall=wall.png", "--at", "wall=0.25,0.25", "--at", "Wall=0.5,0.99", "--box", "floor=0.1,0.7,0.9,1")
    asked = ("--set", "Wall=#7C9082", "--set", "Floor=oak_planks", "--protect", "Sofa", "--preset", "interior")
    done = edit(
        folder,
        "room_1.jpg",
        *asked,
        *where,
        "--out",
        "results",
        "--open",
        "--triton-url",
        triton_url,
        PATH=f"{folder}/bin:{os.environ['PATH']}",
    )
    assert done.returncode == 0, done.stderr
    result, photo = (read(folder / name) for name in ("results/room_1_respray.png", "room_1.jpg"))
    assert result.shape == photo.shape
    changed = (result != photo).any(axis=-1)
    assert changed[20 : height // 3, 60 : width // 2 - 60].mean() > 0.9
    assert not changed[: height // 3, width // 2 + 20 :].any(), "the other wall"
    assert "room_1.jpg -> results/room_1_respray.png" in done.stdout
    wall, floor = (next(line for line in done.stdout.splitlines() if line.strip().startswith(name)) for name in ("Wall", "Floor"))
    assert "(1 of 2 parts)" in wall and "#7C9082" in wall and "texture" in floor
    assert "! at [0.5, 0.99] is on 'Floor' and not on 'Wall'" in done.stdout
    assert "! the boxes of 'Floor' were not used: this model was not trained for examples in boxes" in done.stdout
    page = folder / "results/before_and_after/index.html"
    assert "room_1.jpg" in page.read_text() and opened.read_text().strip().endswith(str(page))


@pytest.mark.server
def test_two_walls_in_two_colours(folder: Path, triton_url: str) -> None:
    height, width = read(folder / "room_1.jpg").shape[:2]
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2, 20 : width // 2 - 20], mask[: height // 2, width // 2 + 20 : -20] = 255, 255
    Image.fromarray(mask).save(folder / "wall.png")
    walls = ("--set", "Wall=#22304A@0.25,0.25", "--set", "wall=#A03A2E@0.75,0.25", "--mask", "Wall=wall.png")
    done = edit(folder, "room_1.jpg", *walls, "--out", "results", "--triton-url", triton_url)
    assert done.returncode == 0, done.stderr
    result = read(folder / "results/room_1_respray.png").astype(int)
    left, right = (result[20 : height // 3, x : x + 40].mean(axis=(0, 1)) for x in (60, width - 100))
    assert left[2] > left[0] + 10 and right[0] > right[2] + 40
    told = [line.split() for line in done.stdout.splitlines() if line.strip().startswith("Wall")]
    assert [line[1] for line in told] == ["[0]", "[1]"] and "#22304A" in told[0] and "#A03A2E" in told[1]


@pytest.mark.server
def test_a_photo_that_fails_is_said_by_its_name_and_the_others_are_written(folder: Path, triton_url: str) -> None:
    (folder / "broken.jpg").write_bytes(b"junk")
    done = edit(
        folder,
        "room_1.jpg",
        "broken.jpg",
        "--set",
        "wall=transparent",
        "--format",
        "webp",
        "--look",
        "cut",
        "--out",
        ".",
        TRITON_URL=triton_url,
    )
    assert done.returncode == 1
    assert read(folder / "room_1_cut.webp", "RGBA")[..., 3].min() == 0
    assert "broken.jpg: failed: the file is not an image" in done.stdout and not (folder / "broken_cut.webp").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.jpg", "--set", "Wall=oak_a"], "there is no photo none.jpg"),
        ([".", "--set", "Wall=oak_a"], "the photo . is not a file but a folder"),
        (["room_1.jpg", "other/room_1.jpg", "--set", "Wall=oak_a"], "would both be written to results/room_1_respray.png"),
        (["room_1.jpg", "--set", "Wall"], "--set 'Wall' is not NAME=VALUE"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--at", "0.5,0.5"], "--at '0.5,0.5' is not NAME=X,Y, as in Wall=0.4,0.5"),
        (["room_1.jpg", "--set", "Wall=oak_z"], "unknown colour or texture 'oak_z' (did you mean "),
        (["room_1.jpg", "--set", "Wall=#12345"], "--set Wall: colour '#12345' is not '#' and six hexadecimal digits"),
        (["room_1.jpg", "--set", "Wall=7C9082"], "'7C9082' is no palette id; did you mean '#7C9082'?"),
        (["room_1.jpg", "--set", "Wall=sage"], "'sage' (did you mean 'sage_a' or 'sage_b' or 'sage_c'?)"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--out", "room_2.jpg"], "--out room_2.jpg cannot be made: it is a file; give a folder"),
        (
            ["room_1.jpg", "--set", "Wall=oak_a", "--palette", "no.yaml"],
            "the palette file no.yaml cannot be read: No such file",
        ),
        (["room_1.jpg", "--set", "Wall=oak_a", "--set", "wall=oak_b"], "--set names 'Wall' twice, the second time as 'wall=oak_b'"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--set", "Wall=oak_b@0.5"], "'Wall=oak_b@0.5' is no point"),
        (
            ["room_1.jpg", "--set", "Wall=oak_a", "--set", "wall=oak_b@0.5,0.5", "--at", "Wall=0.1,0.1"],
            "--at names 'Wall', which has 2 edits; write the point behind the value",
        ),
        (["room_1.jpg", "--set", "Wall=oak_a", "--protect", "wall"], "'wall' and 'Wall' are the same concept"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--preset", "castle"], "unknown preset 'castle'; there are: interior, seller"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--at", "Floor=0.5,0.5"], "--at: unknown concept 'Floor'; there are: Wall"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--at", "Wall=0.5"], "'Wall=0.5' is no point"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--at", "Wall=0.5,nan"], "'Wall=0.5,nan' is beside the photo"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--box", "Floor=0,0,1,1"], "--box: unknown concept 'Floor'; there are: Wall"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--box", "Wall=0.1,0.2,0.3"], "'Wall=0.1,0.2,0.3' is no box; accepted is NAME=X0,Y0,X1,Y1"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--not-box", "Wall=0.5,0,0.5,1"], "'Wall=0.5,0,0.5,1' has no area"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--box", "Wall=0,0,inf,1"], "is beside the photo"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--instances", "Wall=0"], "must be 'all', 'largest', or a whole number"),
        (["room_1.jpg", "--set", "Wall=oak_a", "--mask", "Wall=none.png"], "there is no mask none.png"),
        (["room_1.jpg", "room_2.jpg", "--set", "Wall=oak_a", "--mask", "Wall=room_2.jpg"], "--mask belongs to one photo"),
        (
            ["room_1.jpg", "--set", "Wall=transparent", "--format", "jpeg"],
            "--format jpeg: JPEG has no transparency, which --set Wall=transparent needs",
        ),
        (["room_1.jpg", "--set", "Wall=oak_a", "--look", "../x"], "--look '../x' may hold letters"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(folder: Path, arguments: list[str], said: str) -> None:
    (folder / "other").mkdir()
    (folder / "other/room_1.jpg").write_bytes((folder / "room_1.jpg").read_bytes())
    done = respray("edit", "--out", "results", *arguments, cwd=folder, environment=clean() | {"TRITON_URL": "127.0.0.1:1"})
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr and not done.stdout
    assert not (folder / "results").exists()


def test_names_are_no_markup_and_need_not_be_text(tmp_path: Path) -> None:
    """A file's name may be any bytes, and a concept is free text: either used to end the command after the photo was edited."""
    file = tmp_path / "said"
    photo = Path(os.fsdecode(b"n\xff\x1b[31m.jpg"))
    done = {"concept": "[/wall] [bold]", "rule": "recolor", "coverage": 0.5, "warnings": ["nothing found for '[/wall]'"]}
    report = {"warnings": [], "outputs": [{"edits": [done]}]}
    with file.open("w", encoding="utf-8") as stream:
        console = Console(file=stream, width=200)
        _tell(console, Edited(photo, Path("[/out]") / photo, {"report": report}))
        _tell(console, Edited(photo, None, {"error": "[/no]"}))
    said = file.read_text(encoding="utf-8")
    for part in ("n\\udcff\\x1b[31m.jpg -> [/out]/n", " [/wall] [bold] ", "nothing found for '[/wall]'", "failed: [/no]"):
        assert part in said, said
