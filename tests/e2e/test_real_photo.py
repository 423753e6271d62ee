"""A photo that a person took, with masks that a person drew: what a designer does first, and looks at closest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.e2e.cli import Run, respray

PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "photos"
KEYS = "inputs/designer/bedroom/"
RECOLOUR = {
    "accent wall": {"action": "recolor", "value": "#5E7F8C"},
    "floor": {"action": "recolor", "value": "oak_a"},
}

pytestmark = pytest.mark.skipif(not PHOTOS.is_dir(), reason="the two real photos are test data that is not part of the repository")


def polygon_mask(name: str, concept: str) -> npt.NDArray[np.uint8]:
    """uint8 [H,W], 255 inside the hand-drawn polygons."""
    photo = json.loads((PHOTOS / "masks.json").read_text())[name]
    width, height = photo["size"]
    mask = np.zeros((height, width), np.uint8)
    for polygon in photo[concept]:
        cv2.fillPoly(mask, [np.array(polygon, np.int32)], 255)
    return mask


def recolour_bedroom(store: Path, triton_url: str) -> tuple[Run, dict[str, npt.NDArray[np.uint8]]]:
    """Run the job with `store` as storage; returns the run and {"before", "after"} as uint8 BGR."""
    folder = store / KEYS
    folder.mkdir(parents=True)
    (folder / "0.jpg").write_bytes((PHOTOS / "bedroom.jpg").read_bytes())
    mask_keys = {}
    for concept in ("accent wall", "floor", "bed"):
        mask_keys[concept] = f"{KEYS}{concept.replace(' ', '_')}.png"
        cv2.imwrite(str(store / mask_keys[concept]), polygon_mask("bedroom.jpg", concept))
    job: dict[str, Any] = {
        "job_id": "bedroom",
        "user_id": "designer",
        "preset": "interior",
        "concepts": RECOLOUR,
        "protect": ["bed"],
        "items": [
            {
                "idx": 0,
                "input_key": f"{KEYS}0.jpg",
                "output_key": "outputs/designer/bedroom/0_result.png",
                "preview_key": "previews/designer/bedroom/0_thumb.jpg",
                "mask_keys": mask_keys,
            }
        ],
        "callback_url": "https://example.com/callback",
        "idempotency_prefix": "bedroom",
        "batch_concurrency": 1,
    }
    (store / "job.json").write_text(json.dumps(job))
    run = respray("run", "job.json", "--store", store, "--triton-url", triton_url, cwd=store)
    pictures = {"before": store / KEYS / "0.jpg", "after": store / "outputs/designer/bedroom/0_result.png"}
    return run, {name: cv2.imread(str(path)) for name, path in pictures.items()}


@pytest.fixture(scope="module")
def bedroom(tmp_path_factory: pytest.TempPathFactory, triton_url: str) -> tuple[Run, dict[str, npt.NDArray[np.uint8]]]:
    return recolour_bedroom(tmp_path_factory.mktemp("bedroom"), triton_url)


def test_the_job_completes_with_user_masks_alone(bedroom: tuple[Run, Any]) -> None:
    run, _ = bedroom
    assert run.code == 0, run.logs
    # What the preset would protect besides is not guessed at: the masks say where to edit.
    sources = {concept["name"]: concept["source"] for concept in run.item(0)["report"]["concepts"]}
    assert sources == {"accent wall": "user", "floor": "user", "bed": "user"}


def test_each_surface_has_the_colour_that_was_asked(bedroom: tuple[Run, Any]) -> None:
    run, _ = bedroom
    (output,) = run.item(0)["report"]["outputs"]
    assert [edit["concept"] for edit in output["edits"]] == list(RECOLOUR)
    for edit in output["edits"]:
        assert edit["delta_e"] <= 3.0, edit


def test_the_bed_and_everything_outside_the_masks_stay_byte_for_byte(bedroom: tuple[Run, Any]) -> None:
    _, pictures = bedroom
    changed = (pictures["before"] != pictures["after"]).any(axis=2)
    edited = polygon_mask("bedroom.jpg", "accent wall") | polygon_mask("bedroom.jpg", "floor")
    # A hard mask's edge may move by a few pixels to the photo's own edge.
    reach = cv2.dilate(edited, np.ones((17, 17), np.uint8)) > 0
    assert not changed[~reach].any()
    assert not changed[polygon_mask("bedroom.jpg", "bed") > 0].any()


def test_light_and_shadow_stay(bedroom: tuple[Run, Any]) -> None:
    run, pictures = bedroom
    (output,) = run.item(0)["report"]["outputs"]
    assert min(edit["shading_correlation"] for edit in output["edits"]) >= 0.95
    inside = cv2.erode(polygon_mask("bedroom.jpg", "accent wall"), np.ones((15, 15), np.uint8)) > 0
    changed = (pictures["before"] != pictures["after"]).any(axis=2)
    assert changed[inside].mean() > 0.99
