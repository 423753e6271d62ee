"""Check 8: everything a worker talks to - queue broker, storage for reading and writing, Triton, and the callback host."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from respray.doctor import probe, storage
from respray.doctor.finding import FAIL, PASS, WARN, Finding
from respray.doctor.situation import Situation, unset
from respray.installation import install_command
from respray.schemes import with_lower_scheme

NAME = "connections"
TITLE = "Connections (queue, storage, Triton, callbacks)"

_LOGIN = re.compile(r"(^|://|\s)[^/?#\s]+@")


def run(situation: Situation) -> list[Finding]:
    """One finding or more per partner; what is not set up is a warning on a machine without an intake and a failure on a worker."""
    found = [*_settings(situation), *_queue(situation), *storage.examine(situation), *_triton(situation), *_callback(situation)]
    return [replace(finding, what=_without_login(finding.what), fix=_without_login(finding.fix)) for finding in found]


def _without_login(text: str) -> str:
    """Without user and password in addresses, whoever wrote them there: libraries repeat an address in their errors."""
    return _LOGIN.sub(r"\1", text)


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
    url = with_lower_scheme(situation.environment["REDIS_URL"])
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
        findings.append(unset(situation, "no callback host (WORKERS_API_URL): rule jobs cannot report", "WORKERS_API_URL=https://HOST"))
    else:
        company = environment.get("CALLBACK_CA_FILE") or environment.get("SSL_CERT_FILE")
        findings.append(_reach("callback host", address, situation, "start the API, or correct WORKERS_API_URL", company))
    if not environment.get("GPU_CALLBACK_SECRET"):
        findings.append(
            unset(situation, "GPU_CALLBACK_SECRET is not set: callbacks cannot be signed", "set it to the receiver's own value")
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
