"""`make images`: build both images without a Docker engine and run them as a deployment would. 20 GB, half an hour on two idle cores.

    python -m tools.images [--work FOLDER] [--keep] [--only WORD] [--clean]

Needs root and: apt-get install --no-install-recommends buildah podman runc debootstrap catatonit redis-server kubernetes-client nodejs.
Bases are stand-ins (tools/images/bases.py). Each step is timed; `docs/runpod.md` has the table and what the stand-ins cannot show.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.images import bases, commands, trials

ROOT = Path(__file__).resolve().parents[2]
TRITON_BASE = "nvcr.io/nvidia/tritonserver:26.07-py3"
PROGRAMS = ("buildah", "podman", "runc", "debootstrap", "catatonit", "redis-server", "kubectl", "node")
SERVICES = ("docker.io/library/redis:7.4-alpine", "docker.io/motoserver/moto:5.1.12")


def main() -> int:
    """Run every step; 1 where one failed (those after it run all the same)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/respray-images"), help="storage, volumes and logs; about 20 GB")
    parser.add_argument("--keep", action="store_true", help="use the images that an earlier run built")
    parser.add_argument("--clean", action="store_true", help="remove all of it at the end")
    parser.add_argument("--only", default="", help="run the trials whose names hold this word")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("it needs root: debootstrap, and mounts of volumes that are full")
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        parser.error(f"{', '.join(missing)} missing; {(__doc__ or '').partition('Needs root and: ')[2].partition('.')[0]}")
    work = options.work.resolve()
    commands.prepare(work)
    worker = ROOT / "deploy" / "images" / "worker" / "Dockerfile"
    builds: list[tuple[str, Callable[[], object]]] = [
        ("stand-in bases", lambda: bases.make_bases(work, TRITON_BASE)),
        ("image respray-triton", lambda: bases.build(ROOT / "Dockerfile", ROOT, trials.TRITON)),
        ("image respray-worker", lambda: bases.build(worker, ROOT, trials.WORKER)),
        ("image respray-worker-cpu", lambda: bases.build(worker, ROOT, trials.WORKER_CPU, "--build-arg", trials.CPU_EXTRAS)),
        ("stand-in services", lambda: bases.make_services(work, SERVICES)),
    ]
    steps = ([] if options.keep else builds) + [(name, step) for name, step in trials.all_trials(work, ROOT) if options.only in name]
    failed = False
    for name, step in steps:
        began = time.monotonic()
        try:
            said = step()
            print(f"ok    {time.monotonic() - began:6.1f} s  {name}{f': {said}' if said else ''}", flush=True)
        except (Exception, SystemExit) as error:
            failed = True
            print(f"FAIL  {time.monotonic() - began:6.1f} s  {name}: {type(error).__name__}: {error}", flush=True)
    if options.clean:
        commands.run(["podman", "system", "reset", "--force"], check=False, quiet=True)  # of this storage alone
        shutil.rmtree(work)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
