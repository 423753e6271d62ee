"""`respray bench soak`: memory of the worker and of Triton over one long job, photo by photo.

    respray bench soak --photos 1000 --json build/soak.json     # about 8 minutes on two cores; writes build/soak.png too

A real tritonserver with the demo model edits a palette job of so many photos that `respray run`, a process of its own, sends it. Both
families of processes are sampled while it runs. Figures of the JSON file: machine, photos, seconds, samples[].done, worker_mib and
triton_mib (proportional set sizes), worker_growth_mib and triton_growth_mib (the last tenth's mean over that of the second tenth, when
caches and pools are full), passed_mib (encoded photos and results that went through).
Exit code 1 where the worker grew by more than `--limit`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.curves import Panel, curves
from benchmarks.pipeline import embedded
from benchmarks.work import GRAPHS, PHOTOS, BenchmarkError, machine
from respray.triton.embedded.processes import family, proportional_bytes
from respray.triton.repository.targets import target

MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """Memory after so many photos."""

    done: int
    worker_mib: float
    triton_mib: float


class Sampler(threading.Thread):
    """Samples the worker's processes and all other descendants of this one, which are Triton's, twice a second."""

    def __init__(self, worker: int) -> None:
        super().__init__(daemon=True)
        self.worker, self.done, self.samples, self._end = worker, 0, list[Sample](), threading.Event()

    def run(self) -> None:
        """Sample until `stop`."""
        while not self._end.wait(0.5):
            ours = set(family(self.worker))
            others = set(family(os.getpid())) - ours - {os.getpid()}
            sizes = [sum(map(proportional_bytes, pids)) / MIB for pids in (ours, others)]
            if sizes[0]:
                self.samples.append(Sample(self.done, *sizes))

    def stop(self) -> None:
        """End the thread."""
        self._end.set()
        self.join()


def growth(samples: list[Sample], photos: int, field: str) -> float:
    """MiB that `field` grew by from the second tenth of the job to its last."""

    def mean(first: float, last: float) -> float:
        values: list[float] = [getattr(sample, field) for sample in samples if first * photos <= sample.done <= last * photos]
        if not values:
            raise BenchmarkError(f"no sample between {first:.0%} and {last:.0%} of {photos} photos: use more --photos")
        return sum(values) / len(values)

    return mean(0.9, 1.0) - mean(0.1, 0.2)


def _job(photos: int) -> dict[str, Any]:
    items = [
        {"idx": idx, "input_key": f"inputs/bench/soak/{idx}.jpg", "output_key": f"outputs/bench/soak/{idx}.png",
         "preview_key": f"previews/bench/soak/{idx}.jpg"}
        for idx in range(photos)
    ]  # fmt: skip
    concepts = {"Floor": {"action": "recolor", "value": "oak_a"}, "Wall": {"action": "recolor", "value": "#7C9082"}}
    return {"job_id": "soak", "user_id": "bench", "preset": "interior", "concepts": concepts, "items": items}


def _run_job(job: Path, store: Path, url: str) -> list[Sample]:
    """Run the job in a process of its own; its memory and Triton's over time. BenchmarkError where it fails."""
    command = [sys.executable, "-m", "orchestrator.cli.app", "run", str(job), "--store", str(store), "--triton-url", url]
    environment = {**os.environ, "REQUIRE_REAL_MODEL": "false", "ADAPTER": "local"}
    with tempfile.TemporaryFile("w+") as log:
        worker = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        sampler = Sampler(worker.pid)
        sampler.start()
        try:
            for line in worker.stdout or ():
                if json.loads(line).get("event") == "item":
                    sampler.done += 1
                    # The results themselves are not what is measured, and a thousand of them need gigabytes of disk.
                    (store / f"outputs/bench/soak/{sampler.done - 200}.png").unlink(missing_ok=True)
            code = worker.wait()
        finally:
            worker.kill()
            sampler.stop()
        log.seek(0)
        if code != 0:
            raise BenchmarkError(f"the job ended with exit code {code}: {log.read()[-400:]}")
    return sampler.samples


def main(
    photos: Annotated[int, typer.Option(min=50, max=1000, help="Photos of the job.")] = 1000,
    limit: Annotated[float, typer.Option(min=0.0, help="MiB that the worker may grow by.")] = 64.0,
    json_file: Annotated[Path, typer.Option("--json", help="Write the figures here, and a picture beside it.")] = Path("build/soak.json"),
) -> None:
    """Watch the memory of the worker and of Triton over one long job."""
    sources = sorted(PHOTOS.glob("*.jpg"))
    with tempfile.TemporaryDirectory(prefix="respray-soak-") as folder:
        store, job = Path(folder), Path(folder) / "job.json"
        message = _job(photos)
        job.write_text(json.dumps(message), encoding="utf-8")
        (store / "inputs/bench/soak").mkdir(parents=True)
        for number, item in enumerate(message["items"]):
            shutil.copyfile(sources[number % len(sources)], store / item["input_key"])
        sent = sum(path.stat().st_size for path in (store / "inputs").rglob("*.jpg"))
        with embedded(GRAPHS, target("embedded")) as server:
            began = time.monotonic()
            samples = _run_job(job, store, server.grpc_url)
            seconds = time.monotonic() - began
        results = [path.stat().st_size for path in (store / "outputs").rglob("*.png")]
        passed = sent + sum(results) / max(len(results), 1) * photos
    grown = {name: growth(samples, photos, f"{name}_mib") for name in ("worker", "triton")}
    figures = {
        "machine": machine(), "photos": photos, "seconds": round(seconds, 1), "passed_mib": round(passed / MIB),
        **{f"{name}_growth_mib": round(value, 1) for name, value in grown.items()}, "samples": [asdict(sample) for sample in samples],
    }  # fmt: skip
    json_file.parent.mkdir(parents=True, exist_ok=True)
    json_file.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    panels = [
        Panel(name, "photos done", "MiB", {name: [(float(sample.done), getattr(sample, f"{key}_mib")) for sample in samples]})
        for name, key in (("worker", "worker"), ("Triton, all processes", "triton"))
    ]
    curves(json_file.with_suffix(".png"), f"Memory over a job of {photos} photos", machine(), panels)
    typer.echo(
        f"{photos} photos in {seconds:.0f} s, {passed / MIB:.0f} MiB through: "
        f"worker {grown['worker']:+.1f} MiB, Triton {grown['triton']:+.1f} MiB from the second tenth to the last"
    )
    if grown["worker"] > limit:
        raise BenchmarkError(f"the worker grew by {grown['worker']:.1f} MiB; accepted is {limit:g}")


if __name__ == "__main__":
    typer.run(main)
