"""Celery's consumer, which loses no message: what Celery acknowledges and forgets becomes a task that refuses it, with a dead letter.

That is what it cannot decode (JSON nested too deeply or broken, an unknown compression), what it must not decode (pickles, which are
never opened), tasks of other names, and headers that are no task's. What producers of other languages leave out is filled in: a task's id,
and empty arguments.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer

log = logging.getLogger(__name__)

UNREADABLE = "respray.unreadable"
"""The task that refuses: its arguments are the message's body as text, and the reason."""
MAX_REASON_CHARACTERS = 300


class RefusingConsumer(Consumer):  # type: ignore[misc]  # the package is not typed
    """Turns messages that are no task of ours into tasks that refuse them."""

    def create_task_handler(self, *arguments: Any, **named: Any) -> Callable[[Any], None]:
        """Celery's handler of messages, for which nothing a sender can write is an error of this worker."""
        handle = super().create_task_handler(*arguments, **named)
        self._handle = handle

        def on_task_received(message: Any) -> None:
            try:
                _fill_in(message)
                handle(message)
            except tuple(kind for kind in self.connection_errors + self.channel_errors if not issubclass(kind, LookupError)):
                raise
            # Kombu counts a KeyError as a lost connection; here it is a message without a field, which would come back for ever.
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                self._refuse(message, f"the message is no Celery task ({type(error).__name__}: {error})")

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """What cannot be decoded, or has a compression that nobody knows."""
        self._refuse(message, f"the message cannot be decoded as {message.content_type}: {exc}")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """What must not be decoded, and headers with values that cannot be used."""
        self._refuse(message, f"the message is not accepted: {exc}")

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """What names no task at all."""
        self._refuse(message, "the message names no task; accepted is a Celery message of the task 'respray.process'")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Tasks of other names."""
        self._refuse(message, f"the task is named {exc}; accepted is 'respray.process'")

    def _refuse(self, message: Any, reason: str) -> None:
        headers = message.headers if isinstance(message.headers, dict) else {}
        if headers.get("task") == UNREADABLE:
            # Of our own making, or a sender's imitation of it: not turned a second time.
            log.error("a message is left out: %s", reason)
            message.reject_log_error(log, self.connection_errors)
            return
        name = headers.get("id")
        text = message.body.decode("utf-8", "replace") if isinstance(message.body, bytes) else str(message.body)
        message.headers = {"lang": "py", "task": UNREADABLE, "id": name if isinstance(name, str) and name else str(message.delivery_tag)}
        _rewrite(message, [[text, reason[:MAX_REASON_CHARACTERS]], {}, {}])
        self._handle(message)


def _fill_in(message: Any) -> None:
    """Fill in what a message of protocol 2 may lack; leaves alone what cannot be decoded, which Celery finds itself.

    Raises:
        ValueError: Its body is not `[args, kwargs, embed]`.
    """
    headers = message.headers
    if not isinstance(headers, dict) or not isinstance(headers.get("task"), str):
        return
    name = headers.get("id")
    if not isinstance(name, str) or not name:
        headers["id"] = str(message.properties.get("correlation_id") or message.delivery_tag)
    try:
        payload = message.payload
    except Exception:  # decoders raise many types; Celery decodes it again and says which
        return
    if isinstance(payload, dict) and "args" in payload:
        return  # protocol 1 below headers of protocol 2
    if not isinstance(payload, list | tuple) or len(payload) != 3:
        raise ValueError("the body of a task is [args, kwargs, embed]")
    args, kwargs, embed = payload[0] or [], payload[1] or {}, payload[2] or {}
    if not isinstance(args, list | tuple) or not isinstance(kwargs, dict) or not isinstance(embed, dict):
        raise ValueError("the body of a task is [args, kwargs, embed]: an array and two objects")
    if [args, kwargs, embed] != list(payload):  # null, and PHP's empty arrays
        _rewrite(message, [args, kwargs, embed])


def _rewrite(message: Any, body: Any) -> None:
    message.body = json.dumps(body)
    message.content_type, message.content_encoding = "application/json", "utf-8"
    message.errors, message._decoded_cache = [], None
