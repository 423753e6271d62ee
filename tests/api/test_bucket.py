"""The whole intake on a bucket: its queue, its files, what is kept of photos; two processes on one store, of which one is killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.support import WALL, ApiProcess, palette_job, photo, wait_over
from tests.faults.processes import ACCESS, BUCKET, CALLBACK_SECRET, SECRET, S3Server, wait_for
from tests.faults.receiver import Receiver

pytestmark = pytest.mark.server
JOBS, PHOTOS = 3, 4


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[S3Server]:
    server = S3Server(tmp_path / "s3")
    yield server
    server.stop()


@pytest.fixture
def two(tmp_path: Path, triton_url: str, bucket: S3Server, receiver: Receiver) -> Iterator[tuple[ApiProcess, ApiProcess]]:
    environment = {
        "STORAGE_S3_ENDPOINT": bucket.url,
        "STORAGE_ACCESS_KEY": ACCESS,
        "STORAGE_SECRET_KEY": SECRET,
        "GPU_CALLBACK_SECRET": CALLBACK_SECRET,
        "CALLBACK_ALLOW_HOSTS": receiver.host,
        "JOB_CONCURRENCY": "1",
    }
    first, second = (ApiProcess(tmp_path / name, triton_url, bucket=BUCKET, **environment) for name in ("first", "second"))
    yield first, second
    first.stop()
    second.stop()


def keys(bucket: S3Server, prefix: str) -> list[str]:
    return [entry["Key"] for entry in bucket.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def test_a_bucket_is_a_store_as_a_folder_is(two: tuple[ApiProcess, ApiProcess], bucket: S3Server, receiver: Receiver) -> None:
    first, second = two
    store = bucket.client()
    with httpx.Client(base_url=first.wait_ready(), timeout=60) as dying, httpx.Client(base_url=second.wait_ready(), timeout=60) as client:
        jobs = [f"job-{number}" for number in range(JOBS)]
        for job in jobs:
            for index in range(PHOTOS):
                store.put_object(Bucket=BUCKET, Key=f"inputs/local/{job}/{index}.jpg", Body=photo(index))
            body = palette_job(job, PHOTOS, callback_url=f"{receiver.url}/{job}", options={"links": 300})
            assert dying.post("/v1/jobs", json=body).status_code == 202
            assert client.post("/v1/jobs", json=body).status_code == 200, "what one has accepted, the other knows"
            assert client.post("/v1/jobs", json=body | {"protect": ["Floor"]}).status_code == 409
        assert keys(bucket, "queue/http/local/")
        wait_for("a first item", lambda: dying.get(f"/v1/jobs/{jobs[0]}").json()["completed"] > 0)
        first.kill()

        views = [wait_over(client, job) for job in jobs]
        assert [(view["state"], view["completed"]) for view in views] == [("completed", PHOTOS)] * JOBS
        wait_for("the end of the queue", lambda: not keys(bucket, "queue/http/"))
        told = [(call.path, call.body["idx"]) for call in receiver.calls]
        assert len(set(told)) == JOBS * PHOTOS and len({call.headers["webhook-id"] for call in receiver.calls}) == JOBS * PHOTOS
        # The same photos in every job: what the one that died has found serves the other.
        reports: list[dict[str, Any]] = [item["report"] for item in views[-1]["items"]]
        assert all(report["reused"] for report in reports) and len(keys(bucket, "segments/local/")) == PHOTOS
        item = views[0]["items"][0]
        assert httpx.get(item["links"]["output_url"]).content == client.get(item["files"][item["output_key"]]).content
        edits_and_files(client)


def edits_and_files(client: httpx.Client) -> None:
    """One photo at once, parts of its result, and a photo that is looked at often: also from the bucket."""
    edit = client.post("/v1/edits", files={"photo": ("a.jpg", photo(0)), "job": ("", json.dumps(WALL))})
    assert edit.status_code == 200 and edit.headers["content-length"] == str(len(edit.content))
    place = edit.headers["content-location"]
    whole, part = client.get(place), client.get(place, headers={"Range": "bytes=0-9"})
    assert (whole.content, part.status_code, part.content) == (edit.content, 206, edit.content[:10])
    assert client.get(place, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    name = client.post("/v1/photos", content=photo(0), headers={"Content-Type": "image/jpeg"}).json()["photo"]
    found = client.post(f"/v1/photos/{name}/segments", json={"concepts": ["wall"], "preset": "interior"}).json()
    assert "wall" in found["reused"], "a job has found it before"
    assert client.post(f"/v1/photos/{name}/preview", json=WALL).status_code == 200
