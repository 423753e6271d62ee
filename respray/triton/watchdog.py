"""Starts a Triton again that ended by itself: its Python backend aborts after a stall that `heartbeat` could not bridge (issue 8882).

It also restarts one whose Python models' processes were killed: Triton does not start them again, and goes on saying that it is ready while
photos fail.

The one supervisor of restarts, for the embedded server and for the GPU image's Triton alike.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from respray.triton.embedded.processes import python_models
from respray.triton.errors import ServingError

MAX_RESTARTS = 3
WINDOW_SECONDS = 600.0
POLL_SECONDS = 0.25
MODELS_SECONDS = 2.0  # between two counts of the Python models' processes; two in a row must miss one
PAUSES = (0.0, 5.0, 30.0)  # seconds before the first, second and third restart: what killed it may need time to pass
_log = logging.getLogger(__name__)


class RestartableServer(Protocol):
    """A Triton that can be started again on the same ports."""

    @property
    def running(self) -> bool:
        """Whether its process is there."""

    @property
    def pid(self) -> int:
        """The process from which the Python models descend; 0 while nothing runs."""

    @property
    def exit_status(self) -> int | None:
        """With what status a server that is not running any more has ended."""

    def error_lines(self) -> str:
        """What the server itself says of its end, or where that can be read."""

    def revive(self) -> object:
        """Start a server that has died again.

        Raises:
            ServingError: it does not become ready.
        """

    def stop(self) -> None:
        """End the server. A server that has ended already is no error."""


class RestartBudget:
    """A server that keeps dying is given up: more than MAX_RESTARTS deaths in WINDOW_SECONDS are for its host, or a person, to look at."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Count by `clock`, which gives seconds and only goes forward."""
        self._clock = clock
        self._deaths: list[float] = []

    def spend(self, what: str) -> tuple[float | None, str]:
        """Count a death; seconds to wait before the restart (None: no more of them), and a sentence that says so. `what`: what happened."""
        now = self._clock()
        self._deaths = [*(at for at in self._deaths if now - at < WINDOW_SECONDS), now]
        deaths = len(self._deaths)
        if deaths > MAX_RESTARTS:
            return None, f"{what}; it did so {deaths} times in {WINDOW_SECONDS:.0f} s: giving up"
        return PAUSES[min(deaths, len(PAUSES)) - 1], f"{what}; starting it again"


class ServerWatchdog(threading.Thread):
    """Watches a running server and revives it on the same ports, so that clients only have to try again; stops it, too."""

    def __init__(self, server: RestartableServer) -> None:
        """Start to watch `server`, which runs already."""
        super().__init__(name="triton watchdog", daemon=True)
        self.gave_up = False
        self._server, self._end = server, threading.Event()
        self._most = self._missing = 0
        self._count_at = 0.0
        self.start()

    def run(self) -> None:
        """Look after the server until it is let go, or given up."""
        budget = RestartBudget()
        while not self._end.wait(POLL_SECONDS):
            what = self._death()
            if what is None:
                continue
            pause, sentence = budget.spend(what)
            _log.error("%s\n%s", sentence, self._server.error_lines())
            if pause is None:
                self.gave_up = True
                return
            if self._end.wait(pause):
                return
            try:
                self._server.revive()
            except ServingError as error:
                _log.error("Triton could not be started again: %s", error)
            self._most = self._missing = 0

    def _death(self) -> str | None:
        """What ended; None: all is well, or not yet known."""
        if not self._server.running:
            return f"Triton ended by itself (status {self._server.exit_status})"
        if time.monotonic() < self._count_at:
            return None
        self._count_at = time.monotonic() + MODELS_SECONDS
        there = python_models(self._server.pid)
        self._most = max(self._most, there)
        self._missing = self._missing + 1 if there < self._most else 0
        return f"{self._most - there} of {self._most} processes of Triton's Python models were killed" if self._missing > 1 else None

    def let_go(self) -> None:
        """Start the server no more. Returns at once; `stop` is still needed."""
        self._end.set()

    def stop(self) -> None:
        """End the watch, then the server."""
        self.let_go()
        self.join()
        self._server.stop()
