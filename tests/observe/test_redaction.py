"""A configured secret is masked however a library may write it: as it is, encoded, decoded, inside an address or beside one."""

from __future__ import annotations

from base64 import b64encode

import pytest

from orchestrator.settings import load_settings
from respray.observe.redaction import MASK, Redactor

SETTINGS = {
    "STORAGE_S3_ENDPOINT": "http://proxy:End%2Fpoint-pw1@127.0.0.1:9",
    "STORAGE_ACCESS_KEY": "AKIAEXAMPLEKEY",
    "STORAGE_SECRET_KEY": "s3/secret+key==x",
    "GPU_CALLBACK_SECRET": "whsec_QUJDREVGR0hJSktMTU5PUA==",
    "REDIS_URL": "redis://us%40er:red%25is%2Fp%40ss@127.0.0.1:1/0?password=queryPass99",
    "MODEL_SYNC_MINIO_ENDPOINT": "https://sync:model-sync-pw@models.example",
}


@pytest.mark.parametrize(
    "secret",
    [
        "red%is/p@ss",  # of the queue, decoded, as redis-py knows it
        "red%25is%2Fp%40ss",
        "queryPass99",
        "End/point-pw1",
        "End%2Fpoint-pw1",
        "End%2fpoint-pw1",
        b64encode(b"proxy:End/point-pw1").decode(),  # as in a Basic header
        "s3/secret+key==x",
        "s3%2Fsecret%2Bkey%3D%3Dx",
        "s3%2fsecret%2bkey%3d%3dx",
        "QUJDREVGR0hJSktMTU5PUA==",
        "model-sync-pw",
    ],
)
def test_every_form_of_a_secret_is_masked(secret: str) -> None:
    redactor = Redactor(load_settings(SETTINGS, env_file=None).secrets())
    assert secret not in redactor.text(f"trouble with {secret}: no answer") and MASK in redactor.text(secret)
    assert secret not in str(redactor.value({"anything": [f"x {secret} y"], secret: 1}))


def test_a_secret_with_quotes_is_masked_where_it_was_quoted() -> None:
    redactor = Redactor(['a"b\\c\nd-secret'])
    assert "secret" not in redactor.text(repr('a"b\\c\nd-secret')) + redactor.text('{"x": "a\\"b\\\\c\\nd-secret"}')


def test_an_address_with_an_at_sign_in_its_password_is_masked_up_to_the_last_one() -> None:
    assert Redactor().text("no redis://x:p@ss@host:1/0 there") == f"no redis://{MASK}@host:1/0 there"


def test_names_that_are_in_addresses_stay() -> None:
    redactor = Redactor(load_settings(SETTINGS, env_file=None).secrets())
    kept = "proxy and us@er are no secrets, nor is models.example/inputs/proxy/0.jpg"
    assert redactor.text(kept) == kept


def test_a_word_that_is_a_secret_changes_no_name_of_a_file() -> None:
    """MinIO's own password, and a user called as the first part of keys; what looks like a secret is hidden everywhere."""
    hide = Redactor(["minioadmin", "respray", "hunter22"])
    key = "outputs/respray/minioadmin-1/0.png"
    event = {"output_key": key, "files": {key: "a/hunter22"}, "error": "minioadmin is wrong", "url": "http://h/?a=minioadmin"}
    assert hide.value(event) == {"output_key": key, "files": {key: f"a/{MASK}"}, "error": f"{MASK} is wrong", "url": f"http://h/?a={MASK}"}
    assert hide.text(f"there is no {key}") == f"there is no outputs/{MASK}/{MASK}-1/0.png"
