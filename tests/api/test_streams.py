"""What this process keeps of jobs' events."""

from __future__ import annotations

import asyncio

from orchestrator.api.streams import MAX_QUIET, Streams


def test_streams_that_nothing_was_told_of_are_forgotten_and_live_ones_are_not() -> None:
    """Each look at a job of another process opens a stream; their number must not grow for as long as the server runs."""

    async def open_many() -> int:
        streams = Streams()
        streams.open("u", "live", "m").start()
        for number in range(2 * MAX_QUIET):
            streams.open("u", f"job-{number}", "")
        assert streams.find("u", "live") is not None
        return sum(streams.find("u", f"job-{number}") is not None for number in range(2 * MAX_QUIET))

    assert asyncio.run(open_many()) == MAX_QUIET
