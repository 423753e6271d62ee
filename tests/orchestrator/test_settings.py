# ruff: noqa: E501 (sentences are compared whole)
"""Settings: both spellings, conflicts, what is missing, and secrets that stay secret."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator.errors import SettingsError
from orchestrator.settings import Settings, load_settings, require, spellings
from respray.observe.redaction import Redactor
from tests.faults.processes import PROJECT


def load(**environment: str) -> object:
    return load_settings(environment, None)


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (("STORAGE_ACCESS_KEY", "R2_ACCESS_KEY_ID", "MINIO_ACCESS_KEY"), "access_key"),
        (("STORAGE_SECRET_KEY", "R2_SECRET_ACCESS_KEY", "MINIO_SECRET_KEY"), "secret_key"),
        (("STORAGE_BUCKET", "R2_BUCKET_NAME", "MINIO_BUCKET"), "bucket"),
        (("WORKERS_API_URL", "API_BASE_URL"), "workers_api_url"),
        (("MODEL_PATH", "MODEL_CACHE_DIR"), "model_path"),
    ],
)
def test_every_spelling_means_the_same_and_two_that_differ_are_named(names: tuple[str, ...], field: str) -> None:
    value = "same" if field == "bucket" else "https://same"
    values = [getattr(load_settings({name: value}, None), field) for name in names]
    assert len({str(v.get_secret_value() if hasattr(v, "get_secret_value") else v) for v in values}) == 1
    load_settings(dict.fromkeys(names, value), None)
    with pytest.raises(SettingsError, match=f"{names[0]} and {names[1]} are the same setting"):
        load_settings({names[0]: "one", names[1]: "two"}, None)


def test_the_three_ways_to_name_an_endpoint() -> None:
    assert load_settings({"R2_ACCOUNT_ID": "abc"}, None).endpoint == "https://abc.r2.cloudflarestorage.com"
    assert load_settings({"MINIO_ENDPOINT": "s3.x.org", "MINIO_SECURE": "false"}, None).endpoint == "http://s3.x.org"
    assert load_settings({"MINIO_ENDPOINT": "s3.x.org"}, None).endpoint == "https://s3.x.org"
    load_settings({"R2_ACCOUNT_ID": "abc", "STORAGE_S3_ENDPOINT": "https://abc.r2.cloudflarestorage.com/"}, None)
    with pytest.raises(SettingsError, match=r"STORAGE_S3_ENDPOINT .* and R2_ACCOUNT_ID .* name different storage"):
        load(R2_ACCOUNT_ID="abc", STORAGE_S3_ENDPOINT="https://other")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *(
            ("STORAGE_S3_ENDPOINT", value, "accepted is https://HOST")
            for value in ("minio:9000", "https//x", "s3://bucket", "http://", "http://a:b")
        ),
        ("MINIO_ENDPOINT", "http://host:port", "MINIO_ENDPOINT is no address of a store"),
        ("R2_ACCOUNT_ID", "https://abc.r2.cloudflarestorage.com", "R2_ACCOUNT_ID is the account's id alone"),
        ("STORAGE_BUCKET", "s3://photos", "accepted is the bucket's name alone"),
        ("STORAGE_BUCKET", "photos/2026", "accepted is the bucket's name alone"),
        *(
            ("WORKERS_API_URL", value, "accepted is https://HOST or https://HOST/PATH")
            for value in (
                "localhost:8787",
                "https://host/?key=1",
                "https://host/#/jobs",
                "https://me:pw@host",
                "ftp://host",
                "https://host:port",
            )
        ),
        *(
            (name, value, "accepted are printable ASCII characters")
            for name, value in (
                ("GPU_CALLBACK_SECRET", "ключ"),
                ("CF_API_TOKEN", "two\nlines"),
                ("R2_ACCESS_KEY_ID", "a\u200bb"),
                ("HF_TOKEN", "hf_ä"),
            )
        ),
    ],
)
def test_an_address_or_a_bucket_that_is_none_is_named_at_start(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings({name: value}, None)


def test_addresses_of_stores_in_every_form() -> None:
    for address in ("http://127.0.0.1:9000/", "https://[::1]:9000", "https://minio.internal/prefix", "https://user:word@host"):
        assert load_settings({"STORAGE_S3_ENDPOINT": address, "STORAGE_BUCKET": "arn:aws:s3:eu-west-1:1:accesspoint/a"}, None)


@pytest.mark.parametrize(
    ("name", "given", "field", "meant"),
    [
        ("REDIS_URL", "REDISS://u:Pass-Word@h:1", "redis_url", "rediss://u:Pass-Word@h:1"),  # else Celery checks no certificate
        ("TRITON_URL", "GRPC://Triton:8001", "triton_url", "Triton:8001"),
        ("MINIO_ENDPOINT", "Http://Minio:9000", "minio_endpoint", "http://Minio:9000"),
        ("GPU_CALLBACK_SECRET", "HTTP://is-a-secret", "callback_secret", "HTTP://is-a-secret"),
    ],
)
def test_an_addresses_scheme_has_no_case(name: str, given: str, field: str, meant: str) -> None:
    value = getattr(load(**{name: given}), field)
    assert (value.get_secret_value() if isinstance(value, SecretStr) else value) == meant


def test_defaults_of_the_contract() -> None:
    settings = load_settings({}, None)
    assert (settings.bucket, settings.callback_timeout, settings.adapter, settings.batch_concurrency, settings.log_level) == (
        "s3-images",
        30.0,
        "runpod",
        4,
        "INFO",
    )
    assert settings.require_real_model and not load_settings({"ADAPTER": "local"}, None).require_real_model
    assert load_settings({"LOG_LEVEL": "debug"}, None).log_level == "DEBUG"


def test_empty_values_count_as_not_set_and_env_file_as_environment(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("STORAGE_BUCKET=from-file\nLOG_LEVEL=warning\n")
    settings = load_settings({"STORAGE_BUCKET": "", "LOG_LEVEL": "error"}, file)
    assert settings.log_level == "ERROR" and settings.bucket in ("from-file", "s3-images")


@pytest.mark.parametrize(
    ("adapter", "missing"),
    [
        ("runpod", ("STORAGE_S3_ENDPOINT (or R2_ACCOUNT_ID, or MINIO_ENDPOINT)", "STORAGE_ACCESS_KEY (or R2_ACCESS_KEY_ID, MINIO_ACCESS_KEY)", "GPU_CALLBACK_SECRET")),
        ("bullmq", ("REDIS_URL", "QUEUE_NAME")),
        ("celery", ("REDIS_URL", "QUEUE_NAME")),
        ("queue_pull", ("CF_ACCOUNT_ID", "CF_QUEUE_ID", "CF_API_TOKEN")),
    ],
)  # fmt: skip
def test_all_that_is_missing_is_named_at_start(adapter: str, missing: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError) as caught:
        require(load_settings({"ADAPTER": adapter, "STORAGE_BUCKET": "mine"}, None), storage=True, adapter=True)
    assert all(name in str(caught.value) for name in missing)


def test_wrong_values_are_shown_but_never_a_secret() -> None:
    with pytest.raises(SettingsError, match=r"BATCH_CONCURRENCY: .*given: 'many'"):
        load(BATCH_CONCURRENCY="many")
    with pytest.raises(SettingsError, match=r"LONGEST_JOB_SEC=43200: at most 43140 with ADAPTER=queue_pull"):
        load(ADAPTER="queue_pull", LONGEST_JOB_SEC="43200")
    settings = load_settings({"GPU_CALLBACK_SECRET": "hunter2hunter2", "REDIS_URL": "rediss://u:pa55word@h:1"}, None)
    assert "hunter2" not in repr(settings) and "pa55word" not in repr(settings)
    assert {"hunter2hunter2", "pa55word"} <= set(settings.secrets())


def test_redaction_takes_linear_time_whatever_the_text() -> None:
    redactor, began = Redactor(["hunter2/hunter2"]), time.process_time()
    for part in ("x", "a.", "://", "bearer ", "?sig=", "whsec_", "hf_", "http://x", "@"):
        redactor.text(part * (200_000 // len(part)))
    assert time.process_time() - began < 5


def test_redaction_knows_secrets_and_the_places_where_they_stand() -> None:
    redactor = Redactor(["hunter2/hunter2"])
    for text in (
        "key hunter2/hunter2!", "quoted hunter2%2Fhunter2", "redis://:topsecret@host:1", "Authorization: Bearer abcdef12345",
        "https://b.s3/x?X-Amz-Signature=deadbeef&x=1",
    ):  # fmt: skip
        masked = redactor.text(text)
        assert "***" in masked and not any(s in masked for s in ("hunter2", "topsecret", "abcdef12345", "deadbeef"))
    assert redactor.value({"a": ["hunter2/hunter2", {"b": 1}]}) == {"a": ["***", {"b": 1}]}


def test_the_example_file_names_every_setting_and_its_default() -> None:
    text = (PROJECT / ".env.example").read_text()
    named = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    for field in Settings.model_fields.values():
        for name in spellings(field):
            assert name in text, name
    known = {name for field in Settings.model_fields.values() for name in spellings(field)}
    assert named <= known, named - known
    shown = dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.+)$", text, re.MULTILINE))
    defaults, examples = (
        load_settings({}, None),
        load_settings({k: v for k, v in shown.items() if k not in ("REDIS_URL", "MODEL_NAME")}, None),
    )
    assert examples.model_dump(exclude={"require_real_model_setting"}) == defaults.model_dump(exclude={"require_real_model_setting"})


def test_runpod_works_without_a_bucket_and_half_a_bucket_is_an_error() -> None:
    require(load_settings({"ADAPTER": "runpod"}, None), storage=True, adapter=True)
    with pytest.raises(SettingsError, match="STORAGE_SECRET_KEY"):
        require(load_settings({"ADAPTER": "runpod", "STORAGE_ACCESS_KEY": "key"}, None), storage=True, adapter=True)
