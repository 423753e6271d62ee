"""Load a checkpoint for export: the demo's, one from the Hugging Face hub, or a folder. Needs torch and transformers."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import errors as hub

from respray.hub_errors import http_library
from respray.segmentation.errors import CheckpointError

HUB_FILES = [
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
]
SUPPORTED = ("sam3", "sam3_video", "sam3_lite_text")
EXPECTED = "config.json, model.safetensors (or its shards and index) and tokenizer.json"


@dataclass(frozen=True)
class Checkpoint:
    """A folder that holds a checkpoint, and what to call it."""

    folder: Path
    name: str
    is_demo: bool


def find_checkpoint(given: str, revision: str | None = None, demo: Path | None = None) -> Checkpoint:
    """Turn `demo`, a folder or a hub name into a folder with all needed files, downloading if necessary.

    `demo` is the folder that `demo` means; the installed package has none.

    Raises:
        CheckpointError: one sentence that says what to do.
    """
    if given == "demo" and demo is None:
        raise CheckpointError("the demo's checkpoint is in the repository only: run scripts/export_onnx.py in a checkout")
    path = demo if given == "demo" and demo is not None else Path(given).expanduser()
    if given == "demo" or path.exists() or not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", given):
        _check_folder(given, path)
        is_demo = demo is not None and path.resolve() == demo.resolve()
        return Checkpoint(path, "demo" if is_demo else path.resolve().name, is_demo)
    folder = _download(given, revision)
    _check_folder(given, folder)
    return Checkpoint(folder, given, False)


def load_model(checkpoint: Checkpoint) -> Any:
    """The checkpoint's transformers model, float32, eager attention, evaluation mode.

    Raises:
        CheckpointError: not a SAM3 checkpoint, or weights that are missing or damaged.
    """
    # Only here: what is wrong with a checkpoint should be said before seconds of importing torch.
    import torch
    from transformers import AutoConfig, AutoModel

    folder = checkpoint.folder
    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder}/config.json cannot be read as a transformers configuration ({_first_line(error)})") from error
    if config.model_type not in SUPPORTED:
        raise CheckpointError(f"{folder}/config.json is of model type {config.model_type!r}; the graphs cover {', '.join(SUPPORTED)}")
    if config.model_type == "sam3_video":
        # The published checkpoint holds detector and tracker; only the detector segments single images.
        config = config.detector_config
    try:
        model, info = AutoModel.from_pretrained(
            folder, config=config, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
        )
    except Exception as error:  # safetensors, transformers and torch each have their own for damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise CheckpointError(f"the weights in {folder} cannot be loaded ({_first_line(error)})") from error
    missing = sorted(info["missing_keys"])
    if missing or info["mismatched_keys"]:
        what = (
            f"{len(missing)} are missing, {missing[0]} among them"
            if missing
            else f"some have other shapes: {next(iter(info['mismatched_keys']))}"
        )
        raise CheckpointError(f"the weights in {folder} do not fill the model that config.json describes: {what}")
    return model.eval().requires_grad_(False)


def pad_token_id(folder: Path, vocabulary: int) -> int:
    """The id that the checkpoint's tokenizer pads with (its own configuration, else the end-of-text token, else 0)."""
    tokens = {entry["content"]: entry["id"] for entry in json.loads((folder / "tokenizer.json").read_text("utf-8")).get("added_tokens", [])}
    config_file = folder / "tokenizer_config.json"
    config = json.loads(config_file.read_text("utf-8")) if config_file.is_file() else {}
    for key in ("pad_token", "eos_token"):
        token = config.get(key)
        token = token.get("content") if isinstance(token, dict) else token
        if token in tokens and tokens[token] < vocabulary:
            return int(tokens[token])
    return 0


def _check_folder(given: str, folder: Path) -> None:
    weights = list(folder.glob("*.safetensors")) if folder.is_dir() else []
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()] + ([] if weights else ["*.safetensors"])
    if missing:
        there = "does not exist" if not folder.exists() else f"lacks {', '.join(missing)}"
        raise CheckpointError(
            f"checkpoint {given!r}: {folder} {there}; give 'demo', a hub name like facebook/sam3, or a folder with {EXPECTED}"
        )


def _download(name: str, revision: str | None) -> Path:
    token = os.environ.get("HF_TOKEN") or None
    page = f"https://huggingface.co/{name}"
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=HUB_FILES, token=token))
    except hub.RevisionNotFoundError as error:
        raise CheckpointError(f"{name} has no revision {revision!r}; give --revision a branch, tag or commit of {page}") from error
    except (hub.GatedRepoError, hub.RepositoryNotFoundError, hub.HfHubHTTPError) as error:
        status = error.response.status_code if error.response is not None else 0
        if status not in (401, 403, 404):
            raise CheckpointError(f"the hub answered {status} for {name}; try again later ({_first_line(error)})") from error
        # The hub answers alike for what does not exist and for what this account may not see.
        check = "" if isinstance(error, hub.GatedRepoError) else f"check the name {name!r}; if it is right, "
        if token is None:
            how = f"{check}request access at {page}, create a read token there and set HF_TOKEN to it"
            raise CheckpointError(f"{name} cannot be downloaded without an account ({status}): {how}") from error
        how = f"{check}request access at {page} and check that HF_TOKEN is a valid token that may read gated repositories"
        raise CheckpointError(f"the account of HF_TOKEN may not download {name} ({status}): {how}") from error
    except (hub.LocalEntryNotFoundError, ConnectionError, TimeoutError, http_library().HTTPError) as error:
        raise CheckpointError(
            f"{name} is not on this machine and the hub cannot be reached ({_first_line(error)}): check the network (or HF_HUB_OFFLINE), "
            f"or download it elsewhere and give the folder with {EXPECTED}"
        ) from error
    except (OSError, RuntimeError) as error:  # what hf_xet cannot write is a RuntimeError
        cache = f"the cache {huggingface_hub.constants.HF_HUB_CACHE}"
        raise CheckpointError(
            f"{name} could not be downloaded to {cache} ({_first_line(error)}): see that it can be written and its disk has room for "
            "the weights (HF_HOME names another folder), and try again"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
