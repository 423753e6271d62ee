"""Presets, palettes and textures: the data is sound, names resolve, and mistakes are answered with what exists."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from respray.catalog import cielab
from respray.catalog.palette import load_palette
from respray.catalog.preset import find_preset, load_presets
from respray.catalog.texture import find_texture, textures
from respray.contract.errors import EditError, UnknownNameError
from respray.editing.core.color import hex_to_lab
from respray.imaging.decode import decode


def test_the_palette_is_large_and_has_what_the_contract_names() -> None:
    palette = load_palette()
    assert len(palette.colors) >= 60
    assert {"oak_a", "offwhite_b"} <= set(palette.hexes)
    assert {"paint", "wood", "stone", "metal"} == {paint.kind for paint in palette.colors}
    with pytest.raises(UnknownNameError, match=r"unknown palette colour 'oak_z'; there is: .*oak_a"):
        palette.find("oak_z")


def test_a_users_palette_needs_only_id_and_hex(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"name": "own", "colors": [{"id": "brick", "hex": "#A4573D"}]}))
    paint = load_palette(path).find("brick")
    assert paint.lab[0] == pytest.approx(46.0, abs=1.5)
    assert 10 < paint.lrv < 20


@pytest.mark.parametrize(
    ("colors", "message"),
    [
        ([{"id": "a", "hex": "red"}], r"colors\[0\]\.hex: .*\(given: 'red'\)"),
        ([{"id": "a", "hexx": "#A4573D"}], r"hex: is missing; colors\[0\]\.hexx: unknown field; accepted here: id, hex, "),
        ([{"id": "a", "hex": "#A4573D", "lab": [50, 0, 0]}], "leave lab out"),
        ([{"id": "a", "hex": "#A4573D"}, {"id": "a", "hex": "#000000"}], "bad.yaml: the file: palette id given twice: a"),
        ([], "colors"),
    ],
)
def test_a_broken_palette_says_where(tmp_path: Path, colors: list[object], message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump({"name": "bad", "colors": colors}))
    with pytest.raises(EditError, match=message):
        load_palette(path)


def test_presets_resolve_what_users_write() -> None:
    interior = find_preset("interior")
    assert interior.query("Frame_Molding").prompts == ["baseboard", "molding"]
    assert interior.query("skirting-board").name == "skirting-board"
    assert interior.query("skirting-board").prompts == ["baseboard", "molding"]
    assert interior.query("rubber duck").prompts == ["rubber duck"]
    assert interior.query("rubber duck").kind == "object"
    assert "Window" in interior.protect
    assert interior.queries()["couch"].prompts == ["sofa"]
    with pytest.raises(UnknownNameError, match=r"there is: .*interior.*seller"):
        find_preset("no such preset")


def test_seller_background_brings_what_it_is_the_complement_of() -> None:
    queries = find_preset("seller").queries_for(["Background", "item"])
    assert [query.name for query in queries] == ["Background", "item", "Shadow"]
    assert queries[0].complement_of == ["item", "Shadow"]


def test_a_new_preset_is_one_new_file(tmp_path: Path) -> None:
    (tmp_path / "garden.yaml").write_text("name: garden\nconcepts:\n  Lawn: {prompts: [lawn], synonyms: [grass]}\n")
    assert load_presets(tmp_path)["garden"].query("Grass").prompts == ["lawn"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (b"name: bad\nconcepts:\n  Lawn: {prompts: []}\n", r"second\.yaml: concepts\.Lawn"),
        (b"name: garden\nconcepts:\n  Path: {prompts: [path]}\n", r"second\.yaml: name: another preset is called 'garden'"),
        (b"name: caf\xe9\n", r"second\.yaml cannot be read: it is no text in UTF-8"),
    ],
)
def test_a_preset_that_cannot_be_one_is_told_by_its_file(tmp_path: Path, second: bytes, message: str) -> None:
    (tmp_path / "garden.yaml").write_text("name: garden\nconcepts:\n  Lawn: {prompts: [lawn]}\n")
    (tmp_path / "second.yaml").write_bytes(second)
    with pytest.raises(EditError, match=message):
        load_presets.__wrapped__(tmp_path)


@pytest.mark.parametrize("texture", sorted(textures()))
def test_textures_repeat_without_a_seam(texture: str) -> None:
    image = decode(find_texture(texture).read()).astype(float)
    assert min(image.shape[:2]) >= 1024
    for axis in (0, 1):
        steps = np.abs(np.diff(image, axis=axis)).mean(axis=(1 - axis, 2))
        seam = np.abs(np.take(image, 0, axis) - np.take(image, -1, axis)).mean()
        assert seam <= steps.max() * 1.3 + 1.0


def test_a_json_palette_may_be_indented_with_tabs_and_begin_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    colors = {"name": "own", "colors": [{"id": "brick", "hex": "#A4573D"}]}
    path.write_text(json.dumps(colors, indent="\t"), encoding="utf-8-sig")
    assert load_palette(path).find("brick").hex == "#A4573D"
    broken = tmp_path / "broken.json"
    broken.write_text('{"name": "own",\n"colors": [}')
    with pytest.raises(EditError, match=r"broken\.json is not valid JSON: .*line 2"):
        load_palette(broken)
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: own\ncolors:\n  - {id: brick, hex: #A4573D}\n  - {id: b}\n")
    with pytest.raises(EditError, match=r"broken\.yaml is not valid YAML: expected the node content, but found '-': line 4 column 3$"):
        load_palette(broken)


def test_only_a_top_has_a_height(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: bad\nconcepts:\n  Shelf: {prompts: [shelf], height_m: 1.2}\n")
    with pytest.raises(EditError, match=r"bad.yaml: concepts.Shelf: .*plane: floor"):
        load_presets(tmp_path)


@pytest.mark.parametrize("color", ["#000000", "#FFFFFF", "#010203", "#7C9082", "#FF0000", "#0000FF"])
def test_lab_in_plain_python_is_the_editors_lab(color: str) -> None:
    assert cielab.hex_to_lab(color) == pytest.approx(tuple(hex_to_lab(color)), abs=1e-3)
