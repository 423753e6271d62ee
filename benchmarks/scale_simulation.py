"""Scale-out with a real queue and real workers, and a stand-in for the GPU: how throughput grows with the number of workers.

    nice -n 10 .venv/bin/python -m benchmarks.scale_simulation [--images 10000] [--workers 1 2 4 8] [--gpu-seconds 0.1]

Everything is real but Triton: Redis with BullMQ, `respray work` processes, gRPC, the store (a folder), records. In place of each worker's
Triton stands a gRPC server that speaks its protocol, takes one photo at a time and holds it for a fixed time, as a GPU would.
Writes docs/scale.json and docs/scale.svg. Half an hour with the defaults; not part of `make test`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bullmq
import grpc
import numpy as np
import redis.asyncio
from PIL import Image
from tritonclient.grpc import service_pb2, service_pb2_grpc

from respray.contract import tensors
from respray.contract.report import FileReport, OutputReport, PhotoReport
from respray.contract.request import PhotoRequest

ROOT = Path(__file__).resolve().parents[1]
USER = "scale"
QUEUE = "scale"


@dataclass(frozen=True)
class Run:
    """One number of workers. `efficiency` is against the same number of single workers; CPU seconds are of the worker processes."""

    workers: int
    images: int
    seconds: float
    per_second: float
    efficiency: float
    redis_commands_per_image: float
    worker_cpu_ms_per_image: float
    machine_busy: float


class StandIn(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated without types
    """Triton as `respray.triton.client` sees it: one photo at a time, `seconds` each, and a valid answer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._gpu = asyncio.Semaphore(1)
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (120, 140, 90)).save(buffer, "PNG")
        self._file = buffer.getvalue()

    async def ServerReady(self, request: Any, context: Any) -> Any:
        """Always."""
        return service_pb2.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: Any, context: Any) -> Any:
        """Always."""
        return service_pb2.ModelReadyResponse(ready=True)

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Hold the GPU for the fixed time and return one small file for every output and preview that was asked for."""
        contents = dict(zip([tensor.name for tensor in request.inputs], request.raw_input_contents, strict=True))
        wanted = PhotoRequest.model_validate_json(contents[tensors.REQUEST])
        async with self._gpu:
            await asyncio.sleep(self._seconds)
        kinds = ("output", "preview") if wanted.preview_size else ("output",)
        files = [FileReport(kind=kind, name=o.name, media_type="image/png") for kind in kinds for o in wanted.outputs]  # type: ignore[arg-type]
        report = PhotoReport(
            width=8,
            height=8,
            concepts=[],
            outputs=[OutputReport(name=output.name, edits=[]) for output in wanted.outputs],
            files=files,
            timings={"segment": self._seconds},
        )
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
        sizes = np.full(len(files), len(self._file), np.int64)
        outputs = (self._file * len(files), sizes.tobytes(), report.model_dump_json().encode())
        for name, data in zip(tensors.RESULTS, outputs, strict=True):
            kind, length = ("INT64", len(files)) if name == tensors.FILE_SIZES else ("UINT8", len(data))
            answer.outputs.add(name=name, datatype=kind, shape=[length])
            answer.raw_output_contents.append(data)
        return answer


async def stand_in(seconds: float) -> tuple[grpc.aio.Server, int]:
    """Start one; returns the server and its port."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(StandIn(seconds), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


class Worker:
    """A `respray work` process; counts its item events."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self.items = 0
        self.failed: list[str] = []
        self.last = 0.0
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == "worker" and event["status"] == "ready":
                self.ready.set()
            elif event["event"] == "item":
                self.items += event["status"] == "completed"
                self.last = time.monotonic()
                if event["status"] != "completed":
                    self.failed.append(str(event["error"]))

    def cpu_seconds(self) -> float:
        """CPU time of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def stop(self) -> None:
        """SIGTERM, and wait."""
        self.process.terminate()
        await self.process.wait()
        await self._reader


async def start_worker(folder: Path, redis_url: str, triton: int, log: Path) -> Worker:
    """One real worker process against the given queue, store and stand-in."""
    environment = {
        **os.environ,
        "ADAPTER": "bullmq",
        "REDIS_URL": redis_url,
        "QUEUE_NAME": QUEUE,
        "GPU_CALLBACK_SECRET": "scale",
        "TRITON_URL": f"127.0.0.1:{triton}",
        "MODEL_NAME": "sam3",
        "HEALTH_PORT": "0",
        "PYTHONPATH": str(ROOT),
        "LOG_LEVEL": "WARNING",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "orchestrator.cli.app", "work", "--store", str(folder),
        env=environment, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=log.open("ab"), limit=1 << 20,
    )  # fmt: skip
    return Worker(process)


def message(job: str, images: int) -> dict[str, Any]:
    """A palette job."""
    items = [{"idx": i, "input_key": f"inputs/{USER}/{job}/{i}.jpg", "output_key": f"outputs/{USER}/{job}/{i}.png"} for i in range(images)]
    concepts = {"Floor": {"action": "recolor", "value": "#C8A165"}, "Wall": {"action": "recolor", "value": "#7C9082"}}
    return {"job_id": job, "user_id": USER, "concepts": concepts, "items": items}


def write_inputs(folder: Path, jobs: int, job_images: int) -> None:
    """The photos of all jobs: one small JPEG, linked."""
    first = folder / "photo.jpg"
    Image.new("RGB", (32, 24), (90, 100, 110)).save(first, "JPEG")
    for job in range(jobs):
        place = folder / "inputs" / USER / f"job{job}"
        place.mkdir(parents=True)
        for index in range(job_images):
            os.link(first, place / f"{index}.jpg")


def machine() -> tuple[float, float]:
    """Busy and total CPU time of the machine since it started, in ticks."""
    fields = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], float(sum(fields))


async def measure(workers: int, images: int, job_images: int, gpu_seconds: float, scratch: Path) -> Run:
    """Start everything, work through `images` photos, take everything down."""
    folder = Path(tempfile.mkdtemp(prefix=f"scale-{workers}-", dir=scratch))
    jobs = images // job_images
    write_inputs(folder, jobs, job_images)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    broker = await asyncio.create_subprocess_exec(
        "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), stdout=asyncio.subprocess.DEVNULL
    )
    url = f"redis://127.0.0.1:{port}"
    client = redis.asyncio.Redis.from_url(url)
    queue, servers, processes = bullmq.Queue(QUEUE, {"connection": url}), [], []
    try:
        while True:
            try:
                await client.ping()
                break
            except redis.exceptions.ConnectionError:
                await asyncio.sleep(0.05)
        for _ in range(workers):
            server, triton = await stand_in(gpu_seconds)
            servers.append(server)
            processes.append(await start_worker(folder, url, triton, scratch / "workers.log"))
        await asyncio.wait_for(asyncio.gather(*(worker.ready.wait() for worker in processes)), 300)
        before = (await client.info("stats"))["total_commands_processed"]
        cpu, (busy, total) = sum(worker.cpu_seconds() for worker in processes), machine()
        began = time.monotonic()
        for job in range(jobs):
            await queue.add("job", message(f"job{job}", job_images))
        while sum(worker.items for worker in processes) < jobs * job_images:
            await asyncio.sleep(0.05)
            failed = [error for worker in processes for error in worker.failed]
            gone = [worker.process.returncode for worker in processes if worker.process.returncode is not None]
            if failed or gone:
                raise RuntimeError(f"items failed: {failed[:3]}; workers ended: {gone}; see {scratch / 'workers.log'}")
        seconds = max(worker.last for worker in processes) - began
        after = (await client.info("stats"))["total_commands_processed"]
        cpu = sum(worker.cpu_seconds() for worker in processes) - cpu
        now_busy, now_total = machine()
    finally:
        await asyncio.gather(*(worker.stop() for worker in processes if worker.process.returncode is None))
        for server in servers:
            await server.stop(None)
        await queue.close()
        await client.aclose()
        broker.terminate()
        await broker.wait()
        shutil.rmtree(folder)
    count = jobs * job_images
    return Run(
        workers=workers,
        images=count,
        seconds=round(seconds, 2),
        per_second=round(count / seconds, 2),
        efficiency=0.0,
        redis_commands_per_image=round((after - before) / count, 2),
        worker_cpu_ms_per_image=round(1000 * cpu / count, 2),
        machine_busy=round((now_busy - busy) / (now_total - total), 3),
    )


def plot(runs: list[Run], gpu_seconds: float) -> str:
    """Throughput over workers as SVG, with the ideal line."""
    width, height, left, bottom = 640, 360, 60, 50
    most_workers, most = max(run.workers for run in runs), max(run.workers for run in runs) / gpu_seconds

    def place(workers: float, rate: float) -> tuple[float, float]:
        return left + (width - left - 20) * workers / most_workers, height - bottom - (height - bottom - 20) * rate / most

    ends = [*place(0, 0), *place(most_workers, most)]
    points = " ".join("{:.1f},{:.1f}".format(*place(run.workers, run.per_second)) for run in runs)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" fill="#555">',
        '<line x1="{:.0f}" y1="{:.0f}" x2="{:.0f}" y2="{:.0f}" stroke="#999" stroke-dasharray="5 4"/>'.format(*ends),
        f'<polyline fill="none" stroke="#00796b" stroke-width="2" points="{points}"/>',
    ]
    for run in runs:
        x, y = place(run.workers, run.per_second)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#00796b"/>')
        parts.append(f'<text x="{x - 8:.1f}" y="{y + 20:.1f}" text-anchor="end">{run.per_second:g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{height - bottom + 20}" text-anchor="middle">{run.workers}</text>')
    parts.append(f'<text x="{width / 2}" y="{height - 8}" text-anchor="middle">workers</text>')
    parts.append(f'<text x="16" y="{height / 2}" text-anchor="middle" transform="rotate(-90 16 {height / 2})">photos a second</text>')
    return "\n".join([*parts, "</svg>", ""])


def table(runs: list[Run]) -> str:
    """The results as the Markdown of docs/planning.md."""
    lines = [
        "| workers | photos a second | of linear | Redis commands a photo | worker CPU a photo | machine busy |",
        "|---|---|---|---|---|---|",
    ]
    for r in runs:
        cells = [r.workers, f"{r.per_second:.1f}", f"{r.efficiency:.0%}", f"{r.redis_commands_per_image:.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} | {r.worker_cpu_ms_per_image:.1f} ms | {r.machine_busy:.0%} |")
    return "\n".join(lines)


async def main() -> None:
    """Measure every number of workers and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--gpu-seconds", type=float, default=0.1)
    parser.add_argument("--per-worker", action="store_true", help="--images for each worker instead of altogether")
    parser.add_argument("--job-images", type=int, default=20, help="photos per job")
    parser.add_argument("--name", default="scale", help="name of the two files")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    file = options.out / f"{options.name}.json"
    conditions = {"gpu_seconds": options.gpu_seconds, "cores": os.cpu_count(), "images": options.images, "per_worker": options.per_worker}
    # What an earlier, interrupted call measured under the same conditions is kept.
    before = json.loads(file.read_text()) if file.is_file() else {}
    kept = before.get("runs", []) if {name: before.get(name) for name in conditions} == conditions else []
    runs = {run["workers"]: Run(**run) for run in kept if run["workers"] not in options.workers}
    with tempfile.TemporaryDirectory(prefix="respray-scale-") as scratch:
        for workers in options.workers:
            images = options.images * (workers if options.per_worker else 1)
            runs[workers] = await measure(workers, images, options.job_images, options.gpu_seconds, Path(scratch))
            print(runs[workers], flush=True)
            ordered = [runs[number] for number in sorted(runs)]
            single = ordered[0].per_second / ordered[0].workers
            ordered = [Run(**{**asdict(run), "efficiency": round(run.per_second / run.workers / single, 3)}) for run in ordered]
            file.write_text(json.dumps({**conditions, "runs": [asdict(run) for run in ordered]}, indent=1) + "\n")
            (options.out / f"{options.name}.svg").write_text(plot(ordered, options.gpu_seconds))
    print(table(ordered))


if __name__ == "__main__":
    asyncio.run(main())
