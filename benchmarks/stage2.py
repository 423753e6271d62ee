"""`respray bench stage2`: processor seconds and memory of everything that is done to one photo after the network has seen it.

Every case is a photo that goes through the code of the pipeline's decoder and of the `applier` model (`DecoderProcess.decode_photo`, then
`respray.triton.models.applier.apply`), in a process of its own. The photo: a rendered room, enlarged, with a sensor's noise, saved as JPEG.
Masks: the network's (exact masks at 288 x 288, as SAM3 answers), or a user's (PNG files of the photo's size). One concept is the wall; four
are wall, floor, sofa and table; each is recoloured.

Seconds are those of user and system, of all threads and of the decoder's process, so that cores hide nothing; the smallest of `--rounds`.
Figures of the JSON file: machine, rounds, and `cases`, each with megapixels, concepts, masks, format; `seconds` by stage (decode, matte,
apply, encode, preview, and rest: parsing, packing); total_seconds; baseline_seconds, `cv2.imdecode` and `cv2.imencode` of the same photo
and format in the same process, and ratio, total over that; wall_seconds; photo_bytes, output_bytes and baseline_bytes (what `cv2.imencode`
wrote); bytes_per_pixel, what the applier's memory grows by at its peak over the first photo of this size (a small one went before) beside
its inputs (the decoded photo among them), the output's picture (3 bytes a pixel) and the encoded files; decoder_bytes_per_pixel, the same
of the decoder's process beside the file and the picture.
"""

from __future__ import annotations

import ctypes
import gc
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.quality.speed import segments_of
from benchmarks.work import BenchmarkError, machine
from respray.contract import tensors
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.imaging.arrays import UInt8Array
from respray.imaging.isolated import DecoderProcess, decoding_in
from respray.triton.models import surroundings
from respray.triton.models.applier import apply, warm_up
from respray.triton.models.parse_request import Arrays
from respray.triton.models.pipeline import handed_on
from respray.triton.packing import from_bytes, pack
from training import scenes

COLOURS = {"wall": "#7C9082", "floor": "#C8A165", "sofa": "#5B3A26", "table": "#D8CFC0"}
SIZES = {"0.8": (1032, 774), "2": (1632, 1224), "12": (4000, 3000), "48": (8000, 6000)}
STAGES = ("decode", "matte", "apply", "encode", "preview", "rest")
WARM_UP = "warm-up"
SEED = 10000233  # the living room of respray/demo/photos/room_1.jpg
MASK_SIDE = 288
QUALITY = 92
# Of a sensor, in 8-bit codes: what does not depend on light, and what grows with its root, at code 255. With it 12 megapixels have 16 MB as
# PNG and 2 MB as JPEG, as photos of rooms do.
READ_NOISE, SHOT_NOISE = 2.5, 4.0
PICTURE = 3  # bytes a pixel


@dataclass(frozen=True)
class Case:
    """What is measured: the number of concepts, whose masks (network, user), the outputs' format (png, jpeg), on a photo of `folder`."""

    megapixels: str
    concepts: int
    masks: str
    format: str
    folder: Path
    rounds: int


@dataclass(frozen=True)
class Measured:
    """See the module's description."""

    megapixels: float
    concepts: int
    masks: str
    format: str
    seconds: dict[str, float] = field(default_factory=dict)
    total_seconds: float = 0.0
    baseline_seconds: float = 0.0
    ratio: float = 0.0
    wall_seconds: float = 0.0
    photo_bytes: int = 0
    output_bytes: int = 0
    baseline_bytes: int = 0
    bytes_per_pixel: float = 0.0
    decoder_bytes_per_pixel: float = 0.0


def write_photo(scene: scenes.Scene, size: tuple[int, int], folder: Path) -> None:
    """A scene at a size: photo.jpg, and of every concept its mask as a user's file and at the network's size."""
    photo = cv2.resize(scene.photo, size, interpolation=cv2.INTER_CUBIC)
    random = np.random.default_rng(1)
    for top in range(0, size[1], 512):
        rows = photo[top : top + 512]
        deviation = np.sqrt(READ_NOISE**2 + SHOT_NOISE**2 * rows.astype(np.float32) / 255.0)
        noisy = rows + deviation * random.standard_normal(rows.shape, np.float32)
        photo[top : top + 512] = np.clip(np.round(noisy), 0, 255).astype(np.uint8)
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "photo.jpg"), cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    for name in COLOURS:
        mask = scene.masks[name].astype(np.uint8) * np.uint8(255)
        drawn = cv2.threshold(cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC), 127, 255, cv2.THRESH_BINARY)[1]
        cv2.imwrite(str(folder / f"{name}.png"), drawn)
        small = cv2.resize(mask.astype(np.float32), (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{name}_small.png"), np.round(small).astype(np.uint8))


def applier_inputs(case: Case) -> Arrays:
    """The applier's inputs but for the photo."""
    names = list(COLOURS)[: case.concepts]
    drawn = case.masks == "user"
    concepts = [
        ConceptQuery(
            name=name, prompts=[name], mask_attachment=row if drawn else None, kind="object" if name in ("sofa", "table") else "surface"
        )
        for row, name in enumerate(names)
    ]
    edits = [Edit(concept=name, rule=Recolor(color=COLOURS[name])) for name in names]
    output = Output.model_validate({"name": "out", "edits": edits, "format": case.format, "quality": QUALITY})
    request = PhotoRequest(concepts=concepts, outputs=[output])
    data, sizes = pack([(case.folder / f"{name}.png").read_bytes() for name in names] if drawn else [])
    inputs: Arrays = {
        tensors.REQUEST: from_bytes(request.model_dump_json().encode()),
        tensors.ATTACHMENTS: data,
        tensors.ATTACHMENT_SIZES: sizes,
    }
    if not drawn:
        found = segments_of(*(_read_small(case.folder / f"{name}_small.png") for name in names))
        inputs |= {name: getattr(found, name) for name in tensors.SEGMENTS}
    return inputs


def measure(case: Case) -> Measured:
    """Measure a case, in this process: the first that it measures."""
    warm_up()
    photo_file, given = (case.folder / "photo.jpg").read_bytes(), applier_inputs(case)
    decoder = DecoderProcess()
    decoder.start()
    now = _Clock(decoder.pid)
    with decoding_in(decoder):
        small = decoder.decode_photo((case.folder.parent / WARM_UP / "photo.jpg").read_bytes())
        apply({**handed_on(small), **applier_inputs(replace(case, folder=case.folder.parent / WARM_UP))})
    best = {"total": float("inf")}
    walls: list[float] = []
    peaks: tuple[float, float] | None = None
    output_bytes = 0
    pixels = 1
    for turn in range(case.rounds + 1):
        gc.collect()
        _forget_peak(decoder.pid)
        file_memory = _status("VmRSS", decoder.pid)
        began, clock = time.perf_counter(), now()
        photo = decoder.decode_photo(photo_file)
        decoded = now()
        inputs = {**handed_on(photo), **given}
        pixels = photo.rgb.shape[0] * photo.rgb.shape[1]
        decoder_peak = _status("VmHWM", decoder.pid) - file_memory - len(photo_file) - PICTURE * pixels
        _forget_peak()
        before = _status("VmRSS")
        start = now()
        with decoding_in(decoder):
            results = apply(inputs, now=now)
        seconds = {"decode": decoded - clock} | json.loads(results[tensors.REPORT].tobytes())["timings"]
        total = decoded - clock + now() - start
        walls.append(time.perf_counter() - began)
        seconds["rest"] = total - sum(seconds.values())
        output_bytes = int(results[tensors.FILE_SIZES][0])
        if peaks is None:
            files = int(results[tensors.FILE_SIZES].sum())
            peaks = (_status("VmHWM") - before - PICTURE * pixels - files, decoder_peak)
        if turn and total < best["total"]:  # the first warms up
            best = {"total": total, **seconds}
        del photo, inputs, results
    decoder.close()
    baseline, baseline_bytes = _baseline(photo_file, case)
    total = best.pop("total")
    assert peaks is not None
    return Measured(
        round(pixels / 1e6, 3),
        case.concepts,
        case.masks,
        case.format,
        {stage: round(best[stage], 4) for stage in STAGES},
        round(total, 4),
        round(baseline, 4),
        round(total / baseline, 3),
        round(min(walls[1:]), 4),
        len(photo_file),
        output_bytes,
        baseline_bytes,
        *(round(peak / pixels, 2) for peak in peaks),
    )


def _baseline(photo: bytes, case: Case) -> tuple[float, int]:
    """Processor seconds of `cv2.imdecode` and `cv2.imencode`, and the bytes that they make."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if case.format == "jpeg" else []
    times: list[float] = []
    size = 0
    for _ in range(case.rounds):
        start = time.process_time()
        image = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
        size = len(cv2.imencode(f".{case.format}", image, options)[1])
        times.append(time.process_time() - start)
    return min(times), size


class _Clock:
    """Processor seconds of this process and of another one, all threads."""

    def __init__(self, other: int) -> None:
        clock = ctypes.c_int()
        if ctypes.CDLL(None).clock_getcpuclockid(other, ctypes.byref(clock)) != 0:
            raise BenchmarkError(f"the system does not tell the processor time of process {other}")
        self._other = clock.value

    def __call__(self) -> float:
        return time.process_time() + time.clock_gettime(self._other)


def _forget_peak(process: int | str = "self") -> None:
    """proc(5), clear_refs."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def _status(key: str, process: int | str = "self") -> float:
    """Bytes."""
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith(key))
    return float(line.split()[1]) * 1024.0


def _read_small(path: Path) -> UInt8Array:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8)


def run_cases(cases: list[Case]) -> Iterator[Measured]:
    """Measure each case in a new process, which surrounds itself as the servers' do."""
    os.environ.update(surroundings.environment())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        yield from pool.map(measure, cases)


def table(measured: list[Measured]) -> Table:
    """For a person."""
    shown = Table("MP", "concepts", "masks", "file", *STAGES, "CPU s", "x cv2", "wall s", "MB", "x cv2", "B/pixel", "decoder")
    for row in measured:
        seconds = (f"{row.seconds[stage]:.3f}" for stage in STAGES)
        size = (f"{row.output_bytes / 1e6:.1f}", f"{row.output_bytes / row.baseline_bytes:.2f}")
        memory = (f"{row.bytes_per_pixel:.1f}", f"{row.decoder_bytes_per_pixel:.1f}")
        kind = (f"{row.megapixels:.1f}", str(row.concepts), row.masks, row.format)
        shown.add_row(*kind, *seconds, f"{row.total_seconds:.3f}", f"{row.ratio:.1f}", f"{row.wall_seconds:.2f}", *size, *memory)
    return shown


def _chosen(given: str, known: Callable[[str], bool], option: str, accepted: str) -> list[str]:
    values = [value.strip() for value in given.split(",") if value.strip()]
    if not values or not all(map(known, values)):
        raise BenchmarkError(f"{option} {given}: accepted are {accepted}, with commas between them")
    return values


def main(
    megapixels: Annotated[str, typer.Option(help="Sizes of the photo.")] = "0.8,2,12,48",
    concepts: Annotated[str, typer.Option(help="Numbers of concepts.")] = "1,4",
    masks: Annotated[str, typer.Option(help="Whose masks.")] = "network,user",
    formats: Annotated[str, typer.Option(help="Of the output.")] = "png,jpeg",
    rounds: Annotated[int, typer.Option(min=1, max=100, help="How often each case is measured, after once to warm up.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Measure what editing a photo costs in processor seconds and memory, by stage."""
    sizes = _chosen(megapixels, SIZES.__contains__, "--megapixels", ", ".join(SIZES))
    counts = _chosen(concepts, ("1", "2", "3", "4").__contains__, "--concepts", "1 to 4")
    sources = _chosen(masks, ("network", "user").__contains__, "--masks", "network, user")
    kinds = _chosen(formats, ("png", "jpeg").__contains__, "--formats", "png, jpeg")
    scene = scenes.render(scenes.sample_room(SEED), 1200, 900, quality=2)
    with tempfile.TemporaryDirectory(prefix="respray-stage2-") as folder:
        write_photo(scene, (320, 240), Path(folder) / WARM_UP)
        for size in sizes:
            write_photo(scene, SIZES[size], Path(folder) / size)
        cases = [
            Case(size, int(count), source, kind, Path(folder) / size, rounds)
            for size, source, count, kind in product(sizes, sources, counts, kinds)
        ]
        measured = list(run_cases(cases))
    Console(width=160).print(table(measured))
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        report = {"machine": machine(), "rounds": rounds, "cases": [asdict(row) for row in measured]}
        json_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
