"""Log lines carry job and item ids: in tasks, in threads, side by side, and in a real run."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from respray.observe.log_context import log_place
from respray.observe.logs import set_up_logging
from respray.observe.redaction import Redactor
from tests.orchestrator.support import TinyPipeline, palette_job, put_photos, tiny_worker

ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("tests.log_context")


@pytest.fixture
def lines() -> Iterator[Callable[[], list[str]]]:
    """What this module's logger has written with the process's own formatter, without its time."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    set_up_logging("INFO", Redactor())
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    yield lambda: [line.partition(f"{log.name}: ")[2] for line in stream.getvalue().splitlines() if log.name in line]
    root.handlers[:] = before
    root.setLevel(level)


class Chatty(TinyPipeline):
    """Logs in the task of a photo and in a thread of it; photos end in the reverse of their order."""

    async def infer(self, *arguments: Any) -> Any:
        """As TinyPipeline.infer."""
        number = self.calls
        answer = await super().infer(*arguments)
        await asyncio.sleep(0.01 * (3 - number))
        log.warning("item")
        await asyncio.to_thread(log.warning, "thread")
        return answer


def test_lines_of_items_side_by_side_keep_their_own_ids(lines: Callable[[], list[str]], tmp_path: Path) -> None:
    put_photos(tmp_path, "job_1", 3)

    async def work() -> None:
        async with tiny_worker(tmp_path, Chatty(), concurrency=3) as worker:
            await worker.start(palette_job(count=3), on_progress=lambda done, total: log.warning("progress")).finished()
            log.warning("outside")

    asyncio.run(work())
    written = lines()
    assert written.pop() == "outside"
    assert written.count("progress job_id=job_1") == 3
    items = [line for line in written if not line.startswith("progress")]
    assert sorted(items) == sorted(f"{word} job_id=job_1 idx={idx}" for word in ("item", "thread") for idx in range(3))


def test_an_id_that_is_no_word_is_quoted_and_a_traceback_follows_the_place(lines: Callable[[], list[str]]) -> None:
    with log_place("j 1", 2):
        try:
            raise ValueError("inside")
        except ValueError:
            log.exception("caught")
    assert lines() == ["caught job_id='j 1' idx=2"]


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
