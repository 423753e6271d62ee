"""What the studio asks of the HTTP interface, and the command that opens it."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from orchestrator.api.keys import make_key
from tests.api.support import ApiProcess
from tools.studio.browser import ROOM
from tools.studio.serving import studio

pytestmark = pytest.mark.server


@pytest.fixture
def client(api: ApiProcess) -> Iterator[httpx.Client]:
    """A client of the same server that the browser has."""
    with httpx.Client(base_url=api.url, timeout=60, verify=False) as opened:
        yield opened


def grey(size: tuple[int, int], box: tuple[int, int, int, int]) -> str:
    """A mask as base64: white in a box."""
    mask, out = Image.new("L", size, 0), io.BytesIO()
    mask.paste(255, box)
    mask.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def test_every_file_of_the_page_is_served_with_a_policy_without_inline_code(client: httpx.Client) -> None:
    page = client.get("/studio")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    assert "<script>" not in page.text and "style=" not in page.text
    modules = re.findall(r'rel="modulepreload" href="/(studio/js/views/\w+.js)"', page.text)
    assert len(modules) > 10 and all(client.get(f"/{module}").status_code == 200 for module in modules)
    for path in ("studio.css", "js/boot.js", "js/main.js", "vendor/preact.js", "texts/ko.json", "icon.svg"):
        whole = client.get(f"/studio/{path}")
        assert whole.status_code == 200, path
        plain = client.get(f"/studio/{path}", headers={"Accept-Encoding": "br, *;q=0.5, gzip;q=0.0"})
        assert "content-encoding" not in plain.headers and plain.content == whole.content, path
        assert whole.num_bytes_downloaded == int(whole.headers["content-length"]) < len(plain.content), path
        assert whole.headers["etag"] != plain.headers["etag"] and whole.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
        for answer in (whole, plain):
            asked = {"If-None-Match": answer.headers["etag"], "Accept-Encoding": answer.request.headers["accept-encoding"]}
            assert client.get(f"/studio/{path}", headers=asked).status_code == 304, path
    for path in ("../pages.py", "%2e%2e/pages.py", "js", "js/", "nothing.js"):
        assert client.get(f"/studio/{path}").status_code == 404, path


def test_a_preview_without_concepts_is_the_photo_and_its_original_is_its_bytes(client: httpx.Client) -> None:
    demo = client.get("/v1/demo-photos").json()
    photo = client.get(demo[0]["picture_url"]).content
    stored = client.post("/v1/photos", content=photo, headers={"Content-Type": "image/jpeg"}).json()
    assert client.get(f"/v1/photos/{stored['photo']}/original").content == photo
    shown = client.post(f"/v1/photos/{stored['photo']}/preview", json={"concepts": {}, "long_side": 300})
    assert shown.status_code == 200, shown.text
    assert Image.open(io.BytesIO(shown.content)).size == (300, 200)
    assert client.get("/v1/demo-photos/none/picture").status_code == 404


def test_a_mask_of_ones_own_says_where_a_preview_is_edited(client: httpx.Client) -> None:
    stored = client.post("/v1/photos", content=ROOM.read_bytes(), headers={"Content-Type": "image/jpeg"}).json()
    url = f"/v1/photos/{stored['photo']}/preview"
    query = {"concepts": {"Shelf": {"action": "recolor", "value": "#8C1D18"}}, "long_side": 300, "format": "png"}
    before = Image.open(io.BytesIO(client.post(url, json={"concepts": {}, "long_side": 300, "format": "png"}).content)).convert("RGB")
    masked = client.post(url, json=query | {"mask_keys": {"Shelf": {"base64": grey((300, 200), (100, 100, 200, 180))}}})
    assert masked.status_code == 200, masked.text
    assert json.loads(masked.headers["respray-report"])["concepts"][0]["source"] == "user"
    after = Image.open(io.BytesIO(masked.content)).convert("RGB")
    assert after.getpixel((150, 140)) != before.getpixel((150, 140))
    assert after.getpixel((20, 20)) == before.getpixel((20, 20))
    wrong = client.post(url, json=query | {"mask_keys": {"Shelf": {"base64": "not base64!"}}})
    assert wrong.status_code == 422 and "base64" in wrong.json()["detail"]


def test_sessions_are_named_by_their_content_and_are_their_users_only(triton_url: str, tmp_path: Path) -> None:
    (one, first), (two, second) = (make_key(name, name) for name in ("u_one", "u_two"))
    process = ApiProcess(tmp_path / "keyed", triton_url, API_KEYS=f"{first.line},{second.line}")
    try:
        with httpx.Client(base_url=process.wait_ready(), timeout=60) as client:
            mine, other = ({"Authorization": f"Bearer {key}"} for key in (one, two))
            document = {"photo": None, "looks": [{"name": "ruhig \ud83d", "edits": {}}]}  # half an emoji, as a script cuts text
            text, headers = json.dumps(document), mine | {"Content-Type": "application/json"}
            kept = client.post("/v1/sessions", content=text, headers=headers)
            assert kept.status_code == 201
            assert client.post("/v1/sessions", content=text, headers=headers).json() == kept.json()
            assert client.get(kept.json()["session_url"], headers=mine).json()["document"] == document
            assert client.get(kept.json()["session_url"], headers=other).status_code == 404
            assert client.get(kept.json()["session_url"]).status_code == 401
            assert client.get("/v1/sessions/..%2f..%2fqueue", headers=mine).status_code in (404, 422)
            large = {"mask": "A" * (9 << 20)}
            assert client.post("/v1/sessions", json=large, headers=mine).status_code == 413
            assert client.get("/studio").status_code == 200, "the page itself asks for the key"
    finally:
        process.stop()


def test_the_command_says_where_the_studio_is(triton_url: str) -> None:
    with studio(triton_url) as url:
        assert httpx.get(url).status_code == 200
        base = url.removesuffix("/studio")
        assert httpx.get(f"{base}/ping").status_code == 200, "the address is told when the worker takes work"
