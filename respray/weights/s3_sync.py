"""Bring a model folder from a private S3 bucket to the volume: parallel, resumable, verified, and visible only when whole.

Ranges are read here and not by boto3's transfer manager on purpose: that one begins every object at its first byte again (it takes no
`Range`), and a pod that is killed at 3 of 3.4 GB has to go on where it stopped.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import file_digest, md5
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from respray.authorities import with_public_authorities
from respray.retry import Retry
from respray.storage_refusals import remedy
from respray.weights.errors import NothingThereError, WeightsError
from respray.weights.manifest import MANIFEST, PARTIAL_SUFFIX, FileEntry, Manifest, check_relative, sha256_of
from respray.weights.volume_errors import REFUSALS

log = logging.getLogger(__name__)

_ATTEMPTS = 4
_READ = 1024 * 1024
# After a broken transfer; an answer of the server is none.
_RETRY = Retry(
    _ATTEMPTS,
    lambda attempt, error: 0.4 * 2 ** (attempt - 1),
    lambda error: isinstance(error, BotoCoreError | OSError) and getattr(error, "errno", None) not in REFUSALS,
)
_RIGHTS = "the keys in MODEL_SYNC_MINIO_ACCESS_KEY and _SECRET_KEY need s3:GetObject and s3:ListBucket there"
_CHANGED = "the object changed while it was read; start again"
_HINTS = {
    **dict.fromkeys(("403", "AccessDenied"), _RIGHTS),
    **dict.fromkeys(("404", "NoSuchBucket", "NoSuchKey"), "check MODEL_SYNC_MINIO_BUCKET"),
    **dict.fromkeys(("412", "PreconditionFailed"), _CHANGED),
}


@dataclass(frozen=True)
class SyncSource:
    """A bucket to read weights from (`MODEL_SYNC_*`). Read and list permissions are enough. `endpoint` is a URL with its scheme;
    authorities in `ca_file` are trusted beside the public ones."""

    endpoint: str
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "auto"
    ca_file: Path | None = None

    def __str__(self) -> str:
        """Without keys, for logs and manifests."""
        return f"{self.endpoint}/{self.bucket}"


def open_client(source: SyncSource, threads: int) -> Any:
    """A client of the bucket's server. OSError where the source's `ca_file` cannot be read."""
    bundle = with_public_authorities(source.ca_file) if source.ca_file is not None else None
    # R2 and others refuse the CRC trailers that boto3 sends by default since 1.36.
    config = Config(
        retries={"mode": "standard", "max_attempts": _ATTEMPTS},
        max_pool_connections=threads,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=10,
        read_timeout=60,
    )
    client = boto3.client(
        "s3",
        endpoint_url=source.endpoint,
        verify=bundle.name if bundle is not None else None,
        aws_access_key_id=source.access_key,
        aws_secret_access_key=source.secret_key,
        region_name=source.region,
        config=config,
    )
    if bundle is not None:
        weakref.finalize(client, bundle.close)  # the file is read again at each connection
    return client


@dataclass(frozen=True)
class _Remote:
    """One object: its key, its entity tag (also what a ranged read must match), and what its content must be, where known."""

    key: str
    name: str
    size: int
    etag: str
    sha256: str | None


class Sync:
    """One synchronisation of `bucket/prefix/` to `folder`. `part_size` in bytes: objects are read in ranges of this size."""

    def __init__(self, source: SyncSource, prefix: str, folder: Path, threads: int = 8, part_size: int = 16 * 1024 * 1024) -> None:
        self._source = source
        self._prefix = prefix.strip("/") + "/"
        self._folder = folder
        self._threads = threads
        self._part_size = part_size
        self._client = open_client(source, threads)

    def run(self, model: str) -> Manifest:
        """Fetch what is missing or different and return the folder's manifest (not yet written).

        Raises:
            WeightsError: the bucket cannot be read, lacks a file, or has a damaged one.
        """
        try:
            remotes = self._list()
            missing = [remote for remote in remotes if not self._is_here(remote)]
            log.info("%d of %d files of %s have to be fetched from %s", len(missing), len(remotes), model, self._source)
            self._fetch_all(missing)
        except ClientError as error:
            raise self._explain(error) from error
        except (BotoCoreError, OSError) as error:
            if isinstance(error, OSError) and error.errno in REFUSALS:
                raise  # the volume's own: explained by who called
            raise WeightsError(f"{self._source}: {error}; check MODEL_SYNC_MINIO_ENDPOINT and MODEL_SYNC_MINIO_SECURE") from error
        files = {r.name: FileEntry(r.size, r.sha256 or sha256_of(self._folder / r.name)) for r in remotes}
        return Manifest(model, f"{self._source}/{self._prefix}", files)

    def _list(self) -> list[_Remote]:
        """Objects of the model; where the bucket has a manifest, exactly the files that it names."""
        objects = {}
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._source.bucket, Prefix=self._prefix):
            for item in page.get("Contents", []):
                name = item["Key"][len(self._prefix) :]
                if name and not name.endswith("/"):
                    check_relative(name, f"bucket {self._source.bucket}")
                    objects[name] = _Remote(item["Key"], name, item["Size"], item["ETag"], None)
        if not objects:
            what = f"{self._source} has nothing under {self._prefix}"
            raise NothingThereError(f"{what}; upload the model's folder there (respray weights push)")
        described = objects.pop(MANIFEST, None)
        if described is None:
            log.warning("%s/%s has no %s: files are checked by their entity tags only", self._source, self._prefix, MANIFEST)
            return list(objects.values())
        text = self._client.get_object(Bucket=self._source.bucket, Key=described.key)["Body"].read().decode()
        try:
            manifest = Manifest.parse(text, f"{self._source}/{described.key}")
        except ValueError as error:
            raise WeightsError(str(error)) from error
        absent = sorted(set(manifest.files) - set(objects))
        if absent:
            raise WeightsError(
                f"{self._source}/{described.key} names {', '.join(absent)}, which the bucket does not have; upload them again"
            )
        return [_Remote(objects[name].key, name, entry.size, objects[name].etag, entry.sha256) for name, entry in manifest.files.items()]

    def _is_here(self, remote: _Remote) -> bool:
        path = self._folder / remote.name
        return path.is_file() and path.stat().st_size == remote.size and not self._mismatch(remote, path)

    def _fetch_all(self, remotes: list[_Remote]) -> None:
        """Parts of all files share one pool; a file is verified and renamed by whichever part of it ends last."""
        downloads = [_Download(self._folder / remote.name, remote, self._part_size) for remote in remotes]
        with ThreadPoolExecutor(self._threads, thread_name_prefix="weights") as pool:
            try:
                futures = [pool.submit(self._part, download, part) for download in downloads for part in download.missing()]
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        for download in downloads:
            self._finish(download)

    def _part(self, download: _Download, part: int) -> None:
        """Read one range into its place. A broken transfer is tried again; a changed object is an error (If-Match)."""
        start, end = download.range_of(part)
        what = f"{download.remote.key}, bytes {start} to {end}"

        def fetch() -> None:
            answer = self._client.get_object(
                Bucket=self._source.bucket, Key=download.remote.key, Range=f"bytes={start}-{end - 1}", IfMatch=download.remote.etag
            )
            with closing(answer["Body"]) as body:
                download.write(part, body.iter_chunks(_READ))

        _RETRY.run(fetch, lambda attempt, error, wait: log.warning("%s: %s; trying again", what, error))

    def _finish(self, download: _Download) -> None:
        """Verify and publish; what arrived damaged is fetched once more as a whole before it is an error."""
        wrong = self._mismatch(download.remote, download.partial)
        if wrong:
            log.warning("%s arrived damaged (%s); fetching it again", download.remote.key, wrong)
            download.restart()
            for part in download.missing():
                self._part(download, part)
            wrong = self._mismatch(download.remote, download.partial)
        if wrong:
            download.discard()
            raise WeightsError(
                f"{self._source}/{download.remote.key} arrived damaged twice ({wrong}); upload it again, with its {MANIFEST}"
            )
        download.publish()

    def _mismatch(self, remote: _Remote, path: Path) -> str:
        """How the content differs from what it must be; empty where it does not, or where nothing is known to compare with."""
        if remote.sha256 is not None:
            actual = sha256_of(path)
            return "" if actual == remote.sha256 else f"SHA-256 {actual[:12]}..., {remote.sha256[:12]}... is right"
        tag = remote.etag.strip('"').lower()
        if len(tag) == 32 and "-" not in tag:  # a plain upload's tag is its MD5; a multipart upload's is not
            with path.open("rb") as file:
                actual = file_digest(file, partial(md5, usedforsecurity=False)).hexdigest()
            return "" if actual == tag else f"MD5 {actual}, {tag} is right"
        return ""

    def _explain(self, error: ClientError) -> WeightsError:
        code = error.response.get("Error", {}).get("Code", "")
        keys = "MODEL_SYNC_MINIO_ACCESS_KEY and MODEL_SYNC_MINIO_SECRET_KEY"
        hint = remedy(error.response, keys, region=None) or _HINTS.get(code, "see the storage's own log")
        return WeightsError(f"{self._source}/{self._prefix}: {code}: {hint}")


class _Download:
    """One file on its way: the partial file, and beside it the list of parts that are in place, so that the next start goes on here."""

    def __init__(self, target: Path, remote: _Remote, part_size: int) -> None:
        self.target = target
        self.remote = remote
        self.partial = target.with_name(target.name + PARTIAL_SUFFIX)
        self._record = target.with_name(f"{target.name}.parts{PARTIAL_SUFFIX}")
        self._part_size = part_size
        self._header = f"{remote.etag} {remote.size} {part_size}"
        self._lock = threading.Lock()
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = self._record.read_text().splitlines() if self._record.is_file() else []
        if not lines or lines[0] != self._header or not self.partial.is_file():
            self.restart()
            lines = []
        self._done = {int(line) for line in lines[1:] if line.isdigit()}

    def restart(self) -> None:
        """Forget what arrived and begin again."""
        self._done = set()
        with self.partial.open("wb") as file:
            file.truncate(self.remote.size)
        self._record.write_text(self._header + "\n")

    def missing(self) -> Iterator[int]:
        """Indices of the parts that are not in place."""
        count = -(-self.remote.size // self._part_size)
        return iter([part for part in range(count) if part not in self._done])

    def range_of(self, part: int) -> tuple[int, int]:
        """First byte and the byte after the last."""
        start = part * self._part_size
        return start, min(start + self._part_size, self.remote.size)

    def write(self, part: int, chunks: Iterator[bytes]) -> None:
        """Put a part's bytes in place and record it; a short answer raises OSError."""
        position, end = self.range_of(part)
        with self.partial.open("r+b") as file:
            file.seek(position)
            for chunk in chunks:
                position += file.write(chunk)
        if position != end:
            raise OSError(f"the answer ended {end - position} bytes early")
        with self._lock, self._record.open("a") as record:
            record.write(f"{part}\n")
            self._done.add(part)

    def publish(self) -> None:
        """Make the verified file visible in one step."""
        with self.partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self.partial, self.target)
        self._record.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what arrived."""
        for path in (self.partial, self._record):
            with suppress(FileNotFoundError):
                path.unlink()
