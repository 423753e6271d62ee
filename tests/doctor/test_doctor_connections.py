"""Check 8 against a real Redis, a real S3 server with real policies, real sockets - up, down, and set up wrongly."""

from __future__ import annotations

import http.server
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from respray.doctor import FAIL, PASS, WARN, Finding, Situation, connections
from tests.certificates import certify


def _find(findings: list[Finding], word: str) -> Finding:
    (found,) = [finding for finding in findings if word.lower() in finding.what.lower()]
    return found


def _look(word: str, **environment: str) -> Finding:
    return _find(connections.run(Situation(environment, timeout=20)), word)


def test_redis_up_wrong_password_and_down(redis_server: Callable[..., int]) -> None:
    port = redis_server("--requirepass", "hunter2")
    assert _look("redis", REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}").status == PASS
    refused = _look("redis", REDIS_URL=f"redis://:wrong-one@127.0.0.1:{port}")
    assert refused.status == FAIL and "user and password" in refused.fix and "wrong-one" not in refused.what
    assert _look("redis", REDIS_URL=f"redis://:hunter2@127.0.0.1:{_unused()}").status == FAIL
    # A Redis that speaks no TLS says nothing to it.
    encrypted = connections.run(Situation({"REDIS_URL": f"rediss://:hunter2@127.0.0.1:{port}"}, timeout=1))
    assert "rediss://" in _find(encrypted, "redis").fix


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ADAPTER": "bullmq", "REDIS_URL": "redis://127.0.0.1:1", "QUEUE_NAME": "bull:photos"}, "QUEUE_NAME='bull:photos'"),
        ({"ADAPTER": "celery", "REDIS_URL": "redis://:secret@[::1", "QUEUE_NAME": "q"}, "REDIS_URL has a host or a port that is none"),
        ({"ADAPTER": "bullmq", "REDIS_URL": "localhost:6379", "QUEUE_NAME": "q"}, "REDIS_URL does not begin with redis://"),
        ({"ADAPTER": "local", "BATCH_CONCURRENCY": "many"}, "BATCH_CONCURRENCY"),
        ({"ADAPTER": "local", "GPU_CALLBACK_SECRET": "whsec_%%%"}, "GPU_CALLBACK_SECRET begins with whsec_"),
        ({"ADAPTER": "local", "GPU_CALLBACK_SECRET": "s", "CALLBACK_ALLOW_HOSTS": "http://a b"}, "CALLBACK_ALLOW_HOSTS"),
        ({"CALLBACK_CA_FILE": "/nowhere.pem"}, "/nowhere.pem is no readable file"),
        ({"MODEL_SYNC_ENABLED": "true"}, "MODEL_SYNC_ENABLED without MODEL_SYNC_MINIO_ENDPOINT"),
    ],
)
def test_the_doctor_refuses_what_the_worker_refuses(environment: dict[str, str], said: str) -> None:
    finding = _look(said, **environment)
    assert finding.status == FAIL and "secret" not in finding.what


def test_redis_that_may_evict_jobs_is_a_warning(redis_server: Callable[..., int]) -> None:
    port = redis_server("--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru")
    finding = _look("redis", REDIS_URL=f"redis://127.0.0.1:{port}")
    assert finding.status == WARN and "noeviction" in finding.fix


def test_intake_without_its_settings_fails() -> None:
    assert "without REDIS_URL" in _look("ADAPTER=celery", ADAPTER="celery").what
    assert "CF_ACCOUNT_ID, CF_QUEUE_ID, CF_API_TOKEN" in _look("queue_pull", ADAPTER="queue_pull").what
    assert _look("broker", ADAPTER="runpod").status == PASS


def _storage(endpoint: str, bucket: str, access_key: str = "test", secret_key: str = "test") -> dict[str, str]:
    return {
        "STORAGE_S3_ENDPOINT": endpoint,
        "STORAGE_BUCKET": bucket,
        "STORAGE_ACCESS_KEY": access_key,
        "STORAGE_SECRET_KEY": secret_key,
    }


def test_storage_is_listed_written_and_read(s3_endpoint: str, s3_client: Any) -> None:
    s3_client.create_bucket(Bucket="doctor")
    finding = _look("storage", **_storage(s3_endpoint, "doctor"))
    assert finding.status == PASS and finding.what.endswith("listed, written, read")
    assert s3_client.list_objects_v2(Bucket="doctor")["KeyCount"] == 0  # it leaves nothing behind


def test_storage_without_bucket_or_server_or_settings_fails(s3_endpoint: str) -> None:
    absent = _look("NoSuchBucket", **_storage(s3_endpoint, "absent"))
    assert absent.status == FAIL and absent.fix.startswith("aws s3 mb s3://absent")
    down = _look("cannot list", **_storage(f"http://127.0.0.1:{_unused()}", "doctor"))
    assert down.status == FAIL and "STORAGE_S3_ENDPOINT" in down.fix
    assert _look("storage is not set up").status == WARN
    assert _look("storage is not set up", ADAPTER="runpod").status == FAIL
    twice = _look("name different storage", STORAGE_S3_ENDPOINT="http://a", MINIO_ENDPOINT="b")
    assert twice.status == FAIL and "STORAGE_S3_ENDPOINT" in twice.what and "MINIO_ENDPOINT" in twice.what


def _user(s3_as: Callable[..., Any], name: str, allowed: list[dict[str, Any]]) -> tuple[str, str]:
    """The keys of a new user who may do what the policy's statements say."""
    users = s3_as(service="iam")
    users.create_user(UserName=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    users.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    keys = users.create_access_key(UserName=name)["AccessKey"]
    return keys["AccessKeyId"], keys["SecretAccessKey"]


def test_storage_with_read_only_keys_fails_and_says_which_right_is_missing(
    s3_endpoint: str, s3_client: Any, s3_as: Callable[..., Any]
) -> None:
    """The server enforces real policies here: the user may list and read, not write."""
    s3_client.create_bucket(Bucket="readonly")
    keys = _user(s3_as, "reader", [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}])
    _enforce_policies(s3_endpoint, "0")
    try:
        finding = _look("cannot write", **_storage(s3_endpoint, "readonly", *keys))
        unknown = _look("cannot list", **_storage(s3_endpoint, "readonly", "nobody", "nothing"))
    finally:
        _enforce_policies(s3_endpoint, "1000000000")
    assert finding.status == FAIL and "AccessDenied" in finding.what and "s3:PutObject" in finding.fix
    assert unknown.status == FAIL and "STORAGE_ACCESS_KEY" in unknown.fix


def test_keys_that_may_not_delete_everywhere_are_a_warning_that_names_what_stays(
    s3_endpoint: str, s3_client: Any, s3_as: Callable[..., Any]
) -> None:
    """A worker deletes its markers and lease records only, so such keys work."""
    s3_client.create_bucket(Bucket="narrow")
    allowed = [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": "s3:DeleteObject",
            "Resource": [f"arn:aws:s3:::narrow/{own}/*" for own in ("callbacks-owed", "leases")],
        },
    ]
    environment = _storage(s3_endpoint, "narrow", *_user(s3_as, "worker", allowed))
    _enforce_policies(s3_endpoint, "0")
    try:
        findings = connections.run(Situation(environment, timeout=20))
    finally:
        _enforce_policies(s3_endpoint, "1000000000")
    assert _find(findings, "listed, written, read").status == PASS
    (left,) = s3_client.list_objects_v2(Bucket="narrow")["Contents"]
    stays = _find(findings, "cannot delete")
    assert stays.status == WARN and left["Key"] in stays.what and left["Key"] in stays.fix


def test_storage_is_asked_in_the_region_that_is_set() -> None:
    """Stand-in for a store that checks it, as MinIO, Garage and AWS do and moto does not: it keeps what it was asked with, and refuses."""
    asked: list[tuple[str, str]] = []

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_error(403)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        _look("cannot list", **_storage(f"http://127.0.0.1:{server.server_port}", "doctor"), STORAGE_REGION="eu-west-3")
    finally:
        server.shutdown()
        server.server_close()
    ((path, authorization),) = asked
    assert path.startswith("/doctor?") and "/eu-west-3/s3/aws4_request" in authorization


def test_settings_that_cannot_be_used_name_the_page_that_lists_them() -> None:
    fix = _look("HEALTH_PORT", HEALTH_PORT="high").fix
    (page,) = [word for word in fix.split() if word.endswith(".md")]
    assert (Situation().repository / page).is_file()


def _enforce_policies(endpoint: str, after: str) -> None:
    """moto's own switch: check policies after this many calls."""
    import urllib.request

    request = urllib.request.Request(
        f"{endpoint}/moto-api/reset-auth", data=after.encode(), headers={"Content-Type": "text/plain"}, method="POST"
    )
    urllib.request.urlopen(request, timeout=5).read()


def test_triton_address_that_nobody_answers_fails() -> None:
    finding = _look("triton", TRITON_URL=f"127.0.0.1:{_unused()}")
    assert finding.status == FAIL and "TRITON_URL=host:8001" in finding.fix
    assert "embedded" in _look("triton").what


@pytest.mark.server
def test_real_triton_with_the_pipeline_passes(triton_url: str) -> None:
    finding = _look("triton", TRITON_URL=triton_url)
    assert finding.status == PASS and "serves pipeline_bls" in finding.what
    assert _look("triton", TRITON_URL=f"grpc://{triton_url}").status == PASS


@pytest.mark.parametrize(
    ("server_ready", "model_ready", "words"), [(False, False, "is not ready"), (True, False, "does not serve pipeline_bls")]
)
def test_triton_that_is_loading_or_serves_something_else_fails(server_ready: bool, model_ready: bool, words: str) -> None:
    class Loading(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
        def ServerReady(self, request: Any, context: Any) -> Any:
            return service_pb2.ServerReadyResponse(ready=server_ready)

        def ModelReady(self, request: Any, context: Any) -> Any:
            return service_pb2.ModelReadyResponse(ready=model_ready)

    server = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Loading(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        finding = _look("triton", TRITON_URL=f"127.0.0.1:{port}")
    finally:
        server.stop(None)
    assert finding.status == FAIL and words in finding.what


@pytest.fixture
def receiver() -> Iterator[int]:
    """Somebody's API."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_callback_host_up_down_misspelt_and_without_secret(receiver: int) -> None:
    assert _look("callback host", WORKERS_API_URL=f"http://127.0.0.1:{receiver}").status == PASS
    assert _look("callback host", API_BASE_URL=f"http://127.0.0.1:{_unused()}").status == FAIL
    assert "is not a URL" in _look("callback host", WORKERS_API_URL="api.example.com").what
    assert _look("GPU_CALLBACK_SECRET", ADAPTER="runpod").status == FAIL
    assert not [f for f in connections.run(Situation({"GPU_CALLBACK_SECRET": "s"})) if "GPU_CALLBACK_SECRET" in f.what]


def test_callback_host_with_a_certificate_of_a_company_s_own_needs_its_file(tmp_path: Path) -> None:
    made = certify(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"https://localhost:{server.server_port}"
    try:
        finding = _look("callback host", WORKERS_API_URL=address)
        for setting in ("CALLBACK_CA_FILE", "SSL_CERT_FILE"):
            trusted = _look("callback host", WORKERS_API_URL=address, **{setting: str(made.authority)})
            assert trusted.status == PASS, trusted.what
    finally:
        server.shutdown()
        server.server_close()
    assert finding.status == FAIL and "TLS failed" in finding.what


def test_no_finding_shows_a_secret(s3_endpoint: str) -> None:
    secrets = {"STORAGE_ACCESS_KEY": "AKIDHIDDEN", "STORAGE_SECRET_KEY": "verysecretkey", "GPU_CALLBACK_SECRET": "callbacksecret"}
    environment = {
        **secrets,
        "STORAGE_S3_ENDPOINT": s3_endpoint,
        "STORAGE_BUCKET": "absent",
        "REDIS_URL": f"redis://:brokersecret@127.0.0.1:{_unused()}",
    }
    text = "\n".join(f"{finding.what} {finding.fix}" for finding in connections.run(Situation(environment, timeout=1)))
    assert not [secret for secret in [*secrets.values(), "brokersecret"] if secret in text]


def _unused() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_environment_is_not_read_behind_the_situation_s_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "REDIS_URL", "redis://elsewhere")
    assert _look("broker").status == PASS


def test_no_password_of_an_address_is_shown() -> None:
    environment = {
        "STORAGE_S3_ENDPOINT": "http://proxyuser:pass-word@127.0.0.1:1",
        "STORAGE_ACCESS_KEY": "a",
        "STORAGE_SECRET_KEY": "b",
        "REDIS_URL": "redis://user:pass-word@127.0.0.1:1",
        "WORKERS_API_URL": "ftp://user:pass@word@host",
        "TRITON_URL": "grpc://user:pass-word@127.0.0.1:1",
        "ADAPTER": "bullmq",
    }
    text = "\n".join(f"{finding.what} {finding.fix}" for finding in connections.run(Situation(environment, timeout=1)))
    assert "127.0.0.1" in text
    assert "pass" not in text.replace("password", "") and "word@" not in text, text
