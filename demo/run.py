"""The demo: one palette job and one rule job over rendered photos, through the worker that production runs, and a page to look at."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.callback_receiver import CallbackReceiver
from demo.contact_sheet import EditLine, PhotoEntry
from demo.contact_sheet import write as write_sheet
from orchestrator.app import Options, open_worker
from orchestrator.errors import SettingsError
from orchestrator.events import Events
from orchestrator.metrics import Metrics
from orchestrator.redaction import Redactor
from orchestrator.settings import Settings
from orchestrator.worker import JobResult

HERE = Path(__file__).parent
JOBS = ("palette.json", "rules.json")
# The palette job edits the first four photos, the rule job the last two.
INPUTS = {"palette.json": ("room_1", "room_2", "room_3", "room_4"), "rules.json": ("room_5", "room_6")}
MARKER = ".respray-demo"


@dataclass(frozen=True)
class DemoResult:
    """Where to look. `jobs` are the jobs' results in order, `callbacks` how many callbacks arrived signed correctly."""

    page: Path
    store: Path
    jobs: list[JobResult]
    callbacks: int

    @property
    def ok(self) -> bool:
        """Whether every photo of every job was edited."""
        return all(job.ok for job in self.jobs)


async def run_demo(
    out: Path, settings: Settings, receiver: CallbackReceiver, events: Events, redactor: Redactor, triton_url: str | None = None
) -> DemoResult:
    """Run both jobs with `out/store` as storage and `receiver` as the caller, and write `out/index.html`.

    An earlier demo's output in `out` is replaced; SettingsError when `out` holds anything else. Starts and stops the embedded server
    unless `triton_url` (host:port, gRPC) is given.
    """
    store = _fresh_store(out)
    messages = [_prepare(job, store) for job in JOBS]
    options = Options(store=str(store), triton_url=triton_url, attempts=1)
    async with open_worker(settings, options, events, Metrics(), redactor) as worker:
        events.connection("connected")
        events.worker("ready", f"{len(messages)} jobs")
        results = []
        for message in messages:
            # The palette job names its callback address itself: the receiver's port is known only now.
            text = json.dumps(message).replace("CALLBACK_HOST", receiver.host)
            results.append(await worker.start(text, attempt=1, final=True).finished())
        events.worker("cleaning_up", "stopping the server")
    callbacks = len(receiver.received)
    facts = {
        "photos": str(sum(r.total for r in results)),
        "edited": str(sum(r.completed for r in results)),
        "callbacks received and verified": str(callbacks),
        "model": "demo (small, trained on rendered rooms; not facebook/sam3)",
    }
    entries = [entry for result in results if result.manifest for entry in _entries(store, store / result.manifest)]
    return DemoResult(write_sheet(out, entries, facts), store, results, callbacks)


def _fresh_store(out: Path) -> Path:
    if out.exists() and any(out.iterdir()) and not (out / MARKER).exists():
        raise SettingsError(f"{out} holds files that are not an earlier demo's; give an empty or new folder with --out")
    shutil.rmtree(out, ignore_errors=True)
    store = out / "store"
    store.mkdir(parents=True)
    (out / MARKER).touch()
    return store


def _prepare(name: str, store: Path) -> dict[str, Any]:
    """Lay a job's photos where its keys say, and return its message."""
    message: dict[str, Any] = json.loads((HERE / "jobs" / name).read_text(encoding="utf-8"))
    if "items" in message:
        keys = [item["input_key"] for item in message["items"]]
    else:
        keys = [f"inputs/{message['userId']}/{message['jobId']}/{idx}.jpg" for idx in range(message["imageCount"])]
    for key, photo in zip(keys, INPUTS[name], strict=True):
        source = HERE / "photos" / f"{photo}.jpg"
        if not source.is_file():
            raise SettingsError(f"the demo photo {source.name} is missing from {source.parent}")
        target = store / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return message


def _entries(store: Path, manifest_file: Path) -> list[PhotoEntry]:
    """The contact sheet's rows of one job, from its manifest alone."""
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    rows = []
    for item in manifest["items"]:
        report = item["report"] or {"outputs": []}
        edits = [
            EditLine(
                output["name"],
                edit["concept"],
                edit["rule"],
                edit.get("requested"),
                edit.get("measured"),
                edit.get("delta_e"),
                edit.get("warnings", ()),
            )
            for output in report["outputs"]
            for edit in output["edits"]
        ]
        masks = [(concept, store / key) for concept, keys in item["masks"].items() for key in keys]
        rows.append(
            PhotoEntry(
                title=f"{manifest['job_id']}, photo {item['idx']}",
                before=store / f"inputs/{manifest['user_id']}/{manifest['job_id']}/{item['idx']}.jpg",
                after=[(name, store / key) for name, key in item["outputs"].items()],
                masks=masks,
                edits=edits,
                timings=item["timings"],
                error=item["error"],
            )
        )
    return rows
