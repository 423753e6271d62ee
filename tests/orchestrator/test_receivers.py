"""What a worker remembers of receivers: which are down, which want no more, and not all of them for ever."""

from __future__ import annotations

import pytest

from orchestrator.callbacks import receivers
from orchestrator.callbacks.client import CallbackOutcome
from orchestrator.callbacks.receivers import Receivers

NO_ANSWER, BUSY = CallbackOutcome("owed", 4), CallbackOutcome("owed", 4, 503)
DELIVERED, GONE = CallbackOutcome("delivered", 1, 200), CallbackOutcome("gone", 1, 410)


def test_no_answer_speaks_of_the_host_and_an_answer_of_its_address() -> None:
    known = Receivers()
    known.learn("https://silent.example/a", NO_ANSWER)
    known.learn("https://busy.example/a", BUSY)
    assert known.is_down("https://silent.example/b")
    assert known.is_down("https://busy.example/a") and not known.is_down("https://busy.example/b")
    known.learn("https://silent.example/b", DELIVERED)
    assert not known.is_down("https://silent.example/a")


def test_an_address_that_is_gone_is_so_alone() -> None:
    known = Receivers()
    known.learn("https://a.example/gone", GONE)
    assert known.is_gone("https://a.example/gone") and not known.is_gone("https://a.example/other")


def test_what_is_met_now_takes_the_place_of_what_was_met_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "MAX_REMEMBERED", 3)
    known = Receivers()
    for name in "abcdef":
        known.learn(f"https://{name}.example/", GONE)
        known.learn(f"https://{name}.example/down", BUSY)
    assert [known.is_gone(f"https://{name}.example/") for name in "abcdef"] == [False] * 3 + [True] * 3
    assert [known.is_down(f"https://{name}.example/down") for name in "abcdef"] == [False] * 3 + [True] * 3
