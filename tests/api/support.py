"""`respray api` as a process of its own, and small photos for it."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests import commands
from tests.faults.processes import ForkedProcess, status_of, wait_for

RESPRAY = str(Path(sys.executable).parent / "respray")
WALL = {"preset": "interior", "concepts": {"Wall": {"action": "recolor", "value": "#7C9082"}}}


def photo(seed: int = 0, size: tuple[int, int] = (64, 48)) -> bytes:
    """A small JPEG, different for every seed."""
    image = Image.new("RGB", size, (seed * 37 % 256, 120, seed * 13 % 256))
    image.paste((200, 190, 180), (0, size[1] // 2, size[0], size[1]))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, comment=str(seed).encode())
    return out.getvalue()


class ApiProcess(ForkedProcess):
    """A running HTTP intake on a folder or `bucket`, on a free port of loopback; `url` is where it listens."""

    def __init__(
        self,
        folder: Path,
        triton_url: str,
        *,
        store: Path | str | None = None,
        bucket: str | None = None,
        listen: str = "127.0.0.1:0",
        **environment: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store = Path(store or folder / "store")
        self.store.mkdir(exist_ok=True)
        self.events_file = folder / "events.jsonl"
        base = {"TRITON_URL": triton_url, "HEALTH_PORT": "0", "API_KEYS": "", "PORT": "", "REQUIRE_REAL_MODEL": "false"}
        command = [commands.RESPRAY, "api", "--listen", listen, "--store", f"s3://{bucket}" if bucket else str(self.store)]
        super().__init__(command, folder / "api.log", base | environment, stdout=self.events_file)

    @property
    def url(self) -> str:
        """Where it listens; waits until it does."""

        def found() -> list[str]:
            assert self.alive, self.log.read_text()
            return re.findall(r'"initializing","message":"(http://[^"]+)"', self.events_file.read_text())

        wait_for("an address", found)
        return found()[-1]

    def wait_ready(self) -> str:
        """Wait until it takes work; returns its address."""
        url = self.url
        wait_for("readiness", lambda: status_of(f"{url}/ping") == 200)
        return url

    def restart(self) -> str:
        """Start it again, after it was killed, on the same store."""
        self.events_file.unlink()
        self.start()
        return self.wait_ready()

    def put(self, user: str, job: str, count: int, different: int = 1000) -> None:
        """Photos 0..count-1 of a job in the store. The model sees each of the `different` ones once; what it saw serves their copies."""
        folder = self.store / "inputs" / user / job
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (folder / f"{index}.jpg").write_bytes(photo(index % different))

    def finished(self, job: str) -> list[dict[str, Any]]:
        """The `finish` events of a job on stdout."""
        lines = (json.loads(line) for line in self.events_file.read_text().splitlines())
        return [event for event in lines if event["event"] == "finish" and event.get("job_id") == job]


def palette_job(job: str, count: int, user: str = "local", **fields: Any) -> dict[str, Any]:
    """A palette job over photos 0..count-1."""
    items = [{"idx": i, "input_key": f"inputs/{user}/{job}/{i}.jpg", "output_key": f"outputs/{user}/{job}/{i}.png"} for i in range(count)]
    return {"job_id": job, "user_id": user, **WALL, "items": items, **fields}


def wait_over(client: httpx.Client, job: str, seconds: float = 240) -> dict[str, Any]:
    """The job, when it is over."""

    def over() -> bool:
        return client.get(f"/v1/jobs/{job}").json()["state"] in ("completed", "failed", "stopped")

    wait_for(f"the end of {job}", over, seconds)
    return dict(client.get(f"/v1/jobs/{job}").json())


def curl() -> str:
    """The program."""
    found = shutil.which("curl")
    assert found is not None, "curl is missing: apt-get install curl"
    return found
