"""Triton's own counters, once they stand still."""

from __future__ import annotations

import asyncio

from respray.triton.client import PipelineClient
from respray.triton.statistics import ModelStatistics

Statistics = dict[str, ModelStatistics]


async def settled(client: PipelineClient) -> Statistics:
    """The server's counters once they stand still: those of a request may come a moment after its answer."""
    async with asyncio.timeout(60):
        latest, same = await client.statistics(), 0
        while same < 2:
            await asyncio.sleep(0.05)
            now = await client.statistics()
            same, latest = (same + 1 if now == latest else 0), now
    return latest
