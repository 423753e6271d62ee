"""REQUIRE_REAL_MODEL where TRITON_URL names a server: it is asked which model it serves. Against the real embedded server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import pytest

from orchestrator.errors import PipelineUnavailable
from orchestrator.service.model_guard import refuse_served_demo, serves_demo
from tests.orchestrator.support import palette_job, put_photos
from tests.orchestrator.test_commands import respray


@pytest.mark.server
def test_a_server_with_the_demo_is_refused_with_the_way_to_the_real_model(tmp_path: Path, triton_url: str) -> None:
    assert asyncio.run(serves_demo(triton_url)) is True
    put_photos(tmp_path / "store", "job_1", 1)
    message = json.dumps(palette_job(count=1))
    command = ("run", "-", "--store", "store", "--triton-url", triton_url)
    refused = respray(*command, folder=tmp_path, environment={"REQUIRE_REAL_MODEL": "true"}, stdin=message)
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    for words in (f"TRITON_URL={triton_url} serves the demo model", "huggingface.co/facebook/sam3", "HF_TOKEN", "REQUIRE_REAL_MODEL=false"):
        assert words in refused.stderr
    assert not (tmp_path / "store/outputs").exists(), "no photo was edited"


@pytest.mark.parametrize("source", [None, "instances", "region"])
def test_what_the_configuration_says_decides(monkeypatch: pytest.MonkeyPatch, source: str | None) -> None:
    """A repository that does not say it is not refused: operators may serve what they built themselves."""

    async def answer(url: str) -> bool | None:
        return None if source is None else source == "region"

    monkeypatch.setattr("orchestrator.service.model_guard.serves_demo", answer)
    if source == "region":
        with pytest.raises(Exception, match="serves the demo model"):
            asyncio.run(refuse_served_demo("host:8001"))
    else:
        asyncio.run(refuse_served_demo("host:8001"))


def test_a_server_without_that_question_says_nothing() -> None:
    """As the stand-ins of the scale simulation, or somebody's own pipeline."""

    async def ask() -> bool | None:
        server = grpc.aio.server()
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await serves_demo(f"127.0.0.1:{port}")
        finally:
            await server.stop(None)

    assert asyncio.run(ask()) is None


def test_a_server_that_is_gone_is_one_sentence() -> None:
    with pytest.raises(PipelineUnavailable, match="does not say which model it serves"):
        asyncio.run(serves_demo("127.0.0.1:1"))
