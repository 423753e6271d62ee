"""Stores for photos and results: S3, R2 and MinIO (`s3.py`), or a folder (`folder.py`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.errors import SettingsError
from orchestrator.settings import Settings
from orchestrator.storage.base import Expect, Stat, Storage
from orchestrator.storage.bucket_client import S3Options
from orchestrator.storage.folder import FolderStorage
from orchestrator.storage.s3 import S3Storage

__all__ = ["Expect", "Stat", "Storage", "open_storage"]


def open_storage(settings: Settings, store: str | None = None, on_retry: Callable[[], None] = lambda: None) -> Storage:
    """Open a store; nothing is asked of it yet.

    Args:
        settings: Where the bucket is, and its keys.
        store: A folder, or `s3://BUCKET` in place of the settings' bucket; None: the settings' bucket.
        on_retry: Called before a request is repeated.

    Raises:
        SettingsError: For what names no store.
    """
    bucket = settings.bucket
    if store is not None and "://" not in store:
        return FolderStorage(Path(store))
    if store is not None:
        parts = urlsplit(store)
        if parts.scheme != "s3" or not parts.netloc or parts.path.strip("/"):
            raise SettingsError(f"{store!r} is no store; accepted is a folder, or s3://BUCKET")
        bucket = parts.netloc
    access, secret = settings.access_key, settings.secret_key
    return S3Storage(
        S3Options(
            bucket=bucket,
            endpoint=settings.endpoint,
            access_key=access.get_secret_value() if access else None,
            secret_key=secret.get_secret_value() if secret else None,
            region=settings.region,
            min_rate=settings.storage_min_rate * 1024,
            ca_file=settings.ssl_cert_file,
        ),
        on_retry,
    )
