"""The same rules on real photos with hand-drawn masks, for people to look at. Nothing of the photos is shipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from respray.contract.report import PhotoReport
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Remove, Rule, Texture, Tone
from respray.editing.apply import edit_photo
from respray.editing.mask.select import Segments
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode

LOOKS: dict[str, dict[str, tuple[dict[str, Rule], tuple[str, ...]]]] = {
    "bedroom.jpg": {
        "blue wall, oak floor": ({"accent wall": Recolor(color="#5E7F8C"), "floor": Recolor(color="#C3A27B")}, ("bed",)),
        "off-white wall, walnut floor": ({"accent wall": Recolor(color="#EFE9DD"), "floor": Recolor(color="#6B4A35")}, ("bed",)),
        "navy wall, navy bed": ({"accent wall": Recolor(color="#22304A"), "bed": Recolor(color="#22304A")}, ()),
        "tiled wall, herringbone": ({"accent wall": Texture(texture="tile_square"), "floor": Texture(texture="oak_herringbone")}, ("bed",)),
        "marble wall, hexagons": ({"accent wall": Texture(texture="marble"), "floor": Texture(texture="tile_hex")}, ("bed",)),
        "bed removed": ({"bed": Remove(mode="inpaint")}, ()),
        "bed cut out": ({"bed": Remove(mode="transparent")}, ()),
    },
    "kitchen.jpg": {
        "red dishwasher, dark floor": ({"dishwasher": Recolor(color="#A4573D"), "floor": Recolor(color="#47494B")}, ()),
        "white table, terrazzo": ({"table": Recolor(color="#EFE9DD"), "floor": Texture(texture="terrazzo")}, ()),
        "walnut planks, warm table": ({"floor": Texture(texture="walnut_planks"), "table": Tone(exposure=0.5, warmth=0.5)}, ()),
        "dishwasher removed": ({"dishwasher": Remove(mode="inpaint")}, ()),
    },
}
# Known in every room: it helps to fill what is removed.
FLOOR = "floor"
OBJECTS = ("bed", "table", "dishwasher")


@dataclass(frozen=True)
class Look:
    """One edited photo with its report."""

    photo: str
    name: str
    before: UInt8Array
    data: bytes
    report: PhotoReport


def looks(folder: Path) -> Iterator[Look]:
    """Edit every photo of `folder` that LOOKS knows, with the polygons of its masks.json."""
    polygons = json.loads((folder / "masks.json").read_text())
    for file, edits_by_name in LOOKS.items():
        if not (folder / file).exists():
            continue
        photo = decode((folder / file).read_bytes())
        for name, (rules, protect) in edits_by_name.items():
            concepts = list(dict.fromkeys([*rules, *protect, FLOOR]))
            request = PhotoRequest(
                concepts=[
                    ConceptQuery(
                        name=concept,
                        prompts=[concept],
                        kind="object" if concept in OBJECTS else "surface",
                        mask_attachment=number,
                        aid=concept not in rules and concept not in protect,
                    )
                    for number, concept in enumerate(concepts)
                ],
                protect=list(protect),
                outputs=[Output(name=name, edits=[Edit(concept=c, rule=rule) for c, rule in rules.items()])],
            )
            masks = [encode(_mask(photo, polygons[file][concept])) for concept in concepts]
            result = edit_photo(photo, Segments.empty(), request, masks)
            yield Look(file, name, photo, result.files[0], result.report)


def _mask(photo: UInt8Array, outlines: list[list[list[float]]]) -> UInt8Array:
    mask = np.zeros(photo.shape[:2], np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [np.array(outline, np.int32)], (255,))
    return mask
