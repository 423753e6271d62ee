"""Settings as they come from consoles, env files of other programs and Windows: one sentence that says what to change, and no secret."""

from __future__ import annotations

import asyncio
import codecs
import re
import socket
import urllib.request
from pathlib import Path

import pytest

from orchestrator.cli import weights
from orchestrator.errors import SettingsError
from orchestrator.service.health import Health, serve_health
from orchestrator.settings import load_settings, require
from respray.observe.metrics import Metrics

R2 = "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com"
ID, SECRET = "0123456789abcdef" * 2, "fedcba9876543210" * 4


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"STORAGE_S3_ENDPOINT": f"{R2}/s3-images"}, f"bucket behind the host, .*; accepted is {R2}"),
        ({"STORAGE_S3_ENDPOINT": f"{R2}/other"}, "bucket behind the host"),
        ({"STORAGE_S3_ENDPOINT": "https://s3-images.s3.eu-west-1.amazonaws.com"}, r"accepted is https://s3\.eu-west-1\.amazonaws\.com"),
        ({"STORAGE_S3_ENDPOINT": "http://minio:9000/photos", "STORAGE_BUCKET": "photos"}, "bucket behind the host"),
        ({"STORAGE_S3_ENDPOINT": R2.removeprefix("https://")}, "is no address of a store; accepted is https://HOST"),
        ({"STORAGE_S3_ENDPOINT": "https://me:secret-of-mine@h:99999/a"}, "STORAGE_S3_ENDPOINT is no address of a store"),
        ({"STORAGE_S3_ENDPOINT": "me:secret-of-mine@minio:9000"}, "STORAGE_S3_ENDPOINT is no address of a store"),
        ({"R2_ACCOUNT_ID": f"{R2}/x"}, "R2_ACCOUNT_ID"),
        ({"MODEL_SYNC_MINIO_ENDPOINT": f"{R2}/models", "MODEL_SYNC_MINIO_BUCKET": "models"}, "MODEL_SYNC_MINIO_ENDPOINT .*behind the host"),
        ({"R2_ACCESS_KEY_ID": SECRET, "R2_SECRET_ACCESS_KEY": ID}, "in each other's place: the shorter one is the access key"),
        ({"STORAGE_ACCESS_KEY": "x" * 40, "STORAGE_SECRET_KEY": "AKIAABCDEFGHIJKLMNOP"}, "STORAGE_ACCESS_KEY and STORAGE_SECRET_KEY"),
        ({"MODEL_SYNC_MINIO_ACCESS_KEY": SECRET, "MODEL_SYNC_MINIO_SECRET_KEY": ID}, "MODEL_SYNC_MINIO_ACCESS_KEY and"),
        ({"STORAGE_SECRET_KEY": '"secret-of-mine"'}, "STORAGE_SECRET_KEY: its value stands in quotes"),
        ({"MODEL_PATH": "'/models'"}, "MODEL_PATH: its value stands in quotes"),
    ],
)  # fmt: skip
def test_what_consoles_and_env_files_make_of_a_setting_is_said(environment: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings(environment, None)
    assert not any(secret in str(caught.value) for secret in (ID + '"', SECRET, "secret-of-mine", "AKIA"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("redis://:secret-of/mi@ne@h:6379/0", "password that holds '/'"),
        ("redis://:mi@ne#secret-of@h:6379/0", "percent-encoded"),
        ("redis://:mi?secret-of@h", "percent-encoded"),
        ("redis://h:6379/abc", "a database that is no number"),
        ("redis+sentinel://h:26379/0", "does not begin with redis://"),
        ("redis://h?family=4", r"has the option 'family', which bullmq does not take with redis:// \(it takes client_name, db, "),
        ("redis://h?ssl_cert_reqs=none", "has the option 'ssl_cert_reqs'"),
    ],
)
def test_a_password_that_looks_like_a_host_is_told_and_never_looked_up(address: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        require(load_settings({"REDIS_URL": address, "ADAPTER": "bullmq", "QUEUE_NAME": "q"}, None), storage=False, adapter=True)
    assert "secret-of" not in str(caught.value)


def test_celery_takes_no_socket_file() -> None:
    values = {"REDIS_URL": "unix://:secret-of-mine@/run/redis.sock", "QUEUE_NAME": "q"}
    with pytest.raises(SettingsError, match="which Celery does not take"):
        load_settings(values | {"ADAPTER": "celery"}, None)
    with pytest.raises(SettingsError, match=r"has the option 'socket_timeout', which celery does not take with redis:// \(it takes none\)"):
        load_settings(values | {"ADAPTER": "celery", "REDIS_URL": "redis://h?socket_timeout=60"}, None)
    with pytest.raises(SettingsError, match="CELERY_RESULT_URL begins with unix://, which Celery does not take"):
        load_settings({"ADAPTER": "celery", "REDIS_URL": "redis://h", "CELERY_RESULT_URL": values["REDIS_URL"]}, None)


@pytest.mark.parametrize(
    "address",
    ["redis://:p%40%2F@h", "rediss://h:1/", "rediss://u:p@h/15?ssl_cert_reqs=none&socket_timeout=60", "unix://:p@/a/b@c.sock?db=1"],
)
def test_addresses_of_redis_pass(address: str) -> None:
    settings = load_settings({"REDIS_URL": address, "ADAPTER": "bullmq", "QUEUE_NAME": "q", "GPU_CALLBACK_SECRET": "secret"}, None)
    require(settings, storage=False, adapter=True)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://triton:8000", "begins with http://; accepted is HOST:PORT of Triton's gRPC port"),
        ("grpc://u:secret-of-mine@triton:8001", "has a user name or password"),
        ("triton", "has no port"),
        ("triton:8001", None),
        ("grpc://triton:8001", None),
        ("[::1]:8001", None),
        ("dns:///triton:8001", None),
        ("unix:/run/triton.sock", None),
    ],
)
def test_an_address_of_triton_that_grpc_would_wait_for_in_vain_is_told(address: str, said: str | None) -> None:
    if said is None:
        assert load_settings({"TRITON_URL": address}, None).triton_url == address.removeprefix("grpc://")
        return
    with pytest.raises(SettingsError, match=re.escape(said)) as caught:
        load_settings({"TRITON_URL": address}, None)
    assert "secret-of-mine" not in str(caught.value)


def test_addresses_of_other_stores_and_right_keys_pass() -> None:
    for endpoint in (R2, f"{R2}/", "https://x.supabase.co/storage/v1/s3", "http://127.0.0.1:9000", "https://s3.eu-west-1.amazonaws.com"):
        keys = {"STORAGE_ACCESS_KEY": ID, "STORAGE_SECRET_KEY": SECRET}
        assert load_settings({"STORAGE_S3_ENDPOINT": endpoint, **keys}, None).endpoint == endpoint.rstrip("/")


def test_a_file_of_windows_is_read_and_one_that_is_no_utf_8_is_said(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(codecs.BOM_UTF8 + b'STORAGE_BUCKET=mine\r\nMODEL_NAME="sam3"\r\nMODEL_PATH=/volume \r\n')
    settings = load_settings({}, file)
    assert (settings.bucket, settings.model_name, str(settings.model_path)) == ("mine", "sam3", "/volume")
    file.write_text("STORAGE_BUCKET=mine\n", encoding="utf-16")
    with pytest.raises(SettingsError, match=r"\.env is not UTF-8 text; save it as UTF-8"):
        load_settings({}, file)


def test_a_carriage_return_and_a_tilde_do_not_end_up_in_the_models_path() -> None:
    assert str(load_settings({"MODEL_PATH": "/models\r"}, None).model_path) == "/models"
    assert load_settings({"MODEL_CACHE_DIR": "~/models"}, None).model_path == Path.home() / "models"


def test_probes_are_answered_on_every_address_of_both_families() -> None:
    async def ask(host: str, listen: str) -> int:
        async with serve_health(listen, 0, Health(), Metrics()) as port:
            answer = await asyncio.to_thread(urllib.request.urlopen, f"http://{host}:{port}/healthz", timeout=5)
            return int(answer.status)

    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").is_file():
        pytest.skip("this machine has no IPv6")
    assert [asyncio.run(ask(host, "::")) for host in ("[::1]", "127.0.0.1")] == [200, 200]
    assert asyncio.run(ask("127.0.0.1", "0.0.0.0")) == 200
    with pytest.raises(SettingsError, match="HEALTH_HOST=2001:db8::1 cannot be used"):
        asyncio.run(ask("[::1]", "2001:db8::1"))


def test_a_file_of_authorities_that_cannot_be_used_is_named_with_its_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client says `No such file or directory`, of which file it does not say."""
    (file := tmp_path / "company.pem").write_text("no certificate")
    monkeypatch.setenv("MODEL_PATH", str(tmp_path))
    for name, said in ((file, "it holds no certificate in PEM form"), (tmp_path / "none.pem", "No such file or directory")):
        monkeypatch.setenv("SSL_CERT_FILE", str(name))
        with pytest.raises(SettingsError, match=f"SSL_CERT_FILE: {name} cannot be used .{said}"):
            weights._fetch("sam3")
