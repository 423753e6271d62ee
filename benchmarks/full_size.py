"""SAM3 at full size without its weights: build the architecture from a seed, export it, check it, serve it, edit a 12-megapixel photo.

    python -m benchmarks.full_size                 # about 20 minutes on two cores, under 14 GiB
    python -m benchmarks.full_size --no-fp16 --json build/full-size/report.json

Random weights cost what the trained ones cost; only the answers mean nothing.
"""

import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.work import CHECKPOINT
from respray.segmentation.errors import SegmentationError
from respray.triton.embedded.processes import cpu_seconds, family, proportional_bytes

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = REPOSITORY / "build" / "full-size"
MEMORY_LIMIT_GIB = 14.0
PROMPTS = ("floor", "wall")
PHOTO_SIZE = (4000, 3000)
console = Console()


class MemoryWatch(threading.Thread):
    """Samples the memory of this process and its children (proportional set size, so that shared pages count once)."""

    def __init__(self, seconds: float = 0.5) -> None:
        super().__init__(daemon=True)
        self.seconds, self.peak, self._end = seconds, 0, threading.Event()
        self.start()

    def run(self) -> None:
        """Sample until `stop`."""
        while not self._end.wait(self.seconds):
            self.peak = max(self.peak, sum(proportional_bytes(pid) for pid in family(os.getpid())))

    def stop(self) -> None:
        """End the thread."""
        self._end.set()


@contextmanager
def timed(report: dict[str, Any], name: str, watch: MemoryWatch) -> Iterator[None]:
    """Record wall and CPU seconds and peak memory of a step in `report` and print them.

    CPU seconds are those of the processes that live through the step: on a busy machine they say more than wall time.
    """
    before = watch.peak
    watch.peak = 0
    started, used = time.monotonic(), cpu_seconds(os.getpid())
    yield
    seconds, cpu, peak = time.monotonic() - started, cpu_seconds(os.getpid()) - used, watch.peak / 2**30
    watch.peak = max(before, watch.peak)
    report[name] = {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "peak_gib": round(peak, 2)}
    console.print(f"{name}: {seconds:.1f} s, {cpu:.1f} CPU s, peak {peak:.1f} GiB", highlight=False)


def export(model: Any, out: Path, precision: str, attention: str, report: dict[str, Any], watch: MemoryWatch) -> None:
    """Export one precision and compare it with transformers on the spot; fills `report[precision]`."""
    from respray.segmentation.export.checkpoints import Checkpoint
    from respray.segmentation.export.export_graphs import export_model
    from respray.segmentation.export.output_folder import replaced_folder
    from respray.segmentation.export.parity import check_parity
    from respray.segmentation.spec import load_spec

    folder = out / precision
    entry: dict[str, Any] = report.setdefault(precision, {"attention": attention})
    size = sum(parameter.numel() for parameter in model.parameters()) * (2 if precision == "fp16" else 4)
    # The words' ids are the demo's: the tokenizer of the real model belongs to its download.
    source = Checkpoint(CHECKPOINT, "random-full-size", False)
    with timed(entry, "export", watch), replaced_folder(folder, int(size * 1.2)) as partial:
        export_model(
            model,
            source,
            partial,
            precision="fp16" if precision == "fp16" else "fp32",
            attention="ort" if attention == "ort" else "explicit",
            queries=32,
            cls_token="transformers",
            boxes=True,
            half_storage=False,
            check=False,
            step=lambda text: console.print(f"  {text}", highlight=False),
        )
    entry["files"] = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    with timed(entry, "parity", watch):
        parity = check_parity(model, load_spec(folder), folder, prompts=PROMPTS, clock=lambda name: timed(entry, name, watch))
    entry["tensors"] = {tensor.name: {"max_error": tensor.error, "scale": tensor.scale, "cosine": tensor.cosine} for tensor in parity}
    table = Table(f"{precision} ({attention} attention)", "max error", "largest value", "cosine")
    for tensor in parity:
        table.add_row(tensor.name, f"{tensor.error:.2e}", f"{tensor.scale:.3g}", f"{tensor.cosine:.6f}")
    console.print(table)
    failed = [tensor.name for tensor in parity if not tensor.ok]
    if failed:
        raise SegmentationError(f"{precision}: {', '.join(failed)} are too far from PyTorch's")


def serve(folder: Path, out: Path, photo: Path, report: dict[str, Any], watch: MemoryWatch) -> None:
    """Build the embedded target's repository, start the server and run one job on the photo through `respray run`."""
    from respray.triton.embedded.server import EmbeddedServer, ServerOptions
    from respray.triton.repository.build_repository import build
    from respray.triton.repository.targets import target

    entry: dict[str, Any] = report.setdefault("served", {})
    place = target("embedded", max_photos=1, max_concepts=4, pipeline_instances=1, applier_instances=1, warm_up=False)
    with timed(entry, "build", watch):
        repository = build(folder, place, out / "repository")
    store = out / "store"
    shutil.rmtree(store, ignore_errors=True)
    key = store / "inputs" / "u" / "full" / "0.jpg"
    key.parent.mkdir(parents=True)
    shutil.copyfile(photo, key)
    job = out / "job.json"
    job.write_text(json.dumps(_job()), encoding="utf-8")
    with EmbeddedServer(repository, ServerOptions(start_timeout=600, log_file=out / "triton.log")) as server:
        entry["start_seconds"] = round(server.start_seconds, 1)
        command = [sys.executable, "-m", "orchestrator.cli.app", "run", str(job), "--store", str(store), "--triton-url", server.grpc_url]
        # Random weights find nothing by chance or everything; the job must run either way.
        settings = {**os.environ, "REQUIRE_REAL_MODEL": "false", "ADAPTER": "local"}
        with timed(entry, "job", watch):
            run = subprocess.run(command, env=settings, capture_output=True, text=True, cwd=REPOSITORY, check=False, timeout=3600)
    (out / "events.jsonl").write_text(run.stdout, encoding="utf-8")
    events = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    items = [event for event in events if event.get("event") == "item"]
    entry["job"]["timings"] = items[0].get("timings") if items else None
    if run.returncode != 0:
        raise SegmentationError(f"the job failed with exit code {run.returncode}: {run.stderr.strip().splitlines()[-1:]}")


def _job() -> dict[str, Any]:
    """A palette job over one photo with two concepts."""
    item = {"idx": 0, "input_key": "inputs/u/full/0.jpg", "output_key": "outputs/u/full/0.jpg", "preview_key": "previews/u/full/0.jpg"}
    colours = {"Floor": "#8A6F4D", "Wall": "#D9D4C7"}
    return {
        "job_id": "full",
        "user_id": "u",
        "preset": "interior",
        "concepts": {name: {"action": "recolor", "value": colour} for name, colour in colours.items()},
        "items": [item],
        "options": {"threshold": 0.1},
    }


def draw_photo(path: Path) -> None:
    """A 12-megapixel JPEG: a demo photo enlarged, or drawn shapes where there is none."""
    import cv2

    from respray.segmentation.export.parity import drawn_photo

    photos = sorted((REPOSITORY / "respray" / "demo" / "photos").glob("*.jpg"))
    image = cv2.imread(str(photos[0])) if photos else drawn_photo(1000)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(image, PHOTO_SIZE, interpolation=cv2.INTER_CUBIC), [cv2.IMWRITE_JPEG_QUALITY, 92])


def main(
    out: Annotated[Path, typer.Option(help="Folder for graphs, repository and results (about 10 GB).")] = REPOSITORY
    / "build"
    / "full-size",
    seed: Annotated[int, typer.Option(help="Of the random weights.")] = 0,
    fp32: Annotated[bool, typer.Option(help="Export and check FP32 (fused attention, for ONNX Runtime).")] = True,
    fp16: Annotated[bool, typer.Option(help="Export and check FP16 (explicit attention, for TensorRT).")] = True,
    run_job: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the FP32 graphs and run a job on 12 megapixels.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here [OUT/report.json].")] = None,
) -> None:
    """Do all of it; exit code 1 where a tensor is too far from PyTorch's, the job fails or memory exceeds 14 GiB."""
    watch = MemoryWatch()
    report: dict[str, Any] = {"seed": seed, "cores": os.cpu_count()}
    started = time.monotonic()
    try:
        _run(out, seed, {"fp32": fp32, "fp16": fp16}, run_job, report, watch)
    except SegmentationError as error:
        sys.exit(f"error: {error}")
    finally:
        watch.stop()
        report["seconds"] = round(time.monotonic() - started)
        report["peak_rss_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
        target_file = json_file or out / "report.json"
        target_file.parent.mkdir(parents=True, exist_ok=True)
        target_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    peak = report["peak_rss_gib"]
    console.print(f"all in {report['seconds']} s, peak of this process {peak} GiB; figures in {target_file}", highlight=False)
    if peak > MEMORY_LIMIT_GIB:
        sys.exit(f"error: more than {MEMORY_LIMIT_GIB:g} GiB of memory were needed")


def _run(out: Path, seed: int, precisions: dict[str, bool], run_job: bool, report: dict[str, Any], watch: MemoryWatch) -> None:
    if any(precisions.values()):
        with timed(report, "model", watch):
            from respray.segmentation.export.random_model import random_sam3

            model = random_sam3(seed)
        report["parameters"] = sum(parameter.numel() for parameter in model.parameters())
        for precision, attention in (("fp32", "ort"), ("fp16", "explicit")):
            if precisions[precision]:
                export(model, out, precision, attention, report, watch)
        del model
        gc.collect()
    if run_job:
        photo = out / "photo.jpg"
        draw_photo(photo)
        serve(out / "fp32", out, photo, report, watch)


if __name__ == "__main__":
    typer.run(main)
