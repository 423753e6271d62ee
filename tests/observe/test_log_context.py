"""Log lines carry job and item ids: in tasks, in threads, side by side, and in a real run."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace as Names
from typing import Any

import pytest

from orchestrator.worker.item_runner import ItemFlow
from respray.observe import log_context

ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("tests.log_context")


def test_lines_of_items_side_by_side_keep_their_own_ids(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    async def begin(flow: Any, job: Any) -> None:
        log.warning("begin")

    async def run(flow: Any, state: Any, item: Any) -> None:
        await asyncio.sleep(0.01 * (3 - item.idx))
        log.warning("item")
        await asyncio.to_thread(log.warning, "thread")

    monkeypatch.setattr(ItemFlow, "begin", begin)
    monkeypatch.setattr(ItemFlow, "run", run)
    undo = log_context.install()
    job = Names(job_id="j 1")

    async def work() -> None:
        await ItemFlow.begin(None, job)  # type: ignore[arg-type, call-arg]
        async with asyncio.TaskGroup() as group:
            for idx in range(3):
                group.create_task(ItemFlow.run(None, Names(job=job), Names(idx=idx)))  # type: ignore[arg-type]
        log.warning("end")

    try:
        asyncio.run(work())
        log.warning("outside")
    finally:
        undo()
    lines = [record.getMessage() for record in caplog.records if record.name == log.name]
    assert lines[0] == "begin job_id='j 1'" and lines[-2:] == ["end job_id='j 1'", "outside"]
    assert sorted(lines[1:-2]) == sorted(f"{word} job_id='j 1' idx={idx}" for word in ("item", "thread") for idx in range(3))
    log.warning("after")
    assert caplog.records[-1].getMessage() == "after" and ItemFlow.__dict__["run"] is run


def test_real_run_says_in_its_log_which_photo_failed(tmp_path: Path) -> None:
    """A photo that is not there, with nothing behind TRITON_URL but a server that says it is ready."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    class Ready(service_pb2_grpc.GRPCInferenceServiceServicer):
        def ServerReady(self, request: Any, context: Any) -> Any:
            return service_pb2.ServerReadyResponse(ready=True)

        def ModelReady(self, request: Any, context: Any) -> Any:
            return service_pb2.ModelReadyResponse(ready=True)

        def ModelInfer(self, request: Any, context: Any) -> Any:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the pipeline is away")

    server = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Ready(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        from PIL import Image

        photo = tmp_path / "store" / "inputs" / "u" / "logged" / "4.jpg"
        photo.parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(photo)
        (tmp_path / "job.json").write_text(
            '{"job_id": "logged", "user_id": "u", "concepts": {"wall": {"action": "recolor", "value": "#7C9082"}}, "items":'
            ' [{"idx": 4, "input_key": "inputs/u/logged/4.jpg", "output_key": "outputs/u/logged/4.png"}]}'
        )
        command = [sys.executable, "-m", "orchestrator.cli.app", "run", "job.json", "--store", "store", "--triton-url", f"127.0.0.1:{port}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    finally:
        server.stop(None)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "Triton did not answer" in line]
    assert lines and all(line.endswith("job_id=logged idx=4") for line in lines), done.stderr
