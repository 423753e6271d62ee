"""`respray edit`: edit photos on this machine, without writing a job."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestrator.cli._edit_job import Wishes, as_typed, lay_files, message_of
from orchestrator.cli._setup import DeviceOption, PaletteOption, TritonOption, start_local_server
from orchestrator.errors import SettingsError
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.service.open_worker import WorkerOptions, open_worker
from orchestrator.settings import Settings, load_settings
from respray.contract.photo_file import ImageFormat
from respray.observe.escaping import one_line
from respray.observe.events import Events
from respray.observe.logs import set_up_logging
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor
from respray.observe.tracing import keep_out_of_spans

Names = list[str] | None


@dataclass(frozen=True)
class Edited:
    """What came of one photo. `result` is None where it failed; `item` is its `item` event."""

    photo: Path
    result: Path | None
    item: dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def edit(
        photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photos to edit.")],
        edits: Annotated[
            list[str],
            typer.Option(
                "--set",
                metavar="NAME=VALUE",
                help="A concept and its colour (#rrggbb or palette id), texture id, 'remove' or 'transparent'; several times. "
                "VALUE@X,Y is for the part at a point; so a concept may have several.",
            ),
        ],
        out: Annotated[Path, typer.Option(help="Folder for NAME_respray.EXT; made where it is missing.")],
        protect: Annotated[Names, typer.Option(metavar="NAME", help="A concept that stays as it is; several times.")] = None,
        preset: Annotated[str | None, typer.Option(help="Preset that knows the concepts' names, such as interior.")] = None,
        masks: Annotated[
            Names, typer.Option("--mask", metavar="NAME=FILE", help="A mask of your own for a concept, white selects; several times.")
        ] = None,
        at: Annotated[
            Names, typer.Option("--at", metavar="NAME=X,Y", help="Only the part at a point, fractions of the photo; several times.")
        ] = None,
        not_at: Annotated[Names, typer.Option("--not-at", metavar="NAME=X,Y", help="Not the part at a point; several times.")] = None,
        boxes: Annotated[
            Names,
            typer.Option(
                "--box", metavar="NAME=X0,Y0,X1,Y1", help="Around an example of what is meant, which SAM3 is shown; several times."
            ),
        ] = None,
        not_boxes: Annotated[
            Names, typer.Option("--not-box", metavar="NAME=X0,Y0,X1,Y1", help="Around an example of what is not meant; several times.")
        ] = None,
        instances: Annotated[
            Names, typer.Option("--instances", metavar="NAME=N", help="'largest', or how many by score; several times.")
        ] = None,
        fmt: Annotated[ImageFormat, typer.Option("--format", help="Format of the results.")] = "png",
        look: Annotated[str, typer.Option(help="What the results' names end in.")] = "respray",
        open_page: Annotated[bool, typer.Option("--open", help="Write and open a page with each photo before and after.")] = False,
        palette: PaletteOption = None,
        triton_url: TritonOption = None,
        device: DeviceOption = None,
    ) -> None:
        """Edit photos by what is typed here, write the results and say how they came out. Exits with 1 when a photo failed."""
        wishes = Wishes(
            photos=photos,
            edits=edits,
            protect=protect or (),
            masks=masks or (),
            at=at or (),
            not_at=not_at or (),
            boxes=boxes or (),
            not_boxes=not_boxes or (),
            instances=instances or (),
            preset=preset,
            out=out,
            format=fmt,
            look=look,
        )
        message = message_of(wishes, load_catalog(palette))
        settings = load_settings(adapter="local", device=device)
        redactor = Redactor(settings.secrets())
        set_up_logging(settings.log_level, redactor)
        keep_out_of_spans(settings.secrets())
        logging.getLogger().setLevel(logging.WARNING)
        # What libraries print is for stderr; stdout is for what was asked.
        console = Console(file=os.fdopen(os.dup(1), "w", encoding="utf-8"), highlight=False, soft_wrap=True)
        os.dup2(2, 1)
        with Console(stderr=True).status("reading settings") as status:
            events = _Listener(status.update)
            edited = asyncio.run(_run(settings, redactor, wishes, message, WorkerOptions(None, triton_url, palette), events))
        for entry in edited:
            _tell(console, entry)
        if open_page:
            page = _write_page(out, edited)
            _say(console, f"before and after: {page}")
            typer.launch(str(page))
        raise typer.Exit(0 if all(entry.result is not None for entry in edited) else 1)


class _Listener:
    """Keeps the `item` events by photo, and shows what the worker is doing."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self.items: dict[int, dict[str, Any]] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "item":
            self.items[event["idx"]] = event
        elif event["event"] == "worker":
            self._show(event["message"])
        elif event["event"] == "progress":
            self._show(f"{event['done']} of {event['total']} photos")


async def _run(
    settings: Settings, redactor: Redactor, wishes: Wishes, message: dict[str, Any], options: WorkerOptions, listener: _Listener
) -> list[Edited]:
    # What is wrong with the job is said at once, not after a server has started.
    job = parse_job(message, load_catalog(options.palette))
    _make_folder(wishes.out)
    with tempfile.TemporaryDirectory(prefix="respray-edit-") as folder:
        store = Path(folder)
        lay_files(wishes, store)
        here = replace(options, store=folder, attempts=1, start_server=start_local_server)
        async with open_worker(settings, here, Events(None, redactor, listener), Metrics(), redactor) as worker:
            done = await worker.start(message, attempt=1, final=True, job=job, message_id=f"edit:{uuid4()}").finished()
        edited = []
        for idx, photo in enumerate(wishes.photos):
            item = listener.items.get(idx, {"status": "failed", "error": done.error})
            result = wishes.result(photo) if item["status"] == "completed" else None
            if result is not None:
                _keep(store / item["output_key"], result)
            edited.append(Edited(photo, result, item | {"error": item["error"] and as_typed(item["error"], wishes, idx)}))
        return edited


def _make_folder(out: Path) -> None:
    """Before the photos are edited: minutes of work need a place. Raises SettingsError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--out {out} cannot be made: {'it is a file' if out.is_file() else error.strerror}; give a folder") from None
    if not os.access(out, os.W_OK):
        raise SettingsError(f"--out {out} cannot be written to; give another folder")


def _keep(source: Path, result: Path) -> None:
    try:
        shutil.copyfile(source, result)
    except OSError as error:
        raise SettingsError(f"{result} cannot be written: {error.strerror}") from None


def _tell(console: Console, entry: Edited) -> None:
    """What was asked of one photo and what was measured, for a person."""
    if entry.result is None:
        _say(console, f"{entry.photo}: failed: {entry.item['error']}")
        return
    _say(console, f"{entry.photo} -> {entry.result}")
    report = entry.item["report"]
    table = Table("concept", "rule", "asked", "measured", "CIEDE2000", "of the photo", box=None, pad_edge=True)
    warnings = list(report["warnings"])
    for edit in (edit for output in report["outputs"] for edit in output["edits"]):
        number = f" [{edit['edit']}]" if "edit" in edit else ""
        parts = f"{number} ({edit['parts']} of {edit['parts_found']} parts)" if "parts" in edit else number
        numbers = (edit.get("requested") or "", edit.get("measured") or "", f"{edit['delta_e']:.1f}" if "delta_e" in edit else "")
        table.add_row(escape(one_line(edit["concept"] + parts)), edit["rule"], *numbers, f"{edit['coverage']:.0%}")
        warnings += edit["warnings"]
    console.print(table)
    for warning in warnings:
        _say(console, f"  ! {warning}")


def _say(console: Console, text: str) -> None:
    """A line as it is: names of files and concepts are no markup, and may hold what no terminal can show."""
    console.print(one_line(text), markup=False)


def _write_page(out: Path, edited: list[Edited]) -> Path:
    from respray.demo.contact_sheet import PhotoEntry, edit_lines, write

    folder = out / "before_and_after"
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for entry in edited:
        lines = [replace(line, output="after") for line in edit_lines(entry.item.get("report"))]
        after = [("after", entry.result.resolve())] if entry.result is not None else []
        entries.append(PhotoEntry(one_line(entry.photo.name), entry.photo.resolve(), after, edits=lines, error=entry.item["error"]))
    return write(folder.resolve(), entries, {})
