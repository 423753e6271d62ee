"""Kombu's Redis transport, which loses nothing that lies in the queue: what is no Celery message is handed on as one without a task.

Kombu has taken an entry out of the list before it reads it, and reads only what a Celery producer wrote. Whoever pushes a job as plain
JSON, or a text, would never hear of it; what is handed on here is refused with a dead letter (`celery_consumer`).
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from kombu.transport import redis

NOTHING = "(an entry that cannot be read: nested too deeply)"


class Channel(redis.Channel):
    """Hands on entries that are no JSON."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]  # the package is half typed
        except json.JSONDecodeError as error:
            entry: object = error.doc
        except UnicodeDecodeError as error:
            entry = bytes(error.object).decode("utf-8", "replace")
        except RecursionError:
            entry = NOTHING
        self.connection._deliver(entry, self._active_queues[0])
        return True


class Transport(redis.Transport):
    """Hands on entries that are JSON and no message."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str) -> None:
        readable = message if _is_message(message) else _without_task(message, queue)
        super()._deliver(readable, queue)  # type: ignore[no-untyped-call]


def _is_message(entry: Any) -> bool:
    """Whether Kombu can read an entry: the fields that it takes for granted."""
    properties = entry.get("properties") if isinstance(entry, dict) else None
    if not isinstance(properties, dict) or not isinstance(entry.get("body"), str | None):
        return False
    place = properties.get("delivery_info")
    placed = isinstance(place, dict) and {"exchange", "routing_key"} <= place.keys()
    return placed and isinstance(properties.get("delivery_tag"), str) and isinstance(entry.get("headers"), dict | None)


def _without_task(entry: Any, queue: str) -> dict[str, Any]:
    place = {"exchange": "", "routing_key": queue}
    return {
        "body": json.dumps(entry),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {"body_encoding": None, "delivery_tag": str(uuid.uuid4()), "delivery_info": place},
    }
