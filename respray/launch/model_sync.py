"""Models from a private bucket: where MODEL_SYNC_* point."""

from __future__ import annotations

from orchestrator.errors import SettingsError
from orchestrator.settings import Settings
from respray.weights.s3_sync import SyncSource


def sync_source(settings: Settings, always: bool = False) -> SyncSource | None:
    """The private bucket of MODEL_SYNC_*, where it is enabled.

    Args:
        settings: The settings.
        always: Also where MODEL_SYNC_ENABLED is off.

    Raises:
        SettingsError: Names what is missing.
    """
    if not settings.model_sync_enabled and not always:
        return None
    access, secret = settings.model_sync_access_key, settings.model_sync_secret_key
    endpoint, bucket = settings.model_sync_endpoint, settings.model_sync_bucket
    if not (access and secret and endpoint and bucket):
        given = {"MINIO_ENDPOINT": endpoint, "MINIO_BUCKET": bucket, "MINIO_ACCESS_KEY": access, "MINIO_SECRET_KEY": secret}
        missing = [f"MODEL_SYNC_{name}" for name, value in given.items() if not value]
        raise SettingsError(f"weights from a private bucket need {', '.join(missing)}")
    url = endpoint if "://" in endpoint else f"{'https' if settings.model_sync_secure else 'http'}://{endpoint}"
    if settings.ssl_cert_file is not None and not settings.ssl_cert_file.is_file():
        raise SettingsError(f"SSL_CERT_FILE: {settings.ssl_cert_file} is no file")
    return SyncSource(url, bucket, access.get_secret_value(), secret.get_secret_value(), ca_file=settings.ssl_cert_file)
