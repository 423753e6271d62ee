"""The bucket's part of check 8, the connections: listed, written, read and cleaned up, as a worker does it."""

from __future__ import annotations

import contextlib
import uuid

from respray.doctor.finding import FAIL, PASS, WARN, Finding
from respray.doctor.situation import Situation, unset


def examine(situation: Situation) -> list[Finding]:
    """Whether the bucket of the settings can be listed, written and read. The settings proper decide which spelling means what."""
    try:
        from orchestrator.errors import SettingsError
        from orchestrator.settings import load_settings
        from respray.authorities import with_public_authorities
    except ImportError as error:
        return [Finding(FAIL, f"storage is not checked: {error}", "install the packages first: see the check of Python packages")]
    try:
        settings = load_settings(situation.environment, env_file=None, adapter=None if situation.adapter else "local")
    except SettingsError:
        return []  # said by the check of the settings
    values = {
        "STORAGE_S3_ENDPOINT (or R2_ACCOUNT_ID, or MINIO_ENDPOINT)": settings.endpoint or "",
        "STORAGE_ACCESS_KEY": settings.access_key.get_secret_value() if settings.access_key else "",
        "STORAGE_SECRET_KEY": settings.secret_key.get_secret_value() if settings.secret_key else "",
    }
    missing = ", ".join(name for name, value in values.items() if not value)
    if missing:
        return [unset(situation, f"storage is not set up: {missing} missing", f"set {missing}")]
    endpoint, access_key, secret_key = values.values()
    keys = {"access_key": access_key, "secret_key": secret_key}
    place = {"endpoint": endpoint, **keys, "bucket": settings.bucket, "region": settings.region}
    with contextlib.ExitStack() as stack:
        verify = None
        if settings.ssl_cert_file is not None:
            try:
                verify = stack.enter_context(with_public_authorities(settings.ssl_cert_file)).name
            except OSError as error:
                return [
                    Finding(FAIL, f"SSL_CERT_FILE: {settings.ssl_cert_file} cannot be used ({error.strerror})", "correct SSL_CERT_FILE")
                ]
        return _read_and_write(place, verify, situation)


def _read_and_write(settings: dict[str, str], verify: str | None, situation: Situation) -> list[Finding]:
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        from respray.storage_refusals import remedy
    except ImportError:
        return [Finding(FAIL, "storage is not checked: boto3 is missing", "pip install 'boto3>=1.40,<2'")]
    place = f"{settings['endpoint']}/{settings['bucket']}"
    config = Config(
        connect_timeout=situation.timeout,
        read_timeout=situation.timeout,
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # As the worker does it (orchestrator/storage/s3.py): a bucket that only the one or the other reaches would be told wrongly.
        signature_version="s3v4",
        s3={"addressing_style": "path"},
    )
    key = f"respray-doctor/{uuid.uuid4().hex}"
    step = "connect to"
    try:
        client = boto3.client(
            "s3",
            endpoint_url=settings["endpoint"],
            aws_access_key_id=settings["access_key"],
            aws_secret_access_key=settings["secret_key"],
            region_name=settings["region"],
            verify=verify,
            config=config,
        )
        step = "list"
        client.list_objects_v2(Bucket=settings["bucket"], MaxKeys=1)
        step = "write to"
        client.put_object(Bucket=settings["bucket"], Key=key, Body=b"respray doctor")
        step = "read from"
        content = client.get_object(Bucket=settings["bucket"], Key=key)["Body"].read()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        known = remedy(error.response, "STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY", "STORAGE_REGION")
        fix = known or _fix(code, settings["bucket"])
        return [Finding(FAIL, f"cannot {step} {place}: {code}", fix)]
    except (BotoCoreError, ValueError) as error:
        return [
            Finding(FAIL, f"cannot {step} {place}: {error}", "start the storage, or correct STORAGE_S3_ENDPOINT (with http:// or https://)")
        ]
    if content != b"respray doctor":
        return [Finding(FAIL, f"{place} returned other bytes than were written", "look for a cache or proxy between here and the storage")]
    findings = [Finding(PASS, f"storage {place}: listed, written, read")]
    try:
        client.delete_object(Bucket=settings["bucket"], Key=key)
    except (BotoCoreError, ClientError) as error:
        # No failure: a worker deletes below these two prefixes only, and keys may be that narrow.
        fix = f"remove {key} by hand; where the keys have no s3:DeleteObject on callbacks-owed/* and leases/*, give it to them"
        findings.append(Finding(WARN, f"cannot delete from {place}, where {key} stays: {error}", fix))
    return findings


def _fix(code: str, bucket: str) -> str:
    if code in ("NoSuchBucket", "404"):
        return f"aws s3 mb s3://{bucket} --endpoint-url ..., or correct STORAGE_BUCKET"
    if code in ("AccessDenied", "403"):
        return f"give the keys s3:ListBucket on {bucket}, and s3:GetObject, s3:PutObject and s3:DeleteObject on {bucket}/*"
    return "see the storage's own log"
