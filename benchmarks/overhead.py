"""`respray bench overhead`: what Triton and BLS add to the same code and the same graphs called in one process.

Both ways run `respray.triton.models.pipeline.Pipeline` on the same photo, with the same allocator settings
and the same choice of objects' masks;
only the way to the other models differs. Rounds alternate, so that a slower minute of the machine hits both. Figures of the JSON file:
machine, model, concepts, rounds; in_process_ms and triton_ms, the fastest round of each way (on a machine that does other work too, only
the fastest rounds compare); overhead_ms, their difference; overhead_percent of in_process_ms; median_overhead_ms, the median of the
rounds' differences; outside_models_ms, what the counters say: a photo's mean time at the client less decoding and the models' own
computing, so that queues, copies, gRPC, JSON and the resized square are left; in_process_outside_ms, the same of the other way, and
between_models_ms, their difference: what Triton and BLS add where other work on the machine makes the models themselves now slower, now
faster, by more than that; in_process_cpu_ms, triton_cpu_ms and cpu_overhead_ms,
processor time per photo, client and all server processes together - which other work on the machine changes least.

On a machine that does other work, run it as `chrt -r 1 respray bench overhead` (as root): the server inherits the priority.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console

from benchmarks.pipeline import embedded
from benchmarks.work import GRAPHS, PHOTOS, load_photos, machine, make_request
from respray.contract import tensors
from respray.segmentation.runner import Segmenter
from respray.triton.client import PipelineClient
from respray.triton.embedded.server import EmbeddedServer
from respray.triton.models import surroundings
from respray.triton.models.applier import apply
from respray.triton.models.parse_request import Arrays
from respray.triton.models.pipeline import Pipeline
from respray.triton.packing import from_bytes, pack
from respray.triton.repository.configs import object_source
from respray.triton.repository.targets import target
from respray.triton.statistics import difference

LEAVES = ("sam3_text_encoder", "sam3_image_encoder", "sam3_concept_decoder", "applier")


@dataclass(frozen=True)
class Measured:
    """Seconds of every round each way; then means per photo: outside decoding and models, and processor time, each way."""

    inside: list[float]
    outside: list[float]
    inside_rest: float
    outside_rest: float
    inside_cpu: float
    outside_cpu: float


class InProcess:
    """Answers the pipeline's calls with the graphs and the applier in this process."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.object_source = object_source(segmenter.spec)
        self.seconds = 0.0  # in graphs and applier so far

    def __call__(self, model: str, inputs: Mapping[str, npt.NDArray[np.generic]], outputs: Sequence[str]) -> Arrays:
        """One model's outputs for its inputs."""
        start = time.perf_counter()
        answer = self._answer(model, inputs)
        self.seconds += time.perf_counter() - start
        return answer

    def _answer(self, model: str, inputs: Mapping[str, npt.NDArray[np.generic]]) -> Arrays:
        if model == "applier":
            return apply(dict(inputs), self.object_source)
        if model == "sam3_text_encoder":
            return self.segmenter.text_encoder(dict(inputs))
        if model == "sam3_image_encoder":
            return self.segmenter.image_encoder(dict(inputs))
        texts = {name: inputs[name] for name in (tensors.TEXT_FEATURES, tensors.TEXT_MASK)}
        if model == "sam3":
            features = self.segmenter.image_encoder({tensors.IMAGE: inputs[tensors.IMAGE]})
        else:
            features = {name: inputs[name] for name in tensors.FEATURES}
        decoded = self.segmenter.concept_decoder({**features, **texts})
        return {name: decoded[name] for name in tensors.SEGMENTS}


def main(
    *,
    photos: Annotated[Path, typer.Option(help="Folder of photos; the first one is sent.")] = PHOTOS,
    graphs: Annotated[Path, typer.Option(help="Exported graphs.")] = GRAPHS,
    concepts: Annotated[int, typer.Option(help="Concepts per photo, 1 to 8.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="Photos sent each way.")] = 30,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Measure what Triton and BLS add to one photo."""
    surroundings.keep_memory()
    photo, request = load_photos(photos)[0], make_request(concepts)
    segmenter = Segmenter(graphs)
    chosen = target("embedded", pipeline_instances=1, applier_instances=1)
    models = InProcess(segmenter)
    pipeline = Pipeline(models, segmenter.tokenizer, segmenter.spec.image_size, chosen.buckets)
    data, sizes = pack([])
    body = from_bytes(request.model_dump_json().encode())

    def in_process(photo: bytes) -> float:
        """Seconds outside decoding and models."""
        start, before = time.perf_counter(), models.seconds
        passed_on: Arrays = dict(zip(tensors.PASSED_ON, (body, data, sizes), strict=True))
        result = pipeline.run({tensors.PHOTO: from_bytes(photo), **passed_on})
        decoding: float = json.loads(result[tensors.REPORT].tobytes())["timings"]["decode"]
        return time.perf_counter() - start - decoding - (models.seconds - before)

    async def measure(server: EmbeddedServer) -> Measured:
        inside: list[float] = []
        outside: list[float] = []
        decoding = inside_cpu = inside_rest = 0.0
        async with PipelineClient(server.grpc_url) as client:
            in_process(photo)
            await client.edit(photo, request)
            before, server_cpu, own_cpu = await client.statistics(), server.cpu_seconds(), time.process_time()
            for _ in range(rounds):
                cpu, start = time.process_time(), time.perf_counter()
                inside_rest += in_process(photo)
                middle = time.perf_counter()
                inside_cpu += time.process_time() - cpu
                result = await client.edit(photo, request)
                decoding += result.report.timings["decode"]
                inside.append(middle - start)
                outside.append(time.perf_counter() - middle)
            added = difference(await client.statistics(), before)
            outside_cpu = server.cpu_seconds() - server_cpu + time.process_time() - own_cpu - inside_cpu
        computing = sum(added[name].compute_infer_seconds for name in LEAVES)
        rest = (sum(outside) - decoding - computing) / rounds
        return Measured(inside, outside, inside_rest / rounds, rest, inside_cpu / rounds, outside_cpu / rounds)

    with embedded(graphs, chosen) as server:
        result = asyncio.run(measure(server))
    inside, outside = result.inside, result.outside
    added = min(outside) - min(inside)
    report = {
        "machine": machine(),
        "model": segmenter.spec.name,
        "concepts": concepts,
        "rounds": rounds,
        "in_process_ms": 1000 * min(inside),
        "triton_ms": 1000 * min(outside),
        "overhead_ms": 1000 * added,
        "overhead_percent": 100 * added / min(inside),
        "median_overhead_ms": 1000 * statistics.median(b - a for a, b in zip(inside, outside, strict=True)),
        "outside_models_ms": 1000 * result.outside_rest,
        "in_process_outside_ms": 1000 * result.inside_rest,
        "between_models_ms": 1000 * (result.outside_rest - result.inside_rest),
        "in_process_cpu_ms": 1000 * result.inside_cpu,
        "triton_cpu_ms": 1000 * result.outside_cpu,
        "cpu_overhead_ms": 1000 * (result.outside_cpu - result.inside_cpu),
    }
    Console().print(
        f"in one process {report['in_process_ms']:.1f} ms, through Triton {report['triton_ms']:.1f} ms: "
        f"Triton and BLS add {report['overhead_ms']:.1f} ms ({report['overhead_percent']:.1f} %); "
        f"between the models {report['between_models_ms']:.1f} ms more; "
        f"processor time {report['in_process_cpu_ms']:.0f} and {report['triton_cpu_ms']:.0f} ms",
        highlight=False,
        soft_wrap=True,
    )
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
