"""`respray callbacks retry`: deliver what is owed, from the records in the store."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from orchestrator.cli._setup import Context, command_context
from orchestrator.errors import SettingsError
from orchestrator.records.records import ItemRecord, Records, callback_summary
from orchestrator.service.assembly import callback_client, make_deliverer, worker_name
from orchestrator.settings import require
from orchestrator.storage import open_storage
from orchestrator.storage.threads import AsyncStorage


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help="Callbacks that were not delivered.", no_args_is_help=True)
    app.add_typer(group, name="callbacks")

    @group.callback()
    def callbacks() -> None:
        """Callbacks that were not delivered."""

    @group.command()
    def retry(
        store: Annotated[str | None, typer.Option(help="Folder or s3://BUCKET; default: the settings' bucket.")] = None,
    ) -> None:
        """Deliver every owed callback now, with its first webhook-id. Exit code 1 when some are still owed."""
        with command_context(adapter="local") as context:
            require(context.settings, storage=store is None or store.startswith("s3://"), adapter=False)
            if context.settings.callback_secret is None:
                raise SettingsError("missing setting: GPU_CALLBACK_SECRET; callbacks are signed with it")
            owed = asyncio.run(_retry(context, store))
        raise typer.Exit(1 if owed else 0)


async def _retry(context: Context, store: str | None) -> int:
    def report(job: str, items: list[ItemRecord]) -> None:
        print(f"{job}: {callback_summary(items)}", file=sys.stderr)
        context.events.emit("callbacks", job=job, **callback_summary(items))

    client = callback_client(context.settings, context.metrics)
    assert client is not None  # the secret was asked for above
    async with AsyncStorage(open_storage(context.settings, store)) as storage:
        try:
            await storage.check()
            records = Records(storage, context.redactor)
            deliverer = make_deliverer(context.settings, client, records, context.metrics, worker_name())
            return await deliverer.sweep(force=True, on_job=report)
        finally:
            await client.close()
