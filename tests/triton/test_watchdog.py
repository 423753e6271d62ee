"""A server is started again when it ends, and when its Python models are killed while it says to be well."""

from __future__ import annotations

import threading

import pytest

from respray.triton import watchdog
from respray.triton.watchdog import MAX_RESTARTS, PAUSES, RestartBudget, ServerWatchdog


class Server:
    """Runs for ever, and counts its restarts."""

    running, exit_status, pid = True, None, 1

    def __init__(self) -> None:
        self.revived = threading.Event()
        self.models = 4

    def error_lines(self) -> str:
        return ""

    def revive(self) -> None:
        self.models = 4
        self.revived.set()

    def stop(self) -> None:
        pass


def test_restarts_are_spread_over_time_and_end() -> None:
    budget = RestartBudget(lambda: 0.0)
    pauses = [budget.spend("it ended")[0] for _ in range(MAX_RESTARTS + 1)]
    assert pauses == [*PAUSES, None] and sum(PAUSES) > 30


def test_killed_python_models_are_a_death(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setattr(watchdog, "python_models", lambda pid: server.models)
    monkeypatch.setattr(watchdog, "MODELS_SECONDS", 0.01)
    monkeypatch.setattr(watchdog, "POLL_SECONDS", 0.01)
    keeper = ServerWatchdog(server)
    try:
        assert not server.revived.wait(0.2)
        server.models = 2
        assert server.revived.wait(5.0)
        server.revived.clear()
        assert not server.revived.wait(0.2), "all are there again"
    finally:
        keeper.stop()
