"""A small process between us and the embedded server that makes sure nothing outlives us.

Run as a script with the standard library only: `python -I -S guard.py SHM_PREFIX GRACE_SECONDS -- COMMAND...`. It holds the read end of
a pipe on its stdin; when the pipe closes - because the owner stopped the server, or crashed, or was killed - it asks the server to
terminate, waits, kills what is left (adopting the server's orphans as a subreaper) and removes the server's shared-memory segments.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
SHARED_MEMORY = Path("/dev/shm")
DRAINED = b"All models are stopped, unloading models"  # what tritonserver 2.51 logs once nothing is in flight
LOG_TAIL = 1 << 16
FLUSH_SECONDS = 0.2  # for the last answers to leave their sockets


def remove_segments(prefix: str, folder: Path = SHARED_MEMORY) -> int:
    """Remove the shared-memory segments whose names start with the prefix; how many there were."""
    segments = list(folder.glob(prefix + "*"))
    for segment in segments:
        segment.unlink(missing_ok=True)
    return len(segments)


def _children() -> list[int]:
    """Process ids of all children, orphans adopted from the server included."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def _kill_rest(deadline: float) -> None:
    """Kill and reap everything that the server left behind. Children of what is killed become ours, hence the loop."""
    while time.monotonic() < deadline and (left := _children()):
        for child in left:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _stop(server: "subprocess.Popen[bytes]", deadline: float) -> None:
    """Ask the server to terminate, wait until no request is in flight, then end it.

    What it does after that, unloading Python models one instance after the other for more than a second each, is of no use to anyone.
    """
    server.terminate()
    while server.poll() is None and time.monotonic() < deadline and not _drained():
        time.sleep(0.05)
    if server.poll() is None:
        time.sleep(FLUSH_SECONDS)
        server.kill()
    server.wait()


def _drained() -> bool:
    """Whether the server says in its log, which is our stdout, that all requests are answered."""
    try:
        with open("/proc/self/fd/1", "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL))
            return DRAINED in log.read()
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Run the command until it ends or stdin closes; its exit status (128 + signal when a signal ended it)."""
    prefix, grace, separator, *command = arguments
    if separator != "--" or not command:
        raise SystemExit(f"usage: guard.py SHM_PREFIX GRACE_SECONDS -- COMMAND..., given {arguments}")
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    # An owner that waits for signals has them blocked; inherited, SIGTERM would never reach the server.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})

    def follow() -> None:
        """Should the guard itself be killed, the kernel sends the server SIGTERM."""
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=follow)  # noqa: PLW1509 - the guard has no threads
    while server.poll() is None:
        ready, _, _ = select.select([0, wake_read], [], [])
        signals = os.read(wake_read, 64) if wake_read in ready else b""
        if 0 in ready or signal.SIGTERM in signals or signal.SIGINT in signals:
            _stop(server, time.monotonic() + float(grace))
    _kill_rest(time.monotonic() + 10.0)
    remove_segments(prefix)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
