"""The embedded server as commands start it: which graphs, which build folder. For development; production sets TRITON_URL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from orchestrator.errors import PipelineUnavailable, SettingsError
from orchestrator.settings import Settings
from respray.contract.parameters import DeviceKind
from respray.installation import install_command
from respray.launch import compiled_loops, gpus
from respray.launch.chosen_model import check_model, chosen_model, find_graphs
from respray.launch.model_sync import sync_source
from respray.launch.start_times import StartTimes
from respray.processors import usable_cores
from respray.segmentation.accelerator import cuda_problem
from respray.triton.client import MODEL
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.embedded.server_files import cache_folder, make_folder
from respray.triton.errors import HostError, ProbeFailed, ServingError
from respray.triton.repository.build_repository import build, built_for
from respray.triton.repository.targets import embedded_on, target
from respray.triton.watchdog import ServerWatchdog
from respray.weights.ensure import ensure
from respray.weights.errors import OperationsError
from respray.weights.model_presets import choose_preset

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def local_server(settings: Settings) -> AsyncIterator[str]:
    """The embedded server over the demo model (or MODEL_NAME), for as long as a worker lives. Yields its gRPC address `host:port`."""
    server = await asyncio.to_thread(start_embedded, settings)
    watchdog = ServerWatchdog(server)
    try:
        yield server.grpc_url
    finally:
        await asyncio.to_thread(watchdog.stop)


def start_embedded(settings: Settings, options: ServerOptions | None = None, repository: Path | None = None) -> EmbeddedServer:
    """Build the model repository where needed, start the server and wait until it is ready. Stop it with `.stop()`.

    Args:
        settings: They name the model.
        options: How the server runs.
        repository: A built one, in place of the model's.

    Raises:
        SettingsError: there is no such model, or GPU_DEVICE asks for a GPU.
        PipelineUnavailable: it does not start; the message has the server's own words.
    """
    try:
        usable_cores()
    except ValueError as error:
        raise SettingsError(str(error)) from None
    compiled_loops.use(os.environ)
    device: DeviceKind = "cpu"
    try:
        if repository is not None:
            return _start_built(repository, settings, options or ServerOptions())
        device = embedded_device(settings)
        return _start_chosen(device, settings, options or ServerOptions())
    except ProbeFailed as error:
        raise PipelineUnavailable(f"{error}; RESPRAY_DEVICE=cpu serves the graphs on the CPU" if device != "cpu" else str(error)) from None
    except ServingError as error:
        raise PipelineUnavailable(str(error)) from None


def _start_built(repository: Path, settings: Settings, options: ServerOptions) -> EmbeddedServer:
    """The server over a repository that was built before. Raises SettingsError for one that it cannot serve."""
    if not (repository / MODEL / "config.pbtxt").is_file():
        build_it = f"respray build --target embedded --out {repository}"
        raise SettingsError(f"{repository} is no model repository with a {MODEL} in it; build one with: {build_it}")
    built, device = built_for(repository)
    if built not in ("embedded", "unknown"):
        what = f"{repository} was built for the target {built}, which the embedded server has no backends for"
        raise SettingsError(f"{what}; build one with: respray build --target embedded --out DIR")
    if device != "cpu":
        options = replace(options, gpu=_gpu_names(settings.gpu_device))
    return EmbeddedServer(repository, options).start()


def _start_chosen(device: DeviceKind, settings: Settings, options: ServerOptions) -> EmbeddedServer:
    """The server over the settings' model, whose repository is built where that is needed."""
    if settings.gpu_device is not None:
        options = replace(options, extra_environment=_chosen_gpus(settings.gpu_device, device))
    if device != "cpu":
        options = replace(options, gpu=_gpu_names(settings.gpu_device))
    times = StartTimes(say=log.info)
    with times.step("weights and graphs"):
        _fetch(settings)
        graphs = find_graphs(settings)
    chosen = target("embedded", pipeline_instances=settings.batch_concurrency, **embedded_on(device))
    name = f"{graphs.parent.name}-{os.getuid()}-{settings.batch_concurrency}-{device}"
    folder = make_folder(cache_folder() / "repositories") / name
    with times.step("model repository"):
        repository = build(graphs, chosen, folder)
    with times.step("Triton and its models"):
        server = EmbeddedServer(repository, options).start()
    times.tell()
    return server


def embedded_device(settings: Settings) -> DeviceKind:
    """Where the embedded server runs its graphs: RESPRAY_DEVICE, or the GPU where ONNX Runtime can use one.

    Raises:
        SettingsError: CUDA or TensorRT-RTX is asked for and cannot be used; the message says why.
    """
    if settings.device == "cpu":
        return "cpu"
    rtx = settings.device == "tensorrt-rtx"
    try:
        there, problem = bool(gpus.visible()), _rtx_problem() if rtx else _runtime_problem()
    except HostError:
        there, problem = False, "no GPU is visible here (nvidia-smi lists none)"
    if settings.device != "auto" and problem is not None:
        raise SettingsError(f"RESPRAY_DEVICE={settings.device}: {problem}")
    if rtx:
        return "tensorrt-rtx"
    if there and problem is not None:
        log.warning("the graphs run on the CPU although there is a GPU: %s", problem)
    return "cuda" if problem is None else "cpu"


def _chosen_gpus(setting: str, device: DeviceKind) -> dict[str, str]:
    """GPU_DEVICE as CUDA understands it. Raises SettingsError where the server works on the CPU, or there is no such GPU."""
    if device == "cpu":
        raise SettingsError(
            f"GPU_DEVICE={setting!r} chooses a GPU, and the embedded server works on the CPU here; leave it out, "
            "or set TRITON_URL to a server that runs on that GPU (the GPU image's does)"
        )
    try:
        return {"CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid for gpu in gpus.choose(gpus.visible(), setting))}
    except HostError as error:
        raise SettingsError(str(error)) from None


def _gpu_names(setting: str | None) -> str:
    """The names of the GPUs that GPU_DEVICE means. HostError where there is none."""
    return " and ".join(sorted({gpu.name for gpu in gpus.choose(gpus.visible(), setting)}))


def _runtime_problem() -> str | None:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        return "ONNX Runtime is not installed"  # the server's start says how to install it
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        install = install_command("gpu")
        return f"this ONNX Runtime ({onnxruntime.__version__}) has no CUDA provider; replace it (pip uninstall onnxruntime): {install}"
    return cuda_problem()


def _rtx_problem() -> str | None:
    try:
        from respray.segmentation.providers import rtx_problem
    except ModuleNotFoundError:
        return "ONNX Runtime is not installed"
    return rtx_problem()


def _fetch(settings: Settings) -> None:
    """Bring the model from the bucket of MODEL_SYNC_*, where that is enabled. Raises SettingsError."""
    check_model(settings)
    source, preset = sync_source(settings), choose_preset(chosen_model(settings))
    if source is None or preset.weights.folder is not None:
        return
    try:
        ensure(preset, settings.model_path, sync=source)
    except OperationsError as error:
        raise SettingsError(str(error)) from None
