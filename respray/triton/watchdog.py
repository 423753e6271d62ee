"""Starts a Triton again that ended by itself: its Python backend is known to abort now and then on a starved machine (issue 8882).

The one supervisor of restarts, for the embedded server and for the GPU image's Triton alike.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from respray.triton.errors import ServingError

MAX_RESTARTS = 3
WINDOW_SECONDS = 600.0
POLL_SECONDS = 0.25
_log = logging.getLogger(__name__)


class RestartableServer(Protocol):
    """A Triton that can be started again on the same ports."""

    @property
    def running(self) -> bool:
        """Whether its process is there."""

    @property
    def exit_status(self) -> int | None:
        """With what status a server that is not running any more has ended."""

    def error_lines(self) -> str:
        """What the server itself says of its end, or where that can be read."""

    def revive(self) -> object:
        """Start a server that has died again. Raises ServingError where it does not become ready."""

    def stop(self) -> None:
        """End the server. A server that has ended already is no error."""


class RestartBudget:
    """A server that keeps dying is given up: more than MAX_RESTARTS deaths in WINDOW_SECONDS are for its host, or a person, to look at."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Count by `clock`, which gives seconds and only goes forward."""
        self._clock = clock
        self._deaths: list[float] = []

    def spend(self, status: int | None) -> tuple[bool, str]:
        """Count a death; whether to start again, and a sentence that says so. `status`: the server's exit status."""
        now = self._clock()
        self._deaths = [*(at for at in self._deaths if now - at < WINDOW_SECONDS), now]
        again = len(self._deaths) <= MAX_RESTARTS
        plan = "starting it again" if again else f"it did so {len(self._deaths)} times in {WINDOW_SECONDS:.0f} s: giving up"
        return again, f"Triton ended by itself (status {status}); {plan}"


class ServerWatchdog(threading.Thread):
    """Watches a running server and revives it on the same ports, so that clients only have to try again; stops it, too."""

    def __init__(self, server: RestartableServer) -> None:
        """Start to watch `server`, which runs already."""
        super().__init__(name="triton watchdog", daemon=True)
        self.gave_up = False
        self._server, self._end = server, threading.Event()
        self.start()

    def run(self) -> None:
        """Look after the server until it is let go, or given up."""
        budget = RestartBudget()
        while not self._end.wait(POLL_SECONDS):
            if self._server.running:
                continue
            again, sentence = budget.spend(self._server.exit_status)
            _log.error("%s\n%s", sentence, self._server.error_lines())
            if not again:
                self.gave_up = True
                return
            try:
                self._server.revive()
            except ServingError as error:
                _log.error("Triton could not be started again: %s", error)

    def let_go(self) -> None:
        """Start the server no more. Returns at once; `stop` is still needed."""
        self._end.set()

    def stop(self) -> None:
        """End the watch, then the server."""
        self.let_go()
        self.join()
        self._server.stop()
