"""What is measured, handed to every step as a file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from respray.segmentation.device import Device


@dataclass(frozen=True)
class Plan:
    """Sizes of one run.

    Attributes:
        device: `cuda:0`, `tensorrt-rtx:0` or `cpu`. checkpoint: `random` (full size, made on the spot) or `demo`.
        graphs: folder of the export. folder: for everything else.
        concepts, photos: how many are decoded together. at_once, megapixels: of the server's load.
        job, job_megapixels: how many photos the end-to-end job has, and how large.
        repeat: runs behind a median. seconds: of one level of load. memory_gib: what ONNX Runtime may take in the step that limits it.
    """

    device: str
    checkpoint: str
    graphs: Path
    folder: Path
    concepts: tuple[int, ...] = (1, 3, 8, 16)
    photos: tuple[int, ...] = (1, 2, 4)
    at_once: tuple[int, ...] = (1, 2, 4, 8, 16)
    megapixels: tuple[float, ...] = (0.8, 2.0, 12.0)
    job: int = 10
    job_megapixels: float = 2.0
    repeat: int = 20
    seconds: float = 2.0
    memory_gib: float = 14.0

    @property
    def place(self) -> Device:
        """Where graphs run."""
        return Device.named(self.device)

    @property
    def cuda(self) -> bool:
        """Whether that is a GPU."""
        return self.place.kind != "cpu"

    def small(self) -> Self:
        """The same for two CPU cores and the demo model: every step runs, its figures are a CPU's."""
        few = {"concepts": (1, 2), "photos": (1, 2), "at_once": (2,), "megapixels": (0.2,), "job": 1, "job_megapixels": 0.2}
        return replace(self, **few, repeat=1, seconds=0.1, memory_gib=1.0)  # type: ignore[arg-type]

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """From `write`."""
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sequences = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
        return cls(**{**stored, **sequences, "graphs": Path(stored["graphs"]), "folder": Path(stored["folder"])})


class Findings(dict[str, Any]):
    """A step's figures, on disk after each of them: a step that is ended keeps what it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def note(self, figures: Mapping[str, Any]) -> None:
        """Add figures."""
        self.update(figures)
        self._path.write_text(json.dumps(self, indent=2, default=str), encoding="utf-8")


def gpu_mib() -> int | None:
    """Memory of the first GPU that is in use, by all processes; None where there is none."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
