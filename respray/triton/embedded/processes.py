"""What a process and all that descend from it use; processes that end meanwhile count as nothing."""

from __future__ import annotations

import contextlib
import urllib.request

import psutil


def family(process: int) -> list[int]:
    """Ids of a process and of all that descend from it, itself first; it alone where it has ended."""
    try:
        return [process, *(child.pid for child in psutil.Process(process).children(recursive=True))]
    except psutil.NoSuchProcess:
        return [process]


def cpu_seconds(process: int) -> float:
    """Processor time that a process and its living descendants have used so far, in seconds."""
    seconds = 0.0
    for member in family(process):
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(member).cpu_times()
            seconds += times.user + times.system
    return seconds


def proportional_bytes(process: int) -> int:
    """Memory of one process in bytes, shared pages by share (PSS); 0 where it has ended or may not be read."""
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(process).memory_full_info().pss)
    return 0


def python_models(process: int) -> int:
    """How many processes of Python models descend from `process` and live; a killed one that nobody has waited for does not."""
    count = 0
    for member in family(process):
        with contextlib.suppress(psutil.Error):
            one = psutil.Process(member)
            count += one.name().startswith("triton_python_b") and one.status() != psutil.STATUS_ZOMBIE
    return count


def listens(process: int, port: int) -> bool:
    """Whether `process`, or one that descends from it, listens on a TCP port of this machine: another program may, and answer as ours."""
    for member in family(process):
        with contextlib.suppress(psutil.Error):
            if _listens(psutil.Process(member), port):
                return True
    return False


# Without HTTP_PROXY and its like: what is asked is on this machine.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str, seconds: float) -> bool:
    """Whether a server of this machine answers 200 there within so many seconds; whose server, `listens` tells."""
    try:
        with _DIRECTLY.open(url, timeout=seconds) as answer:
            return bool(answer.status == 200)
    except OSError:  # URLError is one
        return False


def listens_here(port: int, name: str) -> bool:
    """Whether a program of this name that this user (in a container: this container) runs listens on a TCP port."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == name[:15] and _listens(process, port):  # the kernel keeps 15 characters
                return True
    return False


def _listens(process: psutil.Process, port: int) -> bool:
    sockets = process.net_connections("tcp")
    return any(socket.status == psutil.CONN_LISTEN and socket.laddr and socket.laddr.port == port for socket in sockets)
