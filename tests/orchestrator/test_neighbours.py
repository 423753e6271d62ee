"""One bad receiver stops nobody: names that do not resolve, receivers that hang, answers that dawdle."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from orchestrator.callbacks.client import CallbackClient, CallbackEvent, Schedule, event_id
from orchestrator.callbacks.slots import CallbackSlots, host_of
from orchestrator.net.address_policy import AddressPolicy
from orchestrator.net.name_lookup import NameLookup
from tests.faults import virtual_time
from tests.faults.processes import CALLBACK_SECRET
from tests.orchestrator.support import palette_job, put_photos, tiny_worker

HUNG, GOOD, SAME_HOST = "https://hung.example/cb", "https://good.example/cb", "https://hung.example/other"


class Receivers(httpx.AsyncBaseTransport):
    """Never answers at HUNG; answers 200 elsewhere, when the loop's clock says."""

    def __init__(self) -> None:
        self.told = dict[str, float]()
        self.running, self.most = Counter[str](), Counter[str]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        url = str(request.url)
        self.running[url] += 1
        self.most[url] = max(self.most[url], self.running[url])
        try:
            if url == HUNG:
                await asyncio.sleep(3600)
            self.told.setdefault(url, asyncio.get_running_loop().time())
            return httpx.Response(200, stream=httpx.ByteStream(b""))
        finally:
            self.running[url] -= 1


@pytest.mark.parametrize("good", [GOOD, SAME_HOST])
def test_a_receiver_that_hangs_holds_up_no_other(tmp_path: Path, good: str) -> None:
    receivers = Receivers()

    async def work() -> None:
        async with tiny_worker(tmp_path, transport=receivers, timeout=30.0) as worker:
            put_photos(tmp_path, "hung", 100)
            put_photos(tmp_path, "good", 2)
            hung = worker.start(palette_job("hung", 100, callback_url=HUNG))
            await hung.stored()
            await worker.start(palette_job("good", 2, callback_url=good)).finished()
            hung.cancel()

    virtual_time.run(work())
    assert receivers.told[good] < 30.0 and receivers.most[HUNG] == 8


def test_a_sweep_asks_a_host_that_gives_no_answer_once_and_tells_all_others(tmp_path: Path) -> None:
    receivers = Receivers()

    async def work() -> tuple[int, float]:
        for name, count, url in (("hung", 100, HUNG), ("good", 2, GOOD)):
            put_photos(tmp_path, name, count)
            async with tiny_worker(tmp_path, secret=None) as worker:  # nobody is told
                await worker.start(palette_job(name, count, callback_url=url)).finished()
        async with tiny_worker(tmp_path, transport=receivers, timeout=30.0) as worker:
            began = asyncio.get_running_loop().time()
            owed = await worker.sweeper.sweep()
            return owed, asyncio.get_running_loop().time() - began

    owed, seconds = virtual_time.run(work())
    assert owed == 100 and receivers.told.keys() == {GOOD} and seconds < 4 * 30.0 + 15.0, "8 of the 100, four times each"


def test_an_answer_counts_however_long_its_body_dawdles() -> None:
    class Dawdling(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(1.0)

    class Receiver(httpx.AsyncBaseTransport):
        calls = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.calls += 1
            await asyncio.sleep(29.0)
            return httpx.Response(200, stream=Dawdling())

    receiver = Receiver()

    async def work() -> tuple[str, float]:
        client = CallbackClient(CALLBACK_SECRET, 30.0, AddressPolicy(), schedule=Schedule(), transport=receiver)
        event = CallbackEvent(GOOD, event_id("j", 0, "completed", "f"), "j", 0, {"idx": 0})
        outcome = await client.deliver(event)
        await client.close()
        return outcome.state, asyncio.get_running_loop().time()

    state, seconds = virtual_time.run(work())
    assert state == "delivered" and receiver.calls == 1 and seconds < 32.0


def test_a_name_server_that_is_silent_keeps_none_of_our_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    release, asked = threading.Event(), list[str]()

    def getaddrinfo(host: str, port: int, **options: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host != "good.example":
            release.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def work() -> list[str]:
        lookup = NameLookup(3)
        # More than asyncio has threads, and all given up.
        silent = [asyncio.create_task(lookup("silent.example", 443)) for _ in range(60)]
        done, waiting = await asyncio.wait(silent, timeout=0.05)
        for task in waiting:
            task.cancel()
        assert not done and await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 10) == "free"
        found = await asyncio.wait_for(lookup("good.example", 443), 10)
        release.set()
        return found

    assert asyncio.run(work()) == ["192.0.2.1"] and asked.count("silent.example") == 1


def test_a_name_without_addresses_is_an_error_of_the_network() -> None:
    with pytest.raises(OSError):
        asyncio.run(NameLookup()("no-such-host.invalid", 443))


def test_places_of_addresses_and_hosts_are_given_back() -> None:
    async def work() -> CallbackSlots:
        slots = CallbackSlots(4, 2, 1)
        began = time.monotonic()
        async with slots.slot(HUNG), slots.slot(SAME_HOST), slots.slot(GOOD):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02), slots.slot(HUNG):
                    raise AssertionError(f"a second one at once ({time.monotonic() - began})")
        return slots

    slots = asyncio.run(work())
    assert not slots.in_use()


@pytest.mark.parametrize(
    ("url", "host"), [("https://A.example:1/x?y", "a.example:1"), ("https://[::1]/", "[::1]"), ("https://[", "https://[")]
)
def test_the_host_of_an_address(url: str, host: str) -> None:
    assert host_of(url) == host
