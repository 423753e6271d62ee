"""Segmentation of one photo by 1, 2, 4 and 8 concepts: transformers twice, our graphs in this process, our graphs behind Triton.

    python -m benchmarks.stage1 --json build/stage1.json --png build/stage1.png
    respray bench stage1 --embedded                          # with the embedded server over the same graphs
    TRITON_URL=127.0.0.1:8001 respray bench stage1           # with a server that runs over the same graphs

Figures of the JSON file, all medians in seconds, by number of concepts:
    reencode    transformers, image encoded again for every concept (what most public servers do)
    reuse       transformers, image encoded once, its features reused
    graphs      the exported graphs on ONNX Runtime in this process
    triton      the same graphs behind Triton through gRPC (only with --embedded or a Triton URL); unlike `pipeline_bls`, which
                leaves them in the server, this client also receives all masks (2.7 MB per concept at full size)
plus `speedup_reencode` and `speedup_reuse` (baseline over graphs), `marginal_share` (one more concept over one image pass, in percent,
for graphs and for reuse) and `triton_overhead_ms`.
"""

import contextlib
import functools
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.baseline import TransformersBaseline, median_seconds
from benchmarks.pipeline import numbers, served
from benchmarks.plot import grouped_bars
from benchmarks.work import CHECKPOINT, GRAPHS, BenchmarkError
from respray.contract import tensors
from respray.segmentation.errors import SegmentationError
from respray.segmentation.runner import Segmenter
from respray.triton.repository.targets import target

Array: TypeAlias = npt.NDArray[Any]

REPOSITORY = Path(__file__).resolve().parents[1]
CONCEPTS = ("floor", "wall", "ceiling", "window", "door", "sofa", "bed", "rug")
LABELS = {
    "reencode": "transformers, re-encoding",
    "reuse": "transformers, features reused",
    "graphs": "our graphs",
    "triton": "our graphs in Triton",
}
console = Console(stderr=True)


class GraphsInProcess:
    """Our graphs: the image once, each text once per process, all concepts in one decoder call (or `batch` at a time)."""

    def __init__(self, segmenter: Segmenter, square: Array, batch: int) -> None:
        self.segmenter, self.square, self.batch = segmenter, square, batch
        self.texts: dict[str, tuple[Array, Array]] = {}

    def __call__(self, prompts: Sequence[str]) -> None:
        features = self.segmenter.encode_images(self.square[None])
        for prompt in prompts:
            if prompt not in self.texts:
                self.texts[prompt] = self.segmenter.encode_prompts([prompt])
        for start in range(0, len(prompts), self.batch):
            some = [self.texts[prompt] for prompt in prompts[start : start + self.batch]]
            self.segmenter.decode(features, np.stack([text[0] for text, _ in some])[None], np.stack([mask[0] for _, mask in some])[None])


class GraphsInTriton:
    """The `sam3` ensemble and the text encoder of a running server, called as `pipeline_bls` calls them, but through gRPC."""

    def __init__(self, url: str, segmenter: Segmenter, square: Array) -> None:
        from tritonclient import grpc

        self.grpc, self.square, self.tokenizer = grpc, square, segmenter.tokenizer
        self.url = url.removeprefix("grpc://")
        self.client = grpc.InferenceServerClient(self.url)

    def __call__(self, prompts: Sequence[str]) -> None:
        ids, mask = self.tokenizer(prompts)
        texts = []
        for row in range(len(prompts)):
            tokens = {tensors.INPUT_IDS: ids[row : row + 1], tensors.ATTENTION_MASK: mask[row : row + 1]}
            texts.append(self._infer("sam3_text_encoder", tokens, [tensors.TEXT_FEATURES])[tensors.TEXT_FEATURES])
        inputs = {tensors.IMAGE: self.square[None], tensors.TEXT_FEATURES: np.concatenate(texts)[None], tensors.TEXT_MASK: mask[None]}
        self._infer("sam3", inputs, tensors.SEGMENTS)

    def _infer(self, model: str, arrays: dict[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        from tritonclient.utils import InferenceServerException, np_to_triton_dtype

        inputs = []
        for name, value in arrays.items():
            tensor = self.grpc.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
            tensor.set_data_from_numpy(np.ascontiguousarray(value))
            inputs.append(tensor)
        try:
            answer = self.client.infer(model, inputs, outputs=[self.grpc.InferRequestedOutput(name) for name in outputs])
        except InferenceServerException as error:
            raise BenchmarkError(
                f"{model} on the Triton server at {self.url} does not answer for these graphs: {error.message()}"
            ) from error
        return {name: answer.as_numpy(name) for name in outputs}


def measure(
    segmenter: Segmenter,
    baseline: TransformersBaseline | None,
    square: Array,
    *,
    url: str | None,
    counts: Sequence[int],
    repeat: int,
    batch: int,
) -> dict[str, Any]:
    """All ways, all counts."""
    graphs = GraphsInProcess(segmenter, square, batch)
    ways: dict[str, Callable[[Sequence[str]], None]] = {"graphs": graphs}
    if baseline is not None:
        ways = {"reencode": baseline.reencode, "reuse": baseline.reuse, **ways}
    if url:
        ways["triton"] = GraphsInTriton(url, segmenter, square)
    seconds: dict[str, dict[str, float]] = {way: {} for way in ways}
    for count in counts:
        prompts = [CONCEPTS[i % len(CONCEPTS)] for i in range(count)]
        console.print(f"{count} concepts: {', '.join(LABELS[way] for way in ways)}", highlight=False)
        turns = {way: functools.partial(work, prompts) for way, work in ways.items()}
        for way, value in median_seconds(turns, repeat, warm_up=repeat > 1).items():
            seconds[way][str(count)] = value
    image_pass = median_seconds({"image": functools.partial(segmenter.encode_images, square[None])}, repeat, warm_up=False)["image"]
    return {"seconds": seconds, "image_pass_seconds": image_pass, **derive(seconds, image_pass)}


def derive(seconds: dict[str, dict[str, float]], image_pass: float) -> dict[str, Any]:
    """Ratios of the measured seconds: speed-ups by count, marginal cost of a concept, Triton's share."""
    graphs = seconds["graphs"]
    first, last = min(graphs, key=int), max(graphs, key=int)
    result: dict[str, Any] = {}
    for way in ("reencode", "reuse"):
        if way in seconds:
            result[f"speedup_{way}"] = {count: value / graphs[count] for count, value in seconds[way].items()}
    if first != last:
        spread = int(last) - int(first)
        shares = {way: (seconds[way][last] - seconds[way][first]) / spread for way in ("graphs", "reuse") if way in seconds}
        result["marginal_seconds"] = shares
        result["marginal_share"] = {way: 100 * share / image_pass for way, share in shares.items()}
    if "triton" in seconds:
        result["triton_overhead_ms"] = {count: 1000 * (value - graphs[count]) for count, value in seconds["triton"].items()}
    return result


def _photo(path: Path | None, size: int) -> Array:
    import cv2

    from respray.segmentation.prepare import to_square

    file = path or next(iter(sorted((REPOSITORY / "respray" / "demo" / "photos").glob("*.jpg"))), None)
    image = cv2.imread(str(file), cv2.IMREAD_COLOR) if file else None
    if image is None:
        raise SegmentationError(f"--photo {path} is not an image that can be read" if path else "there is no demo photo; give --photo")
    return to_square(np.ascontiguousarray(image[..., ::-1]), size)


def main(
    graphs: Annotated[Path, typer.Option(help="Folder written by scripts/export_onnx.py.")] = GRAPHS,
    checkpoint: Annotated[
        str, typer.Option(help="The same model for transformers: demo, a hub name, a folder, 'random' (full size), 'none'.")
    ] = "demo",
    photo: Annotated[Path | None, typer.Option(help="[the first demo photo]")] = None,
    concepts: Annotated[str, typer.Option(help="Numbers of concepts, comma-separated.")] = "1,2,4,8",
    repeat: Annotated[int, typer.Option(min=1, help="Measurements per figure; 1 also skips the warm-up.")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Concepts per decoder call in this process.")] = 16,
    threads: Annotated[int | None, typer.Option(min=1, help="For PyTorch and ONNX Runtime alike [every core].")] = None,
    triton_url: Annotated[str | None, typer.Option(envvar="TRITON_URL", help="host:port of a running Triton (gRPC).")] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start an embedded server over the graphs, where no Triton is given.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    png: Annotated[Path, typer.Option(help="Write the picture here.")] = Path("build/stage1.png"),
) -> None:
    """Measure, print a table, write a picture and, with --json, the figures."""
    try:
        counts = numbers(concepts, "--concepts")
        segmenter = Segmenter(graphs, threads)
        square = _photo(photo, segmenter.spec.image_size)
        baseline = _baseline(checkpoint, segmenter, square, threads)
        with _server(triton_url, graphs if embedded else None, max(counts), threads) as url:
            report = measure(segmenter, baseline, square, url=url, counts=counts, repeat=repeat, batch=batch)
    except (BenchmarkError, SegmentationError) as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error.name} is not installed; the baselines need: pip install -e '.[export]' (or give --checkpoint none)")
    spec = segmenter.spec
    about = {"model": spec.name, "image_size": spec.image_size, "precision": spec.precision, "attention": spec.attention}
    report = {"machine": _machine(), **about, **report}
    _print(report, counts)
    png.parent.mkdir(parents=True, exist_ok=True)
    series = {LABELS[way]: [values.get(str(count)) for count in counts] for way, values in report["seconds"].items()}
    subtitle = f"{spec.name}, {spec.image_size} pixels, {spec.precision}, {report['machine']}, median of {repeat}"
    titles = ("One photo, several concepts: seconds to masks", subtitle)
    grouped_bars(png, titles, [f"{count} concepts" for count in counts], series, "s")
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _server(url: str | None, graphs: Path | None, concepts: int, threads: int | None) -> Iterator[str | None]:
    """The URL of the Triton to measure: the given one, that of an embedded server over `graphs`, or None."""
    if url or graphs is None:
        yield url
        return
    # One photo at a time goes through it.
    few = {"pipeline_instances": 1, "applier_instances": 1}
    with served(None, graphs, target("embedded", max_concepts=max(concepts, 16), graph_threads=threads, **few)) as started:
        yield started


def _baseline(checkpoint: str, segmenter: Segmenter, square: Array, threads: int | None) -> TransformersBaseline | None:
    if checkpoint == "none":
        return None
    import torch
    import transformers

    from respray.segmentation.export.checkpoints import find_checkpoint, load_model
    from respray.segmentation.export.transformers_reference import normalise

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()

    if threads:
        torch.set_num_threads(threads)
    if checkpoint == "random":
        from respray.segmentation.export.random_model import random_sam3

        model = random_sam3()
    else:
        model = load_model(find_checkpoint(checkpoint, demo=CHECKPOINT))

    def tokens(prompts: Sequence[str]) -> list[tuple[Any, Any]]:
        ids, mask = (torch.from_numpy(table).long() for table in segmenter.tokenizer(prompts))
        return [(ids[i : i + 1], mask[i : i + 1]) for i in range(len(prompts))]

    return TransformersBaseline(model, normalise(torch.from_numpy(square[None])), tokens)


def _machine() -> str:
    return f"{os.cpu_count()} cores {platform.machine()}"


def _print(report: dict[str, Any], counts: Sequence[int]) -> None:
    table = Table("seconds", *[f"{count} concepts" for count in counts])
    for way, values in report["seconds"].items():
        table.add_row(LABELS[way], *[f"{values[str(count)]:.3f}" for count in counts])
    for way in ("reencode", "reuse"):
        ratios = report.get(f"speedup_{way}")
        if ratios:
            table.add_row(f"graphs faster than {way} by", *[f"{ratios[str(count)]:.2f}x" for count in counts])
    Console().print(table)
    for way, share in report.get("marginal_share", {}).items():
        seconds = report["marginal_seconds"][way]
        print(f"one more concept ({way}): {seconds:.3f} s, {share:.1f} % of our image pass ({report['image_pass_seconds']:.3f} s)")
    for count, milliseconds in report.get("triton_overhead_ms", {}).items():
        print(f"Triton adds {milliseconds:.1f} ms at {count} concepts")


if __name__ == "__main__":
    typer.run(main)
