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
# runc, since crun refuses hybrid cgroups; limits that a container's own supervisor allows.
ENGINE = """[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def prepare(work: Path) -> None:
    """A storage of our own, so that nothing of the machine's other images is touched."""
    work.mkdir(parents=True, exist_ok=True)
    for variable, name, text in (
        ("CONTAINERS_STORAGE_CONF", "storage.conf", STORAGE.format(work=work)),
        ("CONTAINERS_CONF", "containers.conf", ENGINE),
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
