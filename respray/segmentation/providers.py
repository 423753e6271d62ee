"""ONNX Runtime's execution providers for a device, with the options that a GPU of 16 GB needs."""

from __future__ import annotations

import functools
import importlib
import logging
from typing import Any

import onnxruntime

from respray.segmentation.accelerator import cuda_problem
from respray.segmentation.device import Device
from respray.segmentation.errors import DeviceError

_log = logging.getLogger(__name__)
CUDA_PROVIDER = "CUDAExecutionProvider"
RTX_PROVIDER = "NvTensorRTRTXExecutionProvider"
RTX_MODULE = "onnxruntime_ep_nv_tensorrt_rtx"
RTX_PACKAGE = "onnxruntime-ep-nv-tensorrt-rtx-cu13"
# As much memory as is asked for in place of doubling, and a heuristic choice of convolutions: trying each takes workspaces of its own.
# https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#configuration-options
CUDA_OPTIONS = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}


def cuda_options(device: Device) -> dict[str, str]:
    """Options of the CUDA provider, as its page names them (`CUDA_OPTIONS`)."""
    options = {"device_id": str(device.index), **CUDA_OPTIONS}
    if device.memory:
        options["gpu_mem_limit"] = str(device.memory)
    if device.recorded:
        options["enable_cuda_graph"] = "1"
    return options


def add_providers(options: onnxruntime.SessionOptions, device: Device) -> list[str | tuple[str, dict[str, str]]]:
    """What a session is given: providers in order of preference, or none where `options` has got a plugin's device.

    Raises:
        DeviceError: TensorRT-RTX is asked for and is not there; CUDA falls back to the CPU with a warning.
    """
    if device.kind == "tensorrt-rtx":
        gpus = rtx_devices()
        if device.index >= len(gpus):
            raise DeviceError(f"there is no GPU number {device.index} for TensorRT-RTX here, which sees {len(gpus)}")
        options.add_provider_for_devices([gpus[device.index]], {})
        return []
    if device.kind == "cuda" and CUDA_PROVIDER in onnxruntime.get_available_providers():
        problem = cuda_problem()
        if problem is None:
            # Those of NVIDIA's wheels, which are in no folder that a loader searches:
            # https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#preload-dlls
            onnxruntime.preload_dlls()
            return [(CUDA_PROVIDER, cuda_options(device)), "CPUExecutionProvider"]
        # Asked first because ONNX Runtime would not raise: cuDNN ends the process when one of its parts is missing.
        _log.warning("CUDA is not used: %s", problem)
    return ["CPUExecutionProvider"]


def rtx_problem() -> str | None:
    """Why the plugin cannot be used here, in one sentence; None where it sees a GPU."""
    try:
        return None if rtx_devices() else f"{RTX_PACKAGE} sees no GPU: it takes RTX cards from Ampere on, and a driver for CUDA 13"
    except DeviceError as error:
        return str(error)


@functools.lru_cache
def rtx_devices() -> tuple[Any, ...]:
    """The GPUs that the plugin offers. It is registered once per process, as its package shows.

    https://onnxruntime.ai/docs/execution-providers/plugin-ep-libraries/usage.html

    Raises:
        DeviceError: it is not installed, or cannot be registered.
    """
    if not hasattr(onnxruntime, "register_execution_provider_library"):
        raise DeviceError(f"TensorRT-RTX needs ONNX Runtime 1.24 or later; this is {onnxruntime.__version__}")
    try:
        plugin = importlib.import_module(RTX_MODULE)
    except ModuleNotFoundError:
        raise DeviceError(f"TensorRT-RTX is not installed here: pip install {RTX_PACKAGE}") from None
    try:
        onnxruntime.register_execution_provider_library(RTX_PROVIDER, plugin.get_library_path())
    except Exception as error:  # ONNX Runtime's own classes, and OSError of a package that lacks its library
        raise DeviceError(f"{RTX_PACKAGE} cannot be used with ONNX Runtime {onnxruntime.__version__} here: {error}") from error
    return tuple(found for found in onnxruntime.get_ep_devices() if found.ep_name == RTX_PROVIDER)
