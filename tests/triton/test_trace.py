"""Triton's own traces: every model that a photo went through is a child of the photo's request."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from respray.triton.client import PipelineClient
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from tests.triton.photos import jpeg, mask, request
from tests.triton.repositories import cold_repository
from tests.triton.test_lifecycle import eventually

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def spans(demo_graphs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """The traces of one segmented photo, of one with its own mask and of one more segmented photo, by request id of their roots."""
    folder = tmp_path_factory.mktemp("traced")
    repository = cold_repository(demo_graphs, folder)
    # The time stamps of every request, each in a numbered file of its own as soon as the request is over.
    tracing = ("mode=triton", f"triton,file={folder / 'trace.json'}", "triton,log-frequency=1", "level=TIMESTAMPS", "rate=1")
    server = EmbeddedServer(repository, ServerOptions(log_file=folder / "log", trace_config=tracing))

    async def send() -> None:
        async with PipelineClient(server.grpc_url) as client:
            await client.edit(jpeg(), request("floor", "wall"), tag="first")
            await client.edit(jpeg(), request("floor", masked=True), [mask()], tag="masked")
            await client.edit(jpeg(1), request("floor", "wall"), tag="second")

    with server:
        asyncio.run(send())
        assert eventually(lambda: set(_by_request(_events(folder))) == {"first", "masked", "second"})
    yield _by_request(_events(folder))


def _events(folder: Path) -> list[dict[str, Any]]:
    """What Triton has written so far."""
    events: list[dict[str, Any]] = []
    for file in folder.glob("trace.json.*"):
        with contextlib.suppress(ValueError):  # one that is being written
            events += json.loads(file.read_text())
    return events


def _by_request(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Root spans by request id; a span is {name, parent, start, end, children}. Triton writes a span as several events of one id."""
    found: dict[int, dict[str, Any]] = {}
    for event in events:
        span = found.setdefault(event["id"], {"children": [], "times": []})
        if "model_name" in event:
            span.update(name=event["model_name"], parent=event.get("parent_id", 0), request=event.get("request_id", ""))
        span["times"] += [stamp["ns"] for stamp in event.get("timestamps", [])]
    for span in list(found.values()):
        if span.get("parent"):
            found.setdefault(span["parent"], {"children": [], "times": []})["children"].append(span)
    return {span["request"]: span for span in found.values() if span.get("name") == "pipeline_bls"}


def names(span: dict[str, Any]) -> list[str]:
    return sorted(child["name"] for child in span["children"])


def test_the_models_of_a_photo_are_children_of_its_request(spans: dict[str, dict[str, Any]]) -> None:
    assert set(spans) == {"first", "masked", "second"}
    assert names(spans["first"]) == ["applier", "sam3", "sam3_text_encoder", "sam3_text_encoder"]
    (ensemble,) = (child for child in spans["first"]["children"] if child["name"] == "sam3")
    assert names(ensemble) == ["sam3_concept_decoder", "sam3_image_encoder"]


def test_each_photo_has_only_its_own_children(spans: dict[str, dict[str, Any]]) -> None:
    assert names(spans["masked"]) == ["applier"]
    assert names(spans["second"]) == ["applier", "sam3"]  # the texts are known by now


def test_children_lie_within_their_parents_time(spans: dict[str, dict[str, Any]]) -> None:
    for span in spans.values():
        assert span["parent"] == 0
        for child in span["children"]:
            assert min(span["times"]) <= min(child["times"])
            # Triton lets go of a child's request only after the answer has gone to its parent.
            assert max(child["times"]) <= max(span["times"]) + 10_000_000  # nanoseconds
