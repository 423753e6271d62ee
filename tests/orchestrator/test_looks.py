"""Looks: one photo edited in several ways, segmented once, told of once."""

from __future__ import annotations

import asyncio
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.errors import JobError
from orchestrator.jobs.job_types import Item
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.worker.backend import TritonBackend
from respray.imaging.arrays import UInt8Array
from respray.triton.client import PipelineClient
from respray.triton.statistics import ModelStatistics, difference
from tests.faults.receiver import Receiver
from tests.orchestrator.support import palette_job, put_photos, rule_job, tiny_worker

ROOM = Path(__file__).parents[2] / "respray/demo/photos/room_1.jpg"
CATALOG = load_catalog()
KEYS = "u_abc/job_1"
WALL, FLOOR = ({"action": "recolor", "value": value} for value in ("#7C9082", "oak_a"))
CALM = {"name": "calm", "concepts": {"Wall": WALL, "Floor": FLOOR}}
# What the one edits the other protects.
BOLD = {"name": "bold", "concepts": {"floor": {"action": "recolor", "value": "#5B3A26"}}, "protect": ["wall"]}


def looks_job(*looks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    message = palette_job(count=1, preset="interior", protect=[], looks=list(looks), **fields)
    del message["concepts"]
    return message


def with_keys(message: dict[str, Any], **changes: Any) -> dict[str, Any]:
    item = {key: value for key, value in (message["items"][0] | changes).items() if value is not None}
    return message | {"items": [item]}


@pytest.mark.parametrize(
    ("keys", "options", "output", "preview"),
    [
        ({"output_key": None, "preview_key": None}, {}, "calm/0.png", "calm/0_thumb.jpg"),
        ({"output_key": None}, {"format": "jpeg"}, "calm/0.jpg", "calm/0_thumb.jpg"),
        ({"output_key": f"outputs/{KEYS}/0.webp"}, {}, "calm/0.webp", "calm/0_thumb.jpg"),
        (
            {"output_key": f"outputs/{KEYS}/x_{{look}}/{{look}}.jpeg", "preview_key": f"previews/{KEYS}/{{look}}.jpg"},
            {},
            "x_calm/calm.jpeg",
            "calm.jpg",
        ),
    ],
)
def test_keys_have_the_looks_name_or_follow_from_it(keys: Any, options: dict[str, Any], output: str, preview: str) -> None:
    (item,) = parse_job(with_keys(looks_job(CALM, BOLD, options=options), **keys), CATALOG).items
    assert [target.name for target in item.targets] == ["calm", "bold"]
    assert tuple(to and to.label for to in (item.targets[0].to, item.targets[0].preview)) == (
        f"outputs/{KEYS}/{output}",
        f"previews/{KEYS}/{preview}",
    )
    assert len({to and to.label for target in item.targets for to in (target.to, target.preview)}) == 4


THIRD = {"name": "third", "concepts": {"Sofa": {"action": "remove", "value": "inpaint"}}}
BOXED = WALL | {"boxes": [[0.1, 0.1, 0.5, 0.5]]}


def asked(item: Item, number: int) -> tuple[list[Any], set[str], list[Any]]:
    """What an output asks for: its concepts from front to back, what it protects, its edits; whatever its concepts are called."""
    request, output = item.request, item.request.outputs[number]
    queries = {query.name: query for query in request.concepts}

    def plain(name: str) -> str:
        return re.sub(r" \(\d+\)$", "", name).casefold()

    def told(name: str) -> Any:
        query = queries[name]
        mask = None if query.mask_attachment is None else item.attachments[query.mask_attachment].identity
        return plain(name), query.prompts, mask, query.boxes, [told(other) for other in query.complement_of]

    protect = {*request.protect, *output.protect}
    known = [name for name in output.concepts or queries if name not in protect]
    edits = [edit.model_copy(update={"concept": plain(edit.concept)}) for edit in output.edits]
    return [told(name) for name in known], {plain(name) for name in protect}, edits


@pytest.mark.parametrize(
    ("preset", "looks", "masks"),
    [
        ("interior", [CALM, BOLD, THIRD], {}),
        ("interior", [CALM, {"name": "turned", "concepts": {"Floor": FLOOR, "Wall": WALL}}], {}),
        ("seller", [{"name": "a", "concepts": {"Background": WALL}}, {"name": "b", "concepts": {"Product": BOXED}}], {}),
        ("seller", [{"name": "a", "concepts": {"Background": WALL}}, {"name": "b", "concepts": {"item": WALL}}], {"item": "mask.png"}),
        ("interior", [{"name": "a", "concepts": {"wall": WALL}}, {"name": "b", "concepts": {"walls": WALL}}], {"Accent wall": "mask.png"}),
        ("interior", [BOLD, {"name": "a", "concepts": {"Wall": BOXED}}], {"sofa": "mask.png"}),
    ],
    ids=["protected, removed", "another order", "boxes of what is left out", "a synonym's mask", "drawn by a synonym", "boxes"],
)
def test_a_look_asks_for_what_a_job_of_its_own_asks_for(preset: str, looks: list[dict[str, Any]], masks: dict[str, str]) -> None:
    drawn = {"mask_keys": {name: f"inputs/{KEYS}/{key}" for name, key in masks.items()}}
    (item,) = parse_job(with_keys(looks_job(*looks) | {"preset": preset}, **drawn), CATALOG).items
    for number, look in enumerate(looks):
        alone = palette_job(count=1, preset=preset, concepts=look["concepts"], protect=look.get("protect", []))
        (single,) = parse_job(with_keys(alone, **drawn), CATALOG).items
        assert asked(item, number) == asked(single, 0)


def test_a_problem_says_in_which_look_it_is() -> None:
    wrong = {"name": "wrong", "concepts": {"Wall": WALL | {"value": "oak_z"}}}
    with pytest.raises(JobError, match=r"looks\[1\]\.concepts\.Wall: unknown palette id 'oak_z'"):
        parse_job(looks_job(CALM, wrong), CATALOG)
    with pytest.raises(JobError, match=r"looks\[0\]\.protect: 'wall' and 'Wall' are the same concept"):
        parse_job(looks_job(CALM | {"protect": ["wall"]}), CATALOG)
    with pytest.raises(JobError, match="has both 'concepts' and 'looks'"):
        parse_job(looks_job(CALM) | {"concepts": CALM["concepts"]}, CATALOG)


def read(data: bytes) -> UInt8Array:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.server
def test_looks_are_those_of_single_jobs_from_one_run_of_the_encoder(tmp_path: Path, triton_url: str, receiver: Receiver) -> None:
    message = with_keys(looks_job(CALM, BOLD, callback_url=f"{receiver.url}/jobs/job_1/callback"), output_key=None, preview_key=None)
    singles = {
        look["name"]: palette_job(
            f"single_{look['name']}", count=1, preset="interior", concepts=look["concepts"], protect=look.get("protect", [])
        )
        for look in (CALM, BOLD)
    }
    for job in (message, *singles.values()):
        place = tmp_path / job["items"][0]["input_key"]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(ROOM.read_bytes())
    events: list[dict[str, Any]] = []

    async def work() -> dict[str, ModelStatistics]:
        backend = TritonBackend(triton_url, 120.0)
        async with PipelineClient(triton_url) as client, tiny_worker(tmp_path, backend, allow=receiver.host, events=events) as worker:
            before = await client.statistics()
            assert (await worker.start(message).finished()).ok
            spent = difference(await client.statistics(), before)
            for job in singles.values():
                assert (await worker.start(job).finished()).ok
            return spent

    spent = asyncio.run(work())
    assert spent["sam3_image_encoder"].executions == 1
    outputs = {name: f"outputs/{KEYS}/{name}/0.png" for name in ("calm", "bold")}
    (call,) = receiver.calls
    assert call.problem is None
    assert call.body == {
        "idx": 0,
        "status": "completed",
        "output_key": outputs["calm"],
        "preview_key": f"previews/{KEYS}/calm/0_thumb.jpg",
        "error": None,
        "outputs": outputs,
    }
    photo = read(ROOM.read_bytes())
    for name, key in outputs.items():
        result = read((tmp_path / key).read_bytes())
        single = read((tmp_path / singles[name]["items"][0]["output_key"]).read_bytes())
        np.testing.assert_array_equal(result, single)
        assert (result != photo).any()
        thumb = read((tmp_path / f"previews/{KEYS}/{name}/0_thumb.jpg").read_bytes())
        assert max(thumb.shape) == 256
    (item,) = (event for event in events if event["event"] == "item" and event["job_id"] == "job_1")
    assert item["outputs"] == outputs and [output["name"] for output in item["report"]["outputs"]] == ["calm", "bold"]
    (stored,) = json.loads((tmp_path / f"outputs/{KEYS}/manifest.json").read_text())["items"]
    assert stored["outputs"] == outputs and set(stored["previews"]) == set(outputs)


@pytest.mark.parametrize("make", [palette_job, rule_job])
def test_a_mask_of_a_concept_that_the_job_does_not_use_is_a_warning(tmp_path: Path, make: Any) -> None:
    message = make(count=1)
    user, job = (message.get("user_id") or message["userId"]), (message.get("job_id") or message["jobId"])
    put_photos(tmp_path, job, 1, user)
    items = message.get("items", [{"idx": 0}])
    masked = message | {"items": [items[0] | {"mask_keys": {"Ceiling fan": f"inputs/{user}/{job}/not_there.png"}}]}

    async def work() -> None:
        async with tiny_worker(tmp_path) as worker:
            for sent in (message, masked):  # also where the photo is done, without that mask
                assert (await worker.start(sent).finished()).ok

    asyncio.run(work())
    (stored,) = json.loads((tmp_path / f"outputs/{user}/{job}/manifest.json").read_text())["items"]
    (warning,) = stored["report"]["warnings"]
    assert "'Ceiling fan'" in warning and "Floor" in warning.title()


@pytest.mark.server
def test_points_choose_parts_of_a_demo_room_in_both_formats(tmp_path: Path, triton_url: str) -> None:
    """One of the room's walls by a mask of two, through the real server."""
    photo = read(ROOM.read_bytes())
    height, width = photo.shape[:2]
    two = np.zeros((height, width), np.uint8)
    two[20 : height // 3, 20 : width // 3], two[20 : height // 3, width // 2 : -20] = 255, 255
    where = {"at": [[0.2, 0.2], [0.5, 0.95]], "instances": "largest"}
    palette = palette_job(count=1, concepts={"Wall": {"action": "recolor", "value": "#22304A"} | where})
    rules = rule_job(count=1, concepts=["wall"], options={"format": "png"})
    rules["rules"] = [{"ruleId": "r1", "concept": "wall", "type": "recolor", "params": {"color": "#22304A"}} | where]
    results, events = [], list[dict[str, Any]]()
    for message, base in ((palette, KEYS), (rules, "u/job_r")):
        place = tmp_path / "inputs" / base
        place.mkdir(parents=True)
        (place / "0.jpg").write_bytes(ROOM.read_bytes())
        Image.fromarray(two).save(place / "wall.png")
        items = message.get("items", [{"idx": 0}])
        message["items"] = [items[0] | {"mask_keys": {"wall": f"inputs/{base}/wall.png"}}]

    async def work() -> None:
        async with tiny_worker(tmp_path, TritonBackend(triton_url, 120.0), events=events) as worker:
            for message in (palette, rules):
                assert (await worker.start(message).finished()).ok

    asyncio.run(work())
    results = [read((tmp_path / key).read_bytes()) for key in (f"outputs/{KEYS}/0_result.png", "outputs/u/job_r/r1/0.png")]
    for result in results:
        assert np.array_equal(result[:, width // 2 - 20 :], photo[:, width // 2 - 20 :])
        assert (result[40 : height // 3 - 20, 40 : width // 3 - 20] != photo[40 : height // 3 - 20, 40 : width // 3 - 20]).any(
            axis=-1
        ).mean() > 0.9
    for item in (event for event in events if event["event"] == "item"):
        (edit,) = item["report"]["outputs"][0]["edits"]
        assert (edit["parts"], edit["parts_found"]) == (1, 2)
        assert [point.get("part") for point in edit["points"]] == [2, None]
        assert any(warning.startswith("at [0.5, 0.95] is on ") for warning in edit["warnings"])
