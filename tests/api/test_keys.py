"""Who may call: keys, their users, and pages of others in a browser on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.api.keys import caller_of, make_key, parse_keys, read_keys
from orchestrator.errors import SettingsError
from tests.api.support import RESPRAY, ApiProcess, palette_job, photo, wait_over

KEY_A, LINE_A = make_key("first", "u_a")
KEY_B, LINE_B = make_key("second", "u_b")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def keyed(triton_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An intake with two keys, beyond loopback."""
    folder = tmp_path_factory.mktemp("keyed")
    (folder / "keys").write_text(f"# who calls\n{LINE_B.line}  # of the second user\n")
    process = ApiProcess(folder, triton_url, listen="0.0.0.0:0", API_KEYS=LINE_A.line, API_KEYS_FILE=str(folder / "keys"))
    process.wait_ready()
    yield process
    assert process.stop() == 0, process.log.read_text()


@pytest.mark.server
def test_a_key_opens_its_own_users_jobs_and_files_only(keyed: ApiProcess) -> None:
    keyed.put("u_a", "mine", 1)
    with httpx.Client(base_url=keyed.url, timeout=120) as client:
        for headers in ({}, bearer("nonsense"), bearer(KEY_A[:-1]), {"Authorization": f"Basic {KEY_A}"}, bearer(LINE_A.digest)):
            answer = client.get("/v1/palettes", headers=headers)
            assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer"), headers
        assert client.get("/ping").status_code == client.get("/openapi.json").status_code == client.get("/docs").status_code == 200
        a, b = (httpx.Client(base_url=keyed.url, headers=bearer(key), timeout=120) for key in (KEY_A, KEY_B))
        with a, b:
            refused = b.post("/v1/jobs", json=palette_job("mine", 1, user="u_a"))
            assert refused.status_code == 403 and refused.json()["errors"][0]["field"] == "user_id"
            assert a.post("/v1/jobs", json=palette_job("mine", 1, user="u_a")).status_code == 202
            view = wait_over(a, "mine")
            assert view["state"] == "completed" and view["user_id"] == "u_a"
            url = next(iter(view["items"][0]["files"].values()))
            assert a.get(url).status_code == 200
            for method, path in (
                ("GET", url),
                ("HEAD", url),
                ("GET", "/v1/jobs/mine"),
                ("GET", "/v1/jobs/mine/events"),
                ("DELETE", "/v1/jobs/mine"),
            ):
                assert b.request(method, path).status_code == 404, path
            stored = a.post("/v1/photos", files={"photo": ("a.jpg", photo(1))}).json()["photo"]
            assert b.post(f"/v1/photos/{stored}/segments", json={"concepts": ["wall"]}).status_code == 404
            # The same id is another user's another job.
            keyed.put("u_b", "mine", 1)
            assert b.post("/v1/jobs", json=palette_job("mine", 1, user="u_b", protect=["Floor"])).status_code == 202
            assert wait_over(b, "mine")["user_id"] == "u_b"
    log = keyed.log.read_text() + keyed.events_file.read_text()
    assert KEY_A not in log and KEY_B not in log


@pytest.mark.server
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8080"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "localhost:9"}, 200),
        ({"Host": "[::1]:9"}, 200),
    ],
)
def test_pages_from_elsewhere_cannot_use_an_intake_without_keys(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    assert client.get("/v1/palettes", headers=headers).status_code == status


def test_it_refuses_to_listen_to_others_without_keys(tmp_path: Path) -> None:
    command = [RESPRAY, "api", "--listen", "0.0.0.0:0", "--store", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 1 and "needs keys" in done.stderr and "respray api key" in done.stderr and "Traceback" not in done.stderr


def test_a_key_is_made_by_the_command(tmp_path: Path) -> None:
    command = [RESPRAY, "api", "key", "--name", "studio", "--user", "u@x"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    secret, line = done.stdout.strip(), done.stderr.strip().splitlines()[-1]
    caller = caller_of(f"Bearer {secret}", parse_keys(line))
    assert caller is not None and (caller.user_id, caller.name) == ("u@x", "studio") and secret not in line


@pytest.mark.parametrize(
    "text", ["a/b", "a/b/sha256-12", f"{LINE_A.line},{LINE_A.line}", f"a b/u/sha256-{'0' * 64}", f"a/../sha256-{'0' * 64}"]
)
def test_a_setting_that_is_no_key_is_said_so(text: str) -> None:
    with pytest.raises(SettingsError, match="API_KEYS"):
        parse_keys(text)


def test_keys_come_from_both_settings(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(LINE_B.line)
    assert read_keys(LINE_A.line, tmp_path / "keys") == (LINE_A, LINE_B)
    with pytest.raises(SettingsError, match="API_KEYS_FILE"):
        read_keys(None, tmp_path / "none")
    (tmp_path / "keys").write_text(f"# keys\n{LINE_B.line}\nbroken\n")
    with pytest.raises(SettingsError, match=r"API_KEYS_FILE=.*keys: line 3 is no key"):
        read_keys(LINE_A.line, tmp_path / "keys")
    with pytest.raises(SettingsError, match=r"API_KEYS_FILE=.*keys: line 2: the name '.*' stands twice"):
        read_keys(LINE_B.line, tmp_path / "keys")
