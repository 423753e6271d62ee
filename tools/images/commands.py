"""Running programs, with what they say in one log."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# `vfs` works everywhere, at the price of a copy per layer; set by the caller's own file where it has one.
STORAGE = """[storage]
driver = "vfs"
runroot = "{work}/runroot"
graphroot = "{work}/storage"
"""
# runc, since crun refuses hybrid cgroups; without Podman's own limits, which may be above what this machine allows, and which `kube play`
# takes no others for.
RUNTIME = """#!/usr/bin/env python3
import json, os, sys
def without_limits(path, *keys):
    with open(path) as file:
        config = json.load(file)
    process = config
    for key in keys:
        process = process[key]
    process.pop("rlimits", None)
    with open(path, "w") as file:
        json.dump(config, file)
if "create" in sys.argv:
    without_limits(os.path.join(sys.argv[sys.argv.index("--bundle") + 1], "config.json"), "process")
if "exec" in sys.argv and "--process" in sys.argv:  # what `podman exec` and health checks run
    without_limits(sys.argv[sys.argv.index("--process") + 1])
os.execvp("runc", ["runc", *sys.argv[1:]])
"""
ENGINE = """[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[engine.runtimes]
runc = ["{work}/runc"]
"""


def prepare(work: Path) -> None:
    """A storage of our own, so that nothing of the machine's other images is touched."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "runc").write_text(RUNTIME)
    (work / "runc").chmod(0o755)
    for variable, name, text in (
        ("CONTAINERS_STORAGE_CONF", "storage.conf", STORAGE.format(work=work)),
        ("CONTAINERS_CONF", "containers.conf", ENGINE.format(work=work)),
    ):
        (work / name).write_text(text)
        os.environ[variable] = str(work / name)


def run(command: Sequence[str], *, check: bool = True, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; its output goes to our stderr.

    Raises:
        SystemExit: it failed and `check` is on.
    """
    done = subprocess.run(["nice", "-n", "10", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if not quiet or (check and done.returncode):
        print(done.stdout, file=sys.stderr, end="", flush=True)
    if check and done.returncode:
        raise SystemExit(f"{' '.join(command[:4])} ... ended with {done.returncode}; its output stands above")
    return done


def podman(*arguments: str, check: bool = True) -> bool:
    """Whether a podman command succeeds, quietly."""
    return run(["podman", *arguments], check=check, quiet=True).returncode == 0
