"""The settings: each with its environment variables, its type, its range and its default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, AliasPath, BeforeValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from respray.observe.redaction import secrets_in

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
    celery_key_prefix: str = _spelled("CELERY_KEY_PREFIX", default="")
    celery_separator: str | None = _spelled("CELERY_SEPARATOR")
    celery_result_url: SecretStr | None = _spelled("CELERY_RESULT_URL")
    celery_result_key_prefix: str = _spelled("CELERY_RESULT_KEY_PREFIX", default="")
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
    pipeline_timeout: float = _spelled("PIPELINE_TIMEOUT_SEC", default=300.0, ge=1, le=3600)

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


def spellings(field: FieldInfo) -> list[str]:
    """The environment variables of a setting, in order of precedence."""
    alias = field.validation_alias
    choices: list[str | AliasPath] = alias.choices if isinstance(alias, AliasChoices) else [str(alias)]
    return [str(choice) for choice in choices]
