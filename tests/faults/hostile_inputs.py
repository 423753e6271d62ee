"""Rows of hostile inputs: beside each, a good photo of another job comes through, and worker and server stay within bounds of memory.

The memory is what the processes really take: the worker's highest resident size, and the growth of all of the server's processes together.
"""

from __future__ import annotations

import functools
import io
import json
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from respray.triton.embedded.processes import family
from tests.faults.processes import PROJECT, worker_environment
from tests.faults.stage import Outcome, Stage, make_photo
from tests.imaging.test_bounded_work import png_with, tiled_tiff, with_scans

MIB = 1 << 20
WORKER_MOST = 1500
SERVER_GROWTH = 2304
"""MiB. Triton's shared memory for a Python model grows to the largest request that each of its instances has seen, and never shrinks: with
four pipelines, two appliers and requests of 192 MB that is most of it."""
MASKS, ITEMS = 16, 14
Files = dict[str, bytes | tuple[bytes, int]]
"""Content by name below the job's inputs; with a length, the rest of the file is a hole."""


def _tiff(tags: list[tuple[int, int, int, int]], rest: bytes = b"") -> bytes:
    body = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4) + rest


def _scans() -> Files:
    return {"0.jpg": with_scans(2_800)}


def _segments() -> Files:
    data = make_photo(1)
    return {"0.jpg": data[:2] + (b"\xff\xe1\0\x22Exif\0\0" + bytes(26)) * 300_000 + data[2:]}


def _tags() -> Files:
    return {"0.jpg": _tiff([(256, 4, 1, 64), (257, 4, 1, 64), *((n, 7, 1 << 26, 8) for n in range(1000, 1900))])}


def _mask() -> Files:
    stream = io.BytesIO()
    Image.new("L", (16_000, 12_500), 255).save(stream, "PNG")
    return {"0.jpg": make_photo(1), "0_c0.png": stream.getvalue()}


def _tile() -> Files:
    return {"0.jpg": tiled_tiff(64, 26_000, 26_000)}


def _texts() -> Files:
    return {"0.jpg": png_with(*[(b"zTXt", b"comment\0\0" + zlib.compress(bytes(1 << 26), 9))] * 500)}


def _profiles() -> Files:
    """TIFFs of 64 x 64 pixels whose profiles have 64 MB, no two the same."""
    tags = [(256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 2), (277, 3, 1, 3), (278, 4, 1, 64)]
    start = 8 + 2 + 12 * (len(tags) + 3) + 4
    tags += [(273, 4, 1, start), (279, 4, 1, 64 * 64 * 3), (34675, 7, 64 * MIB, start + 64 * 64 * 3)]
    return {f"{n}.jpg": (_tiff(tags, bytes([n]) * (64 * 64 * 3 + 16)), start + 64 * 64 * 3 + 64 * MIB) for n in range(12)}


def _masks() -> Files:
    stream = io.BytesIO()
    Image.new("L", (64, 48), 255).save(stream, "PNG")
    # As many as one photo may have together (`orchestrator.jobs.limits.MAX_ATTACHMENTS_BYTES`).
    masks = {f"{n}_c{k}.png": (stream.getvalue(), 6 * MIB) for n in range(ITEMS) for k in range(MASKS)}
    return {**{f"{n}.jpg": make_photo(n) for n in range(ITEMS)}, **masks}


INPUTS: dict[str, tuple[str, Callable[[], Files], str | None]] = {
    "jpeg_scans": ("a JPEG of 2,800 scans", _scans, "more than 64 scans"),
    "exif_segments": ("a JPEG of 300,000 EXIF segments", _segments, "blocks of metadata"),
    "broken_tags": ("a TIFF of 900 broken tags", _tags, "TIFF"),
    "large_mask": ("a mask of 200 megapixels for a tiny photo", _mask, None),
    "large_tile": ("a TIFF of 64 x 64 in one tile of 26,000 x 26,000", _tile, "tiles are"),
    "unpacking_texts": ("a PNG whose 500 texts unpack to 32 GB", _texts, "MiB of texts"),
    "large_profiles": ("12 TIFFs with profiles of 64 MB", _profiles, None),
    "many_masks": (f"{ITEMS} tiny photos with {MASKS} masks of 6 MB each", _masks, None),
}
"""By name: what it is, its files, and what its sender is told; None: it is worked on."""


def hostile(stage: Stage, name: str) -> Outcome:
    """One hostile job, then a good one, through `respray run` and the stage's server."""
    what, make, told = INPUTS[name]
    store = stage.folder / name
    files = make()
    for file, content in files.items():
        _put(store / "inputs/u/hostile" / file, content)
    _put(store / "inputs/u/good/0.jpg", make_photo(7))
    assert stage.triton is not None
    began = time.monotonic()
    with Memory(stage.triton.pid) as server:
        answers, peak = _run(stage, store, _message("hostile", files))
        good, _ = _run(stage, store, _message("good", {"0.jpg": b""}))
    outcome = Outcome(what, 1, delivered=sum(item["status"] == "completed" for item in good), seconds=time.monotonic() - began)
    errors = {str(item.get("error")) for item in answers if item["status"] != "completed"}
    outcome.notes = f" worker {peak} MiB, server +{server.growth} MiB"
    if len(answers) != sum(file.endswith(".jpg") for file in files):
        outcome.failures.append(f"{len(answers)} answers")
    if (told is None and errors) or (told is not None and not any(told in error for error in errors)):
        outcome.failures.append(f"told: {sorted(errors)[:2]}")
    if peak > WORKER_MOST or server.growth > SERVER_GROWTH:
        outcome.failures.append("too much memory")
    return outcome


ROWS: dict[str, Callable[[Stage], Outcome]] = {name: functools.partial(hostile, name=name) for name in INPUTS}


class Memory:
    """The highest memory of a process and all below it, over what it was (resident, shared pages by share), while the block lasts."""

    def __init__(self, process: int) -> None:
        self._process, self._end = process, threading.Event()
        self._before = self._most = self._now()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def growth(self) -> int:
        """MiB."""
        return (self._most - self._before) // MIB

    def _now(self) -> int:
        total = 0
        for member in family(self._process):
            try:
                total += psutil.Process(member).memory_full_info().pss
            except psutil.Error:
                continue
        return total

    def _watch(self) -> None:
        while not self._end.wait(0.1):
            self._most = max(self._most, self._now())

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()


def _put(path: Path, content: bytes | tuple[bytes, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data, length = content if isinstance(content, tuple) else (content, len(content))
    with path.open("wb") as file:
        file.write(data)
        file.truncate(length)


def _message(job: str, files: Files) -> dict[str, Any]:
    prefix = f"inputs/u/{job}"
    items: list[dict[str, Any]] = []
    concepts = {"wall": {"action": "recolor", "value": "#204080"}}
    for number in range(sum(file.endswith(".jpg") for file in files)):
        item: dict[str, Any] = {"idx": number, "input_key": f"{prefix}/{number}.jpg", "output_key": f"outputs/u/{job}/{number}.png"}
        masks = {f"c{k}": f"{prefix}/{number}_c{k}.png" for k in range(MASKS) if f"{number}_c{k}.png" in files}
        if masks:
            item["mask_keys"] = masks
            concepts = {concept: {"action": "recolor", "value": "#ff0000"} for concept in masks}
        items.append(item)
    return {"job_id": job, "user_id": "u", "concepts": concepts, "items": items}


def _run(stage: Stage, store: Path, message: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """The item events of a run, and the highest resident size of its process in MiB."""
    job = store / f"{message['job_id']}.json"
    job.write_text(json.dumps(message))
    respray = str(Path(sys.executable).parent / "respray")
    environment = {"PATH": os.environ["PATH"], **worker_environment(TRITON_URL=stage.triton_url, ADAPTER="local")}
    with (
        job.with_suffix(".log").open("wb") as log,
        subprocess.Popen(
            [respray, "run", str(job), "--store", str(store)], env=environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=log, text=True
        ) as running,
    ):
        peak = 0
        events: list[str] = []
        assert running.stdout is not None
        status = Path(f"/proc/{running.pid}/status")
        reader = threading.Thread(target=lambda: events.extend(running.stdout or ()))
        reader.start()
        while running.poll() is None:
            try:
                highest = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
            except OSError:
                break
            peak = max(peak, int(highest.split()[1]) // 1024)
            time.sleep(0.05)
        reader.join()
    return [event for line in events if (event := json.loads(line))["event"] == "item"], peak
