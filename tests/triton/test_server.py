"""The pipeline on a real server, proved from Triton's own statistics."""

from __future__ import annotations

import asyncio
import urllib.request
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from respray.triton.client import PhotoResult, PipelineClient
from respray.triton.embedded.server import EmbeddedServer
from respray.triton.errors import PhotoError, ServerUnavailable
from respray.triton.statistics import difference
from tests.triton.counters import Statistics, settled
from tests.triton.photos import jpeg, mask, request

pytestmark = pytest.mark.server
T = TypeVar("T")


def measured(url: str, work: Callable[[PipelineClient], Awaitable[T]]) -> tuple[T, Statistics]:
    """Run `work` against the server; its result and what it added to the server's counters."""

    async def run() -> tuple[T, Statistics]:
        async with PipelineClient(url, deadline=120) as client:
            before = await settled(client)
            result = await work(client)
            return result, difference(await settled(client), before)

    return asyncio.run(run())


def word() -> str:
    """A prompt that this server has not seen."""
    return f"thing {uuid.uuid4().hex[:10]}"


def test_a_photo_comes_back_edited_with_its_report(triton_url: str) -> None:
    result, _ = measured(triton_url, lambda client: client.edit(jpeg(), request("floor", "wall", colors=("#5E7F8C", "#AA3020"))))
    assert [(file.kind, file.name) for file in result.report.files] == [
        ("output", "output 0"),
        ("output", "output 1"),
        ("preview", "output 0"),
        ("preview", "output 1"),
    ]
    assert [data[:4] for data in result.files] == [b"\x89PNG", b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe0"]
    assert (result.report.width, result.report.height) == (320, 240)
    assert {"decode", "segment", "matte", "apply", "encode", "preview"} <= set(result.report.timings)


@pytest.mark.parametrize(("prompts", "colors"), [(1, 1), (3, 2), (11, 4)])
def test_one_image_encoding_per_photo_whatever_the_concepts_and_rules(triton_url: str, prompts: int, colors: int) -> None:
    words = [f"concept number {number}" for number in range(prompts)]
    wanted = request(*words, colors=("#5E7F8C", "#AA3020", "#202020", "#F0F0F0")[:colors])
    result, added = measured(triton_url, lambda client: client.edit(jpeg(), wanted))
    assert len(result.report.concepts) == prompts
    assert added["sam3_image_encoder"].inferences == 1
    assert added["sam3_concept_decoder"].inferences == 1


def test_more_prompts_than_a_bucket_holds_still_encode_the_image_once(triton_url: str) -> None:
    result, added = measured(triton_url, lambda client: client.edit(jpeg(), request(*[f"concept number {n}" for n in range(21)])))
    assert len(result.report.concepts) == 21
    assert added["sam3_image_encoder"].inferences == 1
    assert added["sam3_concept_decoder"].inferences == 2


def test_one_text_encoding_per_concept_per_server_life(triton_url: str) -> None:
    words = [word(), word(), word()]

    async def twice_and_mixed(client: PipelineClient) -> None:
        await client.edit(jpeg(1), request(*words))
        await client.edit(jpeg(2), request(*words))
        await client.edit(jpeg(3), request(words[2], words[0]))

    _, added = measured(triton_url, twice_and_mixed)
    text = added["sam3_text_encoder"]
    assert (text.inferences, text.cache_misses) == (3, 3)
    # A pipeline instance asks once for a prompt; which of the eight instances took which photo is Triton's choice.
    assert text.cache_hits <= 5


def test_instances_that_do_not_know_a_prompt_find_it_in_the_servers_cache(triton_url: str) -> None:
    words = [word(), word()]

    async def by_several_instances(client: PipelineClient) -> None:
        await client.edit(jpeg(), request(*words))
        await asyncio.gather(*(client.edit(jpeg(seed), request(*words)) for seed in range(12)))

    _, added = measured(triton_url, by_several_instances)
    text = added["sam3_text_encoder"]
    assert (text.inferences, text.cache_misses) == (2, 2)
    # Eight instances, two words, one encoding each: seven instances at most have to ask the cache, and some of them did.
    assert 2 <= text.cache_hits <= 14


def test_photos_that_start_together_have_a_new_prompt_encoded_once(triton_url: str) -> None:
    """Triton's cache does not join requests that are under way: the instances see to it."""
    new = word()
    _, added = measured(triton_url, lambda client: asyncio.gather(*(client.edit(jpeg(seed), request(new)) for seed in range(8))))
    text = added["sam3_text_encoder"]
    assert (text.inferences, text.cache_misses) == (1, 1)


def test_a_prompt_that_two_concepts_share_is_decoded_once(triton_url: str) -> None:
    shared, other = word(), word()
    result, added = measured(triton_url, lambda client: client.edit(jpeg(), request(shared, other, shared)))
    assert added["sam3_text_encoder"].requests == 2
    first, _, third = result.report.concepts
    assert (first.coverage, first.score) == (third.coverage, third.score)


def test_a_photo_whose_concepts_all_bring_masks_is_not_segmented(triton_url: str) -> None:
    used = set[str]()
    for _ in range(10):  # what a test before has cancelled may still be at work, once; a photo that is segmented is so each time
        result, added = measured(triton_url, lambda client: client.edit(jpeg(), request("floor", masked=True), [mask()]))
        used = {name for name, counts in added.items() if counts.requests}
        if used == {"pipeline_bls", "applier"}:
            break
    concept = result.report.concepts[0]
    assert concept.source == "user"
    assert concept.coverage == pytest.approx(0.5, abs=0.02)
    assert used == {"pipeline_bls", "applier"}


def test_concurrent_photos_share_encoder_and_decoder_executions(triton_url: str) -> None:
    async def together(client: PipelineClient) -> list[PhotoResult]:
        return await asyncio.gather(*(client.edit(jpeg(seed), request("floor", "wall")) for seed in range(12)))

    results, added = measured(triton_url, together)
    assert len(results) == 12
    for name in ("sam3_image_encoder", "sam3_concept_decoder"):
        assert added[name].inferences == 12
        assert added[name].executions < 12, added[name]
        assert max(added[name].batches) <= 4


def test_photos_in_one_batch_do_not_mix(triton_url: str) -> None:
    async def alone_and_together(client: PipelineClient) -> tuple[list[PhotoResult], list[PhotoResult]]:
        alone = [await client.edit(jpeg(seed), request("floor")) for seed in range(4)]
        return alone, await asyncio.gather(*(client.edit(jpeg(seed), request("floor")) for seed in range(4)))

    (alone, together), _ = measured(triton_url, alone_and_together)
    assert [result.files for result in alone] == [result.files for result in together]
    assert len({result.files[0] for result in alone}) == 4


@pytest.mark.parametrize(
    ("photo", "says"),
    [
        (b"", "not an image"),
        (b"<html>no photo</html>", "not an image"),
        (jpeg()[:700], "corrupt|truncated"),
    ],
)
def test_a_bad_photo_is_an_error_of_its_own_request_only(triton_url: str, photo: bytes, says: str) -> None:
    async def with_a_good_one(client: PipelineClient) -> list[PhotoResult | BaseException]:
        calls = (client.edit(photo, request("floor")), client.edit(jpeg(), request("floor")))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    (bad, good), _ = measured(triton_url, with_a_good_one)
    assert isinstance(bad, PhotoError)
    assert any(part in str(bad) for part in says.split("|")), str(bad)
    assert isinstance(good, PhotoResult)


def test_a_request_that_cannot_be_carried_out_says_why(triton_url: str) -> None:
    wanted = request("floor", masked=True)
    with pytest.raises(PhotoError, match="attachment 0, but 0 were sent"):
        measured(triton_url, lambda client: client.edit(jpeg(), wanted))
    with pytest.raises(PhotoError, match="unknown concept 'ceiling'"):
        edits = [edit.model_copy(update={"concept": "ceiling"}) for edit in wanted.outputs[0].edits]
        outputs = [wanted.outputs[0].model_copy(update={"edits": edits})]
        measured(triton_url, lambda client: client.edit(jpeg(), wanted.model_copy(update={"outputs": outputs}), [mask()]))


def test_large_files_pass(triton_url: str) -> None:
    """A photo file of more than 100 MB: a small JPEG with a long tail of nothing, as some cameras append previews."""
    photo = jpeg() + bytes(110 << 20)
    result, _ = measured(triton_url, lambda client: client.edit(photo, request("floor")))
    assert result.report.width == 320


def test_a_deadline_and_an_absent_server_are_told_from_a_bad_photo(triton_url: str) -> None:
    with pytest.raises(ServerUnavailable, match=r"no answer within 0\.001 s"):
        measured(triton_url, lambda client: client.edit(jpeg(), request("floor"), deadline=0.001))

    async def absent() -> None:
        async with PipelineClient("127.0.0.1:9") as client:
            assert not await client.ready()
            await client.edit(jpeg(), request("floor"))

    with pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:9 is not available"):
        asyncio.run(absent())


def test_the_server_listens_on_loopback_and_serves_metrics(triton_server: EmbeddedServer) -> None:
    assert triton_server.grpc_url.startswith("127.0.0.1:")
    with urllib.request.urlopen(triton_server.metrics_url) as answer:
        assert b'nv_inference_request_success{model="pipeline_bls"' in answer.read()
