"""Writes the golden pictures that a reader can open and `tests/editing/test_golden.py` compares with: one edit of one room for each rule.

    python -m tools.golden           # the edits, from the room and masks that lie there
    python -m tools.golden --room    # the room and its exact masks, too: rendered

After a wanted change of a rule: write them, look at each at full size, and commit them with the change.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Remove, Rule, Texture, Tone
from respray.editing.apply import edit_photo
from respray.editing.core.color import delta_e_2000, srgb8_to_lab
from respray.editing.mask.select import Segments
from respray.imaging.arrays import FloatArray, UInt8Array

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden"
SEED = 10000401  # held out from training
SIZE = (480, 320)  # width, height
OBJECTS = ("sofa", "picture")
CONCEPTS = ("wall", "floor", *OBJECTS)
# Name of the picture: concept and rule. "background" is everything but the sofa.
RULES: Mapping[str, tuple[str, Rule]] = {
    "recolor": ("wall", Recolor(color="#7C9082")),
    "tone": ("sofa", Tone(exposure=-0.3, warmth=0.6, contrast=0.2)),
    "texture": ("floor", Texture(texture="tile_square")),
    "remove_inpaint": ("picture", Remove(mode="inpaint")),
    "remove_transparent": ("sofa", Remove(mode="transparent")),
    "remove_background": ("background", Remove(mode="background", color="#E9E4DA")),
}
JPEG_QUALITY = 90
# Squares of a checkerboard behind what is transparent, in pixels and sRGB codes.
SQUARE, LIGHT, DARK = 8, 255, 200
# A reader sees differences of areas, not of single pixels, and another build of libjpeg rounds single pixels differently.
BLOCK = 4


def edit(rule_name: str, rule: Rule | None = None) -> UInt8Array:
    """Edit the golden room as picture `rule_name` shows.

    Args:
        rule_name: a key of `RULES`.
        rule: another rule for the same concept; None takes that of `RULES`.

    Returns:
        uint8 [H,W,3] sRGB, transparent parts over a checkerboard.
    """
    concept, own_rule = RULES[rule_name]
    photo = np.asarray(Image.open(FOLDER / "room.jpg"))
    masks = [(FOLDER / "masks" / f"{name}.png").read_bytes() for name in CONCEPTS]
    concepts = [
        ConceptQuery(name=name, prompts=[name], kind="object" if name in OBJECTS else "surface", mask_attachment=index)
        for index, name in enumerate(CONCEPTS)
    ]
    concepts.append(ConceptQuery(name="background", prompts=["background"], complement_of=["sofa"]))
    output = Output(name=rule_name, edits=[Edit(concept=concept, rule=rule or own_rule)])
    wanted = ("sofa", "background") if concept == "background" else CONCEPTS
    kept = ["sofa"] if concept != "sofa" else []
    request = PhotoRequest(concepts=[c for c in concepts if c.name in wanted], protect=kept, outputs=[output], preview_size=0)
    result = Image.open(io.BytesIO(edit_photo(photo, Segments.empty(), request, masks).files[0]))
    return _over_checkerboard(result) if result.mode == "RGBA" else np.asarray(result)


def as_jpeg(picture: UInt8Array) -> bytes:
    """Encode `picture` (uint8 [H,W,3] sRGB) as the golden pictures are."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return buffer.getvalue()


def largest_difference(picture: bytes, golden: bytes) -> float:
    """How far two encoded pictures of one size are apart where they differ most.

    Returns:
        CIEDE2000 between the mean Lab of blocks of 4 x 4 pixels: the value that one block in a thousand exceeds. About 1 is the least
        that an eye sees in areas side by side.
    """
    first, second = (_block_lab(np.asarray(Image.open(io.BytesIO(data)))) for data in (picture, golden))
    return float(np.percentile(delta_e_2000(first, second), 99.9))


def _block_lab(picture: UInt8Array) -> FloatArray:
    height, width = (side // BLOCK for side in picture.shape[:2])
    lab = srgb8_to_lab(np.ascontiguousarray(picture[: height * BLOCK, : width * BLOCK]))
    means: FloatArray = lab.reshape(height, BLOCK, width, BLOCK, 3).mean(axis=(1, 3), dtype=np.float32)
    return means


def _over_checkerboard(picture: Image.Image) -> UInt8Array:
    y, x = np.mgrid[: picture.height, : picture.width] // SQUARE
    board = np.where((x + y) % 2 == 0, LIGHT, DARK).astype(np.uint8)
    behind = Image.fromarray(board).convert("RGBA")
    return np.asarray(Image.alpha_composite(behind, picture).convert("RGB"))


def _write_room() -> None:
    """Render the room and its masks. They are kept as files: floats differ a little between machines, and a test should not wait."""
    from benchmarks.quality.cases import camera
    from training import scenes

    room = scenes.sample_room(SEED)
    scene = scenes.render(room, *SIZE, sensor=camera(scenes.render(room, 96, 64)), quality=2)
    (FOLDER / "masks").mkdir(parents=True, exist_ok=True)
    (FOLDER / "room.jpg").write_bytes(as_jpeg(scene.photo))
    for name in CONCEPTS:
        Image.fromarray(scene.masks[name]).save(FOLDER / "masks" / f"{name}.png", optimize=True)


def main() -> None:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--room", action="store_true", help="render the room and its masks again")
    if parser.parse_args().room:
        _write_room()
    for name in RULES:
        (FOLDER / f"{name}.jpg").write_bytes(as_jpeg(edit(name)))


if __name__ == "__main__":
    main()
