"""The manifest of a job: all its items in one file, for people and programs, and what came of its callbacks."""

from __future__ import annotations

import time
from typing import Any

from orchestrator.records.item_record import ItemRecord


def manifest_of(user_id: str, job_id: str, records: list[ItemRecord], total: int, seconds: float | None = None) -> dict[str, Any]:
    """The manifest of a job: counts, items without their secrets, and the callbacks that are not delivered."""
    failed = [r for r in records if r.status == "failed"]
    manifest: dict[str, Any] = {
        "job_id": job_id,
        "user_id": user_id,
        "status": "completed" if not failed and len(records) == total else "failed",
        "total": total,
        "completed": len(records) - len(failed),
        "failed": len(failed),
        "callbacks": callback_summary(records),
        "written_at": time.time(),
        "items": [
            r.model_dump(exclude={"callback": {"url", "holder", "leased_until"}}, exclude_none=False)
            for r in sorted(records, key=lambda r: r.idx)
        ],
    }
    return manifest | ({"seconds": round(seconds, 3)} if seconds is not None else {})


def callback_summary(records: list[ItemRecord]) -> dict[str, Any]:
    """How many callbacks were delivered, and which were not and why."""
    with_callback = [r for r in records if r.callback is not None]
    undelivered = [
        {"idx": r.idx, "state": r.callback.state, "error": r.callback.error}
        for r in sorted(with_callback, key=lambda r: r.idx)
        if r.callback is not None and r.callback.state != "delivered"
    ]
    return {"delivered": len(with_callback) - len(undelivered), "undelivered": undelivered}
