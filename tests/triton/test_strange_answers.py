"""A Triton that serves something else under our model's name: each of its answers is a sentence about the server, never about the photo."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as rpc

from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.triton import client as clients
from respray.triton.client import PipelineClient
from respray.triton.errors import PhotoError, ServerUnavailable, ServingError

REQUEST = PhotoRequest(
    concepts=[ConceptQuery(name="wall", prompts=["wall"])],
    outputs=[Output(name="a", edits=[Edit(concept="wall", rule=Recolor(color="#808080"))])],
)
REPORT = {"width": 1, "height": 1, "files": [], "outputs": [], "timings": {}, "concepts": [], "warnings": []}
Tensors = dict[str, tuple[str, bytes]]


def answer(files: bytes = b"abc", sizes: bytes = np.array([3]).tobytes(), report: bytes = json.dumps(REPORT).encode()) -> Tensors:
    """Tensors by name, with type and bytes, as the pipeline answers."""
    return {"files": ("UINT8", files), "file_sizes": ("INT64", sizes), "report": ("UINT8", report)}


class _Server(rpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated code
    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Answer with the tensors, whatever is asked."""
        result = pb.ModelInferResponse(model_name="pipeline_bls", model_version="1", id=request.id)
        for name, (kind, data) in self._tensors.items():
            tensor = result.outputs.add()
            tensor.name, tensor.datatype = name, kind
            tensor.shape.append(len(data) // (8 if kind == "INT64" else 1))
            result.raw_output_contents.append(data)
        return result


def edit(tensors: Tensors) -> Exception:
    """What the client makes of the answer."""

    async def ask() -> Exception:
        server = grpc.aio.server(options=list(clients.CHANNEL_OPTIONS.items()))
        rpc.add_GRPCInferenceServiceServicer_to_server(_Server(tensors), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with PipelineClient(f"127.0.0.1:{port}", deadline=20) as client:
                await client.edit(b"photo", REQUEST)
        except Exception as error:
            return error
        finally:
            await server.stop(None)
        raise AssertionError("it was taken for a result")

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (lambda: {}, "lacks one of"),
        (lambda: {f"other_{name}": value for name, value in answer().items()}, "lacks one of"),
        (lambda: answer(sizes=np.array([-3]).tobytes()), "add up to -3 bytes"),
        (lambda: answer(sizes=np.array([1 << 62]).tobytes()), "3 bytes were given"),
        (lambda: answer(sizes=b"abc"), "multiple of element size"),
        (lambda: answer(report=b"{nope"), "Invalid JSON"),
        (lambda: answer(report=b"[" * 100_000), "recursion limit"),
        (lambda: answer(report=b'{"width": "\xff"}'), "Invalid JSON"),
        (lambda: answer(report=b" " * (clients.MAX_REPORT_BYTES + 1)), "its report has 8 MB"),
    ],
)
def test_what_is_no_result_of_ours_is_the_servers_fault(tensors: Callable[[], Tensors], said: str) -> None:
    error = edit(tensors())
    assert isinstance(error, ServingError) and not isinstance(error, PhotoError | ServerUnavailable)
    assert "answered with no result of this version's pipeline" in str(error) and said in str(error) and "\n" not in str(error)


def test_the_answer_to_another_call_is_asked_for_again() -> None:
    error = edit(answer(report=json.dumps(REPORT | {"call": "another"}).encode()))
    assert isinstance(error, ServerUnavailable) and "pipeline_bls gave the answer of another call" in str(error)
