"""Keeps Triton from giving up a Python model's process that only stalled: a small process that vouches for those that exist.

Triton's Python backend asks a model's process for a sign of life every second, and a thread of that process gives it. A process that gets
no processor, memory or disk for that long is given up: its call is answered with "is not healthy", what both share is freed, and the
process goes on using it. The next call then ends the server (`boost::interprocess::lock_exception`, signal 6 or 11), or gets what was meant
for another one (https://github.com/triton-inference-server/server/issues/8882; `ReceiveMessageFromStub` in
https://github.com/triton-inference-server/python_backend/blob/main/src/stub_launcher.cc).

So this process gives the sign as well, for as long as the model's process is there. One that ended is given up as before.

The script needs the standard library only: `python -I -S heartbeat.py SHM_PREFIX` until its stdin is closed. It knows the processes by
their arguments (`Launch` in stub_launcher.cc) and the sign by its place (`IPCControlShm` in src/pb_utils.h), and writes nothing where
another version of Triton has something else.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import struct
import subprocess
import sys
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
PROGRAM = b"triton_python_backend_stub"
SEGMENT, HANDLE = 2, 7
"""Where in the process's arguments the names of its segment and of the control block in it stand."""
OWNERSHIP = 16
"""Bytes before the control block, whose number of owners comes first (`AllocatedShmOwnership` in src/shm_manager.h)."""
FLAGS = 4
"""The control block begins with as many booleans; the first is the sign of life."""
MAX_OWNERS = 64
TICK_SECONDS = 0.2
MAX_LOOKS = 100
"""How often a segment's process is looked for: the segment comes before the process, and stays a moment longer."""


class Heartbeat:
    """The process that vouches. Whoever starts a Triton starts it before, and stops both."""

    def __init__(self, prefix: str) -> None:
        """For the models whose shared-memory segments have this prefix."""
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Vouch from now on."""
        command = [sys.executable, "-I", "-S", __file__, self._prefix]
        # It reads what the decoders of strangers' pictures write, and needs no secret: of the environment, only how Python is found.
        environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH") if name in os.environ}
        # A session of its own: a Ctrl-C in the terminal is for who started it.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)

    def stop(self) -> None:
        """Vouch no more. One that does not is no error."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()  # closes its stdin, and waits


class Signs:
    """The signs of life of the living Python models of one Triton."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._known: dict[str, tuple[int, mmap.mmap, int]] = {}
        self._looks: dict[str, int] = {}

    def give(self) -> int:
        """Give the sign for every model's process that exists; how many there were."""
        names = {name for name in os.listdir(SHARED_MEMORY) if name.startswith(self._prefix)}
        new = [name for name in names - self._known.keys() if self._looks.get(name, 0) < MAX_LOOKS]
        if new:
            self._look_for_processes()
        for name in new:
            self._looks[name] = self._looks.get(name, 0) + 1
        for name, (process, memory, place) in list(self._known.items()):
            if _lives(process):
                memory[place] = 1
            else:
                memory.close()
                del self._known[name]
        return len(self._known)

    def _look_for_processes(self) -> None:
        for entry in os.listdir("/proc"):
            if not entry.isdecimal():
                continue
            with contextlib.suppress(OSError, ValueError, IndexError):
                arguments = _read(f"/proc/{entry}/cmdline").split(b"\0")
                name = arguments[SEGMENT].decode() if arguments[0].endswith(PROGRAM) else ""
                if name.startswith(self._prefix) and name not in self._known:
                    place = int(arguments[HANDLE]) + OWNERSHIP
                    self._known[name] = (int(entry), _map(SHARED_MEMORY / name, place), place)


def _map(segment: Path, place: int) -> mmap.mmap:
    """The segment up to the flags at `place`. Raises ValueError where something else stands there."""
    with segment.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), place + FLAGS)
    owners = struct.unpack_from("I", memory, place - OWNERSHIP)[0]
    if not 0 < owners <= MAX_OWNERS or any(flag > 1 for flag in memory[place : place + FLAGS]):
        raise ValueError(f"{segment} has no control block of Triton's at {place}")
    return memory


def _lives(process: int) -> bool:
    with contextlib.suppress(OSError):
        return _read(f"/proc/{process}/stat").rpartition(b")")[2].split(maxsplit=1)[0] not in (b"Z", b"X")
    return False


def _read(path: str) -> bytes:
    """A file of /proc, five times a second for each model: in fewer steps than `Path.read_bytes`."""
    with open(path, "rb", buffering=0) as file:
        return file.read()


def main(prefix: str) -> None:
    """Give the signs until stdin is closed."""
    with contextlib.suppress(OSError):  # where it may: a machine that is short of processors is what this is for
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    signs = Signs(prefix)
    while not select.select([0], [], [], TICK_SECONDS)[0]:
        with contextlib.suppress(OSError):  # /proc and /dev/shm change while they are read
            signs.give()


if __name__ == "__main__":
    main(sys.argv[1])
