"""Everything the worker takes from its surroundings: environment variables and a `.env` file (docs/reference/contract.md, "Settings").

Only this module reads the environment. One setting may have several spellings (deployments exist that use each); two
spellings that are set and differ are an error that names both, and so is a missing setting, at start and never in the middle of a job.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, AliasChoices, AliasPath, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from orchestrator.bucket_settings import address_problem, bucket_problem, keys_problem
from orchestrator.env_file import QUOTED, is_quoted, read_env_file
from orchestrator.errors import SettingsError
from respray.observe.redaction import secrets_in
from respray.volumes import models_root

Adapter = Literal["runpod", "queue_pull", "bullmq", "celery", "http", "local"]
DeviceChoice = Literal["auto", "cuda", "tensorrt-rtx", "cpu"]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda v: v.upper() if isinstance(v, str) else v)]
Url = Annotated[str, AfterValidator(lambda v: v.rstrip("/"))]


def _spelled(*names: str, default: Any = None, **constraints: Any) -> Any:
    return Field(default=default, validation_alias=AliasChoices(*names), **constraints)


class Settings(BaseSettings):
    """The environment, checked. Secrets are SecretStr, so that a printed settings object shows none."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    s3_endpoint: Url | None = _spelled("STORAGE_S3_ENDPOINT")
    r2_account_id: str | None = _spelled("R2_ACCOUNT_ID")
    minio_endpoint: str | None = _spelled("MINIO_ENDPOINT")
    minio_secure: bool = _spelled("MINIO_SECURE", default=True)
    access_key: SecretStr | None = _spelled("STORAGE_ACCESS_KEY", "R2_ACCESS_KEY_ID", "MINIO_ACCESS_KEY")
    secret_key: SecretStr | None = _spelled("STORAGE_SECRET_KEY", "R2_SECRET_ACCESS_KEY", "MINIO_SECRET_KEY")
    bucket: str = _spelled("STORAGE_BUCKET", "R2_BUCKET_NAME", "MINIO_BUCKET", default="s3-images")
    region: str = _spelled("STORAGE_REGION", default="auto")
    storage_min_rate: float = _spelled("STORAGE_MIN_KIB_PER_SEC", default=64.0, gt=0, le=1048576)

    workers_api_url: Url | None = _spelled("WORKERS_API_URL", "API_BASE_URL")
    callback_secret: SecretStr | None = _spelled("GPU_CALLBACK_SECRET")
    callback_timeout: float = _spelled("CALLBACK_TIMEOUT_SEC", default=30.0, gt=0, le=600)
    callback_allow_hosts: str = _spelled("CALLBACK_ALLOW_HOSTS", default="")
    callback_ca_file: Path | None = _spelled("CALLBACK_CA_FILE")
    input_allow_hosts: str = _spelled("INPUT_ALLOW_HOSTS", default="")
    input_timeout: float = _spelled("INPUT_TIMEOUT_SEC", default=30.0, gt=0, le=600)
    ssl_cert_file: Path | None = _spelled("SSL_CERT_FILE")

    adapter: Adapter = _spelled("ADAPTER", default="runpod")
    redis_url: SecretStr | None = _spelled("REDIS_URL")
    queue_name: str | None = _spelled("QUEUE_NAME")
    bullmq_prefix: str = _spelled("BULLMQ_PREFIX", "QUEUE_PREFIX", default="bull")
    cf_account_id: str | None = _spelled("CF_ACCOUNT_ID")
    cf_queue_id: str | None = _spelled("CF_QUEUE_ID")
    cf_api_token: SecretStr | None = _spelled("CF_API_TOKEN")
    cf_api_url: Url = _spelled("CF_API_URL", default="https://api.cloudflare.com/client/v4")
    local_path: str = _spelled("LOCAL_PATH", default="-")

    api_listen: str | None = _spelled("API_LISTEN")
    api_keys: SecretStr | None = _spelled("API_KEYS")
    api_keys_file: Path | None = _spelled("API_KEYS_FILE")
    api_requests: int = _spelled("API_REQUESTS_PER_KEY", default=64, ge=1, le=10_000)
    api_idle: float = _spelled("API_IDLE_SEC", default=15.0, gt=0, le=600)
    api_timeout: float = _spelled("API_TIMEOUT_SEC", default=300.0, gt=0, le=3600)
    port: int | None = _spelled("PORT", ge=1, le=65535)
    port_health: int | None = _spelled("PORT_HEALTH", ge=1, le=65535)

    model_name: str | None = _spelled("MODEL_NAME")
    model_path: Path = _spelled("MODEL_PATH", "MODEL_CACHE_DIR", default=Path("/models"))
    hf_token: SecretStr | None = _spelled("HF_TOKEN")
    model_hub_repository: str | None = _spelled("MODEL_HUB_REPOSITORY")
    gpu_device: str | None = _spelled("GPU_DEVICE")
    device: DeviceChoice = _spelled("RESPRAY_DEVICE", default="auto")
    model_sync_enabled: bool = _spelled("MODEL_SYNC_ENABLED", default=False)
    model_sync_endpoint: str | None = _spelled("MODEL_SYNC_MINIO_ENDPOINT")
    model_sync_secure: bool = _spelled("MODEL_SYNC_MINIO_SECURE", default=True)
    model_sync_bucket: str | None = _spelled("MODEL_SYNC_MINIO_BUCKET")
    model_sync_access_key: SecretStr | None = _spelled("MODEL_SYNC_MINIO_ACCESS_KEY")
    model_sync_secret_key: SecretStr | None = _spelled("MODEL_SYNC_MINIO_SECRET_KEY")
    require_real_model_setting: bool | None = _spelled("REQUIRE_REAL_MODEL")

    batch_concurrency: int = _spelled("BATCH_CONCURRENCY", default=4, ge=1, le=64)
    memory_budget: int | None = _spelled("MEMORY_BUDGET_MIB", ge=64, le=1 << 20)
    log_level: Level = _spelled("LOG_LEVEL", default="INFO")
    triton_url: str | None = _spelled("TRITON_URL")
    pipeline_timeout: float = _spelled("PIPELINE_TIMEOUT_SEC", default=300.0, gt=0, le=3600)

    segments_days: float = _spelled("SEGMENTS_DAYS", default=30.0, ge=0, le=3650)

    job_concurrency: int = _spelled("JOB_CONCURRENCY", default=2, ge=1, le=64)
    job_attempts: int = _spelled("JOB_ATTEMPTS", default=5, ge=1, le=100)
    lock_seconds: float = _spelled("JOB_LOCK_SEC", default=30.0, ge=1, le=3600)
    longest_job: float = _spelled("LONGEST_JOB_SEC", default=1800.0, ge=5, le=43200)
    grace_period: float = _spelled("GRACE_PERIOD_SEC", default=25.0, ge=0, le=3600)
    health_port: int = _spelled("HEALTH_PORT", default=8090, ge=0, le=65535)
    health_host: str = _spelled("HEALTH_HOST", default="127.0.0.1")
    owed_interval: float = _spelled("CALLBACK_SWEEP_SEC", default=60.0, gt=0, le=86400)

    @property
    def require_real_model(self) -> bool:
        """Whether the demo model is refused: by default everywhere but in local work, which an HTTP intake without keys is."""
        local = self.adapter == "local" or (self.adapter == "http" and self.api_keys is None and self.api_keys_file is None)
        return not local if self.require_real_model_setting is None else self.require_real_model_setting

    @property
    def endpoint(self) -> str | None:
        """The S3 endpoint, from whichever of the three spellings is set; None is boto3's own default (AWS)."""
        return next(iter(self.endpoints().values()), None)

    @property
    def names_no_storage(self) -> bool:
        """Whether no storage is spoken of at all."""
        return not ({"s3_endpoint", "r2_account_id", "minio_endpoint", "access_key", "secret_key", "bucket"} & self.model_fields_set)

    def endpoints(self) -> dict[str, str]:
        """Every spelling of the endpoint that is set, with the address it means."""
        found: dict[str, str] = {}
        if self.s3_endpoint:
            found["STORAGE_S3_ENDPOINT"] = self.s3_endpoint
        if self.r2_account_id:
            found["R2_ACCOUNT_ID"] = f"https://{self.r2_account_id}.r2.cloudflarestorage.com"
        if self.minio_endpoint:
            host = self.minio_endpoint.rstrip("/")
            found["MINIO_ENDPOINT"] = host if "://" in host else f"{'https' if self.minio_secure else 'http'}://{host}"
        return found

    def secrets(self) -> list[str]:
        """Every secret value, for the redactor. A queue's URL is one, and so is what stands for a password inside any address."""
        values = [v.get_secret_value() for name in type(self).model_fields if isinstance(v := getattr(self, name), SecretStr)]
        values += [value.removeprefix("whsec_") for value in values]  # the key itself, as a library may show it
        addresses = [*self.endpoints().values(), self.workers_api_url, self.cf_api_url, self.model_sync_endpoint]
        addresses += [self.redis_url.get_secret_value()] if self.redis_url is not None else []
        values += [secret for address in addresses if address for secret in secrets_in(address)]
        return [value for value in values if value]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values come through `load_settings` only, which compares the spellings; pydantic would take the first and stay silent."""
        return (init_settings,)


def load_settings(environment: Mapping[str, str] | None = None, env_file: Path | None = Path(".env"), **overrides: Any) -> Settings:
    """Read the environment (and `.env`, which it overrides) into Settings; `overrides` are by field name, from the command line.

    Raises SettingsError naming every setting that contradicts itself or has a value that cannot be used.
    """
    values: dict[str, str] = {}
    if env_file is not None and env_file.is_file():
        values.update(read_env_file(env_file))
    values.update(os.environ if environment is None else environment)
    chosen, problems = _choose(values)
    chosen["model_path"] = str(models_root(values | ({"MODEL_PATH": chosen["model_path"]} if "model_path" in chosen else {})))
    try:
        settings = Settings(**{**chosen, **{k: v for k, v in overrides.items() if v is not None}})
    except ValidationError as error:
        problems += [_sentence(detail) for detail in error.errors(include_url=False)]
        raise SettingsError("; ".join(problems)) from None
    addresses = settings.endpoints()
    if len({a.rstrip("/") for a in addresses.values()}) > 1:
        problems.append(
            " and ".join(f"{name} ({address})" for name, address in addresses.items()) + " name different storage; set one of them"
        )
    problems += [*_bucket_problems(settings), *_queue_problems(settings)]
    if problems:
        raise SettingsError("; ".join(problems))
    return settings


MAX_PULLED_JOB = 12 * 3600 - 60.0
"""Seconds: a lease of Cloudflare's queues ends after 12 hours (https://developers.cloudflare.com/queues/platform/limits/), and cannot be
extended; the last minute is for settling it."""


def _queue_problems(settings: Settings) -> list[str]:
    """What the libraries of the queues would stumble over. The address is never shown: it may hold a password anywhere."""
    problems = []
    if settings.redis_url is not None and (wrong := _redis_problem(settings.redis_url.get_secret_value())):
        problems.append(f"REDIS_URL {wrong}; accepted is redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss:// for TLS, or unix://PATH")
    if settings.adapter == "queue_pull" and settings.longest_job > MAX_PULLED_JOB:
        problems.append(f"LONGEST_JOB_SEC={settings.longest_job:g}: at most {MAX_PULLED_JOB:g} with ADAPTER=queue_pull, whose leases end")
    if settings.adapter == "bullmq" and settings.queue_name and ":" in settings.queue_name:
        problems.append(f"QUEUE_NAME={settings.queue_name!r}: BullMQ's queue names hold no ':'; what stands before it is BULLMQ_PREFIX")
    return problems


def _bucket_problems(settings: Settings) -> list[str]:
    """What is wrong with the addresses, names and keys of both buckets, by their looks."""
    found = [address_problem(name, address, settings.bucket) for name, address in settings.endpoints().items()]
    found.append(bucket_problem(settings.bucket))
    if (sync := settings.model_sync_endpoint) is not None:
        address = sync if "://" in sync else f"https://{sync}"
        found.append(address_problem("MODEL_SYNC_MINIO_ENDPOINT", address, settings.model_sync_bucket or ""))
    pairs = (("access_key", "secret_key"), ("model_sync_access_key", "model_sync_secret_key"))
    for access, secret in pairs:
        first, second = (value.get_secret_value() if (value := getattr(settings, name)) else "" for name in (access, secret))
        names = (spellings(Settings.model_fields[access])[0], spellings(Settings.model_fields[secret])[0])
        found.append(keys_problem(first, second, names))
    return [problem for problem in found if problem is not None]


def _redis_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "has a host or a port that is none"
    if parts.scheme not in ("redis", "rediss", "unix"):
        return "does not begin with redis://, rediss:// or unix://"
    if not (parts.path if parts.scheme == "unix" else host):
        return "names no host" if parts.scheme != "unix" else "names no path"
    for certificates in parse_qs(parts.query).get("ssl_ca_certs", []):
        if not Path(certificates).is_file():
            return f"names ssl_ca_certs={certificates}, which is no file"
    return None


def require(settings: Settings, *, storage: bool, adapter: bool) -> None:
    """Check that what this process needs is there, naming all that is missing. Raises SettingsError."""
    if missing := missing_settings(settings, storage=storage, adapter=adapter):
        raise SettingsError(
            f"missing settings for ADAPTER={settings.adapter}: {', '.join(missing)}; set them in the environment or in .env"
        )


def missing_settings(settings: Settings, *, storage: bool, adapter: bool) -> list[str]:
    """The settings that are needed and not set, each with all its spellings.

    Args:
        settings: What is set.
        storage: Whether a bucket is needed.
        adapter: Whether jobs come from the intake that ADAPTER names.
    """
    missing: list[str] = []
    # Without a bucket, Runpod's intake works on photos inside messages and answers with the results.
    alone = adapter and settings.adapter == "runpod" and settings.names_no_storage
    if storage and not alone:
        missing += [] if settings.endpoint else ["STORAGE_S3_ENDPOINT (or R2_ACCOUNT_ID, or MINIO_ENDPOINT)"]
        missing += _absent(settings, "access_key", "secret_key")
    if adapter:
        needs = {
            "bullmq": ("redis_url", "queue_name"),
            "celery": ("redis_url", "queue_name"),
            "queue_pull": ("cf_account_id", "cf_queue_id", "cf_api_token"),
        }
        missing += _absent(settings, *needs.get(settings.adapter, ()))
        # A caller over HTTP may ask for the result, and need no callback.
        if settings.adapter not in ("local", "http") and not alone:
            missing += _absent(settings, "callback_secret")
    if settings.model_sync_enabled:
        missing += _absent(settings, "model_sync_endpoint", "model_sync_bucket", "model_sync_access_key", "model_sync_secret_key")
    return missing


def spellings(field: FieldInfo) -> list[str]:
    """The environment variables of a setting, in order of precedence."""
    alias = field.validation_alias
    choices: list[str | AliasPath] = alias.choices if isinstance(alias, AliasChoices) else [str(alias)]
    return [str(choice) for choice in choices]


def _choose(values: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The value of each field, and a sentence for every setting whose spellings disagree. Empty values count as not set."""
    chosen: dict[str, str] = {}
    problems: list[str] = []
    for name, field in Settings.model_fields.items():
        given = {s: values[s].strip() for s in spellings(field) if values.get(s, "").strip()}
        problems += [f"{spelling}: {QUOTED}" for spelling, value in given.items() if is_quoted(value)]
        if len(set(given.values())) > 1:
            problems.append(f"{' and '.join(given)} are the same setting and have different values; set one of them, or both alike")
        if given:
            chosen[name] = next(iter(given.values()))
    return chosen, problems


def _absent(settings: Settings, *fields: str) -> list[str]:
    missing = [spellings(Settings.model_fields[name]) for name in fields if getattr(settings, name) is None]
    return [names[0] + (f" (or {', '.join(names[1:])})" if names[1:] else "") for names in missing]


def _sentence(detail: Any) -> str:
    """A problem with one value, never showing the value of a secret."""
    field = Settings.model_fields.get(str(detail["loc"][0]))
    if field is None:
        field = next((f for f in Settings.model_fields.values() if detail["loc"][0] in spellings(f)), None)
    name = spellings(field)[0] if field else str(detail["loc"][0])
    secret = field is not None and "SecretStr" in str(field.annotation)
    given = "" if secret else f" (given: {str(detail.get('input'))[:80]!r})"
    return f"{name}: {detail['msg'][0].lower()}{detail['msg'][1:]}{given}"
