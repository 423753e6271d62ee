"""Which settings a process needs, by its intake and its store."""

from __future__ import annotations

from orchestrator.errors import SettingsError
from orchestrator.settings.fields import Settings, spellings
from respray.schemes import scheme_of


def require(settings: Settings, *, storage: bool, adapter: bool) -> None:
    """Check that what this process needs is there, naming all that is missing. Raises SettingsError."""
    if missing := missing_settings(settings, storage=storage, adapter=adapter):
        places = ["in the environment or in .env"]
        if storage and missing_settings(settings, storage=True, adapter=False):
            places.append("name a folder in place of a bucket: --store FOLDER")
        raise SettingsError(f"missing settings for ADAPTER={settings.adapter}: {', '.join(missing)}; set them {', or '.join(places)}")


def is_bucket(store: str | None) -> bool:
    """Whether a command's `--store` (None: it has none) is a bucket, whose address and keys must be set."""
    return store is None or scheme_of(store) == "s3"


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


def _absent(settings: Settings, *fields: str) -> list[str]:
    missing = [spellings(Settings.model_fields[name]) for name in fields if getattr(settings, name) is None]
    return [names[0] + (f" (or {', '.join(names[1:])})" if names[1:] else "") for names in missing]
