"""The embedded server as commands start it: which graphs, which build folder. For development; production sets TRITON_URL."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from orchestrator.errors import PipelineUnavailable, SettingsError
from orchestrator.settings import Settings
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.errors import ServingError
from respray.triton.repository.build_repository import build
from respray.triton.repository.targets import target
from respray.weights.ensure import model_folder
from respray.weights.errors import OperationsError
from respray.weights.model_presets import choose_preset, refuse_demo


def chosen_model(settings: Settings) -> str:
    """MODEL_NAME, or what it means where it is not set: the demo model, and SAM3 where a real one is required."""
    return settings.model_name or ("sam3" if settings.require_real_model else "demo")


def check_model(settings: Settings) -> None:
    """Raise SettingsError for a MODEL_NAME that does not exist, and for the demo model where a real one is required."""
    try:
        refuse_demo(choose_preset(chosen_model(settings)), settings.require_real_model)
    except OperationsError as error:
        raise SettingsError(str(error)) from None


def find_graphs(settings: Settings) -> Path:
    """The exported graphs of MODEL_NAME: of the package for the demo, below MODEL_PATH otherwise. Raises SettingsError."""
    check_model(settings)
    name = chosen_model(settings)
    preset = choose_preset(name)
    folder = model_folder(preset, settings.model_path) / "graphs"
    if not (folder / "spec.json").is_file():
        raise SettingsError(
            f"there are no exported graphs of MODEL_NAME={name} in {folder}; export them with scripts/export_onnx.py, "
            "or set TRITON_URL to a server that has them"
        )
    return folder


def start_embedded(settings: Settings, options: ServerOptions | None = None) -> EmbeddedServer:
    """Build the model repository where needed, start the server and wait until it is ready. Stop it with `.stop()`.

    Raises SettingsError (no such model), PipelineUnavailable (it does not start; the message has the server's own words).
    """
    graphs = find_graphs(settings)
    try:
        chosen = target("embedded", pipeline_instances=settings.batch_concurrency)
        folder = (
            Path(platformdirs.user_cache_dir("respray"))
            / "repositories"
            / f"{graphs.parent.name}-{os.getuid()}-{settings.batch_concurrency}"
        )
        return EmbeddedServer(build(graphs, chosen, folder), options).start()
    except ServingError as error:
        raise PipelineUnavailable(str(error)) from None
