"""The embedded server on the device: a whole job end to end, and a load of photos of three sizes, with where the time goes."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.gpu_server.plan import Findings, Plan, gpu_mib
from benchmarks.gpu_server.steps import REPOSITORY
from benchmarks.load import run_level
from benchmarks.work import load_photos, make_request, palette_items
from respray.processors import usable_cores
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import embedded_on, target

MIN_SHARED_MEMORY = 4 << 30


def run(plan: Plan, findings: Findings) -> None:
    """Start it, with what its probe said, do the job, then the load from small photos to large ones."""
    cores = usable_cores()
    instances = {"pipeline_instances": max(2, min(16, cores)), "applier_instances": max(1, cores // 2)}
    chosen = target("embedded", **{**embedded_on(plan.place.kind), **instances})
    room = _shared_memory(plan)
    findings.note({"target": {**instances, "device": chosen.device, "joined": chosen.joined}, "shared_memory_mib": room >> 20})
    repository = build(plan.graphs, chosen, plan.folder / "repository", symlinks=True)
    options = ServerOptions(start_timeout=120, log_file=plan.folder / "triton.log")
    with EmbeddedServer(repository, options) as server:
        findings.note({"start_seconds": round(server.start_seconds, 2), "probe": str(server.probed), "gpu_mib": gpu_mib()})
        findings.note({"job": job(server.grpc_url, plan)})
        photos = load_photos()
        levels: list[dict[str, Any]] = []
        for megapixels in plan.megapixels:
            files = [resized(photo, megapixels) for photo in photos[:4]]
            for at_once in plan.at_once:
                level = asyncio.run(run_level(server.grpc_url, files, make_request(3), at_once, plan.seconds))
                levels.append({"megapixels": megapixels, **level.as_json()})
                findings.note({"levels": levels})
        findings.note({"gpu_mib_after": gpu_mib()})


def resized(photo: bytes, megapixels: float) -> bytes:
    """A JPEG of so many megapixels."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    larger = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    written = io.BytesIO()
    larger.save(written, "JPEG", quality=92)
    return written.getvalue()


def job(url: str, plan: Plan) -> dict[str, Any]:
    """A palette job of `plan.job` photos with three concepts and two rules through `respray run`: seconds from ready to the end."""
    photos = load_photos()
    given = [resized(photos[index % len(photos)], plan.job_megapixels) for index in range(plan.job)]
    # A store of its own each time, so that nothing of the first is reused; the first one meets the prompts for the first time.
    first, second = (_run_job(given, url, plan.folder / f"job-{turn}") for turn in range(2))
    return {
        "photos": plan.job, "concepts": 3, "rules": 2, "megapixels": plan.job_megapixels,
        "first_seconds": round(first, 3), "seconds": round(second, 3),
    }  # fmt: skip


def _message(photos: int) -> dict[str, Any]:
    colours = {"Floor": "#8A6F4D", "Wall": "#D9D4C7"}
    concepts = {name: {"action": "recolor", "value": colour} for name, colour in colours.items()}
    return {
        "job_id": "job", "user_id": "bench", "preset": "interior", "concepts": concepts, "protect": ["Sofa"],
        "items": palette_items(photos, "job"),
        "options": {"threshold": 0.1},
    }  # fmt: skip


def _run_job(photos: list[bytes], url: str, folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    message = _message(len(photos))
    for item, photo in zip(message["items"], photos, strict=True):
        path = folder / item["input_key"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo)
    (folder / "job.json").write_text(json.dumps(message), encoding="utf-8")
    at_once = str(min(64, max(2, usable_cores())))
    command = [sys.executable, "-m", "orchestrator.cli.app", "run", str(folder / "job.json"), "--store", str(folder)]
    command += ["--triton-url", url, "--concurrency", at_once]
    # Random weights find nothing by chance or everything; the job must run either way.
    settings = {**os.environ, "REQUIRE_REAL_MODEL": "false", "ADAPTER": "local"}
    began = ended = 0.0
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=settings, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "worker" and event.get("status") == "ready":
                began = time.monotonic()
            elif event.get("event") == "finish":
                ended = time.monotonic()
                if event.get("status") != "completed":
                    raise RuntimeError(f"the job of {len(photos)} photos came to {event}")
        process.wait()
    if not began or not ended:
        raise RuntimeError(f"the job ended with exit code {process.returncode}: {log.read_text(errors='replace').strip()[-300:]}")
    return ended - began


def _shared_memory(plan: Plan) -> int:
    """Bytes of /dev/shm; made larger where a GPU is to be fed and this user may."""
    free = os.statvfs("/dev/shm")
    there = free.f_bavail * free.f_frsize
    if plan.cuda and there < MIN_SHARED_MEMORY and os.geteuid() == 0:
        subprocess.run(["mount", "-o", "remount,size=8g", "/dev/shm"], check=False, capture_output=True)
        free = os.statvfs("/dev/shm")
        there = free.f_bavail * free.f_frsize
    return there
