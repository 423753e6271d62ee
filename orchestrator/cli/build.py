"""`respray build`: a whole Triton model repository for a target."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import typer

from orchestrator.errors import SettingsError
from respray.contract.parameters import DeviceKind
from respray.triton.errors import ServingError
from respray.triton.repository.build_repository import build as build_repository
from respray.triton.repository.targets import TargetName, embedded_on, target

DEMO_GRAPHS = Path(str(resources.files("respray.weights"))) / "demo" / "graphs"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def build(
        *,
        out: Annotated[Path, typer.Option(help="Folder of the model repository; one built before is replaced or reused.")],
        where: Annotated[TargetName, typer.Option("--target", help="Where it will run.")],
        graphs: Annotated[
            Path | None, typer.Option(help="Folder written by scripts/export_onnx.py [the demo's, unless --checkpoint]")
        ] = None,
        checkpoint: Annotated[str | None, typer.Option(help="Export this first: facebook/sam3 or a folder (needs torch).")] = None,
        precision: Annotated[Literal["fp32", "fp16"], typer.Option(help="Of that export.")] = "fp32",
        device: Annotated[
            DeviceKind | None, typer.Option(help="Of the embedded target: cuda, tensorrt-rtx or cpu [cpu].", show_default=False)
        ] = None,
        gpus: Annotated[int | None, typer.Option(min=1, help="Encoder and decoder run on so many.")] = None,
        max_concepts: Annotated[int | None, typer.Option(min=1, help="Largest bucket of concepts decoded together.")] = None,
        max_photos: Annotated[int | None, typer.Option(min=1, help="Largest batch of encoder and decoder.")] = None,
        pipeline_instances: Annotated[int | None, typer.Option(min=1, help="Photos under way at the same time.")] = None,
        applier_instances: Annotated[int | None, typer.Option(min=1, help="Photos edited at the same time.")] = None,
        encoder_delay: Annotated[int | None, typer.Option(min=0, help="Microseconds the encoder waits for a fuller batch.")] = None,
        decoder_delay: Annotated[int | None, typer.Option(min=0, help="Microseconds the decoder waits for a fuller batch.")] = None,
        graph_threads: Annotated[int | None, typer.Option(min=0, help="Cores per run of a graph (embedded; 0: all).")] = None,
        exact_buckets: Annotated[
            bool | None, typer.Option("--exact-buckets/--padded-buckets", help="Decode as many concepts as asked, or pad to 1, 2, 4, 8 ...")
        ] = None,
        warm_up: Annotated[bool, typer.Option(help="Run every shape once before the server is ready.")] = True,
    ) -> None:
        """Write a model repository: configurations for the target, weights linked, Python models copied."""
        if graphs is not None and checkpoint is not None:
            raise SettingsError("--graphs and --checkpoint exclude each other: the one is exported already, the other is exported now")
        try:
            chosen = target(
                where,
                **embedded_on(device),
                gpus=gpus,
                max_concepts=max_concepts,
                max_photos=max_photos,
                pipeline_instances=pipeline_instances,
                applier_instances=applier_instances,
                encoder_delay=encoder_delay,
                decoder_delay=decoder_delay,
                graph_threads=graph_threads,
                exact_buckets=exact_buckets,
                warm_up=warm_up,
            )
            if checkpoint is not None:
                graphs = _export(checkpoint, precision, chosen.attention, out)
            print(build_repository(graphs or DEMO_GRAPHS, chosen, out))
        except ServingError as error:
            raise SettingsError(str(error)) from None


def _export(checkpoint: str, precision: str, attention: str, out: Path) -> Path:
    """Run the exporter, which tells its own errors; the graphs lie beside the repository, where a second build finds them linked."""
    graphs = out.parent / f"{out.name}-graphs-{precision}-{attention}"
    command = [sys.executable, "-m", "respray.segmentation.export", "--checkpoint", checkpoint, "--precision", precision]
    command += ["--attention", attention, "--out", str(graphs)]
    if subprocess.run(command, check=False).returncode != 0:
        raise SettingsError(f"{checkpoint} could not be exported; the reason stands above")
    return graphs
