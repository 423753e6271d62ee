"""`make faults`: start real processes, break them while jobs are under way, and print a row for each.

    python -m tests.faults [--rows worker_killed,many_jobs] [--jobs 1000] [--images 30] [--json FILE]

tritonserver (embedded, demo model), Redis, an S3 server, a callback receiver, Node producers and `respray work` are real processes of
this machine. Exit code 1 when anything was lost, wrong, told twice or not told.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.faults import hostile_inputs, rows
from tests.faults.stage import Outcome, Stage, find_graphs

COLUMNS = ("what is broken", "images", "delivered", "wrong", "told twice", "not told", "same id again", "seconds", "")


def main() -> int:
    """Run the rows and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", default=",".join([*rows.ROWS, *hostile_inputs.ROWS]), help="comma-separated; default: all")
    parser.add_argument("--images", type=int, default=30, help="images per job in the rows about one job")
    parser.add_argument("--jobs", type=int, default=1000, help="jobs in the last row")
    parser.add_argument("--kills", type=int, default=20, help="kills in the row about a killed worker")
    parser.add_argument("--json", type=Path, help="write the outcomes here, too")
    parser.add_argument("--folder", type=Path, help="keep logs and events here")
    arguments = parser.parse_args()
    images = arguments.images
    chosen: dict[str, Callable[[Stage], Outcome]] = {
        "undisturbed": partial(rows.undisturbed, images=images),
        "triton_killed": partial(rows.triton_killed, images=images),
        "s3_broken": partial(rows.s3_broken, images=images),
        "receiver_down": partial(rows.receiver_down, images=images),
        "delivered_twice": partial(rows.delivered_twice, images=images),
        "worker_killed": partial(rows.worker_killed, images=images, kills=arguments.kills),
        "redis_restarted": rows.redis_restarted,
        "many_jobs": partial(rows.many_jobs, jobs_count=arguments.jobs),
        "models_killed": rows.models_killed,
        "models_stalled": rows.models_stalled,
        **hostile_inputs.ROWS,
    }
    names = arguments.rows.split(",")
    if unknown := sorted(set(names) - set(chosen)):
        parser.error(f"unknown rows: {', '.join(unknown)}; there are: {', '.join(chosen)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through `finally`, so that no server stays behind
    stage = Stage(arguments.folder or Path(tempfile.mkdtemp(prefix="respray-faults-")))
    print(header(), flush=True)
    outcomes: list[Outcome] = []
    try:
        stage.prepare_references(range(images))
        for name in names:
            try:
                outcome = chosen[name](stage)
            except AssertionError as error:
                stage.end_workers()
                outcome = Outcome(name, 0, failures=[str(error)])
            outcomes.append(outcome)
            print(line(outcome), flush=True)
    finally:
        stage.close()
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
    bad = [outcome.name for outcome in outcomes if not outcome.right]
    print(f"\n{len(outcomes) - len(bad)} of {len(outcomes)} rows came out right; logs in {stage.folder}")
    return 1 if bad else 0


def header() -> str:
    """Where and when, and the table's head."""
    now = datetime.datetime.now(datetime.UTC)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return (
        f"Fault table of {now:%Y-%m-%d %H:%M} UTC on {machine}; model graphs {find_graphs().parent.name}/{find_graphs().name}\n\n"
        f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
    )


def line(outcome: Outcome) -> str:
    """One row."""
    verdict = "right" if outcome.right else "WRONG: " + "; ".join(sorted(set(outcome.failures))[:3])
    cells = (
        outcome.name,
        outcome.expected,
        outcome.delivered,
        outcome.wrong,
        outcome.duplicates,
        outcome.missing,
        outcome.repeats,
        f"{outcome.seconds:.0f}",
    )
    return f"| {' | '.join(map(str, cells))} | {verdict}{'; ' + outcome.notes.strip() if outcome.notes.strip() else ''} |"


if __name__ == "__main__":
    sys.exit(main())
