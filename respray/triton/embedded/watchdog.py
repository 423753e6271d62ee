"""Starts a Triton again that ended by itself: its Python backend is known to abort now and then on a starved machine (issue 8882)."""

from __future__ import annotations

import logging
import threading
import time

from respray.triton.embedded.server import EmbeddedServer
from respray.triton.errors import ServingError

LIMIT = 3
WINDOW_SECONDS = 600.0
LOOK_SECONDS = 0.25
_log = logging.getLogger(__name__)


class Restarts:
    """A server that keeps dying is given up: more than LIMIT deaths in WINDOW_SECONDS are for its host, or a person, to look at."""

    def __init__(self) -> None:
        self._deaths: list[float] = []

    def allow(self, status: int | None) -> tuple[bool, str]:
        """Count a death; whether to start again, and a sentence that says so. `status`: the server's exit status."""
        now = time.monotonic()
        self._deaths = [*(at for at in self._deaths if now - at < WINDOW_SECONDS), now]
        again = len(self._deaths) <= LIMIT
        plan = "starting it again" if again else f"it did so {len(self._deaths)} times in {WINDOW_SECONDS:.0f} s: giving up"
        return again, f"Triton ended by itself (status {status}); {plan}"


class Keeper(threading.Thread):
    """Watches a running `EmbeddedServer` and revives it on the same ports, so that clients only have to try again; stops it, too."""

    def __init__(self, server: EmbeddedServer) -> None:
        super().__init__(name="triton keeper", daemon=True)
        self._server, self._end = server, threading.Event()
        self.start()

    def run(self) -> None:
        """Look after the server until `stop`, or until it is given up."""
        restarts = Restarts()
        while not self._end.wait(LOOK_SECONDS):
            if self._server.running:
                continue
            again, sentence = restarts.allow(self._server.exit_status)
            _log.error("%s\n%s", sentence, self._server.error_lines())
            if not again:
                return
            try:
                self._server.revive()
            except ServingError as error:
                _log.error("Triton could not be started again: %s", error)

    def stop(self) -> None:
        """End the watch, then the server."""
        self._end.set()
        self.join()
        self._server.stop()
