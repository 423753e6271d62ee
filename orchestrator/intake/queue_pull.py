"""Cloudflare Queues by HTTP pull.

A lease cannot be extended, so it is asked for longer than the longest job; a dead worker's leases are returned by its neighbours
(`held_leases.py`). No more is pulled than there is room for; on SIGTERM what is not done is returned without delay. An idle queue is asked
less and less often, up to every `MAX_IDLE_SECONDS`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import random
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from orchestrator.errors import IntakeError
from orchestrator.intake.base import Intake, backoff
from orchestrator.intake.held_leases import HeldLeases
from orchestrator.net.address_policy import trust
from orchestrator.net.answers import retry_after_seconds
from orchestrator.settings import Settings
from orchestrator.waiting import pause, until
from orchestrator.worker.handle import HandedBack, JobFailed
from orchestrator.worker.worker import Worker
from respray.retry import Retry, full_jitter

log = logging.getLogger(__name__)

MIN_IDLE_SECONDS, MAX_IDLE_SECONDS = 0.5, 20.0
LAST_PULL_SECONDS = 5.0
MAX_LEASE_SECONDS = 12 * 3600.0
"""Cloudflare's own limit on a visibility timeout; a delay may be twice as long, a batch is of 100 messages at most, and a message of 128 KB
(https://developers.cloudflare.com/queues/platform/limits/). Requests and answers:
https://developers.cloudflare.com/queues/configuration/pull-consumers/."""
MAX_BATCH = 100
_RETRY = Retry(attempts=6, wait=full_jitter(base=1.0, cap=60.0), retryable=lambda error: isinstance(error, _Busy))


@dataclass(frozen=True)
class Lease:
    """One message that is ours until its lease ends."""

    lease_id: str
    body: str | bytes
    attempts: int
    message_id: str | None = None


class QueueClient:
    """The three requests of the API, repeated on 429 and 5xx. Raises IntakeError."""

    def __init__(self, url: str, token: str, timeout: float = 30.0, verify: ssl.SSLContext | bool = True) -> None:
        self._url = url
        self._client = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=timeout, verify=verify)

    async def pull(self, count: int, visibility: float) -> tuple[list[Lease], int | None]:
        """Lease messages.

        Args:
            count: Most messages; the queue gives 100 at most.
            visibility: Seconds of their leases.

        Returns:
            The messages, and how many are waiting where the queue says.

        Raises:
            IntakeError: Where the queue does not answer, or says no.
        """
        body = {"batch_size": min(count, MAX_BATCH), "visibility_timeout_ms": round(min(visibility, MAX_LEASE_SECONDS) * 1000)}
        result = await self._post("pull", body)
        messages, backlog = result.get("messages"), result.get("message_backlog_count")
        leases = [lease for message in (messages if isinstance(messages, list) else ()) if (lease := _lease(message)) is not None]
        return leases, backlog if isinstance(backlog, int) and backlog >= 0 else None

    async def settle(self, acks: Sequence[str], retries: Sequence[tuple[str, float]]) -> None:
        """Acknowledge messages, and return others to be delivered again after so many seconds."""
        returned = [{"lease_id": lease, "delay_seconds": round(min(delay, MAX_LEASE_SECONDS))} for lease, delay in retries]
        await self._post("ack", {"acks": [{"lease_id": lease} for lease in acks], "retries": returned})

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return await _RETRY.run_async(lambda: self._post_once(operation, body))
        except _Busy as error:
            raise IntakeError(f"Cloudflare Queues at {self._url}: {operation} {error}, {_RETRY.attempts} times") from None

    async def _post_once(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._client.post(f"{self._url}/{operation}", json=body)
        except httpx.HTTPError as error:
            raise _Busy(f"no answer ({type(error).__name__})") from None
        if answer.is_success:
            return _result(answer, operation)
        if answer.status_code in (401, 403, 404):
            raise _Final(
                f"Cloudflare Queues answered {answer.status_code}: check CF_ACCOUNT_ID and CF_QUEUE_ID, "
                "and that CF_API_TOKEN may read and write queues"
            )
        if answer.status_code != 429 and answer.status_code < 500:
            raise _Final(f"Cloudflare Queues refused {operation}: {answer.status_code} {answer.text[:200]}")
        raise _Busy(f"answered {answer.status_code}", retry_after_seconds(answer, time.time()) or 0.0)


class _Busy(IntakeError):
    """The queue did not answer, or not now; `retry_after` are the seconds that it asked for."""

    def __init__(self, problem: str, retry_after: float = 0.0) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


class _Final(IntakeError):
    """The queue says no, and will say no again."""

    retryable = False


def _result(answer: httpx.Response, operation: str) -> dict[str, Any]:
    """The result in an answer of 200. Something between here and Cloudflare may have answered in its place."""
    try:
        content = answer.json()
    except (ValueError, RecursionError):
        raise IntakeError(f"Cloudflare Queues answered {operation} with {answer.status_code} and something that is not JSON") from None
    result = content.get("result") if isinstance(content, dict) else None
    return result if isinstance(result, dict) else {}


def _lease(message: Any) -> Lease | None:
    """A message of an answer; None, and a log line, for one that nobody could acknowledge."""
    identity = message.get("lease_id") if isinstance(message, dict) else None
    if not isinstance(identity, str) or not identity:
        log.error("the queue delivered a message without a lease; it is left alone: %.200r", message)
        return None
    attempts = message.get("attempts")
    name = message.get("id")
    message_id = f"cloudflare:{name}" if isinstance(name, str) and name else None
    return Lease(identity, decode_body(message), attempts if isinstance(attempts, int) and attempts > 0 else 1, message_id)


class QueuePullIntake(Intake):
    """Pulls while there is room."""

    def __init__(self, client: QueueClient, jobs: int, visibility: float, *, queue: str = "queue", beat: float = 15.0) -> None:
        """Nothing is asked for before `run`.

        Args:
            client: Speaks to the queue; it is closed when `run` ends.
            jobs: Jobs that may be under way at the same time.
            visibility: Seconds of a lease.
            queue: The queue's name in the store's records of held leases.
            beat: Seconds between two writings of these records.
        """
        self._client, self._jobs, self._visibility = client, jobs, visibility
        self._queue, self._beat = queue, beat
        self._running: set[asyncio.Task[None]] = set()
        self._pulled: tuple[list[Lease], int | None] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> QueuePullIntake:
        """From CF_ACCOUNT_ID, CF_QUEUE_ID, CF_API_TOKEN."""
        assert settings.cf_api_token is not None  # `require` has checked it
        url = f"{settings.cf_api_url}/accounts/{settings.cf_account_id}/queues/{settings.cf_queue_id}/messages"
        # httpx itself would take SSL_CERT_FILE in place of the public authorities.
        client = QueueClient(url, settings.cf_api_token.get_secret_value(), verify=trust(settings.ssl_cert_file))
        visibility, beat = settings.longest_job + 60.0, settings.lock_seconds / 2
        return cls(client, settings.job_concurrency, visibility, queue=settings.cf_queue_id or "queue", beat=beat)

    async def reach(self, stop: asyncio.Event) -> None:
        # A pull, as there is nothing else that these keys surely may; what it brings is what `run` begins with.
        self._pulled = await self._pull(self._jobs, stop)

    async def run(self, worker: Worker, stop: asyncio.Event) -> None:
        held = HeldLeases(worker.storage, self._queue, worker.name, self._beat, self._give_back)
        keeping = asyncio.create_task(held.run())
        try:
            await self._take(worker, stop, held)
        finally:
            # Also where the queue said no for good: what is under way is finished and settled first.
            if self._running:
                await asyncio.wait(self._running)
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping
            await held.close()
            await self._client.close()

    async def _take(self, worker: Worker, stop: asyncio.Event, held: HeldLeases) -> None:
        idle = MIN_IDLE_SECONDS
        while not stop.is_set() or self._pulled is not None:
            room = self._jobs - len(self._running)
            if room <= 0:
                await until(stop, asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED))
                continue
            try:
                leases, backlog = self._pulled or await self._pull(room, stop)
            except _Final:
                raise
            except IntakeError as error:
                log.warning("%s", error)
                worker.queue_away(str(error))
                leases, backlog = [], None
            else:
                worker.queue_lag(backlog)
            self._pulled = None
            if stop.is_set() and leases:
                await self._settle([], [(lease.lease_id, 0.0) for lease in leases])
                break
            for lease in leases:
                held.take(lease.lease_id)
                task = asyncio.create_task(self._work(worker, lease, stop, held))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            idle = MIN_IDLE_SECONDS if leases else min(MAX_IDLE_SECONDS, idle * 1.6)
            if not leases:
                await pause(stop, idle * random.uniform(0.75, 1.25))

    async def _give_back(self, leases: Sequence[str]) -> None:
        await self._client.settle([], [(lease, 0.0) for lease in leases])

    async def _work(self, worker: Worker, lease: Lease, stop: asyncio.Event, held: HeldLeases) -> None:
        handle = worker.start(lease.body, lease.attempts, message_id=lease.message_id)
        try:
            result = await worker.within_grace(handle, stop)
            acks, retries = [lease.lease_id], list[tuple[str, float]]()
            log.info("job %s: %s", result.job_id, result.status)
        except JobFailed as error:
            log.warning("%s; returned to the queue", error)
            acks, retries = [], [(lease.lease_id, backoff(lease.attempts))]
        except HandedBack as error:
            log.warning("%s; returned to the queue", error)
            acks, retries = [], [(lease.lease_id, 0.0)]
        except Exception:
            log.exception("a job met an unexpected error; returned to the queue")
            acks, retries = [], [(lease.lease_id, backoff(lease.attempts))]
        await self._settle(acks, retries)
        held.release(lease.lease_id)

    async def _pull(self, room: int, stop: asyncio.Event) -> tuple[list[Lease], int | None]:
        """Pull; a pull that is under way at the order to stop gets a moment more, since messages of an unread answer stay leased."""
        return await until(stop, self._client.pull(room, self._visibility), LAST_PULL_SECONDS) or ([], None)

    async def _settle(self, acks: list[str], retries: list[tuple[str, float]]) -> None:
        try:
            await self._client.settle(acks, retries)
        except IntakeError as error:
            log.error("%d message(s) could not be settled and will be delivered again: %s", len(acks) + len(retries), error)


def decode_body(message: dict[str, Any]) -> str | bytes:
    """A message's body. By the documentation `json` and `bytes` bodies are base64 and `text` is plain; examples differ, so look first."""
    body = message.get("body")
    if not isinstance(body, str):
        return json.dumps(body)
    if body.lstrip()[:1] in ("{", "["):
        return body
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return body
