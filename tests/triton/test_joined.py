"""Encoder and decoder in one Python model, as the embedded server runs them on a GPU; here on the CPU."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from respray.triton.client import PhotoResult, PipelineClient
from respray.triton.embedded.server import EmbeddedServer
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target
from tests.triton.photos import jpeg, request
from tests.triton.repositories import cold_sources
from tests.triton.test_server import measured

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def joined(demo_graphs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server with such a model. Three concepts fill a bucket, so that few prompts are more than one holds."""
    chosen = target("embedded", joined=True, max_concepts=3, max_decoded=3, pipeline_instances=4, applier_instances=1)
    folder = tmp_path_factory.mktemp("joined")
    with EmbeddedServer(build(demo_graphs, chosen, folder / "repository", cold_sources(folder / "sources"))) as server:
        yield server


def test_it_answers_the_probe_and_photos_as_the_ensemble_does(joined: EmbeddedServer, triton_url: str) -> None:
    assert joined.probed is not None and joined.probed.measures
    wanted = request("floor", "wall", colors=("#5E7F8C", "#AA3020"))
    mine, added = measured(joined.grpc_url, lambda client: client.edit(jpeg(), wanted))
    theirs, _ = measured(triton_url, lambda client: client.edit(jpeg(), wanted))
    assert mine.files == theirs.files
    assert added["sam3"].inferences == 1 and added["sam3_image_encoder"].inferences == added["sam3_concept_decoder"].inferences == 0


def test_photos_that_come_together_are_one_batch_and_each_gets_its_own_answer(joined: EmbeddedServer) -> None:
    wanted = [
        request(*prompts, colors=("#5E7F8C",)) for prompts in (["floor", "wall"], ["wall", "floor"], ["rug", "window"], ["wall", "rug"])
    ]

    async def together(client: PipelineClient) -> list[PhotoResult]:
        return await asyncio.gather(*[client.edit(jpeg(), one) for one in wanted])

    several, added = measured(joined.grpc_url, together)
    assert added["sam3"].inferences == len(wanted)
    for one, result in zip(wanted, several, strict=True):
        alone, _ = measured(joined.grpc_url, lambda client, one=one: client.edit(jpeg(), one))  # type: ignore[misc]
        assert alone.files == result.files


def test_more_prompts_than_a_bucket_holds_go_through_the_models_that_load_late(joined: EmbeddedServer, triton_url: str) -> None:
    wanted = request("floor", "wall", "rug", "window")
    mine, added = measured(joined.grpc_url, lambda client: client.edit(jpeg(), wanted))
    theirs, _ = measured(triton_url, lambda client: client.edit(jpeg(), wanted))
    assert mine.files == theirs.files
    assert added["sam3_image_encoder"].inferences == 1 and added["sam3_concept_decoder"].inferences == 2
