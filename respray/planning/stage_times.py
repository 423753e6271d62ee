"""How long each stage takes: stated figures from `stage_times.yaml`, or measured ones from a worker's own events."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from respray.planning.errors import PlanError

FILE = Path(str(resources.files("respray.planning"))) / "stage_times.yaml"
_ON_CPU = ("decode", "matte")
_ON_CPU_PER_OUTPUT = ("apply", "encode", "preview")


@dataclass(frozen=True)
class Price:
    """US dollars an hour of a pod that runs all day (`active`) and of one that scales to zero (`flex`); None where it is not known."""

    active: float | None
    flex: float | None
    source: str


@dataclass(frozen=True)
class StageTimes:
    """Seconds. `encode` per photo and `decode` per concept occupy the GPU; `cpu_*` occupy a core; `wait_*` occupy nothing of ours."""

    gpu: str
    encode: float
    decode: float
    cpu_photo: float
    cpu_output: float
    wait_photo: float
    wait_output: float
    price: Price
    source: str

    def on_gpu(self, concepts: int) -> float:
        """Seconds of GPU per photo: the heavy pass once, the light one per concept."""
        return self.encode + concepts * self.decode

    def on_cpu(self, outputs: int) -> float:
        """Seconds of one core per photo."""
        return self.cpu_photo + outputs * self.cpu_output

    @property
    def waiting(self) -> float:
        """Seconds in which a photo waits for storage and receivers; outputs are uploaded at the same time."""
        return self.wait_photo + self.wait_output


def price_of(gpu: str) -> Price:
    """What the file knows of a GPU's price; unknown is an answer, and names the list in which the GPU is missing."""
    prices = yaml.safe_load(FILE.read_text(encoding="utf-8"))["prices"]
    entry = prices["per_second"].get(_key(gpu))
    source = f"{prices['source']}, read {prices['read']}"
    if entry is None:
        return Price(None, None, f"no price of {gpu} in {source}")
    return Price(active=entry["active"] * 3600, flex=entry["flex"] * 3600, source=source)


def _key(gpu: str) -> str:
    return gpu.lower().replace(" ", "")


def stated(gpu: str) -> StageTimes:
    """The figures of the file for one GPU. PlanError lists which there are."""
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    gpus = document["gpus"]
    key = _key(gpu)
    if key not in gpus:
        raise PlanError(f"there are no figures for the GPU {gpu!r}; there are some for {', '.join(sorted(gpus))}; or give --measured")
    entry: dict[str, Any] = gpus[key]
    return StageTimes(
        gpu=entry["name"],
        encode=entry["encode"],
        decode=entry["decode"],
        cpu_photo=sum(document["cpu"]["photo"].values()),
        cpu_output=sum(document["cpu"]["output"].values()),
        wait_photo=sum(document["waiting"]["photo"].values()),
        wait_output=sum(document["waiting"]["output"].values()),
        price=price_of(key),
        source=entry["source"],
    )


def measured(events: Path, concepts: int, outputs: int, price: Price) -> StageTimes:
    """Medians of the `timings` in a worker's item events (`respray work > events.jsonl`), of jobs with so many concepts and outputs.

    A worker measures segmentation as a whole; it is split between photo and concepts as the stated figures are (28 % per concept).
    Measure one photo at a time (BATCH_CONCURRENCY=1): otherwise `segment` contains waiting for other photos.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    try:
        lines = events.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PlanError(f"{events} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
        except ValueError:
            raise PlanError(f"{events}, line {number} is not JSON; accepted are a worker's events, one object a line") from None
        if isinstance(event, dict) and event.get("event") == "item" and event.get("status") == "completed":
            for stage, value in (event.get("timings") or {}).items():
                seconds[stage].append(float(value))
    if not seconds.get("segment"):
        raise PlanError(f"{events} has no completed item with timings; accepted are the events of respray work or respray run")
    typical = {stage: median(values) for stage, values in seconds.items()}
    segment = typical["segment"]
    if not 0 < segment < float("inf"):
        raise PlanError(f"{events} says that segmentation takes {segment:g} s; accepted is more than 0")
    encode = segment / (1 + 0.28 * concepts)
    per_output = sum(typical.get(stage, 0.0) for stage in _ON_CPU_PER_OUTPUT) / max(outputs, 1)
    return StageTimes(
        gpu="measured",
        encode=encode,
        decode=0.28 * encode,
        cpu_photo=sum(typical.get(stage, 0.0) for stage in _ON_CPU),
        cpu_output=per_output,
        wait_photo=typical.get("download", 0.0),
        wait_output=typical.get("upload", 0.0),
        price=price,
        source=f"measured: medians of {len(seconds['segment'])} photos in {events.name}",
    )
