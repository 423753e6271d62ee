"""`respray weights`: list the models, fetch one to the volume, verify it, describe a folder, put it into a private bucket."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from orchestrator.errors import ResprayError, SettingsError
from orchestrator.settings import Settings, load_settings
from respray.authorities import unusable
from respray.launch.chosen_model import chosen_model
from respray.launch.model_sync import sync_source
from respray.weights import ensure as model_weights
from respray.weights.engine_cache import engine_folder, graph_files
from respray.weights.engine_sync import ENGINES, push_engines
from respray.weights.errors import OperationsError
from respray.weights.hub_push import push as push_graphs
from respray.weights.manifest import MANIFEST, describe
from respray.weights.model_presets import ModelPreset, choose_preset, load_presets, refuse_demo
from respray.weights.s3_push import push as push_folder
from respray.weights.volume_errors import explained

_Model = Annotated[str | None, typer.Argument(metavar="MODEL", help="A model of respray/weights/model_presets.yaml; default: MODEL_NAME.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(help="Models: list, fetch, verify, describe, push.", no_args_is_help=True)
    app.add_typer(group, name="weights")
    for command in (_list, _fetch, _verify, _manifest, _push, _engine_folder):
        group.command(command.__name__.lstrip("_").replace("_", "-"))(command)


def _list() -> None:
    """Print the models that MODEL_NAME can name."""
    with _plain_errors():
        for preset in load_presets().values():
            origin = preset.weights.folder or f"https://huggingface.co/{preset.weights.repository}@{preset.weights.revision}"
            print(f"{preset.name:15} {preset.precision}  {origin}  {preset.description}")


def _fetch(model: _Model = None) -> None:
    """Bring a model to MODEL_PATH: from the bucket of MODEL_SYNC_*, otherwise from the hub with HF_TOKEN. Does nothing when it is whole."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings, preset = _chosen(model)
    if settings.ssl_cert_file is not None and (why := unusable(settings.ssl_cert_file)):
        raise SettingsError(f"SSL_CERT_FILE: {settings.ssl_cert_file} cannot be used ({why})")
    with _plain_errors():
        refuse_demo(preset, settings.require_real_model)
        token = settings.hf_token.get_secret_value() if settings.hf_token else None
        cached = settings.model_hub_repository
        folder = model_weights.ensure(preset, settings.model_path, sync=sync_source(settings), token=token, cached=cached)
    print(f"{preset.name} is complete in {folder}")
    graphs = folder / model_weights.GRAPHS
    if not graphs.is_dir():
        print(f"its graphs are not there yet: scripts/export_onnx.py exports {folder / model_weights.CHECKPOINT} to {graphs}")


def _verify(model: _Model = None) -> None:
    """Compare every file of a model with its checksum; exit code 1 where one differs or is missing."""
    settings, preset = _chosen(model)
    found = model_weights.problems(preset, settings.model_path, full=True)
    print("\n".join(found) or f"{preset.name} is complete in {model_weights.model_folder(preset, settings.model_path)}")
    if found and preset.weights.folder is None:
        print(f"respray weights fetch {preset.name} brings what is missing or damaged", file=sys.stderr)
    raise typer.Exit(int(bool(found)))


def _manifest(model: _Model = None) -> None:
    """Describe a model's folder as it is now (sizes and checksums), for instance after exporting graphs into it."""
    settings, preset = _chosen(model)
    folder = model_weights.model_folder(preset, settings.model_path)
    if not folder.is_dir():
        raise ResprayError(f"{folder} does not exist; MODEL_PATH={settings.model_path} should hold a folder {preset.name}")
    described = describe(folder, preset.name, "described by hand")
    if not described.files:
        raise ResprayError(f"{folder} holds no files to describe; respray weights fetch {preset.name}, or export graphs to {folder}/graphs")
    with _plain_errors(), explained(folder):
        described.write(folder)
    print(f"{folder / MANIFEST}: {len(described.files)} files")


def _push(
    model: _Model = None,
    hub: Annotated[
        bool, typer.Option("--hub", help="Into the private repository MODEL_HUB_REPOSITORY on the Hugging Face hub: the graphs alone.")
    ] = False,
) -> None:
    """Put a model's folder, and engines that were built from its graphs, into the bucket of MODEL_SYNC_*, for pods to fetch.

    Needs keys that may write there.
    """
    settings, preset = _chosen(model)
    if hub:
        _push_to_hub(settings, preset)
        return
    source = sync_source(settings, always=True)
    assert source is not None
    folder = model_weights.model_folder(preset, settings.model_path)
    with _plain_errors():
        count = push_folder(source, preset.name, folder)
        print(f"{count} files of {preset.name} are in {source}/{preset.name}/")
        for name in push_engines(source, settings.model_path / ENGINES, graph_files(folder / model_weights.GRAPHS)):
            print(f"its engines for {name} are in {source}/{ENGINES}/")


def _push_to_hub(settings: Settings, preset: ModelPreset) -> None:
    repository = settings.model_hub_repository
    if repository is None:
        raise ResprayError("--hub needs MODEL_HUB_REPOSITORY=OWNER/NAME, a private repository of your own; it is made where there is none")
    graphs = model_weights.model_folder(preset, settings.model_path) / model_weights.GRAPHS
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    with _plain_errors():
        commit = push_graphs(repository, graphs, token)
    print(f"the graphs of {preset.name} are in https://huggingface.co/{repository}, commit {commit}")


def _engine_folder(
    gpu: Annotated[str, typer.Option(help="Name of the GPU, as nvidia-smi --query-gpu=name prints it.")],
    compute_capability: Annotated[str, typer.Option(help="As nvidia-smi --query-gpu=compute_cap prints it.")],
    tensorrt: Annotated[str, typer.Option(help="Version of TensorRT.")],
    model: _Model = None,
) -> None:
    """Print the folder that TensorRT engines of this model belong into: one per GPU type, TensorRT version and graph."""
    settings, preset = _chosen(model)
    folder = model_weights.model_folder(preset, settings.model_path)
    files = graph_files(folder / model_weights.GRAPHS)
    if not files:
        raise ResprayError(f"there are no graphs in {folder / model_weights.GRAPHS}; scripts/export_onnx.py writes them")
    root = settings.model_path / ENGINES
    try:
        folder = engine_folder(root, files, gpu=gpu, compute_capability=compute_capability, tensorrt=tensorrt, precision=preset.precision)
    except ValueError as error:
        raise ResprayError(str(error)) from None
    print(folder)


def _chosen(model: str | None) -> tuple[Settings, ModelPreset]:
    settings = load_settings()
    with _plain_errors():
        return settings, choose_preset(model or chosen_model(settings))


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Errors of `respray.weights` as the command line's own: one line, exit code 1."""
    try:
        yield
    except OperationsError as error:
        raise ResprayError(str(error)) from None
