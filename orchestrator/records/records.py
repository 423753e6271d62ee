"""What a job leaves behind beside its outputs: one record per item while it runs, and one manifest of all of them at the end.

    outputs/{user}/{job}/manifest/{idx}.json   an item: what is stored, with checksums, and whether its callback is owed (`item_record.py`)
    outputs/{user}/{job}/manifest.json         the whole job, for people and programs (`manifest.py`)
    outputs/{user}/{job}/manifest/versions.json the order of the messages that were sent under the job's id (`versions.py`)
    callbacks-owed/, callbacks-refused/        jobs whose callbacks are owed or were refused (`markers.py`)
    failed/{user}/{job}.json                   a job that was given up, with its message and the reason

The item record is the point of truth for "is this done": it is written after the files are stored and verified, and before the
queue is told. It is only ever written conditionally, so of two workers with the same job one wins and the other learns of it.
"""

from __future__ import annotations

import json
import time
from typing import Any

from pydantic import ValidationError

from orchestrator.errors import Conflict, NotFound
from orchestrator.jobs import limits
from orchestrator.records.item_record import ItemRecord
from orchestrator.records.markers import Markers
from orchestrator.records.versions import Versions
from orchestrator.storage.base import Expect, Stat
from orchestrator.storage.threads import AsyncStorage
from respray.observe.redaction import Redactor

JSON = "application/json"
FAILED_PREFIX = "failed/"


class Records:
    """Reads and writes records. Everything written passes the redactor: error texts come from libraries and from other people's servers."""

    def __init__(self, storage: AsyncStorage, redactor: Redactor) -> None:
        self._storage = storage
        self._redactor = redactor
        self.versions, self.markers = Versions(storage), Markers(storage)

    async def load(self, key: str) -> tuple[ItemRecord, Stat] | tuple[None, Stat | None]:
        """A record and what it was stored as; an unreadable one counts as not there (and will be replaced)."""
        try:
            data, stat = await self._storage.read(key, limits.MAX_RECORD_BYTES)
        except NotFound:
            return None, None
        try:
            return ItemRecord.model_validate_json(data), stat
        except ValidationError:
            return None, stat

    def redacted(self, text: str) -> str:
        """A text without secrets, as it may leave the process."""
        return self._redactor.text(text)

    async def save(self, key: str, record: ItemRecord, expect: Stat | None) -> tuple[ItemRecord, Stat]:
        """Write a record, if nobody else has.

        Args:
            key: The record's key.
            record: What is to be written.
            expect: What is stored there now; None: nothing.

        Returns:
            What was written, without secrets, and what it is stored as.

        Raises:
            Conflict: Something else is stored there.
        """
        data = record.model_copy(update={"error": self.redacted(record.error) if record.error else None})
        if data.callback is not None and data.callback.error:
            data = data.model_copy(update={"callback": data.callback.model_copy(update={"error": self.redacted(data.callback.error)})})
        return data, await self._storage.write(key, data.model_dump_json().encode(), JSON, Expect.NOTHING if expect is None else expect)

    async def links_to(self, record: dict[str, Any]) -> dict[str, Any]:
        """Links to an item's results, as `output_url`, `preview_url` and, of several outputs, `output_urls`; empty without `links`.

        Args:
            record: An item's record as JSON has it.
        """
        seconds, outputs = record.get("links"), record.get("outputs") or {}
        if not seconds:
            return {}
        named = {"output_url": record.get("output_key"), "preview_url": record.get("preview_key")}
        links: dict[str, Any] = {name: await self._storage.link(key, seconds) for name, key in named.items() if key}
        if len(outputs) > 1:
            links["output_urls"] = {name: await self._storage.link(key, seconds) for name, key in outputs.items() if "://" not in key}
        return {name: link for name, link in links.items() if link}

    async def write_manifest(self, prefix: str, manifest: dict[str, Any], version: int) -> str:
        """Write the whole job's manifest and return its key.

        Args:
            prefix: The job's outputs prefix.
            manifest: What `manifest_of` made.
            version: The number of the message that it is about: a newer message's manifest is left alone.
        """
        redacted = self._redactor.value(manifest)
        # Behind the redactor, which would blank them: who may read the bucket may read what they lead to.
        redacted["items"] = [entry | await self.links_to(entry) for entry in redacted["items"]]
        key, data = f"{prefix}manifest.json", _json(redacted, indent=1)
        while True:
            stored = await self._storage.stat(key)
            if await self.versions.latest(prefix) > version:
                return key
            try:
                await self._storage.write(key, data, JSON, stored or Expect.NOTHING)
                return key
            except Conflict:
                continue

    async def write_failed(self, name: str, message: Any, reason: str, attempts: int) -> str:
        """Record a job that was given up, and return the record's key."""
        key = f"{FAILED_PREFIX}{name}.json"
        content = {"reason": reason, "attempts": attempts, "failed_at": time.time(), "message": message}
        await self._storage.write(key, _json(self._redactor.value(content)), JSON)
        return key


def _json(value: Any, indent: int | None = None) -> bytes:
    """Readable JSON. Half a surrogate pair, which a hostile message may hold, has no UTF-8 but an escape that JSON knows too."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=repr).encode("utf-8", "backslashreplace")
