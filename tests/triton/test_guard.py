"""The process between an owner and its server, with a shell in place of the server."""

from __future__ import annotations

import signal
import subprocess
import sys

from respray.triton.embedded import guard


def test_the_server_gets_sigterm_from_an_owner_that_has_it_blocked() -> None:
    """As in an owner that waits for its own signals: blocked ones are inherited, and the server would only ever be killed."""
    command = [sys.executable, "-I", "-S", guard.__file__, "respray_test_guard_", "5", "--", "sh", "-c", "echo up; exec sleep 600"]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        guarded = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with guarded:
        assert guarded.stdin is not None and guarded.stdout is not None
        assert guarded.stdout.readline() == b"up\n"
        guarded.stdin.close()  # the owner's signal to stop
    assert guarded.returncode == 128 + signal.SIGTERM
