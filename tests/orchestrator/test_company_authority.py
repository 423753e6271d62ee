"""`SSL_CERT_FILE` names a company's own authority: it is trusted by every way out beside the public ones, not in their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import certifi
import pytest

from orchestrator.errors import SettingsError, StorageError
from orchestrator.settings import Settings, load_settings
from orchestrator.storage import open_storage
from orchestrator.storage.s3 import S3Storage
from respray.doctor import PASS, Situation, connections
from respray.launch.model_sync import sync_source
from respray.retry import Retry
from respray.weights.s3_sync import open_client
from tests.certificates import certify
from tests.faults.processes import ACCESS, BUCKET, SECRET, S3Server


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, S3Server]]:
    """Two real S3 servers that speak https only, one of the company's authority and one of an authority that counts as public."""
    started = {}
    for name in ("company", "public"):
        folder = tmp_path_factory.mktemp(name)
        certificate, key, _ = certify(folder, name)
        started[name] = S3Server(folder, (certificate, key))
    yield started
    for server in started.values():
        server.stop()


def environment(server: S3Server, **more: str) -> dict[str, str]:
    keys = {"STORAGE_ACCESS_KEY": ACCESS, "STORAGE_SECRET_KEY": SECRET, "STORAGE_BUCKET": BUCKET}
    return {"STORAGE_S3_ENDPOINT": server.url, **keys, **more}


def write_and_read(settings: Settings) -> bytes:
    store = open_storage(settings)
    assert isinstance(store, S3Storage)
    store.options = replace(store.options, retry=Retry(attempts=1))
    try:
        store.write("inputs/u/j/0.jpg", b"a photo", "image/jpeg")
        return store.read("inputs/u/j/0.jpg", 100)[0]
    finally:
        store.close()


@pytest.mark.parametrize("name", ["company", "public"])
def test_the_store_is_trusted_under_both_authorities(name: str, servers: dict[str, S3Server], monkeypatch: pytest.MonkeyPatch) -> None:
    company, public = (str(servers[which].tls[0]) for which in ("company", "public"))  # type: ignore[index]
    monkeypatch.setattr(certifi, "where", lambda: public)
    settings = environment(servers[name], SSL_CERT_FILE=company)
    assert write_and_read(load_settings(settings, env_file=None)) == b"a photo"
    (finding,) = [f for f in connections.run(Situation(settings, timeout=5)) if "listed, written, read" in f.what]
    assert finding.status == PASS
    model = {f"MODEL_SYNC_MINIO_{key}": value for key, value in (("BUCKET", BUCKET), ("ACCESS_KEY", ACCESS), ("SECRET_KEY", SECRET))}
    synced = load_settings(
        {**settings, **model, "MODEL_SYNC_ENABLED": "true", "MODEL_SYNC_MINIO_ENDPOINT": servers[name].url}, env_file=None
    )
    source = sync_source(synced)
    assert source is not None
    assert open_client(source, 1).list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1


def test_without_the_setting_the_company_s_store_is_not_trusted(servers: dict[str, S3Server]) -> None:
    with pytest.raises(StorageError, match=r"SSLError: .*certificate verify failed: self-signed certificate"):
        write_and_read(load_settings(environment(servers["company"]), env_file=None))


def test_a_bundle_that_is_not_there_is_a_sentence_and_none_stays_behind(
    tmp_path: Path, servers: dict[str, S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match=r"SSL_CERT_FILE: .*nowhere.pem cannot be used \(No such file"):
        open_storage(load_settings(environment(servers["company"], SSL_CERT_FILE="/nowhere.pem"), env_file=None))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    write_and_read(load_settings(environment(servers["company"], SSL_CERT_FILE=str(servers["company"].tls[0])), env_file=None))  # type: ignore[index]
    assert not list(tmp_path.iterdir())
