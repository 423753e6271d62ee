"""A rug, a direction and a sheen from a message through the real pipeline to pixels and the report."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.worker.backend import TritonBackend
from respray.imaging.arrays import UInt8Array
from tests.orchestrator.support import palette_job, tiny_worker

ROOM = Path(__file__).parents[2] / "respray/demo/photos/room_1.jpg"
FOLDER = "inputs/u_abc/job_1"
QUAD = [[0.3, 0.6], [0.7, 0.6], [0.8, 0.9], [0.2, 0.9]]
RUG = {"name": "rug", "concepts": {"Floor": {"action": "texture", "value": {"texture_key": f"{FOLDER}/rug.png", "quad": QUAD}}}}
PLANKS = {"name": "planks", "concepts": {"Floor": {"action": "texture", "value": {"texture": "oak_planks", "direction": "across"}}}}
MATTE = {"name": "matte", "concepts": {"Floor": {"action": "recolor", "value": {"color": "#5B3A26", "sheen": "matte"}}}}


def read(data: bytes) -> UInt8Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.server
def test_a_rug_a_direction_and_a_sheen_are_done_by_the_pipeline(tmp_path: Path, triton_url: str) -> None:
    message = palette_job(count=1, preset="interior", protect=[], looks=[RUG, PLANKS, MATTE])
    del message["concepts"]
    item = {key: value for key, value in message["items"][0].items() if key not in ("output_key", "preview_key")}
    message["items"] = [item | {"mask_keys": {"Floor": f"{FOLDER}/floor.png"}}]
    photo = read(ROOM.read_bytes())
    height, width = photo.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    mask[height // 2 :] = 255
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / item["input_key"]).write_bytes(ROOM.read_bytes())
    Image.fromarray(mask).save(tmp_path / FOLDER / "floor.png")
    Image.new("RGB", (60, 40), (200, 30, 30)).save(tmp_path / FOLDER / "rug.png")
    events: list[dict[str, Any]] = []

    async def work() -> None:
        async with tiny_worker(tmp_path, TritonBackend(triton_url, 240.0), events=events) as worker:
            result = await worker.start(message).finished()
            assert result.ok, result.error

    asyncio.run(work())
    rug, planks, matte = (read((tmp_path / f"outputs/u_abc/job_1/{name}/0.png").read_bytes()) for name in ("rug", "planks", "matte"))
    changed = (rug != photo).any(axis=-1)
    ys, xs = np.nonzero(changed)
    # Its box is that of the four corners, to a pixel.
    assert (
        np.abs(
            np.array([xs.min(), xs.max() + 1, ys.min(), ys.max() + 1]) - np.array([0.2, 0.8, 0.6, 0.9]) * (width, width, height, height)
        ).max()
        <= 1.5
    )
    red, green, _ = rug[int(0.75 * height), width // 2].astype(int)
    assert red > 2 * green
    assert (planks[mask > 0] != photo[mask > 0]).any() and (matte[mask > 0] != photo[mask > 0]).any()
    (told,) = [event["report"] for event in events if event["event"] == "item" and event["status"] == "completed"]
    edits = {output["name"]: output["edits"][0] for output in told["outputs"]}
    assert edits["rug"]["planes"] == edits["planks"]["planes"] == 1
    assert "geometry_confidence" not in edits["rug"] and edits["planks"]["geometry_confidence"] > 0.0 and "planes" not in edits["matte"]
