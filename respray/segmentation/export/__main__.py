"""Export a SAM3 checkpoint as ONNX graphs, check them against PyTorch and describe them in spec.json.

python -m respray.segmentation.export --checkpoint facebook/sam3 --precision fp16 --out /models/sam3-fp16
"""

import logging
import shutil
import sys
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from respray.segmentation.export.parity import TensorParity

from respray.segmentation.errors import ParityError, SegmentationError
from respray.segmentation.spec import Attention, ClsToken, Precision

STEPS = 13  # of an FP16 export with boxes, the longest


WeightsForm = Literal["auto", "plain", "fp16-storage"]

console = Console(stderr=True)
# Where `--checkpoint demo` finds it: given by scripts/export_onnx.py, for the package does not hold it.
demo_folder: Path | None = None


def export(
    *,
    checkpoint: Annotated[str, typer.Option(help="'demo', a hub name such as facebook/sam3, or a folder.")],
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier export there is replaced at the end.")],
    precision: Annotated[Precision, typer.Option(help="Of weights and activations.")] = "fp32",
    queries: Annotated[int, typer.Option(min=1, help="Instances kept per concept, chosen before their masks are made.")] = 32,
    attention: Annotated[Attention, typer.Option(help="explicit: runs everywhere. ort: fused, for ONNX Runtime only.")] = "explicit",
    text_cls_token: Annotated[
        ClsToken, typer.Option(help="Prompt as transformers makes it, or with the CLS token that Meta's code adds.")
    ] = "transformers",
    boxes: Annotated[
        bool | None,
        typer.Option(help="Take boxes as examples. Where it is left out: with every checkpoint but the demo's, which never learnt it."),
    ] = None,
    weights: Annotated[
        WeightsForm, typer.Option(help="fp16-storage: FP32 computing, weights stored as FP16 where that is exact (auto: for the demo).")
    ] = "auto",
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")] = None,
    skip_parity: Annotated[bool, typer.Option(help="Do not compare with PyTorch.")] = False,
    skip_memory_check: Annotated[bool, typer.Option(help="Start also where the memory may not be enough.")] = False,
) -> None:
    """Export, check, describe. Exit code 0, or 1 with one sentence on stderr."""
    started = time.monotonic()
    try:
        report = run_export(
            checkpoint=checkpoint,
            out=out,
            precision=precision,
            queries=queries,
            attention=attention,
            cls_token=text_cls_token,
            boxes=boxes,
            weights=weights,
            revision=revision,
            skip_parity=skip_parity,
            skip_memory_check=skip_memory_check,
        )
    except SegmentationError as error:
        print_error(str(error))
        raise typer.Exit(1) from error
    except ModuleNotFoundError as error:
        print_error(f"{error.name} is not installed; the exporter needs: {sys.executable} -m pip install 'respray[export]'")
        raise typer.Exit(1) from error
    print_report(report)
    console.print(f"{out} written in {time.monotonic() - started:.0f} s", markup=False)


def run_export(
    *,
    checkpoint: str,
    out: Path,
    precision: Precision,
    queries: int,
    attention: Attention,
    cls_token: ClsToken,
    boxes: bool | None,
    weights: WeightsForm,
    revision: str | None,
    skip_parity: bool,
    skip_memory_check: bool = False,
) -> "list[TensorParity]":
    """The work behind `export`.

    Raises:
        SegmentationError: the sentence for the user; nothing was written.
    """
    with progress_bar() as bar:
        task = bar.add_task("starting", total=STEPS) if bar else None

        def step(text: str) -> None:
            if bar and task is not None:
                bar.update(task, description=text, advance=1)
            else:
                console.print(text, highlight=False, markup=False)

        from respray.segmentation.export.checkpoints import find_checkpoint, load_model
        from respray.segmentation.export.memory import check_memory
        from respray.segmentation.export.output_folder import check_output, replaced_folder

        if bar is None:
            # Progress of a download belongs on a terminal only.
            from huggingface_hub.utils.tqdm import disable_progress_bars

            disable_progress_bars()
        step("finding the checkpoint")
        found = find_checkpoint(checkpoint, revision, demo_folder)
        check_output(out)
        if not skip_memory_check:
            check_memory(sum(path.stat().st_size for path in found.folder.glob("*.safetensors")), half=precision == "fp16")
        step("loading torch")
        from respray.segmentation.export.export_graphs import export_model

        quieten()
        step("loading the weights")
        model = load_model(found)
        half_storage = weights == "fp16-storage" or (weights == "auto" and found.is_demo and precision == "fp32")
        size = sum(parameter.numel() for parameter in model.parameters()) * (2 if precision == "fp16" else 4)
        with replaced_folder(out, int(size * 1.2)) as folder:
            report = export_model(
                model,
                found,
                folder,
                precision=precision,
                attention=attention,
                queries=queries,
                cls_token=cls_token,
                half_storage=half_storage,
                boxes=not found.is_demo if boxes is None else boxes,
                check=not skip_parity,
                step=step,
            )
            failed = [f"{entry.name} (error {entry.error:.2e}, cosine {entry.cosine:.5f})" for entry in report if not entry.ok]
            if failed:
                print_report(report)
                raise ParityError(f"the graphs do not give PyTorch's answers for {', '.join(failed)}; nothing was written to {out}")
    return report


def progress_bar() -> "Progress | nullcontext[None]":
    """A progress bar on a terminal; plain lines otherwise."""
    if not console.is_terminal or shutil.get_terminal_size().columns < 40:
        return nullcontext()
    return Progress(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console)


def print_error(message: str) -> None:
    """One line on stderr. Not as Rich's markup, which would swallow the `[export]` of a command and brackets in a path."""
    console.print(Text.assemble(("error:", "red"), " ", message), soft_wrap=True)


def print_report(report: "list[TensorParity]") -> None:
    """The parity table on stdout."""
    if not report:
        return
    table = Table("tensor", "max error", "largest value", "cosine", "")
    for entry in report:
        table.add_row(
            entry.name, f"{entry.error:.2e}", f"{entry.scale:.3g}", f"{entry.cosine:.6f}", "ok" if entry.ok else "[red]too far[/red]"
        )
    Console().print(table)


def quieten() -> None:
    """Keep the libraries' warnings and their own progress bars off the terminal."""
    warnings.simplefilter("ignore")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)


def main(demo_checkpoint: Path | None = None) -> None:
    """Command line entry. `demo_checkpoint`: the folder that `--checkpoint demo` means, in a checkout."""
    global demo_folder  # noqa: PLW0603 (typer calls `export` with options only)
    demo_folder = demo_checkpoint
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(export)
    app()


if __name__ == "__main__":
    main()
