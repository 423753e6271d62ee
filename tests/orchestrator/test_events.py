"""The event stream."""

from __future__ import annotations

import contextlib

import pytest

from respray.observe.events import Events


def test_a_full_disk_under_stdout_stops_no_work(caplog: pytest.LogCaptureFixture) -> None:
    stream = open("/dev/full", "w", buffering=1)  # noqa: SIM115 (closing it meets the full disk again)
    events = Events(stream)
    events.worker("ready")
    events.worker("cleaning_up")
    assert [record.getMessage() for record in caplog.records] == [
        "events are lost, they cannot be written to stdout: [Errno 28] No space left on device"
    ]
    with contextlib.suppress(OSError):
        stream.close()
