"""One bucket of an S3 store, request by request: connections, a total time for each, and every failure as one of our errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError, SSLError
from urllib3.exceptions import HTTPError as Urllib3Error

from orchestrator.errors import AccessDenied, Conflict, NotFound, SettingsError, StorageError
from orchestrator.storage.deadline import Deadlines
from respray.authorities import AuthorityFile, with_public_authorities
from respray.retry import Retry
from respray.storage_refusals import is_final, remedy

_MISSING = {"NoSuchKey", "NotFound", "404"}
_CONFLICT = {"PreconditionFailed", "412"}


class TooSlow(StorageError):
    """The store gives bytes, but none too many."""


@dataclass(frozen=True)
class S3Options:
    """Where the bucket is and how it is spoken to. Sizes in bytes, times in seconds.

    An object is to be read, and to be taken, within `read_timeout` and what it takes at `min_rate` (bytes a second) together: bytes that go
    on one by one never run into `read_timeout` alone. Authorities in `ca_file` are trusted beside the public ones.
    """

    bucket: str
    endpoint: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    region: str = "auto"
    connections: int = 32
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    min_rate: float = 65536.0
    multipart_above: int = 64 << 20
    part_size: int = 16 << 20
    ca_file: Path | None = None
    retry: Retry = field(default_factory=Retry)


class BucketClient:
    """boto3's client of one bucket, which may be used from several threads."""

    def __init__(self, options: S3Options) -> None:
        """Nothing is asked yet. Raises SettingsError where the authorities cannot be read."""
        self._options = options
        self._bundle: AuthorityFile | None = None
        if options.ca_file is not None:
            try:
                self._bundle = with_public_authorities(options.ca_file)
            except OSError as error:
                raise SettingsError(f"SSL_CERT_FILE: {options.ca_file} cannot be used ({error.strerror})") from None
        self._boto: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=options.endpoint,
            verify=self._bundle.name if self._bundle is not None else None,
            aws_access_key_id=options.access_key,
            aws_secret_access_key=options.secret_key,
            region_name=options.region if options.endpoint or options.region != "auto" else None,
            config=Config(
                signature_version="s3v4",
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path" if options.endpoint else "auto"},
                connect_timeout=options.connect_timeout,
                read_timeout=options.read_timeout,
                max_pool_connections=options.connections,
                # Repeating is done here: botocore does not repeat a download that breaks off in the middle of its body.
                retries={"total_max_attempts": 1, "mode": "standard"},
            ),
        )
        self._deadlines = Deadlines(self._boto)
        self.at = f" ({options.endpoint or 'AWS'}, bucket {options.bucket!r})"
        """For logs: what was asked."""

    def call(self, operation: str, key: str | None, **arguments: Any) -> Any:
        """One request.

        Args:
            operation: The method of boto3's client.
            key: The object, for errors; None: the bucket.
            arguments: As the method takes them, without the bucket.

        Raises:
            NotFound: There is no such object, or no such bucket where that is what was asked for.
            AccessDenied: The store refuses, or there is no such bucket.
            Conflict: The condition of a write does not hold.
            TooSlow: It was not done in time, and was ended.
            StorageError: The store does not answer, or not with what was asked for.
        """
        what = key or f"bucket {self._options.bucket!r}"
        options, sent = self._options, len(arguments.get("Body", b""))
        allowed = options.connect_timeout + options.read_timeout + sent / options.min_rate
        with self._deadlines.within(allowed) as deadline:
            try:
                return self._translated(operation, what, arguments)
            finally:
                # Also of what looks like an answer: headers that were cut off end as if they had been whole.
                if deadline.is_over:
                    raise TooSlow(f"{what}: the store was not done with a request within {allowed:.0f} s, and it was ended") from None

    def _translated(self, operation: str, what: str, arguments: dict[str, Any]) -> Any:
        try:
            return getattr(self._boto, operation)(Bucket=self._options.bucket, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _CONFLICT:
                raise Conflict(f"{what}: the condition of the write does not hold") from None
            if code == "NoSuchBucket":
                raise AccessDenied("there is no such bucket", self.at) from None
            if code in _MISSING:
                raise NotFound(f"there is no {what}", self.at) from None
            fix = remedy(error.response, "STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY", "STORAGE_REGION")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            final = is_final(status, code)
            if final and status in (401, 403):
                fix = fix or "check the access key, the secret key and the bucket's policy"
                raise AccessDenied(f"{what}: the store refuses access ({code}); {fix}") from None
            said = f"{what}: the store answered {error.response.get('Error', {}).get('Message', '')!r:.200} ({code})"
            raise (AccessDenied if final else StorageError)(f"{said}; {fix}" if fix else said) from None
        except RecursionError:  # botocore asks for the bucket's region where it is redirected, and asks there again
            raise StorageError(f"{what}: the store redirects in circles; check the endpoint and its region", self.at) from None
        except (NoCredentialsError, ParamValidationError) as error:
            raise AccessDenied(f"{what}: {str(error)[:200]}") from None
        except (BotoCoreError, Urllib3Error, OSError) as error:
            # Of TLS the reason, too: a certificate that has expired, is of somebody else, or of an authority that is not known here.
            said = f": {error.kwargs['error']!s:.200}" if isinstance(error, SSLError) else ""
            raise StorageError(f"{what}: no answer from the store ({type(error).__name__}{said})", self.at) from None

    def link(self, key: str, seconds: int) -> str:
        """A presigned link that reads an object. Raises StorageError where it cannot be signed."""
        try:
            target = {"Bucket": self._options.bucket, "Key": key}
            return str(self._boto.generate_presigned_url("get_object", Params=target, ExpiresIn=seconds))
        except (BotoCoreError, NoCredentialsError) as error:
            raise StorageError(f"a link to {key} cannot be signed ({type(error).__name__})") from None

    def close(self) -> None:
        """Let go of connections."""
        self._boto.close()
        if self._bundle is not None:
            self._bundle.close()
