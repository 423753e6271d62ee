"""The gRPC client of `pipeline_bls`: one photo's bytes and request in, edited files and a report out.

    async with PipelineClient("127.0.0.1:8001") as client:
        result = await client.edit(photo, request)

One client serves any number of concurrent calls on one event loop.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from respray.contract import parameters, tensors
from respray.contract.report import PhotoReport
from respray.contract.request import PhotoRequest
from respray.observe.tracing import request_headers
from respray.schemes import with_lower_scheme
from respray.triton.errors import OTHER_CALL, PhotoError, ServerUnavailable, ServingError
from respray.triton.packing import from_bytes, pack, unpack
from respray.triton.statistics import ModelStatistics, parse

MODEL = "pipeline_bls"
READY_SECONDS = 5.0
MAX_REPORT_BYTES = 8 << 20
"""Far more than a photo of all outputs, edits and instances has; the worker keeps the reports of a job's photos until it ends."""
CHANNEL_OPTIONS = {
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": -1,
    # gRPC's own waits between two attempts to connect grow to two minutes: a server that is back would be noticed that late.
    "grpc.initial_reconnect_backoff_ms": 500,
    "grpc.min_reconnect_backoff_ms": 5000,
    "grpc.max_reconnect_backoff_ms": 5000,
    # gRPC takes HTTP_PROXY and HTTPS_PROXY for every address, loopback too (https://github.com/grpc/grpc/blob/master/doc/environment_variables.md);
    # a Triton is a neighbour, which no company's proxy leads to.
    "grpc.enable_http_proxy": 0,
}
"""Of every connection to a Triton. Messages are as large as protocol buffers allow; gRPC's own limit is 4 MB."""
# Codes after which the same request may succeed, on this server or another one.
TRANSIENT = {"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.RESOURCE_EXHAUSTED", "StatusCode.CANCELLED"}


@dataclass(frozen=True)
class PhotoResult:
    """What came back.

    Attributes:
        files: encoded pictures, in the order of `report.files`.
        report: what was found and done.
    """

    files: list[bytes]
    report: PhotoReport


class PipelineClient:
    """Asynchronous client of one Triton server."""

    def __init__(self, url: str, deadline: float = 300.0) -> None:
        """Connect lazily. `url` is `host:port` of the gRPC endpoint, `deadline` the seconds that one photo may take."""
        self.url = with_lower_scheme(url).removeprefix("grpc://")
        self.deadline = deadline
        self._model: str | None = None
        self._client = InferenceServerClient(self.url, channel_args=list(CHANNEL_OPTIONS.items()))

    async def __aenter__(self) -> PipelineClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def edit(
        self, photo: bytes, request: PhotoRequest, attachments: Sequence[bytes] = (), *, deadline: float | None = None, tag: str = ""
    ) -> PhotoResult:
        """Edit one encoded photo. Cancelling the task cancels the request on the server at its next stage.

        Args:
            photo: an encoded file, as it came.
            request: what to find and what to do with it.
            attachments: encoded masks and textures, which the request names by their numbers.
            deadline: seconds until the answer; None takes the client's own.
            tag: becomes Triton's request id, for finding the request in its log.

        Raises:
            PhotoError: photo, request or an attachment is at fault.
            ServerUnavailable: the server is away, overloaded or too slow.
            ServingError: it failed otherwise.
        """
        request = request.model_copy(update={"call": uuid.uuid4().hex})
        data, sizes = pack(attachments)
        arrays: dict[str, npt.NDArray[np.uint8] | npt.NDArray[np.int64]] = {
            # An empty tensor is refused by Triton with words about byte sizes; one zero byte is refused by the decoder in words for users.
            tensors.PHOTO: from_bytes(photo or b"\0"),
            tensors.REQUEST: from_bytes(request.model_dump_json().encode()),
            tensors.ATTACHMENTS: data,
            tensors.ATTACHMENT_SIZES: sizes,
        }
        inputs = []
        for name, array in arrays.items():
            tensor = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            tensor.set_data_from_numpy(array)
            inputs.append(tensor)
        del data, arrays, array, tensor  # gRPC makes copies of its own
        seconds = self.deadline if deadline is None else deadline
        try:
            answer = await self._client.infer(
                MODEL,
                inputs,
                outputs=[InferRequestedOutput(name) for name in tensors.RESULTS],
                request_id=tag,
                headers=request_headers(),
                client_timeout=seconds,
            )
        except InferenceServerException as error:
            self._model = None  # the server that comes back may serve another one
            raise self._translate(error, seconds) from error
        try:
            result = _result(answer)
        except (PhotoError, ValueError) as error:  # the server's fault, whatever the photo: pydantic's are ValueErrors
            said = str(error).replace("\n", " ")[:200]
            raise ServingError(f"The Triton server at {self.url} answered with no result of this version's pipeline: {said}") from error
        # A pipeline that does not say whose answer it is, is taken at its word: it may be none of this version's.
        if result.report.call not in (None, request.call):
            raise ServerUnavailable(f"The Triton server at {self.url} is not available: " + OTHER_CALL.format(MODEL))
        self._model = result.report.model or None
        return PhotoResult(result.files, result.report.model_copy(update={"call": None}))

    async def model_digest(self) -> str | None:
        """The digest under which this server's segments are kept; None where its configuration does not say or it does not answer.

        Asked for once; after an error, and by every answer, it is learned anew.
        """
        if self._model is None:
            try:
                answer = await self._client.get_model_config(MODEL, client_timeout=READY_SECONDS)
            except InferenceServerException:
                return None
            given = answer.config.parameters
            self._model = given[parameters.MODEL].string_value if parameters.MODEL in given else None
        return self._model

    async def ready(self) -> bool:
        """Whether the server answers and the pipeline and all that it calls are loaded."""
        try:
            server = await self._client.is_server_ready(client_timeout=READY_SECONDS)
            return bool(server and await self._client.is_model_ready(MODEL, client_timeout=READY_SECONDS))
        except InferenceServerException:
            return False

    async def wait_ready(self, seconds: float) -> None:
        """Return as soon as the server is ready.

        Raises:
            ServerUnavailable: it was not within so many seconds.
        """
        deadline = time.monotonic() + seconds
        while not await self.ready():
            if time.monotonic() > deadline:
                raise ServerUnavailable(f"The Triton server at {self.url} was not ready within {seconds:g} s.")
            await asyncio.sleep(0.2)

    async def statistics(self) -> dict[str, ModelStatistics]:
        """Triton's counters by model."""
        try:
            return parse(await self._client.get_inference_statistics(as_json=True))
        except InferenceServerException as error:
            raise self._translate(error, 0.0) from error

    def _translate(self, error: InferenceServerException, seconds: float) -> ServingError:
        status, message = str(error.status()), error.message()
        if PhotoError.MARK in message or status == "StatusCode.INVALID_ARGUMENT":
            return PhotoError(message.rpartition(PhotoError.MARK)[2])
        if status == "StatusCode.DEADLINE_EXCEEDED":
            return ServerUnavailable(f"The Triton server at {self.url} gave no answer within {seconds:g} s.")
        # A Python model's process that died is started again by Triton.
        if status in TRANSIENT or "not healthy" in message or "unhealthy" in message:
            return ServerUnavailable(f"The Triton server at {self.url} is not available: {message}")
        return ServingError(f"The Triton server at {self.url} failed: {message}")


def _result(answer: InferResult) -> PhotoResult:
    files, file_sizes, report = (answer.as_numpy(name) for name in tensors.RESULTS)
    if files is None or file_sizes is None or report is None:
        raise ValueError(f"it lacks one of {', '.join(tensors.RESULTS)}")
    if report.nbytes > MAX_REPORT_BYTES:
        raise ValueError(f"its report has {report.nbytes / 1e6:.0f} MB; at most {MAX_REPORT_BYTES / 1e6:.0f} are accepted")
    return PhotoResult(unpack(files, file_sizes.astype(np.int64)), PhotoReport.model_validate_json(report.tobytes()))
