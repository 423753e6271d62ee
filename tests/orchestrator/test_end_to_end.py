"""The caller's whole side, as its documentation describes it: upload, queue, callbacks, results, probes, the way down."""

from __future__ import annotations

import io
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloudflare import Cloudflare
from PIL import Image

from tests.faults.processes import ACCESS, BUCKET, CALLBACK_SECRET, SECRET, S3Server, WorkerProcess, wait_for
from tests.faults.receiver import Receiver
from tests.faults.stage import make_photo
from tests.faults.standins import CloudflareQueue

pytestmark = pytest.mark.server
USER, JOB = "u_abc", "job_123"


@pytest.fixture
def queue() -> Iterator[CloudflareQueue]:
    standin = CloudflareQueue()
    yield standin
    standin.close()


def metric(text: str, name: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}(\{{|\s)", line))


def test_upload_queue_callbacks_results_and_no_secret_anywhere(
    tmp_path: Path, triton_url: str, s3_server: S3Server, receiver: Receiver, queue: CloudflareQueue
) -> None:
    s3 = s3_server.client()

    def presigned(operation: str, key: str) -> str:
        return str(s3.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=600))

    items: list[dict[str, Any]] = []
    for index in range(3):
        key = f"inputs/{USER}/{JOB}/{index}.jpg"
        content = make_photo(index) if index < 2 else make_photo(2)[:200] + bytes(300)  # the last one is damaged behind its header
        assert httpx.put(presigned("put_object", key), content=content).status_code == 200
        items.append(
            {
                "idx": index,
                "input_key": key,
                "output_key": f"outputs/{USER}/{JOB}/{index}_result.png",
                "preview_key": f"previews/{USER}/{JOB}/{index}_thumb.jpg",
            }
        )
    message = {
        "job_id": JOB,
        "user_id": USER,
        "preset": "interior",
        "concepts": {"Floor": {"action": "recolor", "value": "oak_a"}, "Wall": {"action": "recolor", "value": "offwhite_b"}},
        "protect": ["Grout", "Frame_Molding"],
        "items": items,
        "callback_url": f"{receiver.url}/jobs/{JOB}/callback",
        "idempotency_prefix": JOB,
        "batch_concurrency": 4,
        "options": {"masks": True, "threshold": 0.3},
    }
    rules = {
        "userId": USER,
        "jobId": "job_rules",
        "concepts": ["wall", "floor"],
        "rules": [{"ruleId": "r1", "concept": "wall", "type": "recolor", "params": {"color": "#FF5733"}}],
        "imageCount": 1,
    }
    assert httpx.put(presigned("put_object", f"inputs/{USER}/job_rules/0.jpg"), content=make_photo(5)).status_code == 200
    producer = Cloudflare(api_token=queue.TOKEN, base_url=queue.url)
    for body in (message, rules, {"job_id": "broken", "user_id": USER, "api_key": f"oops {SECRET}"}):
        producer.queues.messages.push(queue_id=queue.QUEUE, account_id=queue.ACCOUNT, body=body, content_type="json")

    environment = {
        "ADAPTER": "queue_pull",
        "CF_ACCOUNT_ID": queue.ACCOUNT,
        "CF_QUEUE_ID": queue.QUEUE,
        "CF_API_TOKEN": queue.TOKEN,
        "CF_API_URL": queue.url,
        "STORAGE_S3_ENDPOINT": s3_server.url,
        "TRITON_URL": triton_url,
        "CALLBACK_ALLOW_HOSTS": receiver.host,
        "WORKERS_API_URL": receiver.url,
        "LOG_LEVEL": "debug",
    }
    worker = WorkerProcess(tmp_path, "worker", environment)
    try:
        worker.wait_ready()
        wait_for("three acknowledged messages and four callbacks", lambda: len(queue.acked) == 3 and len(receiver.calls) == 4)
        port = int(re.findall(r"probes on port (\d+)", worker.events_file.read_text())[0])
        base = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{base}/healthz").status_code == 200 and httpx.get(f"{base}/readyz").json() == {"status": "ready"}
        metrics = httpx.get(f"{base}/metrics").text
        assert metric(metrics, "respray_items_total") == 4 and metric(metrics, "respray_jobs_total") == 3
        assert metric(metrics, "respray_stage_seconds_count") > 10 and metric(metrics, "respray_jobs_in_flight") == 0
        shown = 'respray_probe{device="CPU",engine="ONNX Runtime [0-9.]+",fallback_from="",model="demo",target="embedded"} 1.0'
        assert re.search(shown, metrics) and 'respray_probe_limit{what="mask_iou"} 0.99' in metrics
        worker.send(signal.SIGTERM)
        wait_for("the end", lambda: not worker.alive)
    finally:
        assert worker.stop() == 0

    told = {(call.path, call.body["idx"]): call for call in receiver.calls}
    assert [call.problem for call in told.values()] == [None] * 4
    assert told[f"/jobs/{JOB}/callback", 2].body["status"] == "failed" and told[f"/jobs/{JOB}/callback", 2].body["error"]
    for index in range(2):
        body = told[f"/jobs/{JOB}/callback", index].body
        result = Image.open(io.BytesIO(httpx.get(presigned("get_object", str(body["output_key"]))).content))
        assert result.format == "PNG" and result.size == Image.open(io.BytesIO(make_photo(index))).size
        preview = Image.open(io.BytesIO(httpx.get(presigned("get_object", str(body["preview_key"]))).content))
        assert preview.format == "JPEG" and max(preview.size) <= 256
    rule_result = Image.open(io.BytesIO(httpx.get(presigned("get_object", f"outputs/{USER}/job_rules/r1/0.jpg")).content))
    assert rule_result.format == "JPEG"
    manifest = json.loads(httpx.get(presigned("get_object", f"outputs/{USER}/{JOB}/manifest.json")).content)
    assert (manifest["completed"], manifest["failed"], manifest["callbacks"]) == (2, 1, {"delivered": 3, "undelivered": []})
    for item in manifest["items"]:
        for keys in item["masks"].values():
            assert all(
                key.startswith(f"masks/{USER}/{JOB}/") and s3.head_object(Bucket=BUCKET, Key=key)["ContentType"] == "image/png"
                for key in keys
            )
    assert {e["event"] for e in worker.events()} == {"connection", "worker", "progress", "item", "finish"}

    secrets = (SECRET, ACCESS, CALLBACK_SECRET, queue.TOKEN)
    places = {"events": worker.events_file.read_text(), "log": worker.log.read_text()}
    listed = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    places |= {
        e["Key"]: s3.get_object(Bucket=BUCKET, Key=e["Key"])["Body"].read().decode("latin-1") for e in listed if e["Key"].endswith(".json")
    }
    assert any(key.startswith("failed/") for key in places) and "stopping: no more jobs" in places["log"]
    assert not [(place, secret[:6]) for place, text in places.items() for secret in secrets if secret in text]


def test_a_second_sigterm_ends_at_once_and_the_job_goes_on_elsewhere(
    tmp_path: Path, triton_url: str, s3_server: S3Server, receiver: Receiver, queue: CloudflareQueue
) -> None:
    s3, job = s3_server.client(), "job_two"
    items = []
    for index in range(12):
        s3.put_object(Bucket=BUCKET, Key=f"inputs/{USER}/{job}/{index}.jpg", Body=make_photo(index))
        items.append({"idx": index, "input_key": f"inputs/{USER}/{job}/{index}.jpg", "output_key": f"outputs/{USER}/{job}/{index}.png"})
    concepts = {"wall": {"action": "recolor", "value": "#334455"}}
    queue.push(
        {"job_id": job, "user_id": USER, "concepts": concepts, "items": items, "callback_url": f"{receiver.url}/jobs/{job}/callback"}
    )
    environment = {
        "ADAPTER": "queue_pull",
        "CF_ACCOUNT_ID": queue.ACCOUNT,
        "CF_QUEUE_ID": queue.QUEUE,
        "CF_API_TOKEN": queue.TOKEN,
        "CF_API_URL": queue.url,
        "STORAGE_S3_ENDPOINT": s3_server.url,
        "TRITON_URL": triton_url,
        "CALLBACK_ALLOW_HOSTS": receiver.host,
        "LONGEST_JOB_SEC": "5",
        "BATCH_CONCURRENCY": "1",
    }
    first = WorkerProcess(tmp_path, "first", environment)
    first.wait_ready()
    wait_for("some items", lambda: first.events_file.read_text().count('"event":"item"') >= 2)
    first.send(signal.SIGTERM)
    wait_for("the first reaction", lambda: "stopping" in first.log.read_text())
    first.send(signal.SIGTERM)
    wait_for("the end", lambda: not first.alive)
    # In order, after the grace period, it would have said so and ended with 0.
    assert first.stop() == 1 and not [event for event in first.events() if event["event"] == "finish" and "job_id" not in event]
    assert "second signal: ending at once" in first.log.read_text()
    for message in queue.messages:
        message.visible_at = 0.0  # its lease ends
    second = WorkerProcess(tmp_path, "second", environment)
    try:
        wait_for("the rest", lambda: len({c.body["idx"] for c in receiver.calls}) == 12 and len(queue.acked) == 1)
    finally:
        second.stop()
    assert len({c.headers["webhook-id"] for c in receiver.calls}) == 12
