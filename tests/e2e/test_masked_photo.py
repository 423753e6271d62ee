"""A photo with masks that its owner drew: what a designer does first, and looks at closest.

The golden room, rendered with its exact masks, is always there. The bedroom, a photo masked by hand, lies beside the repository.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from respray.imaging.arrays import BoolArray, UInt8Array
from tests.e2e.cli import Run, respray

PROJECT = Path(__file__).resolve().parents[2]
GOLDEN = PROJECT / "tests" / "golden"
REAL = PROJECT.parent / "shared" / "photos"
KEYS = "inputs/designer/room/"


@dataclass(frozen=True)
class MaskedPhoto:
    """`photo` is the encoded file, `masks` bool [H,W] by concept: two to `recolor` (concept -> colour or palette id), one to `protect`."""

    photo: bytes
    masks: dict[str, BoolArray]
    recolor: dict[str, str]
    protect: str


@dataclass(frozen=True)
class Edited:
    """What came of it: the run, and the pictures before and after, uint8 [H,W,3] sRGB."""

    given: MaskedPhoto
    run: Run
    before: UInt8Array
    after: UInt8Array

    def mask(self, *concepts: str) -> UInt8Array:
        """uint8 [H,W], 1 where one of `concepts` is."""
        union: BoolArray = np.logical_or.reduce([self.given.masks[concept] for concept in concepts])
        return union.astype(np.uint8)

    @property
    def changed(self) -> BoolArray:
        """bool [H,W]: the pixels whose bytes are others than before."""
        different: BoolArray = (self.before != self.after).any(axis=2)
        return different


def rendered_room() -> MaskedPhoto:
    masks = {name: np.asarray(Image.open(GOLDEN / "masks" / f"{name}.png")) > 0 for name in ("wall", "floor", "sofa")}
    return MaskedPhoto((GOLDEN / "room.jpg").read_bytes(), masks, {"wall": "#5E7F8C", "floor": "oak_a"}, "sofa")


def real_bedroom() -> MaskedPhoto:
    if not REAL.is_dir():
        pytest.skip("an extra: the real photo lies beside the repository, not in it")
    drawn = json.loads((REAL / "masks.json").read_text())["bedroom.jpg"]
    width, height = drawn["size"]
    masks = {}
    for concept in ("accent wall", "floor", "bed"):
        mask = np.zeros((height, width), np.uint8)
        for polygon in drawn[concept]:
            cv2.fillPoly(mask, [np.array(polygon, np.int32)], (255,))
        masks[concept] = mask > 0
    return MaskedPhoto((REAL / "bedroom.jpg").read_bytes(), masks, {"accent wall": "#5E7F8C", "floor": "oak_a"}, "bed")


@pytest.fixture(scope="module", params=[rendered_room, real_bedroom], ids=lambda maker: maker.__name__)
def edited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> Edited:
    """One job through the real command and server."""
    given: MaskedPhoto = request.param()
    store = tmp_path_factory.mktemp("masked")
    (store / KEYS).mkdir(parents=True)
    (store / KEYS / "0.jpg").write_bytes(given.photo)
    mask_keys = {}
    for concept, mask in given.masks.items():
        mask_keys[concept] = f"{KEYS}{concept.replace(' ', '_')}.png"
        Image.fromarray(mask).save(store / mask_keys[concept])
    job: dict[str, Any] = {
        "job_id": "room",
        "user_id": "designer",
        "preset": "interior",
        "concepts": {concept: {"action": "recolor", "value": value} for concept, value in given.recolor.items()},
        "protect": [given.protect],
        "items": [
            {
                "idx": 0,
                "input_key": f"{KEYS}0.jpg",
                "output_key": "outputs/designer/room/0_result.png",
                "preview_key": "previews/designer/room/0_thumb.jpg",
                "mask_keys": mask_keys,
            }
        ],
        "callback_url": "https://example.com/callback",
        "idempotency_prefix": "room",
        "batch_concurrency": 1,
    }
    (store / "job.json").write_text(json.dumps(job))
    run = respray("run", "job.json", "--store", store, "--triton-url", triton_url, cwd=store)
    result = store / "outputs/designer/room/0_result.png"
    assert run.code == 0, run.logs
    return Edited(given, run, _read(given.photo), _read(result.read_bytes()))


def _read(data: bytes) -> UInt8Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_the_job_completes_with_user_masks_alone(edited: Edited) -> None:
    # What the preset would protect besides is not guessed at: the masks say where to edit.
    sources = {concept["name"]: concept["source"] for concept in edited.run.item(0)["report"]["concepts"]}
    assert sources == dict.fromkeys(edited.given.masks, "user")


def test_each_surface_has_the_colour_that_was_asked(edited: Edited) -> None:
    (output,) = edited.run.item(0)["report"]["outputs"]
    assert [edit["concept"] for edit in output["edits"]] == list(edited.given.recolor)
    for edit in output["edits"]:
        assert edit["delta_e"] <= 3.0, edit


def test_what_is_protected_and_everything_outside_the_masks_stay_byte_for_byte(edited: Edited) -> None:
    # A hard mask's edge may move by a few pixels to the photo's own edge.
    reach = cv2.dilate(edited.mask(*edited.given.recolor), np.ones((17, 17), np.uint8)) > 0
    assert not edited.changed[~reach].any()
    assert not edited.changed[edited.given.masks[edited.given.protect]].any()


def test_light_and_shadow_stay(edited: Edited) -> None:
    (output,) = edited.run.item(0)["report"]["outputs"]
    assert min(edit["shading_correlation"] for edit in output["edits"]) >= 0.95
    wall = next(iter(edited.given.recolor))
    inside = cv2.erode(edited.mask(wall), np.ones((15, 15), np.uint8)) > 0
    assert edited.changed[inside].mean() > 0.99
