"""Which model the settings mean, and where its exported graphs are."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import SettingsError
from orchestrator.settings import Settings
from respray.segmentation.spec import SPEC_FILE
from respray.weights.ensure import GRAPHS, model_folder
from respray.weights.errors import OperationsError
from respray.weights.model_presets import choose_preset, refuse_demo


def chosen_model(settings: Settings) -> str:
    """MODEL_NAME, or what it means where it is not set: the demo model, and SAM3 where a real one is required."""
    return settings.model_name or ("sam3" if settings.require_real_model else "demo")


def check_model(settings: Settings) -> None:
    """Refuse a model that cannot be served.

    Raises:
        SettingsError: MODEL_NAME does not exist, or is the demo model where a real one is required.
    """
    try:
        refuse_demo(choose_preset(chosen_model(settings)), settings.require_real_model)
    except OperationsError as error:
        raise SettingsError(str(error)) from None


def find_graphs(settings: Settings) -> Path:
    """The exported graphs of MODEL_NAME: of the package for the demo, below MODEL_PATH otherwise.

    Raises:
        SettingsError: there are none, or there is no such model.
    """
    check_model(settings)
    name = chosen_model(settings)
    preset = choose_preset(name)
    folder = model_folder(preset, settings.model_path) / GRAPHS
    if not (folder / SPEC_FILE).is_file():
        raise SettingsError(
            f"there are no exported graphs of MODEL_NAME={name} in {folder}; export them with python -m respray.segmentation.export, "
            "or set TRITON_URL to a server that has them"
        )
    return folder
