"""Callbacks: headers, retry schedule, Retry-After, 410, addresses, pinning, bounded answers."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from orchestrator.callbacks.client import (
    CallbackClient,
    CallbackEvent,
    CallbackOutcome,
    Schedule,
    event_id,
    idempotency_key,
)
from orchestrator.errors import AddressRefused, SettingsError
from orchestrator.net.address_policy import AddressPolicy, PinnedTransport, is_public
from orchestrator.net.answers import retry_after_seconds
from tests.certificates import certify
from tests.faults import virtual_time
from tests.faults.processes import CALLBACK_SECRET
from tests.faults.receiver import Receiver


def event(url: str, idx: int = 0) -> CallbackEvent:
    body = {"idx": idx, "status": "completed", "output_key": "o.png", "preview_key": None, "error": None}
    return CallbackEvent(url, event_id("job_1", idx, "completed", "f"), "job_1", idx, body)


def send(url: str, allow: str, **options: Any) -> tuple[CallbackOutcome, list[float]]:
    """Deliver once; what came of it, and the waits between attempts."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def work() -> CallbackOutcome:
        client = CallbackClient(CALLBACK_SECRET, options.pop("timeout", 2.0), AddressPolicy.parse(allow), sleep=sleep, **options)
        try:
            return await client.deliver(event(url))
        finally:
            await client.close()

    return asyncio.run(work()), waits


def test_every_header_of_the_contract(receiver: Receiver) -> None:
    result, _ = send(f"{receiver.url}/jobs/job_1/callback", receiver.host)
    call = receiver.calls[0]
    assert result.state == "delivered" and call.problem is None
    assert call.headers["content-type"] == "application/json" and call.headers["host"] == receiver.host
    minute = int(call.headers["webhook-timestamp"])
    assert call.headers["x-idempotency-key"] == idempotency_key("job_1", 0, 1, minute)


def test_a_standard_webhooks_secret_signs_with_its_bytes() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    async def headers() -> dict[str, str]:
        client = CallbackClient(secret, 2.0, AddressPolicy())
        try:
            return client.headers(event("https://x.example/"), "{}", int(time.time()))
        finally:
            await client.close()

    Webhook(secret).verify("{}", asyncio.run(headers()))
    with pytest.raises(SettingsError, match="not base64"):
        CallbackClient("whsec_%%%", 2.0, AddressPolicy())


@pytest.mark.parametrize("status", [429, 500, 503])
def test_three_retries_with_growing_waits_and_one_id(receiver: Receiver, status: int) -> None:
    receiver.plan = lambda number, body: (status, {})
    result, waits = send(f"{receiver.url}/jobs/job_1/callback", receiver.host, schedule=Schedule((1.0, 3.0, 9.0), 0.25))
    assert (result.state, result.attempts, result.status) == ("owed", 4, status)
    assert [low <= wait <= low * 1.25 for low, wait in zip((1, 3, 9), waits, strict=True)] == [True] * 3
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1


@pytest.mark.parametrize(
    ("status", "outcome"), [(400, "refused"), (401, "refused"), (404, "refused"), (410, "gone"), (302, "refused"), (308, "refused")]
)
def test_final_answers_are_not_repeated(receiver: Receiver, status: int, outcome: str) -> None:
    receiver.plan = lambda number, body: (status, {"Location": f"{receiver.url}/jobs/elsewhere/callback"})
    result, waits = send(f"{receiver.url}/jobs/job_1/callback", receiver.host)
    assert result.state == outcome and not waits and len(receiver.calls) == 1


def test_retry_after_is_honoured_in_both_forms(receiver: Receiver) -> None:
    date = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answers = [(503, {"Retry-After": "7"}), (429, {"Retry-After": date}), (200, {})]
    receiver.plan = lambda number, body: answers[number]
    result, waits = send(f"{receiver.url}/jobs/job_1/callback", receiver.host)
    assert result.state == "delivered" and waits[0] == 7.0 and 15 < waits[1] <= 20


def test_a_long_retry_after_leaves_the_callback_owed_until_then(receiver: Receiver) -> None:
    receiver.plan = lambda number, body: (503, {"Retry-After": "3600"})
    result, waits = send(f"{receiver.url}/jobs/job_1/callback", receiver.host)
    assert result.state == "owed" and not waits and result.not_before == pytest.approx(time.time() + 3600, abs=10)


def test_a_receiver_that_hangs_costs_the_timeout_and_no_more() -> None:
    class Hanging(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(3600.0)
            return httpx.Response(200)

    async def work() -> tuple[CallbackOutcome, float]:
        client = CallbackClient(CALLBACK_SECRET, 30.0, AddressPolicy(), schedule=Schedule((1.0, 3.0, 9.0), 0.0), transport=Hanging())
        result = await client.deliver(event("https://x.example/"))
        await client.close()
        return result, asyncio.get_running_loop().time()

    result, seconds = virtual_time.run(work())
    assert (result.state, result.attempts, result.error) == ("owed", 4, "no answer within 30 s")
    assert seconds == pytest.approx(4 * 30.0 + 1.0 + 3.0 + 9.0)


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    sent = 0

    def flood() -> None:
        nonlocal sent
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
            try:
                for _ in range(100_000):
                    connection.sendall(b"x" * 65536)
                    sent += 65536
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        result, _ = send(f"http://127.0.0.1:{port}/", f"127.0.0.1:{port}")
        thread.join(10)
    assert result.state == "delivered" and sent < 32 << 20


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
        "2002:7f00:1::", "2001:db8::1", "192.0.2.1", "198.18.0.1", "240.0.0.1", "fe80::1%eth0",
        "fec0::1", "3fff::1", "192.0.0.8", "192.88.99.1", "::ffff:192.0.0.8", "::7f00:1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "100::1",
        "2001:2::1", "5f00::1", "4000::1", "168.63.129.16", "192.0.0.192", "100.100.100.200", "2001:0:7f00:1::", "fd20:ce::254",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


def test_a_host_s_address_that_leads_nowhere_leaves_time_for_its_next_one() -> None:
    """As IPv6 does in networks that have names for it and no way to it: the first address would take all of the timeout, each time."""

    class Network(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.host == "127.0.0.1":
                return httpx.Response(204, stream=httpx.ByteStream(b""))
            await asyncio.sleep(request.extensions["timeout"]["connect"])
            raise httpx.ConnectTimeout("silent", request=request)

    async def resolver(host: str, port: int) -> list[str]:
        return ["fd00::1", "fd00::2", "127.0.0.1"]

    async def work(timeout: float) -> tuple[CallbackOutcome, float]:
        transport = PinnedTransport(AddressPolicy.parse("two.example"), resolver)
        transport._inner = Network()  # type: ignore[assignment]
        begun = asyncio.get_running_loop().time()
        client = CallbackClient(CALLBACK_SECRET, timeout, AddressPolicy(), transport=transport)
        result = await client.deliver(event("http://two.example/"))
        await client.close()
        return result, asyncio.get_running_loop().time() - begun

    for timeout, seconds in ((30.0, 6.0), (3.0, 2.0)):
        result, took = virtual_time.run(work(timeout))
        assert (result.state, result.attempts) == ("delivered", 1) and took == pytest.approx(seconds)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://2130706433/", "https://0x7f.1/",
        "https://user:pw@example.com/", "ftp://example.com/", "https://169.254.169.254/latest/meta-data/", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_addresses_that_are_refused_without_a_request(url: str) -> None:
    result, _ = send(url, "")
    assert result.state == "refused", result


def test_a_listed_host_with_a_port_is_allowed_on_that_port_only(receiver: Receiver) -> None:
    policy = AddressPolicy.parse(f"127.0.0.1:{receiver.port}, api.internal")
    policy.check_url(httpx.URL(receiver.url))
    policy.check_addresses("api.internal", 1234, ["10.0.0.1"])
    with pytest.raises(AddressRefused, match="https only"):
        policy.check_url(httpx.URL("http://127.0.0.1:1/"))
    for wrong in ("https://api.internal", "api.internal api.other", "api.internal;api.other", "api:port", "api:", "[::1]:99999"):
        with pytest.raises(SettingsError, match="is no host"):
            AddressPolicy.parse(wrong)
    for right in ("::1", "[::1]", "[::1]:80", "0:0:0:0:0:0:0:1", "api_1:8080"):
        assert AddressPolicy.parse(right).allowed == {right}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for hooks.example.com."""
    made = certify(tmp_path_factory.mktemp("tls"), "hooks.example.com", ("hooks.example.com", "192.0.2.1"))
    file = made.certificate.with_name("both.pem")
    file.write_bytes(made.key.read_bytes() + made.certificate.read_bytes())
    return file


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[tuple[int, list[str | None]]]:
    """A TLS server that notes the SNI name of each connection and the Host of each request."""
    seen: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda connection, name, _: seen.append(f"sni {name}")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as wrapped:
                    request = wrapped.recv(65536).decode()
                    while not request.endswith("}"):  # what is not read when the connection ends resets it
                        request += wrapped.recv(65536).decode()
                    seen.extend(line.lower() for line in request.split("\r\n") if line.lower().startswith("host:"))
                    wrapped.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except (OSError, ssl.SSLError):
                pass

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], seen
    listener.close()


def pinned(certificate: Path, answers: list[list[str]], allow: str) -> tuple[PinnedTransport, list[str]]:
    asked: list[str] = []

    async def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return PinnedTransport(AddressPolicy.parse(allow), resolver, ssl.create_default_context(cafile=str(certificate))), asked


def test_the_connection_goes_to_the_checked_address_with_the_name_in_sni_and_host(
    certificate: Path, tls_server: tuple[int, list[str | None]]
) -> None:
    port, seen = tls_server
    transport, asked = pinned(certificate, [["127.0.0.1"], ["203.0.113.9"]], "hooks.example.com")
    result, _ = send(f"https://hooks.example.com:{port}/cb", "", transport=transport, timeout=20.0)
    assert result.state == "delivered", result
    assert asked == ["hooks.example.com"], "resolved once"
    assert seen == ["sni hooks.example.com", f"host: hooks.example.com:{port}"]


def test_dns_rebinding_gains_nothing(certificate: Path, tls_server: tuple[int, list[str | None]]) -> None:
    """Public at the first look and private at the second: the second delivery is refused, and none reaches the private server."""
    port, seen = tls_server
    transport, asked = pinned(certificate, [["8.8.8.8", "127.0.0.1"], ["127.0.0.1"]], "")
    for _ in range(2):
        result, _ = send(f"https://hooks.example.com:{port}/cb", "", transport=transport)
        assert result.state == "refused" and "127.0.0.1, which is not public" in (result.error or "")
    assert len(asked) == 2 and not seen


def test_a_wrong_certificate_is_not_accepted(certificate: Path, tls_server: tuple[int, list[str | None]]) -> None:
    port, _ = tls_server
    transport, _ = pinned(certificate, [["127.0.0.1"]], "other.example.com")
    result, _ = send(f"https://other.example.com:{port}/cb", "", transport=transport, schedule=Schedule(()))
    assert result.state == "owed" and "certificate" in (result.error or "").lower()


@pytest.mark.parametrize(
    "value", ["\u00b2", "-1", "1e9999", "Mon, 01 Jan 99999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "9" * 4000]
)
def test_a_retry_after_of_any_kind_never_raises(value: str) -> None:
    answer = httpx.Response(503, headers=[(b"Retry-After", value.encode("latin-1"))])
    seconds = retry_after_seconds(answer, time.time())
    assert seconds is None or 0 <= seconds < 1e12


def test_what_a_receiver_brings_out_in_a_library_stays_its_own_matter() -> None:
    class Odd(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise LookupError("unknown encoding")

    result, _ = send("https://x.example/", "", transport=Odd())
    assert result.state == "owed" and "LookupError" in (result.error or "")
