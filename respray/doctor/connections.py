"""Check 8: everything a worker talks to - queue broker, storage for reading and writing, Triton, and the callback host."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import uuid
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from respray.doctor import probe
from respray.doctor.finding import FAIL, PASS, WARN, Finding, Status
from respray.doctor.situation import Situation
from respray.installation import install_command

NAME = "connections"
TITLE = "Connections (queue, storage, Triton, callbacks)"

_LOGIN = re.compile(r"(^|://|\s)[^/?#\s]+@")


def run(situation: Situation) -> list[Finding]:
    """One finding or more per partner; what is not set up is a warning on a machine without an intake and a failure on a worker."""
    found = [*_settings(situation), *_queue(situation), *_storage(situation), *_triton(situation), *_callback(situation)]
    return [replace(finding, what=_without_login(finding.what), fix=_without_login(finding.fix)) for finding in found]


def _without_login(text: str) -> str:
    """Without user and password in addresses, whoever wrote them there: libraries repeat an address in their errors."""
    return _LOGIN.sub(r"\1", text)


def _unset(situation: Situation, what: str, fix: str) -> Finding:
    """Not set: fine for a development machine, not for a worker that an intake was set up for."""
    severity: Status = WARN if situation.adapter in ("", "local") else FAIL
    return Finding(severity, what, fix)


def _settings(situation: Situation) -> list[Finding]:
    """What a worker refuses at its start, by its own code; what is only missing is told with the partner that it belongs to."""
    try:
        from orchestrator.errors import SettingsError
        from orchestrator.intake import open_intake
        from orchestrator.service.assembly import callback_client, link_client
        from orchestrator.settings import load_settings, missing_settings
        from respray.observe.metrics import Metrics
    except (ImportError, SyntaxError):  # a Python that is too old, which has a check of its own
        return []  # said with the storage
    try:
        settings, metrics = load_settings(situation.environment, env_file=None, adapter=None if situation.adapter else "local"), Metrics()
        if missing := missing_settings(settings, storage=False, adapter=False):
            return [Finding(FAIL, f"MODEL_SYNC_ENABLED without {', '.join(missing)}", f"set {', '.join(missing)}")]
        callback_client(settings, metrics)
        link_client(settings, metrics)
        if settings.adapter != "runpod" and not missing_settings(settings, storage=False, adapter=True):
            open_intake(settings)
    except SettingsError as error:
        return [Finding(FAIL, str(error), "correct it in the environment or in .env; what each accepts is in docs/reference/settings.md")]
    return []


def _queue(situation: Situation) -> list[Finding]:
    environment, adapter = situation.environment, situation.adapter
    if adapter == "queue_pull":
        missing = [name for name in ("CF_ACCOUNT_ID", "CF_QUEUE_ID", "CF_API_TOKEN") if not environment.get(name)]
        if missing:
            return [Finding(FAIL, f"ADAPTER=queue_pull without {', '.join(missing)}", f"set {', '.join(missing)}")]
        address = environment.get("CF_API_URL") or "https://api.cloudflare.com"
        return [_reach("Cloudflare Queues", address, situation, "allow outgoing https", environment.get("SSL_CERT_FILE"))]
    if not environment.get("REDIS_URL"):
        if adapter in ("bullmq", "celery"):
            return [Finding(FAIL, f"ADAPTER={adapter} without REDIS_URL", "REDIS_URL=redis://:PASSWORD@HOST:6379 (rediss:// for TLS)")]
        return [Finding(PASS, f"no broker needed (ADAPTER={adapter or 'not set'})")]
    try:
        place = _place(environment["REDIS_URL"])
    except ValueError:
        return []  # said by the check of the settings
    return [_redis(situation, place)]


def _redis(situation: Situation, place: str) -> Finding:
    try:
        import redis
    except ImportError:
        return Finding(FAIL, "REDIS_URL is set and the redis package is missing", install_command("intake"))
    url = situation.environment["REDIS_URL"]
    try:
        client: Any = redis.Redis.from_url(url, socket_timeout=situation.timeout, socket_connect_timeout=situation.timeout)
        version = client.info("server")["redis_version"]
        policy = _eviction(client)
    except redis.AuthenticationError as error:
        return Finding(FAIL, f"Redis at {place} refuses the password: {error}", "correct the user and password in REDIS_URL")
    except (redis.RedisError, ValueError, OSError) as error:
        fix = "start Redis, open its port to this machine, or correct REDIS_URL (redis://, or rediss:// for TLS)"
        return Finding(FAIL, f"Redis at {place} does not answer: {error}", fix)
    if policy and policy != "noeviction":
        return Finding(WARN, f"Redis {version} at {place} may evict queued jobs (maxmemory-policy {policy})",
                       "redis-cli config set maxmemory-policy noeviction")  # fmt: skip
    return Finding(PASS, f"Redis {version} at {place}")


def _eviction(client: Any) -> str:
    """What Redis does when its memory is full; "" where it is not known: managed Redis often forbids CONFIG."""
    try:
        return str(client.config_get("maxmemory-policy").get("maxmemory-policy", ""))
    except Exception:
        return ""


def _storage(situation: Situation) -> list[Finding]:
    """The settings proper decide which spelling means what; they need their packages."""
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
        return [_unset(situation, f"storage is not set up: {missing} missing", f"set {missing}")]
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
        fix = known or _storage_fix(code, settings["bucket"])
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


def _storage_fix(code: str, bucket: str) -> str:
    if code in ("NoSuchBucket", "404"):
        return f"aws s3 mb s3://{bucket} --endpoint-url ..., or correct STORAGE_BUCKET"
    if code in ("AccessDenied", "403"):
        return f"give the keys s3:ListBucket on {bucket}, and s3:GetObject, s3:PutObject and s3:DeleteObject on {bucket}/*"
    return "see the storage's own log"


def _triton(situation: Situation) -> list[Finding]:
    address = triton_address(situation)
    if not address:
        return [Finding(PASS, "Triton: the embedded server, started with the worker")]
    try:
        import tritonclient.grpc as triton

        from respray.triton.client import CHANNEL_OPTIONS
    except ImportError:
        return [Finding(FAIL, "TRITON_URL is set and tritonclient is missing", "pip install 'tritonclient[grpc]>=2.60,<3'")]
    address = address.split("://", 1)[-1]
    try:
        client = triton.InferenceServerClient(address, channel_args=list(CHANNEL_OPTIONS.items()))
        try:
            ready = client.is_server_ready(client_timeout=situation.timeout)
            pipeline = ready and client.is_model_ready("pipeline_bls", client_timeout=situation.timeout)
        finally:
            client.close()
    except Exception as error:  # grpc's own error types, or a malformed address
        return [Finding(FAIL, f"Triton at {address} does not answer: {error}", "start it, or correct TRITON_URL=host:8001 (the gRPC port)")]
    if not ready:
        return [Finding(FAIL, f"Triton at {address} is not ready", "read its log: a model could not be loaded")]
    if not pipeline:
        return [
            Finding(
                FAIL,
                f"Triton at {address} does not serve pipeline_bls",
                "start it on the repository that `respray serve` or the Dockerfile builds",
            )
        ]
    return [Finding(PASS, f"Triton at {address} is ready and serves pipeline_bls"), probe.of_server(address)]


def triton_address(situation: Situation) -> str:
    """The Triton to look at: TRITON_URL, or the one that this container runs (`docker exec ... respray doctor`); empty without either."""
    if given := situation.environment.get("TRITON_URL"):
        return given
    try:
        from respray.triton.embedded.processes import listens_here
    except ImportError:
        return ""
    port = situation.environment.get("TRITON_GRPC_PORT") or "8001"
    return f"127.0.0.1:{port}" if port.isdecimal() and listens_here(int(port), "tritonserver") else ""


def _callback(situation: Situation) -> list[Finding]:
    environment = situation.environment
    address = environment.get("WORKERS_API_URL") or environment.get("API_BASE_URL") or ""
    findings = []
    if not address:
        findings.append(_unset(situation, "no callback host (WORKERS_API_URL): rule jobs cannot report", "WORKERS_API_URL=https://HOST"))
    else:
        company = environment.get("CALLBACK_CA_FILE") or environment.get("SSL_CERT_FILE")
        findings.append(_reach("callback host", address, situation, "start the API, or correct WORKERS_API_URL", company))
    if not environment.get("GPU_CALLBACK_SECRET"):
        findings.append(
            _unset(situation, "GPU_CALLBACK_SECRET is not set: callbacks cannot be signed", "set it to the receiver's own value")
        )
    return findings


def _reach(what: str, url: str, situation: Situation, fix: str, company: str | None = None) -> Finding:
    """Open a connection (with TLS for https) and close it: a request would need to know the partner's paths.

    `company` is the file of a company's own authorities, which are trusted beside the public ones.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return Finding(FAIL, f"{what}: {url!r} is not a URL", "https://HOST or https://HOST:PORT")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname, port), timeout=situation.timeout) as connection:
            if parts.scheme == "https":
                with _context(company).wrap_socket(connection, server_hostname=parts.hostname):
                    pass
    except ssl.SSLError as error:
        return Finding(
            FAIL, f"{what} {parts.hostname}:{port}: TLS failed: {error}", "renew its certificate, or install ca-certificates here"
        )
    except OSError as error:
        return Finding(FAIL, f"{what} {parts.hostname}:{port} does not answer: {error}", fix)
    return Finding(PASS, f"{what} {parts.hostname}:{port} answers")


def _context(company: str | None) -> ssl.SSLContext:
    """As the worker trusts servers; a file that cannot be used is said by the check of the settings."""
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())  # SSL_CERT_FILE of this process stands in place of them
    if company:
        with contextlib.suppress(OSError):
            context.load_verify_locations(company)
    return context


def _place(url: str) -> str:
    """Host and port of a URL, without its user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}"
