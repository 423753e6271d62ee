"""What every pipeline benchmark sends: the demo's photos and one request, the specification's case of three concepts and two rules."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor

REPOSITORY = Path(__file__).resolve().parents[1]
PHOTOS = REPOSITORY / "respray" / "demo" / "photos"
GRAPHS = REPOSITORY / "respray" / "weights" / "demo" / "graphs"
CHECKPOINT = REPOSITORY / "models" / "demo" / "checkpoint"
CONCEPTS = ("wall", "floor", "ceiling", "window", "door", "sofa", "bed", "rug")
COLORS = ("#5E7F8C", "#C9A77C")


class BenchmarkError(Exception):
    """A benchmark cannot be run as asked; one sentence for the user."""


def load_photos(folder: Path = PHOTOS) -> list[bytes]:
    """The encoded photos of a folder, in the order of their names."""
    files = sorted(path for path in folder.glob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
    if not files:
        raise BenchmarkError(f"{folder} holds no photo (.jpg, .png, .webp); give another folder with --photos")
    return [path.read_bytes() for path in files]


def make_request(concepts: int = 3) -> PhotoRequest:
    """So many concepts; one output that recolours the first two."""
    if not 1 <= concepts <= len(CONCEPTS):
        raise BenchmarkError(f"--concepts {concepts} is outside 1 to {len(CONCEPTS)}")
    queries = [ConceptQuery(name=name, prompts=[name]) for name in CONCEPTS[:concepts]]
    edits = [Edit(concept=query.name, rule=Recolor(color=color)) for query, color in zip(queries, COLORS, strict=False)]
    return PhotoRequest(concepts=queries, outputs=[Output(name="recoloured", edits=edits)])


def palette_items(count: int, job: str) -> list[dict[str, Any]]:
    """The items of a palette job of the user `bench` over photos 0..count-1."""
    return [
        {
            "idx": idx,
            "input_key": f"inputs/bench/{job}/{idx}.jpg",
            "output_key": f"outputs/bench/{job}/{idx}_result.png",
            "preview_key": f"previews/bench/{job}/{idx}_thumb.jpg",
        }
        for idx in range(count)
    ]


def machine() -> str:
    """What the figures were measured on."""
    model = next((line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor())
    return f"{os.cpu_count()} cores, {model or platform.machine()}"


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
