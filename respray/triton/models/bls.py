"""Calls between Triton models, as plain arrays. Only usable inside Triton's Python backend."""

from __future__ import annotations

import ctypes
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

from respray.triton.errors import PhotoError, ServingError

Arrays = dict[str, npt.NDArray[np.generic]]
# The embedded server's backend was compiled for NumPy 1: under NumPy 2 it gets the sizes and strides of every array wrong.
BACKEND_KNOWS_NUMPY = np.lib.NumpyVersion(np.__version__) < "2.0.0"
_forget_destructor = ctypes.pythonapi.PyCapsule_SetDestructor
_forget_destructor.argtypes = [ctypes.py_object, ctypes.c_void_p]
_forget_destructor.restype = ctypes.c_int


class ModelCallError(ServingError):
    """A model that this one called failed."""


class Held(np.ndarray[Any, np.dtype[np.generic]]):
    """An array over a tensor that Triton already holds in shared memory, so that it can be passed on as it is: no copy, no allocation.

    Views, slices and results of arithmetic are other bytes or shapes: they hold no tensor.
    """

    held: pb_utils.Tensor | None = None


def infer(trace: pb_utils.InferenceTrace, model: str, inputs: Mapping[str, npt.NDArray[np.generic]], outputs: Sequence[str]) -> Arrays:
    """Run another model of this server and return the named outputs in CPU memory.

    Args:
        trace: the calling request's own (`request.trace()`): where Triton traces that request, this call becomes a child of it.
        model: its name on this server.
        inputs: arrays by tensor name.
        outputs: the tensors that are wanted.

    Raises:
        PhotoError: that model says that the photo or request is at fault.
        ModelCallError: it failed otherwise.
    """
    request = pb_utils.InferenceRequest(
        model_name=model,
        trace=trace,
        requested_output_names=list(outputs),
        inputs=[tensor(name, array) for name, array in inputs.items()],
        # The answers go to Python code: asking for CPU memory lets Triton do the one copy that is needed.
        preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
    )
    response = request.exec()
    if response.has_error():
        error = response.error()
        if PhotoError.MARK in error.message():
            raise PhotoError(error.message().partition(PhotoError.MARK)[2])
        raise ModelCallError(f"{model}: {error.message()}")
    return {name: _held(pb_utils.get_output_tensor_by_name(response, name)) for name in outputs}


def arrays(request: pb_utils.InferenceRequest) -> Arrays:
    """A request's inputs by name, as views that live as long as the request."""
    return {given.name(): _array(given) for given in request.inputs()}


def held_arrays(request: pb_utils.InferenceRequest) -> Arrays:
    """The same for a model that passes some of them on to others (`Held`)."""
    return {given.name(): _held(given) for given in request.inputs()}


def _array(given: pb_utils.Tensor) -> npt.NDArray[np.generic]:
    return given.as_numpy() if BACKEND_KNOWS_NUMPY else np.from_dlpack(given)


def _held(given: pb_utils.Tensor) -> Held:
    array = _array(given).view(Held)
    array.held = given
    return array


def response(outputs: Mapping[str, npt.NDArray[np.generic]]) -> pb_utils.InferenceResponse:
    """An answer."""
    return pb_utils.InferenceResponse([tensor(name, array) for name, array in outputs.items()])


def tensor(name: str, array: npt.NDArray[np.generic]) -> pb_utils.Tensor:
    """A tensor over the array's memory (a copy where the array is not contiguous, or read-only under NumPy 2).

    An array that came from Triton under this name goes back as the very tensor that it came as.
    """
    held = array.held if isinstance(array, Held) else None
    if held is not None and held.name() == name:
        return held
    if BACKEND_KNOWS_NUMPY:
        return pb_utils.Tensor(name, np.ascontiguousarray(array))
    # Through DLPack. The backend renames the capsule to `used_dlpack` where the protocol says `used_dltensor`, at which NumPy's destructor
    # of the capsule complains (and recurses without end in NumPy 1). It has nothing to do: the backend calls the deleter itself.
    capsule = np.require(array, requirements=["C", "W"]).__dlpack__()  # type: ignore[misc]
    _forget_destructor(capsule, None)
    return pb_utils.Tensor.from_dlpack(name, capsule)


def failure(error: BaseException) -> pb_utils.InferenceResponse:
    """An answer that says what went wrong: the caller's fault as INVALID_ARG, a cancelled request as CANCELLED, else INTERNAL."""
    code = pb_utils.TritonError.INTERNAL
    if not isinstance(error, PhotoError | InterruptedError | ModelCallError):
        # Nobody expected it: the server's log keeps where it came from.
        pb_utils.Logger.log_error("".join(traceback.format_exception(error)))
    if isinstance(error, PhotoError):
        code = pb_utils.TritonError.INVALID_ARG
    elif isinstance(error, InterruptedError):
        code = pb_utils.TritonError.CANCELLED
    # The mark says the same again, because Triton makes every error of a model called from another one an INTERNAL one.
    message = f"{PhotoError.MARK}{error}" if isinstance(error, PhotoError) else str(error) or type(error).__name__
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message, code))
