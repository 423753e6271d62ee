"""`respray segments prune`: delete kept segments that nobody uses any more."""

from __future__ import annotations

import asyncio
import sys

import typer

from orchestrator.cli._setup import Context, StoreOption, command_context
from orchestrator.settings import is_bucket, require
from orchestrator.storage import open_storage
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.kept_segments import KeptSegments


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help="What was found in photos, kept in the store.", no_args_is_help=True)
    app.add_typer(group, name="segments")

    @group.callback()
    def segments() -> None:
        """What was found in photos, kept in the store."""

    @group.command()
    def prune(store: StoreOption = None) -> None:
        """Delete what is older than SEGMENTS_DAYS, and what cannot be used."""
        with command_context(adapter="local") as context:
            require(context.settings, storage=is_bucket(store), adapter=False)
            asyncio.run(_prune(context, store))


async def _prune(context: Context, store: str | None) -> None:
    async with AsyncStorage(open_storage(context.settings, store)) as storage:
        await storage.check()
        deleted, found = await KeptSegments(storage, context.settings.segments_days).prune()
    print(f"{deleted} of {found} photos' kept segments deleted", file=sys.stderr)
    context.events.emit("segments", deleted=deleted, found=found)
