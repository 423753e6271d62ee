"""A store that goes on byte by byte is cut off in every direction, and what it says is held against its own checksum."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage.base import Stat
from orchestrator.storage.bucket_client import S3Options
from orchestrator.storage.deadline import MAX_SAID_BYTES
from orchestrator.storage.s3 import S3Storage
from respray.retry import Retry, full_jitter
from tests.certificates import certify

KEY = "inputs/u/j/0.jpg"
Answer = Callable[[socket.socket, bytes], None]


class Clock:
    """What the client takes for the time: minutes of a slow store pass at once, and a machine that stalls does not end a request."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic() + self.passed

    def sleep(self, seconds: float) -> None:
        """Less than that: whoever looks at the clock every half second does not let a test wait."""
        time.sleep(seconds / 50)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of all deadlines of requests. Sockets go by the machine's."""
    made = Clock()
    monkeypatch.setattr("orchestrator.storage.deadline.time", made)
    return made


class Store:
    """A server that answers each request, of which it has read the headers, as it is told; `ended` counts the connections that were cut."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        self._answer, self._context = answer, context
        self.requests: list[str] = []
        self.ended = threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with suppress(OSError), closing(self._context.wrap_socket(line, server_side=True) if self._context else line) as opened:
            head = b""
            while b"\r\n\r\n" not in head:
                block = opened.recv(1)
                if not block:
                    return
                head += block
            self.requests.append(head.decode().split()[0])
            self._answer(opened, head)
        self.ended.release()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


@contextmanager
def storage(server: Store, attempts: int = 3, **options: object) -> Iterator[S3Storage]:
    """A client of the server that has 21 seconds for an answer."""
    scheme = "https" if options.get("ca_file") else "http"
    base: dict[str, object] = {"bucket": "b", "endpoint": f"{scheme}://127.0.0.1:{server.port}", "access_key": "a", "secret_key": "s"}
    base |= {"connect_timeout": 1.0, "read_timeout": 20.0, "min_rate": 1e6, "retry": Retry(attempts, full_jitter(base=0.001, cap=0.01))}
    store = S3Storage(S3Options(**{**base, **options}))  # type: ignore[arg-type]
    try:
        yield store
    finally:
        store.close()
        server.close()


@pytest.mark.parametrize("secure", [False, True])
def test_headers_that_trickle_are_cut_off(secure: bool, tmp_path: Path, clock: Clock) -> None:
    def trickle(line: socket.socket, head: bytes) -> None:
        """One header a second, as long as somebody listens."""
        line.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            line.sendall(b"x-a: b\r\n")
            clock.passed += 1
            time.sleep(0.01)

    context, trusted = None, None
    if secure:
        certificate, key, trusted = certify(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    server = Store(trickle, context)
    with storage(server, ca_file=trusted) as store:
        with pytest.raises(StorageError, match=r"the store was not done with a request within 21 s, and it was ended"):
            store.read(KEY, 100)
        assert server.ended.acquire(timeout=10), "the connection is closed"
        assert server.requests == ["GET"], "once is enough of it"


def test_an_upload_that_is_taken_byte_by_byte_is_cut_off(clock: Clock) -> None:
    def take(line: socket.socket, head: bytes) -> None:
        """64 KiB a second."""
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while line.recv(1 << 16):
            clock.passed += 1
            time.sleep(0.01)

    server = Store(take)
    with storage(server) as store:
        with pytest.raises(StorageError, match="was not done with a request"):
            store.write(KEY, bytes(16 << 20), "image/jpeg")  # more than the kernel takes on its own
        assert server.ended.acquire(timeout=10)
        assert server.requests == ["PUT"]


def test_an_upload_may_take_longer_than_one_answer(clock: Clock) -> None:
    """Twice as long here, of which the client's looks at the clock see some."""

    def take(line: socket.socket, head: bytes) -> None:
        line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        digest = hashlib.md5(usedforsecurity=False)
        while left:
            block = line.recv(min(left, 1 << 20))
            left -= len(block)
            digest.update(block)
            clock.passed += 42 * len(block) / length
            time.sleep(0.01)
        line.sendall(f'HTTP/1.1 200 OK\r\nETag: "{digest.hexdigest()}"\r\nContent-Length: 0\r\n\r\n'.encode())

    server = Store(take)
    with storage(server, attempts=1, min_rate=1e5) as store:
        assert store.write(KEY, bytes(24 << 20), "image/jpeg").size == 24 << 20


def test_an_answer_that_is_no_stores_is_said_in_a_sentence() -> None:
    server = Store(lambda line, head: line.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nlogin"))
    with storage(server, attempts=1) as store:
        for ask in (lambda: store.read(KEY, 100), lambda: store.stat(KEY)):
            with pytest.raises(StorageError, match=r"the answer has no ETag or no Content-Length.*http://127\.0\.0\.1:\d+"):
                ask()


def gives(*bodies: bytes, etag: str, extra: str = "") -> Answer:
    """Answers with one body after the other, the last one for ever, under one ETag."""
    left = list(bodies)

    def answer(line: socket.socket, head: bytes) -> None:
        body = left.pop(0) if len(left) > 1 else left[0]
        line.sendall(
            f'HTTP/1.1 200 OK\r\nETag: "{etag}"\r\n{extra}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n'.encode() + body
        )

    return answer


WHOLE, HALF = b"0123456789", b"01234"
MD5 = hashlib.md5(WHOLE, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("etag", "extra", "bodies", "requests"),
    [
        (MD5, "", [WHOLE], 1),
        (MD5, "", [HALF, WHOLE], 2),  # cut off by something that gives the length of what is left
        (MD5, "", [WHOLE[::-1], WHOLE], 2),
        ("0" * 32, "", [WHOLE], 2),  # no MD5, although it looks like one: read twice
        ("0" * 32, "x-amz-server-side-encryption: aws:kms\r\n", [WHOLE], 1),
        (f"{MD5}-2", "", [WHOLE], 1),
    ],
)
def test_what_was_read_is_held_against_the_etag(etag: str, extra: str, bodies: list[bytes], requests: int) -> None:
    server = Store(gives(*bodies, etag=etag, extra=extra))
    with storage(server) as store:
        assert store.read(KEY, 100)[0] == WHOLE
        assert len(server.requests) == requests


def test_an_error_s_text_is_read_as_far_as_it_says_something() -> None:
    """botocore would read all of it into memory: here 8 MiB of a text that never ends, and the connection is gone."""
    sent = 0

    def talk(line: socket.socket, head: bytes) -> None:
        nonlocal sent
        line.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 9999999999\r\n\r\n<Error><Code>SlowDown</Code><Message>")
        while True:
            line.sendall(bytes(b"x" * (1 << 20)))
            sent += 1 << 20

    server = Store(talk)
    with storage(server, attempts=1) as store:
        with pytest.raises(StorageError, match=r"\(503\)"):
            store.read(KEY, 100)
        assert server.ended.acquire(timeout=10)
    assert sent < 4 * MAX_SAID_BYTES, "and what the kernel holds"


def said(*heads: str, body: bytes = b"", endless: bytes = b"") -> Answer:
    """Answers every request so; `endless` is repeated behind it as chunks for as long as somebody listens."""

    def answer(line: socket.socket, head: bytes) -> None:
        length = [] if endless else [f"Content-Length: {len(body)}"]
        line.sendall("\r\n".join(["HTTP/1.1 200 OK", "Connection: close", *length, *heads, "", ""]).encode() + body)
        while endless:
            line.sendall(f"{len(endless):x}\r\n".encode() + endless + b"\r\n")

    return answer


LISTED = "<ListBucketResult><IsTruncated>true</IsTruncated>{}<Contents><Key>{}a</Key></Contents></ListBucketResult>"


@pytest.mark.parametrize("token", ["", "<NextContinuationToken>same</NextContinuationToken>"])
def test_a_list_that_never_ends_is_an_error(token: str) -> None:
    server, said_so = Store(said(body=LISTED.format(token, "x/").encode())), "says that there is more and not where"
    with storage(server, attempts=1) as store, pytest.raises(StorageError, match=said_so):
        list(store.keys("x/"))


def test_keys_of_another_prefix_are_not_taken_for_ones_that_were_asked_for() -> None:
    body = LISTED.replace("true", "false").format("", "outputs/somebody/else/")
    with storage(Store(said(body=body.encode())), attempts=1) as store:
        assert list(store.keys("outputs/u/")) == []


@pytest.mark.parametrize("part", [False, True])
def test_an_object_that_is_longer_than_it_says_is_ended(part: bool) -> None:
    """A body in chunks beside a Content-Length goes on past it; without an end it would fill this process' memory."""
    heads = ('ETag: "e"', "Content-Length: 100", "Transfer-Encoding: chunked")

    server = Store(said(*heads, endless=bytes(1 << 20)))
    with storage(server, attempts=1) as store:
        with pytest.raises(StorageError, match="gave more than the 100 bytes"):
            store._read_part(KEY, Stat(100, "e", None), 0, 100) if part else store.read(KEY, 1000)
        assert server.ended.acquire(timeout=10)


def test_an_upload_in_parts_without_a_name_is_an_error() -> None:
    server, said_so = Store(said(body=b"<InitiateMultipartUploadResult/>")), "begins an upload in parts without naming it"
    with storage(server, attempts=1, multipart_above=10) as store, pytest.raises(StorageError, match=said_so):
        store.write(KEY, bytes(20), "image/jpeg")
