"""S3, Cloudflare R2 and MinIO through boto3.

Checksums: boto3 since 1.36 sends CRC32 trailers that R2 refuses, so `when_required`; instead each upload carries Content-MD5, which
every store checks, and our own SHA-256 as metadata. A store answers an upload with the object's ETag. Where that is the MD5 of what was
sent, it proves what is stored; where it is something else (with SSE-KMS, say), size, ETag and SHA-256 are asked for and compared.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError as Urllib3Error

from orchestrator.errors import Conflict, NotFound, StorageError, TooLarge, megabytes
from orchestrator.storage.base import Expect, Opened, Stat, Storage, digest_of
from orchestrator.storage.bucket_client import BucketClient, S3Options, TooSlow
from orchestrator.storage.checksums import Reading, base64_of, etag_of, is_md5, md5_of

T = TypeVar("T")
log = logging.getLogger(__name__)

DIGEST = "respray-sha256"
_UNSUPPORTED = {"NotImplemented", "501"}
_BLOCK = 1 << 20


class S3Storage(Storage):
    """One bucket as a store."""

    def __init__(self, options: S3Options, on_retry: Callable[[], None] = lambda: None) -> None:
        self.options = options
        self._on_retry = on_retry
        self._bucket = BucketClient(options)

    def read(self, key: str, limit: int) -> tuple[bytes, Stat]:
        return self._repeat(f"download of {key}", Reading(lambda: self._read_once(key, limit), key), once=TooSlow)

    def open(self, key: str) -> Opened:
        stat = self.stat(key)
        if stat is None:
            raise NotFound(f"there is no {key}", self._bucket.at)
        return _OpenedObject(stat, lambda start, size: self._repeat(f"download of {key}", lambda: self._read_part(key, stat, start, size)))

    def stat(self, key: str) -> Stat | None:
        def look() -> Stat | None:
            try:
                return self._stat(key, self._bucket.call("head_object", key, Key=key))
            except NotFound:
                return None

        return self._repeat(f"look at {key}", look)

    def write(self, key: str, data: bytes, media_type: str, expect: Expect | Stat = Expect.ANYTHING) -> Stat:
        digest = digest_of(data)
        extra: dict[str, Any] = {"ContentType": media_type, "Metadata": {DIGEST: digest}}
        condition = {"IfMatch": expect.etag} if isinstance(expect, Stat) else {"IfNoneMatch": "*"} if expect is Expect.NOTHING else {}
        put = self._put_parts if len(data) > self.options.multipart_above else self._put_whole

        def upload() -> Stat:
            try:
                etag, expected = put(key, data, extra, condition)
            except (Conflict, NotFound) as error:
                # An attempt that was answered with an error may have been stored all the same; and a twin may have stored the same bytes.
                stored = self.stat(key)
                if stored is not None and stored.digest == digest:
                    return stored
                raise Conflict(f"{key} was written by somebody else in the meantime") from error
            if etag == expected:
                return Stat(len(data), etag, digest)
            try:
                stored = self._stat(key, self._bucket.call("head_object", key, Key=key))
            except NotFound:  # a store whose copies follow one another may not show yet what it has taken
                raise StorageError(f"{key} is not there after the store said that it took it") from None
            if stored.digest == digest and stored.size == len(data) and etag in ("", stored.etag):
                return stored
            if condition and stored.digest != digest:
                raise Conflict(f"{key} was written by somebody else in the meantime")
            raise StorageError(f"{key} reads back as {stored.size} bytes with another checksum; {len(data)} bytes were sent")

        return self._repeat(f"upload of {key}", upload, once=TooSlow)

    def delete(self, key: str) -> None:
        self._repeat(f"removal of {key}", lambda: self._bucket.call("delete_object", key, Key=key))

    def keys(self, prefix: str) -> Iterator[str]:
        token: dict[str, str] = {}
        while True:
            page = self._repeat(f"list of {prefix}", partial(self._bucket.call, "list_objects_v2", prefix, Prefix=prefix, **token))
            yield from (key for entry in page.get("Contents", ()) if (key := entry.get("Key", "")).startswith(prefix) and key)
            if not page.get("IsTruncated"):
                return
            before, token = token, {"ContinuationToken": page.get("NextContinuationToken", "")}
            if token == before or not token["ContinuationToken"]:
                raise StorageError(
                    f"list of {prefix}: the store says that there is more and not where, so the list has no end", self._bucket.at
                )

    def link(self, key: str, seconds: int) -> str | None:
        return self._bucket.link(key, seconds)

    def check(self) -> None:
        try:
            self._bucket.call("head_bucket", None)
        except NotFound:
            raise StorageError("there is no such bucket", self._bucket.at) from None
        except StorageError as error:
            if isinstance(error.__context__, ClientError):  # an answer to HEAD has no body to say why
                self._bucket.call("list_objects_v2", None, MaxKeys=1)
            raise

    def close(self) -> None:
        self._bucket.close()

    def _read_once(self, key: str, limit: int) -> tuple[bytes, Stat, bool]:
        """An object, what it is, and whether a checksum of the store's says that these are its bytes (some stores have none)."""
        answer = self._bucket.call("get_object", key, Key=key)
        with closing(answer["Body"]) as body:
            stat = self._stat(key, answer)
            if stat.size > limit:
                raise TooLarge(f"{key} has {megabytes(stat.size)}; at most {megabytes(limit)} are accepted")
            data = self._all_of(body, key, stat.size)
        digest = digest_of(data)
        if stat.digest not in (None, digest):
            raise StorageError(f"the download of {key} does not have the checksum that it was stored with")
        proven = stat.digest is not None or not is_md5(answer) or md5_of(data).hex() == stat.etag
        return data, Stat(stat.size, stat.etag, digest), proven

    def _read_part(self, key: str, stat: Stat, start: int, size: int) -> bytes:
        """A part of the object that `stat` describes, and of no other. A connection is held for one part only, however slow its reader."""
        end = min(start + size, stat.size)
        if start >= end:
            return b""
        answer = self._bucket.call("get_object", key, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{stat.etag}"')
        with closing(answer["Body"]) as body:
            return self._all_of(body, key, end - start)

    def _all_of(self, body: Any, key: str, size: int) -> bytes:
        """All of an answer's body, each time as much of it as is there: `read` would wait for a whole block, however slowly it comes."""
        allowed = self.options.read_timeout + size / self.options.min_rate
        deadline, data = time.monotonic() + allowed, bytearray()
        try:
            # botocore has no `read1`; its stream is urllib3's, which has.
            while part := body._raw_stream.read1(_BLOCK):
                data += part
                if len(data) > size:  # chunked, whatever its Content-Length says; or all of an object in place of a part
                    raise StorageError(f"the download of {key} gave more than the {size} bytes that were asked for")
                if time.monotonic() > deadline:
                    raise TooSlow(f"the download of {key} gave {len(data)} of {size} bytes within {allowed:.0f} s, and was ended")
        except (BotoCoreError, Urllib3Error, OSError) as error:
            raise StorageError(f"the download of {key} broke off: {type(error).__name__}") from None
        if len(data) != size:
            raise StorageError(f"the download of {key} gave {len(data)} of {size} bytes")
        return bytes(data)

    def _put_whole(self, key: str, data: bytes, extra: dict[str, Any], condition: dict[str, str]) -> tuple[str, str]:
        """Store in one request; the ETag that the store answers, and the one that proves it."""
        digest = md5_of(data)
        answer = self._conditional("put_object", key, condition, Key=key, Body=data, ContentMD5=base64_of(digest), **extra)
        return etag_of(answer), digest.hex()

    def _put_parts(self, key: str, data: bytes, extra: dict[str, Any], condition: dict[str, str]) -> tuple[str, str]:
        """Store in parts; the ETag that the store answers, and the one that proves it: the MD5 of the parts' MD5s, and their number."""
        upload = self._bucket.call("create_multipart_upload", key, Key=key, **extra).get("UploadId")
        if not upload:
            raise StorageError(f"{key}: what answers begins an upload in parts without naming it, so it is no store", self._bucket.at)
        try:
            parts, digests = [], b""
            for number, start in enumerate(range(0, len(data), self.options.part_size), 1):
                part = data[start : start + self.options.part_size]
                digest = md5_of(part)
                digests += digest
                send = {"Key": key, "UploadId": upload, "PartNumber": number, "Body": part, "ContentMD5": base64_of(digest)}
                answer = self._repeat(f"part {number} of {key}", partial(self._bucket.call, "upload_part", key, **send))
                parts.append({"PartNumber": number, "ETag": answer.get("ETag", "")})
            done = self._conditional(
                "complete_multipart_upload", key, condition, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
            )
            return etag_of(done), f"{md5_of(digests).hex()}-{len(parts)}"
        except Exception:
            try:
                self._bucket.call("abort_multipart_upload", key, Key=key, UploadId=upload)
            except StorageError as error:
                log.warning("an unfinished upload of %s stays behind: %s", key, error)
            raise

    def _conditional(self, operation: str, key: str, condition: dict[str, str], **arguments: Any) -> Any:
        """Call with the condition; a store that does not know conditional writes gets a plain one, and the log says so."""
        try:
            return self._bucket.call(operation, key, **arguments, **condition)
        except StorageError as error:
            if not condition or not str(error).endswith(tuple(f"({code})" for code in _UNSUPPORTED)):
                raise
            log.warning("this store does not support conditional writes; a late duplicate of a job may overwrite a newer result")
            return self._bucket.call(operation, key, **arguments)

    def _stat(self, key: str, answer: dict[str, Any]) -> Stat:
        """What an answer says of an object. Raises StorageError for an answer that no store gives, as of a proxy that wants a login."""
        if "ETag" not in answer or "ContentLength" not in answer:
            raise StorageError(f"{key}: the answer has no ETag or no Content-Length, so it is not a store's", self._bucket.at)
        return Stat(int(answer["ContentLength"]), str(answer["ETag"]).strip('"'), answer.get("Metadata", {}).get(DIGEST))

    def _repeat(self, what: str, work: Callable[[], T], once: type[StorageError] | None = None) -> T:
        """Do the work as often as is useful; an error of the type `once` is not repeated here: it has taken its time."""
        retry = self.options.retry
        if once is not None:
            may_pass = retry.retryable
            retry = replace(retry, retryable=lambda error: may_pass(error) and not isinstance(error, once))
        attempts = retry.attempts

        def note(attempt: int, error: BaseException, wait: float) -> None:
            log.info("%s failed (%s); attempt %d of %d in %.2f s", what, error, attempt + 1, attempts, wait)
            self._on_retry()

        return retry.run(work, note)


class _OpenedObject(Opened):
    """An object that is asked for part by part."""

    def __init__(self, stat: Stat, read: Callable[[int, int], bytes]) -> None:
        self.stat, self._read = stat, read

    def read(self, start: int, size: int) -> bytes:
        return self._read(start, size)
