"""The promises of every store, against a folder and against a real S3 server process; and what S3 alone must stand."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.errors import AccessDenied, Conflict, NotFound, StorageError, TooLarge
from orchestrator.storage import Expect, Storage
from orchestrator.storage.base import digest_of
from orchestrator.storage.bucket_client import S3Options
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.s3 import DIGEST, S3Storage
from respray.retry import Retry, full_jitter
from tests.faults.chaos import ChaosProxy
from tests.faults.processes import ACCESS, BUCKET, SECRET, S3Server

QUICK = Retry(attempts=12, wait=full_jitter(base=0.005, cap=0.05))


def s3(url: str, **options: object) -> S3Storage:
    base = {"bucket": BUCKET, "endpoint": url, "access_key": ACCESS, "secret_key": SECRET, "retry": QUICK}
    return S3Storage(S3Options(**{**base, **options}))  # type: ignore[arg-type]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        yield FolderStorage(tmp_path)
    else:
        storage = s3(request.getfixturevalue("s3_server").url)
        yield storage
        storage.close()


def test_what_is_written_is_read(store: Storage, request: pytest.FixtureRequest) -> None:
    key = f"outputs/u/{abs(hash(request.node.name))}/a b+ü.png"
    stat = store.write(key, b"hello", "image/png")
    assert store.read(key, 100)[0] == b"hello" and store.stat(key) == stat and stat.size == 5
    assert list(store.keys(key[:20])) and key in list(store.keys(key.rsplit("/", 1)[0] + "/"))
    store.delete(key)
    store.delete(key)
    assert store.stat(key) is None
    with pytest.raises(NotFound):
        store.read(key, 100)


def test_too_large_is_refused_before_it_is_read(store: Storage) -> None:
    store.write("inputs/u/large/0.jpg", b"x" * 1000, "image/jpeg")
    with pytest.raises(TooLarge, match="has 1 kB; at most 0"):
        store.read("inputs/u/large/0.jpg", 999)


def test_conditional_writes(store: Storage) -> None:
    key = "outputs/u/conditional/0.png"
    store.delete(key)
    first = store.write(key, b"1", "image/png", Expect.NOTHING)
    assert store.write(key, b"1", "image/png", Expect.NOTHING) == first, "the same bytes are no conflict"
    with pytest.raises(Conflict):
        store.write(key, b"2", "image/png", Expect.NOTHING)
    second = store.write(key, b"2", "image/png", first)
    with pytest.raises(Conflict):
        store.write(key, b"3", "image/png", first)
    assert store.read(key, 10)[0] == b"2" and store.stat(key) == second


def test_of_many_racing_writers_one_wins(store: Storage) -> None:
    key = "outputs/u/race/0.png"
    store.delete(key)
    barrier = threading.Barrier(8)

    def write(number: int) -> bool:
        barrier.wait()
        try:
            store.write(key, f"writer {number}".encode(), "image/png", Expect.NOTHING)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert sum(won) == 1 and store.read(key, 100)[0] == f"writer {won.index(True)}".encode()


def test_a_store_that_is_not_there(tmp_path: Path, s3_server: S3Server) -> None:
    with pytest.raises(StorageError, match="does not exist"):
        FolderStorage(tmp_path / "none").check()
    with pytest.raises(StorageError, match=r"no such bucket .*'none'"):
        s3(s3_server.url, bucket="none").check()
    with pytest.raises(StorageError, match=r"no answer from the store .*http://127\.0\.0\.1:1"):
        s3("http://127.0.0.1:1", retry=Retry(1)).check()
    s3(s3_server.url).check()


def test_links_do_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "store/inputs").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "store/inputs/out").symlink_to(tmp_path)
    (tmp_path / "store/inputs/file.jpg").symlink_to(tmp_path / "secret.jpg")
    store = FolderStorage(tmp_path / "store")
    for key in ("inputs/out/secret.jpg", "inputs/file.jpg"):
        with pytest.raises(AccessDenied, match="leads out of"):
            store.read(key, 100)


def test_what_is_no_file_is_not_there_and_nobody_waits_for_it(tmp_path: Path) -> None:
    store = FolderStorage(tmp_path)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as named:
        named.bind(str(tmp_path / "socket.jpg"))
        for key in ("pipe.jpg", "folder.jpg", "socket.jpg"):
            assert store.stat(key) is None and store.size(key) is None
            for look in (lambda key=key: store.read(key, 100), lambda key=key: store.open(key)):
                with pytest.raises(NotFound, match=f"there is no {key}"):
                    look()


def test_a_file_of_any_size_is_looked_at_without_its_memory(tmp_path: Path) -> None:
    store, size = FolderStorage(tmp_path), 4 << 30
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert store.size("sparse.jpg") == size
    with pytest.raises(TooLarge, match=r"has 4295 MB; at most 134\.2 MB"):
        store.read("sparse.jpg", 1 << 27)
    os.truncate(tmp_path / "sparse.jpg", 400 << 20)
    found = store.stat("sparse.jpg")
    assert found is not None and found.size == 400 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


def test_a_folder_keeps_no_empty_folders_and_loses_no_file_by_it(tmp_path: Path) -> None:
    """A queue on a folder is listed every few seconds: thousands of finished jobs must not be walked through."""
    store = FolderStorage(tmp_path, sync=False)

    def come_and_go(worker: int) -> None:
        for number in range(300):
            key = f"queue/u/job-{number % 3}/{worker}.json"
            store.write(key, b"%d" % number, "text/plain", Expect.NOTHING)
            assert store.read(key, 100)[0] == b"%d" % number
            store.delete(key)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(4)))
    store.write("queue/u/stays.json", b"1", "text/plain")
    store.delete("queue/u/none/of/these.json")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["queue", "queue/u", "queue/u/stays.json"]
    store.delete("queue/u/stays.json")
    assert not list(tmp_path.iterdir()) and tmp_path.is_dir()


def test_a_folder_never_shows_half_a_file(tmp_path: Path) -> None:
    store, seen = FolderStorage(tmp_path), set[int]()
    store.write("a/0.bin", b"0" * 1_000_000, "x")
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            data = store.read("a/0.bin", 1 << 30)[0]
            seen.add(len(data) if len(set(data)) == 1 else -1)

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(30):
        store.write("a/0.bin", bytes([number]) * 1_000_000, "x")
    stop.set()
    thread.join()
    assert seen == {1_000_000} and list(store.keys("a/")) == ["a/0.bin"]


def test_large_files_go_in_parts_and_conditions_hold_for_them_too(s3_server: S3Server) -> None:
    store = s3(s3_server.url, multipart_above=6 << 20, part_size=5 << 20)
    data = bytes(range(256)) * (48 << 10)  # 12 MiB
    store.delete("outputs/u/large/0.png")
    stat = store.write("outputs/u/large/0.png", data, "image/png", Expect.NOTHING)
    assert stat.etag.endswith("-3") and store.read("outputs/u/large/0.png", 1 << 30)[0] == data
    with pytest.raises(Conflict):
        store.write("outputs/u/large/0.png", data[::-1], "image/png", Expect.NOTHING)
    assert not s3_server.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_content_types_and_no_checksum_trailers(s3_server: S3Server) -> None:
    proxy = ChaosProxy(s3_server.port, share=0.0)
    s3(proxy.url).write("outputs/u/type/0.webp", b"x", "image/webp")
    head = s3_server.client().head_object(Bucket=BUCKET, Key="outputs/u/type/0.webp")
    assert head["ContentType"] == "image/webp"
    put = next(r for r in proxy.requests if r.startswith("PUT"))
    assert "content-md5" in put.lower() and "x-amz-trailer" not in put.lower() and "crc32" not in put.lower()
    proxy.close()


@pytest.mark.parametrize("fault", ["500", "503", "slow", "truncated", "reset", "answer lost"])
def test_three_faults_in_ten_requests_change_nothing(s3_server: S3Server, fault: str) -> None:
    proxy = ChaosProxy(s3_server.port, share=0.3, kinds=(fault,), seed=7)
    store = s3(proxy.url, read_timeout=0.3)
    for number in range(12):
        key, data = f"outputs/u/chaos-{fault.replace(' ', '_')}/{number}.png", bytes([number]) * 20_000
        stat = store.write(key, data, "image/png", Expect.NOTHING)
        assert store.read(key, 1 << 20)[0] == data
        store.write(key, data[::-1] + b"!", "image/png", stat)
        assert store.read(key, 1 << 20)[0] == data[::-1] + b"!"
    assert proxy.injected > 5
    proxy.close()


def test_an_answer_that_proves_what_is_stored_costs_one_request(s3_server: S3Server) -> None:
    proxy = ChaosProxy(s3_server.port, share=0.0)
    store = s3(proxy.url, multipart_above=6 << 20, part_size=5 << 20)
    written = store.write("outputs/u/once/0.png", b"x" * 1000, "image/png")
    assert [request.split()[0] for request in proxy.requests] == ["PUT"] and store.stat("outputs/u/once/0.png") == written
    large = store.write("outputs/u/once/1.png", b"x" * (7 << 20), "image/png")
    assert [request.split()[0] for request in proxy.requests[2:]] == ["POST", "PUT", "PUT", "POST"]
    assert store.stat("outputs/u/once/1.png") == large
    proxy.close()


class _Encrypting(BaseHTTPRequestHandler):
    """A store whose ETags say nothing about the content, as with SSE-KMS: it stores what `damage` makes of it."""

    etag = '"0123456789abcdef0123456789abcdef"'
    stored, digest, damage = b"", "", staticmethod(lambda data: data)
    hidden = 0
    """How many looks do not show yet what is stored."""

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_PUT(self) -> None:
        _Encrypting.stored = self.damage(self.rfile.read(int(self.headers["Content-Length"])))
        _Encrypting.digest = digest_of(self.stored)
        self._answer(0)

    def do_HEAD(self) -> None:
        _Encrypting.hidden -= 1
        if self.hidden < 0:
            return self._answer(len(self.stored))
        self.send_response(404)
        self.end_headers()

    def _answer(self, size: int) -> None:
        self.send_response(200)
        self.send_header("ETag", self.etag)
        self.send_header("Content-Length", str(size))
        self.send_header(f"x-amz-meta-{DIGEST}", self.digest)
        self.end_headers()


def test_a_store_whose_etag_is_no_checksum_is_asked_what_it_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Encrypting)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    store = s3(f"http://127.0.0.1:{server.server_port}", retry=Retry(1))
    assert store.write("outputs/u/kms/0.png", b"hello", "image/png").digest == digest_of(b"hello")
    monkeypatch.setattr(_Encrypting, "hidden", 1)
    late = s3(f"http://127.0.0.1:{server.server_port}", retry=Retry(2, lambda attempt, error: 0.0))
    assert late.write("outputs/u/kms/0.png", b"hello", "image/png").digest == digest_of(b"hello")
    monkeypatch.setattr(_Encrypting, "damage", staticmethod(lambda data: data[:-1]))
    with pytest.raises(StorageError, match="reads back as 4 bytes with another checksum; 5 bytes were sent"):
        store.write("outputs/u/kms/0.png", b"hello", "image/png")
    server.shutdown()
    server.server_close()


def test_a_store_that_trickles_is_cut_off_by_a_total_time() -> None:
    asked, ended = [], threading.Event()

    class Trickle(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.send_header("ETag", '"x"')
            self.end_headers()
            try:
                while not ended.wait(0.05):
                    self.wfile.write(b"x")
            except OSError:
                ended.set()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    storage = s3(f"http://127.0.0.1:{server.server_port}", read_timeout=0.5, min_rate=2e6)
    try:
        with pytest.raises(StorageError, match=r"gave \d+ of 1000000 bytes within 1 s, and was ended"):
            storage.read("inputs/u/j/0.jpg", 10_000_000)
        assert ended.wait(10), "the connection is closed"
        assert len(asked) == 1, "once is enough of it"
    finally:
        storage.close()
        server.shutdown()
        server.server_close()
