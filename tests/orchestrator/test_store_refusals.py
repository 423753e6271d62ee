"""A store that refuses as R2 and AWS do: worker, doctor and the fetch of weights say what to change, not only a code."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage.bucket_client import S3Options
from orchestrator.storage.s3 import S3Storage
from respray.doctor import FAIL, Situation
from respray.doctor import storage as storage_check
from respray.retry import Retry
from respray.storage_refusals import remedy
from respray.weights.errors import WeightsError
from respray.weights.s3_sync import Sync, SyncSource


class Refusing(http.server.ThreadingHTTPServer):
    """Answers every request with one error; to HEAD without a body, as stores must. `off`: how far its clock is ahead of ours."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.code, self.message, self.off = 403, "AccessDenied", "no", timedelta()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Refusing

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) + self.server.off, usegmt=True)

    def _refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        code, message = self.server.code, self.server.message
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = _refuse


@pytest.fixture
def store() -> Iterator[Refusing]:
    server = Refusing()
    yield server
    server.shutdown()
    server.server_close()


def told(server: Refusing, folder: Path) -> list[str]:
    """What a worker says at its start, the doctor, and `weights fetch`."""
    storage = S3Storage(S3Options("photos", server.url, "key", "secret", retry=Retry(1)))
    with pytest.raises(StorageError) as worker:
        storage.check()
    storage.close()
    settings = {"STORAGE_S3_ENDPOINT": server.url, "STORAGE_ACCESS_KEY": "key", "STORAGE_SECRET_KEY": "secret", "STORAGE_BUCKET": "photos"}
    (finding,) = (found for found in storage_check.examine(Situation(settings, timeout=5)) if found.status == FAIL)
    with pytest.raises(WeightsError) as fetch:
        Sync(SyncSource(server.url, "models", "key", "secret"), "sam3", folder).run("sam3")
    return [str(worker.value), f"{finding.what}: {finding.fix}", str(fetch.value)]


@pytest.mark.parametrize(
    ("status", "code", "message", "off", "said"),
    [
        (403, "RequestTimeTooSkewed", "too large a difference", 90, "off by -90 minutes"),
        (403, "AccessDenied", "no", -60, "off by 60 minutes: set it (timedatectl set-ntp true; of a container, the host's)"),
        (400, "InvalidArgument", "Credential access key has length 64, should be 32", 0, "length 64, should be 32"),
        (403, "SignatureDoesNotMatch", "it does not match", 0, "ACCESS_KEY and"),
        (400, "ExpiredRequest", "the signature has expired", 0, "this machine's clock is off"),
        (403, "NotEntitled", "please enable R2", 0, "no plan with this store: please enable R2"),
        (403, "ObjectLockedByBucketPolicy", "locked for 30 days", 0, "a retention rule of the bucket keeps this object"),
        (400, "InvalidRegionName", "The region name 'mars' is not valid. Must be one of: wnam, auto", 0, "'mars' is not valid"),
    ],
)  # fmt: skip
def test_each_refusal_says_what_to_change(
    store: Refusing, status: int, code: str, message: str, off: int, said: str, tmp_path: Path
) -> None:
    store.status, store.code, store.message, store.off = status, code, message, timedelta(minutes=off)
    for sentence in told(store, tmp_path):
        assert said in sentence and "secret" not in sentence.replace("SECRET", "").replace("secret key", ""), sentence
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("code", "said"),
    [("InvalidObjectState", "the object is archived"), ("XMinioStorageFull", "is full"), ("XMinioAdminBucketQuotaExceeded", "full")],
)
def test_what_no_key_would_help_against_is_not_put_down_to_the_keys(code: str, said: str) -> None:
    assert said in (remedy({"Error": {"Code": code, "Message": "no"}}, "KEYS", "REGION") or "")


def test_a_right_that_is_missing_is_still_told_as_before(store: Refusing, tmp_path: Path) -> None:
    worker, doctor, fetch = told(store, tmp_path)
    assert "check the access key" in worker and "s3:ListBucket on photos" in doctor and "need s3:GetObject and s3:ListBucket" in fetch


@pytest.mark.parametrize(
    ("status", "code", "final"),
    [
        (403, "NotEntitled", True),
        (403, "OfTomorrow", True),
        (403, "RequestTimeTooSkewed", False),
        (400, "InvalidRequest", True),
        (400, "KMS.DisabledException", True),
        (400, "XMinioInvalidObjectName", True),
        (400, "RequestTimeout", False),
        (301, "PermanentRedirect", False),  # for ever the same one
        (503, "SlowDown", False),
    ],
)
def test_a_refusal_is_final_whatever_a_store_calls_it(store: Refusing, status: int, code: str, final: bool) -> None:
    """But for a wrong clock, which another worker need not have."""
    store.status, store.code = status, code
    storage = S3Storage(S3Options("photos", store.url, "key", "secret", retry=Retry(1)))
    with pytest.raises(StorageError) as refused:
        storage.read("inputs/u/j/0.jpg", 100)
    storage.close()
    assert refused.value.retryable is not final
