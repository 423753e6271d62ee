"""Put a model's folder, or engines, into a private bucket.

The manifest goes last: a bucket with a manifest is a bucket with everything it names.
"""

from __future__ import annotations

from pathlib import Path

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from respray.weights.errors import WeightsError
from respray.weights.manifest import MANIFEST, describe
from respray.weights.s3_sync import SyncSource, open_client
from respray.weights.volume_errors import explained


def push(source: SyncSource, model: str, folder: Path) -> int:
    """Upload the files of `folder` under the prefix `model/` and return how many there were.

    Raises:
        WeightsError: the bucket cannot be written.
    """
    if not folder.is_dir():
        raise WeightsError(f"{folder} does not exist; there is nothing to push")
    manifest = describe(folder, model, "pushed")
    if not manifest.files:
        raise WeightsError(f"{folder} has no files; there is nothing to push")
    client = open_client(source, threads=8)
    with explained(folder):
        manifest.write(folder)
    try:
        for name in [*manifest.files, MANIFEST]:
            client.upload_file(str(folder / name), source.bucket, f"{model}/{name}")
    except (BotoCoreError, ClientError, S3UploadFailedError, OSError) as error:
        raise WeightsError(f"{source}/{model}/ could not be written: {error}; pushing needs keys with s3:PutObject") from error
    return len(manifest.files)
