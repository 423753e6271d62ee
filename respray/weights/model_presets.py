"""`respray/weights/model_presets.yaml`: which models exist, where their weights come from and how a worker for each is started."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from respray.catalog.data_file import yaml_problem
from respray.contract.sentences import sentences_of
from respray.weights.errors import DemoRefusedError, PresetError

PRESETS_FILE = Path(str(resources.files("respray.weights"))) / "model_presets.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Weights(_Strict):
    """Where weights come from. `repository` is on the Hugging Face hub; `folder` lies beside this file and needs no download.

    `patterns` are the files wanted; `gated` says that access has to be requested at `https://huggingface.co/<repository>`.
    """

    repository: str | None = None
    revision: str = "main"
    folder: str | None = None
    gated: bool = False
    patterns: list[str] = ["*.json", "*.safetensors", "*.txt"]


class Inference(_Strict):
    """How a worker container for this model is started (`inference` of model_presets.yaml)."""

    docker_image: str
    command: list[str] = Field(min_length=1)
    env_vars: dict[str, str] = {}


class ModelPreset(_Strict):
    """One entry of the file. `vram_gb` is what a GPU must have for this precision; 0 means that a CPU will do."""

    name: str
    description: str = ""
    demo: bool = False
    precision: Literal["fp16", "fp32"]
    vram_gb: float = Field(ge=0)
    weights: Weights
    inference: Inference


def load_presets(path: Path = PRESETS_FILE) -> dict[str, ModelPreset]:
    """All presets by name.

    Raises:
        PresetError: it names the file, the entry and the field.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PresetError(f"{path} does not exist; it holds the models that MODEL_NAME can name") from None
    except yaml.YAMLError as error:
        raise PresetError(f"{path} is not YAML: {yaml_problem(error)}") from error
    if not isinstance(document, dict) or not isinstance(document.get("models"), dict) or not document["models"]:
        raise PresetError(f"{path} needs a mapping `models:` with at least one entry")
    presets = {}
    for name, entry in document["models"].items():
        try:
            presets[name] = ModelPreset.model_validate({**entry, "name": name} if isinstance(entry, dict) else entry)
        except ValidationError as error:
            problems = sentences_of(error.errors(), ModelPreset, whole="the entry")
            raise PresetError(f"{path}: models.{name}: {'; '.join(problems)}") from error
    return presets


def choose_preset(name: str, path: Path = PRESETS_FILE) -> ModelPreset:
    """The preset called `name`, or an error that lists what exists."""
    presets = load_presets(path)
    if name not in presets:
        raise PresetError(f"MODEL_NAME={name!r} is not in {path.name}; it has {', '.join(sorted(presets))}")
    return presets[name]


def refuse_demo(preset: ModelPreset, require_real_model: bool) -> None:
    """Raise DemoRefusedError where REQUIRE_REAL_MODEL is set and `preset` is a demo."""
    if preset.demo and require_real_model:
        raise DemoRefusedError(
            f"MODEL_NAME={preset.name} is a small demo model and REQUIRE_REAL_MODEL is on. For the real one: request access at "
            "https://huggingface.co/facebook/sam3, set HF_TOKEN to a token of the account that was granted it (or MODEL_SYNC_ENABLED=true "
            "and MODEL_SYNC_* to a bucket that holds the files), and set MODEL_NAME=sam3. To try the demo anyway: REQUIRE_REAL_MODEL=false."
        )
