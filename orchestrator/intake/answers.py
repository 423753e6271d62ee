"""What an answer can carry beside the counts of a job: links to the results, and of one photo the results themselves."""

from __future__ import annotations

import base64
import json
from typing import Any

from orchestrator.errors import ResprayError
from orchestrator.jobs import keys
from orchestrator.records.item_record import ItemRecord
from orchestrator.records.records import Records
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.handle import JobResult

MAX_ANSWER_BYTES = 8_000_000
"""Runpod takes answers of 10 MB for /run and 20 MB for /runsync (docs.runpod.io/serverless/workers/handler-functions#payload-limits); what
the SDK and the gateway put around an answer is theirs."""

_ORDER = ("output", "preview", "mask")


async def with_links(result: JobResult, records: Records) -> dict[str, Any]:
    """The answer to a job; where it asked for links, with each item's."""
    answer = result.fields()
    if any(record.links for record in result.records):
        answer["items"] = [_item(record) | await records.links_to(record.model_dump()) for record in result.records]
    return answer


async def with_files(result: JobResult, storage: AsyncStorage, keys_last: bool) -> dict[str, Any]:
    """The answer to a job of one photo, with its files as base64 as long as the whole stays small enough: the output first, then others.

    Args:
        result: How the job went.
        storage: Where its files are.
        keys_last: Whether the keys can be read after the answer, so that they may stand for a file that is too large.
    """
    answer = result.fields()
    if not result.records:
        return answer
    (record,) = result.records
    item = _item(record) | {"report": record.report.model_dump(exclude_none=True) if record.report else None}
    if not keys_last:
        answer.pop("manifest", None)
    files = [_described(record, file.key) | {"bytes": file.size} for file in record.files if not file.sent]
    files.sort(key=lambda entry: _ORDER.index(entry["kind"]))
    answer["items"] = [item | {"files": files}]
    left = MAX_ANSWER_BYTES - len(json.dumps(answer))
    for entry in files:
        length = (entry["bytes"] + 2) // 3 * 4 + 32
        if length <= left:
            data, _ = await storage.read(entry["key"], entry["bytes"])
            entry["base64"] = base64.b64encode(data).decode()
            left -= length
        elif not keys_last:
            raise ResprayError(
                f"the {entry['kind']} has {entry['bytes'] / 1e6:.1f} MB, more than the {MAX_ANSWER_BYTES / 1e6:.0f} MB of an answer leave "
                "as base64, and this worker has no bucket to put it into; set STORAGE_S3_ENDPOINT and its keys, send a smaller photo, or "
                "give options.format jpeg or webp and a lower options.quality"
            )
        else:
            entry["note"] = f"left out: the whole answer holds {MAX_ANSWER_BYTES / 1e6:.0f} MB; read it from its key"
    return answer


def _item(record: ItemRecord) -> dict[str, Any]:
    return record.model_dump(include={"idx", "status", "output_key", "preview_key", "outputs", "masks", "error"})


def _described(record: ItemRecord, key: str) -> dict[str, Any]:
    """What a file is."""
    described: dict[str, Any] = {"key": key, "media_type": f"image/{keys.format_of(key)}"}
    for name, output in record.outputs.items():
        if output == key:
            return {"kind": "output", "name": name} | described
    for concept, masks in record.masks.items():
        if key in masks:
            return {"kind": "mask", "name": concept, "instance": masks.index(key) + 1} | described
    return {"kind": "preview", "name": next(iter(record.outputs), "")} | described
