"""The OpenAPI document: complete, followed by the server, and usable from another language."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from orchestrator.api.app import make_app
from orchestrator.api.service import ApiService
from orchestrator.settings import Settings
from tests.api.support import WALL, ApiProcess, photo

NODE = Path(__file__).parent / "node"
APP = make_app(ApiService(Settings(adapter="http")))
OPERATIONS = [(path, method) for path, methods in APP.openapi()["paths"].items() for method in methods]


def test_every_call_says_what_it_answers() -> None:
    document = APP.openapi()
    for path, method in OPERATIONS:
        operation = document["paths"][path][method]
        assert operation["summary"], path
        answers = operation["responses"]
        assert {"400", "401", "404", "405", "429", "500", "503"} <= set(answers) or path == "/ping", path
        for status, answer in answers.items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (path, status)
    missing = set(re.findall(r'#/components/schemas/([^"]+)', json.dumps(document))) - set(document["components"]["schemas"])
    assert not missing


def test_every_route_is_described() -> None:
    hidden = {
        "/openapi.json",
        "/docs",
        "/docs/{name}",
        "/docs/oauth2-redirect",
        "/favicon.ico",
        "/",
        "/studio",
        "/studio/",
        "/studio/{path:path}",
    }
    routes = {route.path.replace("{key:path}", "{key}") for route in APP.state.routes}
    assert routes - hidden == set(APP.openapi()["paths"])


def test_the_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4 and not [address for address in loaded if "//" in address]
    for address in loaded:
        if not address.startswith("data:"):
            assert client.get(f"/{address}").status_code == 200, address


@pytest.mark.server
def test_the_server_answers_as_its_description_says(api: ApiProcess, client: httpx.Client, tmp_path: Path) -> None:
    """Schemathesis invents requests, right and wrong ones, also for a job, a photo and a file that there are."""
    edit = client.post("/v1/edits", files={"photo": ("a.jpg", photo(90)), "job": ("", json.dumps(WALL))})
    stored = client.post("/v1/photos", files={"photo": ("a.jpg", photo(90))}).json()["photo"]
    known = {"job": edit.headers["respray-job"], "photo": stored, "key": edit.headers["content-location"].removeprefix("/v1/files/")}
    lines = ["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in known.items())]
    (tmp_path / "known.toml").write_text("\n".join(lines))
    (tmp_path / "openapi.json").write_text(json.dumps(APP.openapi()))
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    program = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    options = ["--url", api.url, "--checks", checks, "--max-examples", "5", "--generation-database", "none", "--no-color"]
    for settings in ([], ["--config-file", "known.toml"]):
        run = [*settings, "run", "openapi.json", *options, "--phases", "coverage,fuzzing" if settings else "fuzzing"]
        done = subprocess.run([*program, *run], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(OPERATIONS)} selected" in done.stdout


def test_a_client_in_typescript_compiles(tmp_path: Path) -> None:
    if not (NODE / "node_modules").is_dir() or shutil.which("node") is None:
        pytest.skip("tests/api/node is not installed: scripts/setup_test_tools.sh brings it")
    (tmp_path / "generated").mkdir()
    (tmp_path / "openapi.json").write_text(json.dumps(APP.openapi()))
    shutil.copy(NODE / "client.ts", tmp_path)
    shutil.copy(NODE / "package.json", tmp_path)
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    tools = NODE / "node_modules" / ".bin"
    generate = [str(tools / "openapi-typescript"), "openapi.json", "-o", "generated/api.ts", "--default-non-nullable=false"]
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"]
    compiling = [str(tools / "tsc"), *options, "client.ts"]
    for command in (generate, compiling):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_whatever_has_get_has_head_and_says_all_its_methods(client: httpx.Client) -> None:
    edit = client.post("/v1/edits", files={"photo": ("a.jpg", photo(91)), "job": ("", json.dumps(WALL))})
    job, key = edit.headers["respray-job"], edit.headers["content-location"]
    pages = ("/docs", "/docs/swagger-ui.css", "/studio", "/studio/js/main.js")
    for path in ("/ping", *pages, "/openapi.json", "/v1/presets", f"/v1/jobs/{job}", key):
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b""), path
        assert {**head.headers, "date": ""} == {**whole.headers, "date": ""}, path
    for path in (f"/v1/jobs/{job}/events", "/v1/demo-photos/room_1/picture", "/v1/textures/oak_planks/picture"):
        assert client.head(path).status_code == 200, path  # that of events does not wait for the job
    assert client.head("/v1/jobs/none").status_code == 404 and client.head("/v1/jobs/none/events").status_code == 404
    for typed, meant in (("/", "/studio"), ("/studio/", "/studio")):
        assert client.get(typed, follow_redirects=True).url.path == meant
    # Range is for GET.
    assert client.head(key, headers={"Range": "bytes=0-9"}).headers["content-length"] == str(len(edit.content))
    refused = client.put(f"/v1/jobs/{job}")
    assert refused.status_code == 405 and refused.headers["allow"] == "DELETE, GET, HEAD"
    assert refused.json()["detail"].endswith("accepted is DELETE, GET, HEAD")
