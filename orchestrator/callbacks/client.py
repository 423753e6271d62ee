"""Tell the caller about an item: one signed POST, repeated where repeating may help (docs/reference/contract.md, "Callbacks").

Every attempt of one event carries the same `webhook-id`, also from another worker and days later, so that a receiver can tell a
repetition from news. What cannot be delivered stays owed in the item's record; see `deliverer.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

import httpx
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from orchestrator.errors import AddressRefused, SettingsError
from orchestrator.net.address_policy import AddressPolicy, PinnedTransport
from orchestrator.net.answers import drain, retry_after_seconds
from respray.retry import Retry

log = logging.getLogger(__name__)

MAX_RETRY_AFTER_SECONDS = 60.0
"""The longest Retry-After that is waited for on the spot; a longer one leaves the callback owed until then."""

OutcomeState = Literal["delivered", "owed", "refused", "gone"]


@dataclass(frozen=True)
class CallbackEvent:
    """One thing to tell.

    Attributes:
        url: Whom to tell.
        event_id: The webhook-id: the same for every attempt, also by another worker.
        idempotency_prefix: The first part of X-Idempotency-Key.
        idx: The photo's index in its job.
        body: The JSON that is sent.
        attempt: The queue's count of the job's deliveries, also part of X-Idempotency-Key.
    """

    url: str
    event_id: str
    idempotency_prefix: str
    idx: int
    body: dict[str, Any]
    attempt: int = 1


@dataclass(frozen=True)
class CallbackOutcome:
    """What came of telling an event.

    Attributes:
        state: `owed`: repeating may help; `refused`: the receiver or our own policy said no for good; `gone`: 410.
        attempts: Requests that were made.
        status: The receiver's last HTTP status.
        not_before: Unix time of the next try.
    """

    state: OutcomeState
    attempts: int
    status: int | None = None
    error: str | None = None
    not_before: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """When a callback is repeated.

    Attributes:
        waits: Seconds before each retry.
        jitter: The share of itself that is added to a wait at most.
    """

    waits: tuple[float, ...] = (1.0, 3.0, 9.0)
    jitter: float = 0.25

    def wait(self, attempt: int, error: BaseException) -> float:
        """Seconds after a failed attempt (from 1): the receiver's wish where it has one."""
        if isinstance(error, _NotDelivered) and error.retry_after is not None:
            return error.retry_after
        return self.waits[attempt - 1] * (1 + random.uniform(0, self.jitter))


class _NotDelivered(Exception):
    """An attempt that leaves the callback owed; `retry_after` are the seconds that the receiver asked for."""

    def __init__(self, outcome: CallbackOutcome, retry_after: float | None = None) -> None:
        super().__init__(outcome.error)
        self.outcome, self.retry_after = outcome, retry_after

    @property
    def is_soon(self) -> bool:
        """Whether the next attempt is waited for on the spot."""
        return self.retry_after is None or self.retry_after <= MAX_RETRY_AFTER_SECONDS


def event_id(prefix: str, idx: int, status: str, fingerprint: str) -> str:
    """The webhook-id of an item's event: the same for the same news, whoever sends it."""
    return "msg_" + sha256(f"{prefix}\0{idx}\0{status}\0{fingerprint}".encode()).hexdigest()[:32]


def attempt_of(identity: str) -> int:
    """An attempt's number for X-Idempotency-Key that no other event has: for events that are not an item's first."""
    return int(identity[4:12], 16)


def idempotency_key(prefix: str, idx: int, attempt: int, timestamp: int) -> str:
    """`X-Idempotency-Key`: changes from minute to minute, and is the same for retries within one."""
    return sha256(f"{prefix}:{idx}:{attempt}:{timestamp // 60}".encode()).hexdigest()[:16]


def webhook(secret: str) -> Webhook:
    """The signer of a secret: base64 after `whsec_`, otherwise the secret's own bytes. Raises SettingsError."""
    try:
        return Webhook(secret if secret.startswith("whsec_") else secret.encode())
    except (ValueError, RuntimeError, EmptyWebhookSecretError) as error:
        raise SettingsError("GPU_CALLBACK_SECRET begins with whsec_ but is not base64 after it") from error


class CallbackClient:
    """Sends events."""

    def __init__(
        self,
        secret: str,
        timeout: float,
        policy: AddressPolicy,
        *,
        schedule: Schedule | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        on_retry: Callable[[], None] = lambda: None,
    ) -> None:
        """A client of its own connections.

        Args:
            secret: Signs events, and is sent in two headers.
            timeout: Seconds until one request is answered; the body of the answer has a short time of its own.
            policy: Which addresses may be called.
            schedule: When a callback is repeated; None: the usual one.
            transport: Sends requests in place of the one that keeps to the policy.
            sleep: Waits between attempts.
            clock: Unix time in seconds.
            on_retry: Called before each wait.

        Raises:
            SettingsError: For a secret that cannot sign.
        """
        self._secret, self._signer = secret, webhook(secret)
        self._timeout, self._schedule = timeout, schedule or Schedule()
        self._sleep, self._clock, self._on_retry = sleep, clock, on_retry
        self._client = httpx.AsyncClient(
            transport=transport or PinnedTransport(policy), timeout=timeout, follow_redirects=False, trust_env=False
        )

    async def deliver(self, event: CallbackEvent, retries: int | None = None) -> CallbackOutcome:
        """Send an event. Never raises for anything the receiver does.

        Args:
            event: What to tell.
            retries: How often it is repeated at most; None: as often as the schedule says.
        """
        allowed = len(self._schedule.waits) if retries is None else min(retries, len(self._schedule.waits))
        numbers = itertools.count(1)
        retry = Retry(allowed + 1, self._schedule.wait, lambda error: isinstance(error, _NotDelivered) and error.is_soon)

        def note(attempt: int, error: BaseException, wait: float) -> None:
            log.info("callback of item %d failed (%s); again in %.1f s", event.idx, error, wait)
            self._on_retry()

        try:
            return await retry.run_async(lambda: self._attempt(event, next(numbers)), note, self._sleep)
        except _NotDelivered as error:
            if error.retry_after is None or error.is_soon:
                return error.outcome
            return replace(error.outcome, not_before=self._clock() + error.retry_after)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def headers(self, event: CallbackEvent, body: str, timestamp: int) -> dict[str, str]:
        """All headers on every callback: receivers exist that check different ones."""
        signature = self._signer.sign(event.event_id, datetime.fromtimestamp(timestamp, UTC), body)
        return {
            "Content-Type": "application/json",
            "User-Agent": "respray",
            "Authorization": f"Bearer {self._secret}",
            "X-GPU-Callback-Secret": self._secret,
            "X-Idempotency-Key": idempotency_key(event.idempotency_prefix, event.idx, event.attempt, timestamp),
            "webhook-id": event.event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
        }

    async def _attempt(self, event: CallbackEvent, number: int) -> CallbackOutcome:
        """One request, and what came of it for good. Raises _NotDelivered where repeating may help."""
        body = json.dumps(event.body, ensure_ascii=False, separators=(",", ":"))
        try:
            headers = self.headers(event, body, int(self._clock()))
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(self._timeout):
                    request = self._client.stream("POST", event.url, content=body.encode(), headers=headers)
                    answer = await stack.enter_async_context(request)
                await drain(answer)
        except AddressRefused as error:
            return CallbackOutcome("refused", number, error=str(error))
        except TimeoutError:
            raise _NotDelivered(CallbackOutcome("owed", number, error=f"no answer within {self._timeout:g} s")) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            return CallbackOutcome("refused", number, error=f"the callback URL cannot be used: {error}")
        except (httpx.HTTPError, OSError) as error:
            raise _NotDelivered(CallbackOutcome("owed", number, error=f"{type(error).__name__}: {error}")) from None
        except Exception as error:  # whatever a receiver can bring out in a library is its callback's matter, not the job's
            log.exception("a callback met an unexpected error")
            raise _NotDelivered(CallbackOutcome("owed", number, error=f"an unexpected error: {type(error).__name__}")) from None
        status = answer.status_code
        if 200 <= status < 300:
            return CallbackOutcome("delivered", number, status)
        if status == 410:
            return CallbackOutcome("gone", number, status, "the receiver answered 410 Gone: it wants no more callbacks")
        if status == 429 or status >= 500:
            owed = CallbackOutcome("owed", number, status, f"the receiver answered {status}")
            raise _NotDelivered(owed, retry_after_seconds(answer, self._clock()))
        reason = "a redirect, and redirects are not followed" if 300 <= status < 400 else "which is final"
        return CallbackOutcome("refused", number, status, f"the receiver answered {status}, {reason}")
