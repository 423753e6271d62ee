"""Takes accepted jobs from the queue on the store to the worker, in this process and beside others on the same store.

A job is claimed by a conditional write, and its holder writes a new beat every few seconds. A beat that has not changed for JOB_LOCK_SEC
by this process's own clock belongs to a dead holder, and a holder that was a process of this very machine is asked for by its id: after a
restart nothing has to be waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter

from orchestrator.api.queue import JobQueue, QueueEntry, Stored
from orchestrator.api.streams import Streams, telling
from orchestrator.errors import ResprayError
from orchestrator.intake.base import backoff
from orchestrator.jobs import keys as job_keys
from orchestrator.processes import is_dead, process_name
from orchestrator.records.versions import Versions
from orchestrator.waiting import until
from orchestrator.worker.handle import HandedBack, Handle
from orchestrator.worker.worker import Worker

log = logging.getLogger(__name__)

SCAN_SECONDS = 5.0
"""Seconds between two looks for jobs that other processes accepted or left behind."""
URGENT_SLOTS = 16
"""Photos at once that somebody waits for, beside the jobs."""
UNKNOWN_SECONDS = 60.0
"""How long a message may be on the store before the version log knows it: its acceptance is under way, or its process died in it."""


class Dispatcher:
    """Runs jobs of the queue, so many at the same time."""

    def __init__(self, queue: JobQueue, versions: Versions, streams: Streams, *, worker: Worker, jobs: int, lock_seconds: float) -> None:
        self._queue, self._versions, self._streams, self._worker = queue, versions, streams, worker
        self._jobs, self._lock = jobs, lock_seconds
        self._name = process_name(worker.name)
        self._waiting: dict[str, Stored] = {}
        self._running: dict[str, tuple[Handle, QueueEntry]] = {}
        self._busy: Counter[bool] = Counter()
        self._seen: dict[str, tuple[str, float]] = {}
        self._wake = asyncio.Event()

    def offer(self, stored: Stored) -> None:
        """A job that was accepted just now."""
        self._waiting[stored.entry.key] = stored
        self._wake.set()

    def stop(self, key: str) -> None:
        """Stop a job that this process works on, after the items in hand."""
        if key in self._running:
            self._running[key][0].stop()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; returns when what was under way is done, or handed back."""
        scanned = -SCAN_SECONDS
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                try:
                    if time.monotonic() - scanned >= SCAN_SECONDS:
                        await self._scan()
                        scanned = time.monotonic()
                    for stored in self._startable():
                        await self._begin(stored, group, stop)
                except ResprayError as error:
                    log.warning("the queue cannot be looked at: %s", error)
                with contextlib.suppress(TimeoutError):
                    await until(stop, asyncio.wait_for(self._wake.wait(), self._pause()))
                self._wake.clear()

    async def _scan(self) -> None:
        """See what is in the queue. What is known and waits is not read again; what others hold is."""
        listed = set(await self._queue.keys())
        self._waiting = {key: stored for key, stored in self._waiting.items() if key in listed}
        self._seen = {key: seen for key, seen in self._seen.items() if key in listed}
        for key in sorted(listed - set(self._waiting) - set(self._running)):
            stored = await self._queue.load(key)
            if stored is None:
                continue
            entry, now = stored.entry, time.monotonic()
            mark, since = self._seen.get(key, ("", now))
            current = f"{entry.holder}:{entry.beat}"
            if mark != current:
                since = now
            self._seen[key] = (current, since)
            free = not entry.holder or is_dead(entry.holder) or now - since > self._lock
            if free and key not in self._running:
                self._waiting[key] = stored

    def _startable(self) -> list[Stored]:
        """What may begin now: who waits for it first, then those of users with the fewest jobs under way, then the oldest."""
        now = time.time()
        due = [stored for stored in self._waiting.values() if stored.entry.not_before <= now]
        users = Counter(entry.user_id for _, entry in self._running.values())
        due.sort(key=lambda stored: (not stored.entry.urgent, users[stored.entry.user_id], stored.entry.accepted_at))
        free = {True: URGENT_SLOTS - self._busy[True], False: self._jobs - self._busy[False]}
        chosen = []
        for stored in due:
            # One that was stopped while it waited has nothing to do but to say so.
            if free[stored.entry.urgent] > 0 or stored.entry.cancelled:
                free[stored.entry.urgent] -= 1
                chosen.append(stored)
        return chosen

    def _pause(self) -> float:
        """Seconds until something may be due."""
        now = time.time()
        waits = [stored.entry.not_before - now for stored in self._waiting.values() if stored.entry.not_before > now]
        return max(0.05, min([SCAN_SECONDS, *waits]))

    async def _begin(self, stored: Stored, group: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        """Claim a job and start it; leave it where somebody else has it, or where a newer message of its job counts."""
        entry = stored.entry
        self._waiting.pop(entry.key, None)
        number, latest = await self._versions.number(job_keys.outputs_prefix(entry.user_id, entry.job_id), entry.message_id)
        if number is None and time.time() - entry.accepted_at < UNKNOWN_SECONDS:
            return  # its acceptance is under way; the next scan finds it again
        outdated = bool(latest) if number is None else number < latest
        if outdated:
            await self._queue.remove(entry)
            return

        def claim(current: QueueEntry) -> QueueEntry | None:
            if current.holder != entry.holder or current.beat != entry.beat:
                return None
            return current.model_copy(update={"holder": self._name, "beat": current.beat + 1, "attempts": current.attempts + 1})

        claimed = await self._queue.change(stored, claim)
        if claimed is None or claimed.entry.holder != self._name:
            return
        self._busy[entry.urgent] += 1
        group.create_task(self._work(claimed, stop))

    async def _work(self, stored: Stored, stop: asyncio.Event) -> None:
        """One job, from its claim to its removal from the queue."""
        entry = stored.entry
        stream = self._streams.open(entry.user_id, entry.job_id, entry.message_id)
        stream.start()
        released = False
        with telling(stream):
            handle = self._worker.start(entry.message, entry.attempts, message_id=entry.message_id)
        self._running[entry.key] = (handle, entry)
        if entry.cancelled:
            handle.stop()
        beating = asyncio.create_task(self._beat(stored, handle))
        try:
            await self._worker.within_grace(handle, stop)
            self._free(entry)
            released = True
            await self._told(handle, stop)
            await self._ended(beating)
            await self._queue.remove(entry)
        except HandedBack as error:
            log.warning("job %s: %s", entry.job_id, error)
            await self._give_back(stored, beating, entry.attempts - 1, 0.0)
        except ResprayError as error:
            log.warning("job %s, attempt %d: %s", entry.job_id, entry.attempts, error)
            await self._give_back(stored, beating, entry.attempts, time.time() + backoff(entry.attempts, base=1.0))
        finally:
            beating.cancel()
            self._running.pop(entry.key, None)
            if not released:
                self._free(entry)
            stream.end()

    async def _told(self, handle: Handle, stop: asyncio.Event) -> None:
        """Wait for the callbacks and the manifest; at the order to stop, no longer than the grace period. Raises HandedBack."""
        if await until(stop, handle.finished(), self._worker.grace) is None:
            raise HandedBack("its callbacks are not delivered yet")

    def _free(self, entry: QueueEntry) -> None:
        self._busy[entry.urgent] -= 1
        self._wake.set()

    async def _beat(self, stored: Stored, handle: Handle) -> None:
        """Say again and again that the job is worked on; learn of it when it is to be stopped, or when somebody else has it."""
        current = stored
        while True:
            await asyncio.sleep(self._lock / 3)
            try:
                beaten = await self._queue.change(current, self._with_beat)
            except ResprayError as error:
                log.warning("the claim on job %s cannot be renewed: %s", stored.entry.job_id, error)
                continue
            if beaten is None:
                log.warning("job %s was taken by another worker", stored.entry.job_id)
                handle.cancel()
                return
            current = beaten
            if current.entry.cancelled:
                handle.stop()

    def _with_beat(self, entry: QueueEntry) -> QueueEntry | None:
        return entry.model_copy(update={"beat": entry.beat + 1}) if entry.holder == self._name else None

    async def _give_back(self, stored: Stored, beating: asyncio.Task[None], attempts: int, not_before: float) -> None:
        """Let go of the claim, so that the job is begun again, here or elsewhere."""
        await self._ended(beating)
        change = {"holder": "", "attempts": attempts, "not_before": not_before}

        def release(entry: QueueEntry) -> QueueEntry | None:
            return entry.model_copy(update=change | {"beat": entry.beat + 1}) if entry.holder == self._name else None

        try:
            released = await self._queue.change(stored, release)
        except ResprayError as error:
            log.warning("job %s stays claimed until its claim runs out: %s", stored.entry.job_id, error)
            return
        if released is not None:
            self.offer(released)

    async def _ended(self, beating: asyncio.Task[None]) -> None:
        """A beat that is being written must not come after what follows."""
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
