"""The demo: one palette job and one rule job over rendered photos, through the worker that production runs, and a page to look at."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from orchestrator.errors import SettingsError
from orchestrator.intake.local import LocalIntake
from orchestrator.service.open_worker import WorkerOptions, open_worker
from orchestrator.settings import Settings
from respray.demo.callback_receiver import CallbackReceiver
from respray.demo.contact_sheet import PhotoEntry, edit_lines
from respray.demo.contact_sheet import write as write_sheet
from respray.launch.local_server import local_server
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor

HERE = Path(str(resources.files("respray.demo")))
JOBS = ("palette.json", "rules.json")
# The palette job edits the first four photos, the rule job the last two.
INPUTS = {"palette.json": ("room_1", "room_2", "room_3", "room_4"), "rules.json": ("room_5", "room_6")}
MARKER = ".respray-demo"


@dataclass(frozen=True)
class DemoResult:
    """Where to look. `manifests` are the jobs' manifest files in order, `callbacks` how many callbacks arrived signed correctly."""

    page: Path
    store: Path
    manifests: list[Path]
    photos: int
    edited: int
    callbacks: int

    @property
    def ok(self) -> bool:
        """Whether every photo of every job was edited and its caller told."""
        return self.photos == self.edited == self.callbacks


async def run_demo(
    out: Path, settings: Settings, receiver: CallbackReceiver, events: Events, redactor: Redactor, triton_url: str | None = None
) -> DemoResult:
    """Run both jobs with `out/store` as storage and `receiver` as the caller, and write `out/index.html`.

    An earlier demo's output in `out` is replaced; SettingsError when `out` holds anything else. Starts and stops the embedded server
    with the demo model unless `triton_url` (host:port, gRPC) is given, whichever model and server the settings name.
    """
    # A .env that is filled in for production must not change what a newcomer sees.
    demo = {"model_name": "demo", "require_real_model_setting": False, "triton_url": None, "gpu_device": None}
    settings = settings.model_copy(update=demo)
    store = _fresh_store(out)
    jobs = [_prepare(name, out, receiver.host) for name in JOBS]
    options = WorkerOptions(store=str(store), triton_url=triton_url, attempts=1, start_server=local_server)
    async with open_worker(settings, options, events, Metrics(), redactor) as worker:
        events.connection("connected")
        events.worker("ready", f"{len(jobs)} jobs")
        for job, _ in jobs:
            await LocalIntake(str(job), jobs=1).run(worker, asyncio.Event())
            # An intake is done with a job when its photos are stored; callbacks and manifest follow.
            await worker.drain(settings.grace_period)
        events.worker("cleaning_up", "stopping the server")
    manifests = [store / key for _, key in jobs]
    if missing := [str(path) for path in manifests if not path.is_file()]:
        raise SettingsError(f"no manifest was written at {', '.join(missing)}; the events above say why")
    told = [json.loads(path.read_text(encoding="utf-8")) for path in manifests]
    photos, edited, callbacks = sum(m["total"] for m in told), sum(m["completed"] for m in told), len(receiver.received)
    facts = {
        "photos": str(photos),
        "edited": str(edited),
        "callbacks received and verified": str(callbacks),
        "model": f"the one that {triton_url} serves" if triton_url else "demo (small, trained on rendered rooms; not facebook/sam3)",
    }
    page = write_sheet(out, [entry for manifest in told for entry in _entries(store, manifest)], facts)
    return DemoResult(page, store, manifests, photos, edited, callbacks)


def _fresh_store(out: Path) -> Path:
    store = out / "store"
    try:
        if out.exists() and any(out.iterdir()) and not (out / MARKER).exists():
            raise SettingsError(f"{out} holds files that are not an earlier demo's; give an empty or new folder with --out")
        shutil.rmtree(out, ignore_errors=True)
        store.mkdir(parents=True)
        (out / MARKER).touch()
    except OSError as error:
        raise SettingsError(f"the demo cannot be written to {out}: {error.strerror}; give an empty or new folder with --out") from None
    return store


def _prepare(name: str, out: Path, callback_host: str) -> tuple[Path, str]:
    """Lay a job's photos where its keys say, write its message, and return the message's file and its manifest's key."""
    # The palette job names its callback address itself: the receiver's port is known only now.
    text = (HERE / "jobs" / name).read_text(encoding="utf-8").replace("CALLBACK_HOST", callback_host)
    message: dict[str, Any] = json.loads(text)
    if "items" in message:
        owner = f"{message['user_id']}/{message['job_id']}"
        keys = [item["input_key"] for item in message["items"]]
    else:
        owner = f"{message['userId']}/{message['jobId']}"
        keys = [f"inputs/{owner}/{idx}.jpg" for idx in range(message["imageCount"])]
    for key, photo in zip(keys, INPUTS[name], strict=True):
        source = HERE / "photos" / f"{photo}.jpg"
        if not source.is_file():
            raise SettingsError(f"the demo photo {source.name} is missing from {source.parent}")
        target = out / "store" / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    job = out / "jobs" / name
    job.parent.mkdir(exist_ok=True)
    job.write_text(text, encoding="utf-8")
    return job, f"outputs/{owner}/manifest.json"


def _entries(store: Path, manifest: dict[str, Any]) -> list[PhotoEntry]:
    """The contact sheet's rows of one job, from its manifest alone."""
    rows = []
    for item in manifest["items"]:
        masks = [(concept, store / key) for concept, keys in item["masks"].items() for key in keys]
        rows.append(
            PhotoEntry(
                title=f"{manifest['job_id']}, photo {item['idx']}",
                before=store / f"inputs/{manifest['user_id']}/{manifest['job_id']}/{item['idx']}.jpg",
                after=[(name, store / key) for name, key in item["outputs"].items()],
                masks=masks,
                edits=edit_lines(item["report"]),
                timings=item["timings"],
                error=item["error"],
            )
        )
    return rows
