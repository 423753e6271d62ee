"""What is wrong with addresses, names and keys, as far as their looks tell: consoles show them in more forms than one.

Cloudflare's dashboard, for one, shows R2's "S3 API" address with the bucket behind it (https://developers.cloudflare.com/r2/api/s3/api/).
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

from orchestrator.errors import SettingsError
from orchestrator.settings.fields import Settings, spellings
from respray.schemes import with_lower_scheme

MAX_PULLED_JOB = 12 * 3600 - 60.0
"""Seconds: a lease of Cloudflare's queues ends after 12 hours (https://developers.cloudflare.com/queues/platform/limits/), and cannot be
extended; the last minute is for settling it."""
# Hosts whose addresses have no path; of other stores (Supabase, for one) a path belongs to the endpoint.
_WITHOUT_PATH = (".r2.cloudflarestorage.com", ".amazonaws.com")
_OF_GRPC = ("dns:", "unix:", "ipv4:", "ipv6:")  # https://github.com/grpc/grpc/blob/master/doc/naming.md
# R2's keys: 32 and 64 hexadecimal digits. AWS's identifiers begin so: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html.
_R2_ID, _R2_SECRET, _AWS_ID = r"[0-9a-f]{32}", r"[0-9a-f]{64}", r"(AKIA|ASIA)[A-Z0-9]{16}"
_IN_HEADERS = ("callback_secret", "cf_api_token", "hf_token", "access_key", "model_sync_access_key")
_OF_TLS = {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
"""What both libraries of queues take behind the `?` of rediss://."""
_OF_REDIS_PY = {"client_name", "db", "health_check_interval", "max_connections", "password", "protocol", "retry_on_timeout"}
_OF_REDIS_PY |= {"socket_connect_timeout", "socket_keepalive", "socket_timeout", "username"}
"""What redis-py takes besides, and Kombu does not."""


def bucket_problems(settings: Settings) -> list[str]:
    """What is wrong with the addresses, names and keys of both buckets, by their looks."""
    found = [_address_problem(name, address, settings.bucket) for name, address in settings.endpoints().items()]
    found.append(_bucket_name_problem(settings.bucket))
    if (sync := settings.model_sync_endpoint) is not None:
        address = sync if "://" in sync else f"https://{sync}"
        found.append(_address_problem("MODEL_SYNC_MINIO_ENDPOINT", address, settings.model_sync_bucket or ""))
    pairs = (("access_key", "secret_key"), ("model_sync_access_key", "model_sync_secret_key"))
    for access, secret in pairs:
        first, second = (value.get_secret_value() if (value := getattr(settings, name)) else "" for name in (access, secret))
        names = (spellings(Settings.model_fields[access])[0], spellings(Settings.model_fields[secret])[0])
        found.append(_keys_problem(first, second, names))
    return [problem for problem in found if problem is not None]


def queue_problems(settings: Settings) -> list[str]:
    """What the libraries of the queues would stumble over. The address is never shown: it may hold a password anywhere."""
    problems = []
    queue = ("REDIS_URL", settings.redis_url, settings.adapter)
    for name, secret, adapter in (queue, ("CELERY_RESULT_URL", settings.celery_result_url, "celery")):
        url = "" if secret is None else secret.get_secret_value()
        if url and (wrong := _redis_problem(url, adapter)):
            problems.append(f"{name} {wrong}; accepted is redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss:// for TLS, or unix://PATH")
        elif adapter == "celery" and url.startswith("unix:"):
            problems.append(f"{name} begins with unix://, which Celery does not take; accepted is redis:// or rediss://, also of 127.0.0.1")
    if settings.adapter == "queue_pull" and settings.longest_job > MAX_PULLED_JOB:
        problems.append(f"LONGEST_JOB_SEC={settings.longest_job:g}: at most {MAX_PULLED_JOB:g} with ADAPTER=queue_pull, whose leases end")
    if settings.adapter == "bullmq" and settings.queue_name and ":" in settings.queue_name:
        problems.append(f"QUEUE_NAME={settings.queue_name!r}: BullMQ's queue names hold no ':'; what stands before it is BULLMQ_PREFIX")
    if settings.adapter == "celery" and settings.celery_separator and settings.celery_separator in (settings.queue_name or ""):
        given = f"QUEUE_NAME={settings.queue_name!r} holds CELERY_SEPARATOR={settings.celery_separator!r}"
        problems.append(f"{given}, behind which Celery looks for a priority")
    return problems


def sending_problems(settings: Settings) -> list[str]:
    """What would go wrong in each request: secrets that no header carries, addresses that nothing can be put behind. None is shown."""
    problems = []
    for name in _IN_HEADERS:
        secret = getattr(settings, name)
        if secret is not None and not re.fullmatch(r"[ -~]+", secret.get_secret_value()):
            given = f"{spellings(Settings.model_fields[name])[0]} holds a line break or a character that no HTTP header carries"
            problems.append(f"{given}; accepted are printable ASCII characters")
    for name in ("workers_api_url", "cf_api_url"):
        address = getattr(settings, name)
        if address is not None and (wrong := _base_problem(address)):
            problems.append(f"{spellings(Settings.model_fields[name])[0]} {wrong}; accepted is https://HOST or https://HOST/PATH")
    return problems


def triton_address(given: str) -> str:
    """The address of a Triton as gRPC takes it: without grpc://, which people write before it.

    Raises:
        SettingsError: gRPC would take a scheme for a name, and a missing port for 443, and wait for them.
    """
    address = with_lower_scheme(given).removeprefix("grpc://")
    accepted = "accepted is HOST:PORT of Triton's gRPC port, as in triton:8001"
    if address.startswith(_OF_GRPC):
        return address
    if "://" in address:
        raise SettingsError(f"TRITON_URL begins with {address.partition('://')[0][:20]}://; {accepted}")
    if "@" in address or not re.search(r":[0-9]+$", address):
        raise SettingsError(f"TRITON_URL has {'a user name or password' if '@' in address else 'no port'}; {accepted}")
    return address


def _address_problem(name: str, address: str, bucket: str) -> str | None:
    """A sentence on what is wrong with an endpoint, or None. It does not show the address, which may hold a password.

    Args:
        name: the setting.
        address: its value, or the address that it means.
        bucket: the bucket's name.
    """
    if name == "R2_ACCOUNT_ID" and not re.fullmatch(r"https://[\w.-]+", address):
        return f"{name} is the account's id alone, 32 hexadecimal digits; a whole address is STORAGE_S3_ENDPOINT"
    parts = _server(address)
    if parts is None:
        return f"{name} is no address of a store; accepted is https://HOST or http://HOST:PORT"
    host, path = parts.hostname or "", parts.path.strip("/")
    if path and (path.split("/")[-1] == bucket or host.endswith(_WITHOUT_PATH)):
        return f"{name} has a bucket behind the host, which belongs into the setting of the bucket; accepted is https://{host}"
    if bucket and host.startswith(f"{bucket}.") and host.endswith(_WITHOUT_PATH):
        return f"{name} has the bucket in front of the host; accepted is https://{host.removeprefix(f'{bucket}.')}"
    return None


def _server(address: str) -> SplitResult | None:
    """The parts of an http or https address, or None where nobody could be called there."""
    try:
        parts = urlsplit(address)
        return parts if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _base_problem(address: str) -> str | None:
    """Why paths cannot be put behind an address, or None."""
    parts = _server(address)
    if parts is None:
        return "is no address of a server"
    if parts.username is not None:
        return "has a user name or password, which are not sent"
    return "has a '?' or '#', and paths are put behind the whole of it" if re.search(r"[?#]", address) else None


def _bucket_name_problem(bucket: str) -> str | None:
    """A sentence where the name of a bucket is more than that, or None."""
    if "/" in bucket and not bucket.startswith("arn:"):
        return f"STORAGE_BUCKET={bucket!r}: accepted is the bucket's name alone, without s3:// and folders"
    return None


def _keys_problem(access: str, secret: str, names: tuple[str, str]) -> str | None:
    """A sentence where the two keys of R2 or AWS are in each other's place, or None. Neither is shown."""
    swapped = (re.fullmatch(_R2_SECRET, access) and re.fullmatch(_R2_ID, secret)) or re.fullmatch(_AWS_ID, secret)
    return f"{' and '.join(names)} are in each other's place: the shorter one is the access key" if swapped else None


def _redis_problem(url: str, adapter: str) -> str | None:
    try:
        parts = urlsplit(url)
        if "@" in parts.path + parts.query + parts.fragment and parts.scheme != "unix":
            # What looks like the host is a part of the password, and errors would show it.
            return "has an '@' behind its host: a password that holds '/', '?' or '#' is percent-encoded (%2F, %3F, %23)"
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "has a host or a port that is none"
    if parts.scheme not in ("redis", "rediss", "unix"):
        return "does not begin with redis://, rediss:// or unix://"
    if not (parts.path if parts.scheme == "unix" else host):
        return "names no host" if parts.scheme != "unix" else "names no path"
    if parts.scheme != "unix" and not re.fullmatch(r"(/[0-9]*)?", parts.path):
        return "has a database that is no number"  # redis-py would take 0, and the worker wait there for ever
    accepted = (_OF_TLS if parts.scheme == "rediss" else set()) | (set() if adapter == "celery" else _OF_REDIS_PY)
    for option in parse_qs(parts.query, keep_blank_values=True):
        if option not in accepted:  # the libraries end in a TypeError, Celery's behind "ready"
            given = f"has the option {option[:40]!r}, which {adapter} does not take with {parts.scheme}://"
            return f"{given} (it takes {', '.join(sorted(accepted)) or 'none'})"
    for certificates in parse_qs(parts.query).get("ssl_ca_certs", []):
        if not Path(certificates).is_file():
            return f"names ssl_ca_certs={certificates}, which is no file"
    return None
