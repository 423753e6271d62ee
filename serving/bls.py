"""Calls between Triton models, as plain arrays. Only usable inside Triton's Python backend.

Arrays travel by `as_numpy` and `Tensor(...)` (views, no copies): the backend's DLPack route corrupts NumPy's own capsules
(`PyCapsule_GetPointer called with incorrect name`), and leaks or crashes under load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from serving.errors import PhotoError, ServingError

Arrays = dict[str, npt.NDArray[np.generic]]


class ModelCallError(ServingError):
    """A model that this one called failed."""


def infer(model: str, inputs: Mapping[str, npt.NDArray[np.generic]], outputs: Sequence[str]) -> Arrays:
    """Run another model of this server and return the named outputs in CPU memory.

    PhotoError when that model says that the photo or request is at fault, ModelCallError when it failed otherwise.
    """
    request = pb_utils.InferenceRequest(
        model_name=model,
        requested_output_names=list(outputs),
        inputs=[pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in inputs.items()],
        # The answers go to Python code: asking for CPU memory lets Triton do the one copy that is needed.
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    )
    response = request.exec()
    if response.has_error():
        error = response.error()
        if PhotoError.MARK in error.message():
            raise PhotoError(error.message().partition(PhotoError.MARK)[2])
        raise ModelCallError(f"{model}: {error.message()}")
    return {name: pb_utils.get_output_tensor_by_name(response, name).as_numpy() for name in outputs}


def arrays(request: pb_utils.InferenceRequest) -> Arrays:
    """A request's inputs by name, as views that live as long as the request."""
    return {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}


def response(outputs: Mapping[str, npt.NDArray[np.generic]]) -> pb_utils.InferenceResponse:
    """An answer."""
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, np.ascontiguousarray(array)) for name, array in outputs.items()])


def failure(error: BaseException) -> pb_utils.InferenceResponse:
    """An answer that says what went wrong: the caller's fault as INVALID_ARG, a cancelled request as CANCELLED, else INTERNAL."""
    code = pb_utils.TritonError.INTERNAL
    if isinstance(error, PhotoError):
        code = pb_utils.TritonError.INVALID_ARG
    elif isinstance(error, InterruptedError):
        code = pb_utils.TritonError.CANCELLED
    # The mark says the same again, because Triton makes every error of a model called from another one an INTERNAL one.
    message = f"{PhotoError.MARK}{error}" if isinstance(error, PhotoError) else str(error) or type(error).__name__
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message, code))
