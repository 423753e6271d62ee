"""`respray callbacks retry`: deliver what is owed or was refused, from the records in the store."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from orchestrator.callbacks.sweeper import Sweeper
from orchestrator.cli._setup import Context, command_context
from orchestrator.errors import SettingsError
from orchestrator.records.item_record import ItemRecord
from orchestrator.records.manifest import callback_summary
from orchestrator.records.records import Records
from orchestrator.service.assembly import callback_client, make_deliverer, worker_name
from orchestrator.settings import is_bucket, require
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
        """Deliver every owed and every refused callback now, with its first webhook-id. Exit code 1 when some are still owed or refused."""
        with command_context(adapter="local") as context:
            require(context.settings, storage=is_bucket(store), adapter=False)
            if context.settings.callback_secret is None:
                raise SettingsError("missing setting: GPU_CALLBACK_SECRET; callbacks are signed with it")
            left = asyncio.run(_retry(context, store))
        raise typer.Exit(1 if left else 0)


async def _retry(context: Context, store: str | None) -> bool:
    """Whether something is left that was not delivered and may be yet."""
    refused = False

    def report(job: str, items: list[ItemRecord]) -> None:
        nonlocal refused
        refused = refused or any(item.callback is not None and item.callback.state == "refused" for item in items)
        print(f"{job}: {callback_summary(items)}", file=sys.stderr)
        context.events.emit("callbacks", job=job, **callback_summary(items))

    client = callback_client(context.settings, context.metrics)
    assert client is not None  # the secret was asked for above
    async with AsyncStorage(open_storage(context.settings, store)) as storage:
        try:
            await storage.check()
            records = Records(storage, context.redactor)
            deliverer = make_deliverer(context.settings, client, records, context.metrics, worker_name())
            sweeper = Sweeper(deliverer, records, context.metrics)
            await sweeper.owe_refused()
            return await sweeper.sweep(force=True, on_job=report) > 0 or refused
        finally:
            await client.close()
