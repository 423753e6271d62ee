"""What the decoder's rewriting saves: the concept decoder at full size, before and after, on ONNX Runtime.

    python -m benchmarks.decoder [--profile]

Only the detector is built at full size (the backbone has one small layer), so this needs a minute and little memory. Each graph runs in
a process of its own; CPU seconds are those of one thread, which other work on the machine disturbs less than wall time.
"""

import collections
import json
import resource
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from respray.contract import tensors

FORMS = {
    "transformers": "transformers' forward, exported as it is",
    "explicit": "ours, explicit attention",
    "ort": "ours, ONNX Runtime's attention",
}
WIDTH, GRID, TOKENS = 256, 72, 32


def detector() -> Any:
    """`Sam3Model` with SAM3's detector and a token backbone, random weights."""
    from transformers import Sam3Config

    from respray.segmentation.export.random_model import random_sam3

    tiny = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    backbone = {"model_type": "sam3_vit_model", **tiny}
    text = {"model_type": "clip_text_model", **tiny}
    limits = {"max_position_embeddings": TOKENS, "vocab_size": 512, "bos_token_id": 0, "eos_token_id": 1}
    return random_sam3(config=Sam3Config(vision_config={"backbone_config": backbone}, text_config={**text, **limits}))


def export(form: str, path: Path) -> None:
    """Write one form of the decoder."""
    import torch

    from respray.segmentation.export.export_graphs import GraphPlan, export_graph, plan_graphs
    from respray.segmentation.export.graphs import build_graphs

    model = detector()
    graphs = build_graphs(model, "fp32", "ort" if form == "ort" else "explicit", 32, "transformers")
    plan = plan_graphs(graphs, TOKENS)["sam3_concept_decoder"]
    if form == "transformers":
        inputs = {name: value[:1] for name, value in plan.inputs.items()}
        concepts = torch.export.Dim("concepts")
        dynamic = {name: {1: concepts} if name.startswith("text") else {} for name in inputs}
        plan = GraphPlan(_as_it_is(model), inputs, [tensors.MASKS, tensors.BOXES, "logits", tensors.PRESENCE, tensors.REGION], dynamic)
    export_graph(plan, path, False)


def _as_it_is(model: Any) -> Any:
    import torch
    from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

    class AsItIs(torch.nn.Module):
        """The features repeated per concept and `Sam3Model.forward`, all 200 masks included."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, features_high: Any, features_mid: Any, features_low: Any, text_features: Any, text_mask: Any) -> Any:
            maps = [one.expand(text_features.shape[1], -1, -1, -1) for one in (features_high, features_mid, features_low)]
            encode = self.model.vision_encoder.neck.position_encoding
            positions = [encode(one.shape, one.device, one.dtype) for one in maps]
            vision = Sam3VisionEncoderOutput(fpn_hidden_states=(*maps, maps[2]), fpn_position_encoding=(*positions, positions[2]))
            text = types.SimpleNamespace(pooler_output=text_features[0])
            out = self.model(vision_embeds=vision, text_embeds=text, attention_mask=text_mask[0])
            return out.pred_masks, out.pred_boxes, out.pred_logits, out.presence_logits, out.semantic_seg

    return AsItIs()


def run(path: Path, concepts: int, profile: bool) -> dict[str, Any]:
    """One warm run on one thread: CPU seconds, wall seconds, peak memory and, with `profile`, seconds by operator."""
    from respray.segmentation.device import CPU
    from respray.segmentation.runner import GraphRunner

    runner = GraphRunner(path, threads=1, device=CPU, profile=str(path.parent / "profile") if profile else None)
    rng = np.random.default_rng(0)
    maps = {tensors.FEATURES_HIGH: 4 * GRID, tensors.FEATURES_MID: 2 * GRID, tensors.FEATURES_LOW: GRID}
    inputs = {name: rng.standard_normal((1, WIDTH, side, side), dtype=np.float32) for name, side in maps.items()}
    inputs[tensors.TEXT_FEATURES] = rng.standard_normal((1, concepts, TOKENS, WIDTH), dtype=np.float32)
    inputs[tensors.TEXT_MASK] = np.ones((1, concepts, TOKENS), np.int32)
    inputs[tensors.TEXT_MASK][..., 6:] = 0
    result: dict[str, Any] = {}
    for _ in range(2):
        cpu, wall = time.process_time(), time.perf_counter()
        runner(inputs)
        result = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
    result["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if profile:
        trace = Path(runner.session.end_profiling())
        result["operators"] = _operators(json.loads(trace.read_text(encoding="utf-8")))
        trace.unlink()
    return result


def _operators(events: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds by operator type of the second run, largest first."""
    seconds: collections.Counter[str] = collections.Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            seconds[event["args"]["op_name"]] += event["dur"] / 2e6
    return dict(seconds.most_common(10))


def main(
    out: Annotated[Path, typer.Option(help="Folder for the graphs (300 MB).")] = Path("build/decoder"),
    concepts: Annotated[str, typer.Option(help="Numbers of concepts, comma-separated.")] = "1,2",
    profile: Annotated[bool, typer.Option(help="Also print the ten costliest operators.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    one: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Export the three forms where they are missing, run each, print CPU seconds per call and per further concept."""
    if one:
        name, number = one.split(":")
        print(json.dumps(run(out / f"{name}.onnx", int(number), profile)))
        return
    out.mkdir(parents=True, exist_ok=True)
    counts = sorted(int(part) for part in concepts.split(","))
    report: dict[str, Any] = {}
    for form, label in FORMS.items():
        if not (out / f"{form}.onnx").is_file():
            print(f"exporting: {label}", file=sys.stderr)
            export(form, out / f"{form}.onnx")
        report[form] = {}
        for count in counts:
            flags = ["--out", str(out), "--one", f"{form}:{count}", *(["--profile"] if profile else [])]
            command = [sys.executable, "-m", "benchmarks.decoder", *flags]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            report[form][str(count)] = found
            print(f"{label}: {count} concepts, {found['cpu_seconds']:.2f} CPU s, peak {found['peak_gib']:.1f} GiB")
            for operator, share in found.get("operators", {}).items():
                print(f"    {operator:24s} {share:.3f} s")
        first, last = counts[0], counts[-1]
        if last > first:
            seconds = [report[form][str(count)]["cpu_seconds"] for count in (first, last)]
            print(f"    one more concept: {(seconds[1] - seconds[0]) / (last - first):.2f} CPU s")
    if json_file:
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
