"""Write the graphs of a model as ONNX files. Needs torch; nothing at run time imports it."""

import gc
import logging
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from respray.contract import tensors
from respray.contract.request import MAX_BOXES
from respray.segmentation.export.checkpoints import Checkpoint, pad_token_id
from respray.segmentation.export.graph_file import save_graph
from respray.segmentation.export.graphs import Graphs, build_graphs
from respray.segmentation.export.graphs.build_graphs import prompt_length
from respray.segmentation.export.make_probe import make_probe
from respray.segmentation.export.mixed import mix_precision
from respray.segmentation.export.onnx_passes import clear_metadata, store_as_half
from respray.segmentation.export.parity import TensorParity, check_parity
from respray.segmentation.probe import PROBE_FILE
from respray.segmentation.spec import Attention, ClsToken, GraphFiles, GraphName, ModelSpec, Precision, stored_file, write_spec

OPSET = 20


@dataclass(frozen=True)
class GraphPlan:
    """What the exporter needs to know of one graph."""

    module: nn.Module
    inputs: dict[str, torch.Tensor]
    outputs: list[str]
    dynamic: dict[str, dict[int, Any]]


def plan_graphs(graphs: Graphs, text_length: int) -> dict[GraphName, GraphPlan]:
    """Example inputs (2 photos, 3 concepts: sizes of 1 would be taken for constants) and names for the graphs."""
    encoder = graphs.image_encoder
    grid, dtype = encoder.grid, encoder.patches.weight.dtype
    side = grid * encoder.patches.kernel_size[0]
    channels, width = encoder.channels, graphs.concept_decoder.positions.shape[-1]
    batch, concepts = torch.export.Dim("batch"), torch.export.Dim("concepts")
    ids = torch.zeros(2, text_length, dtype=torch.int32)
    features = {
        name: torch.zeros(2, channels, k * grid, k * grid, dtype=dtype) for name, k in zip(tensors.FEATURES, (4, 2, 1), strict=True)
    }
    mask = torch.ones(2, 3, text_length, dtype=torch.int32)
    texts = {tensors.TEXT_FEATURES: torch.zeros(2, 3, text_length, width), tensors.TEXT_MASK: mask}
    per_photo: dict[str, dict[int, Any]] = {name: {0: batch} for name in features}
    per_concept: dict[int, Any] = {0: batch, 1: concepts}
    geometry, prompts, per_prompt = graphs.geometry_encoder, texts, per_concept
    if geometry is not None:
        # Prompts that have the tokens of boxes behind their text are longer.
        per_prompt = {**per_concept, 2: torch.export.Dim("tokens", min=text_length)}
        longer = text_length + MAX_BOXES + 1
        prompts = {tensors.TEXT_FEATURES: torch.zeros(2, 3, longer, width), tensors.TEXT_MASK: torch.ones(2, 3, longer, dtype=torch.int32)}
    plans: dict[GraphName, GraphPlan] = {
        "sam3_image_encoder": GraphPlan(
            encoder,
            {tensors.IMAGE: torch.zeros(2, side, side, 3, dtype=torch.uint8)},
            [*features, tensors.FEATURES_PLAIN][: 4 if encoder.plain else 3],
            {tensors.IMAGE: {0: batch}},
        ),
        "sam3_text_encoder": GraphPlan(
            graphs.text_encoder,
            {tensors.INPUT_IDS: ids, tensors.ATTENTION_MASK: torch.ones_like(ids)},
            [tensors.TEXT_FEATURES],
            {tensors.INPUT_IDS: {0: batch}, tensors.ATTENTION_MASK: {0: batch}},
        ),
        "sam3_concept_decoder": GraphPlan(
            graphs.concept_decoder,
            {**features, **prompts},
            list(tensors.SEGMENTS),
            {**per_photo, tensors.TEXT_FEATURES: per_prompt, tensors.TEXT_MASK: per_prompt},
        ),
    }
    if geometry is not None:
        plain = {tensors.FEATURES_PLAIN: torch.zeros(2, channels, grid, grid, dtype=dtype)}
        boxes = {
            tensors.BOX_PROMPTS: torch.full((2, 3, MAX_BOXES, 4), 0.5),
            tensors.BOX_LABELS: torch.ones(2, 3, MAX_BOXES, dtype=torch.int32),
        }
        plans["sam3_geometry_encoder"] = GraphPlan(
            geometry,
            {**plain, **boxes, **texts},
            [tensors.PROMPT_FEATURES, tensors.PROMPT_MASK],
            {tensors.FEATURES_PLAIN: {0: batch}, **dict.fromkeys((*boxes, *texts), per_concept)},
        )
    return plans


def export_graph(plan: GraphPlan, path: Path, half_storage: bool, sample: Callable[[], None] = lambda: None) -> GraphFiles:
    """Export one module to `path` (.onnx), with a `.data` file beside it where it is large.

    Args:
        plan: the module and its inputs.
        path: file to write; its folder exists.
        half_storage: hold float32 weights that are exact in FP16 as FP16 (see `onnx_passes.store_as_half`).
        sample: called between the steps, for a progress display.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            plan.module,
            kwargs=plan.inputs,
            input_names=list(plan.inputs),
            output_names=plan.outputs,
            dynamic_shapes=plan.dynamic,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    sample()
    model: ir.Model = program.model
    clear_metadata(model)
    if half_storage:
        store_as_half(model)
    files = save_graph(model, path)
    sample()
    return files


def export_graphs(
    graphs: Graphs, text_length: int, folder: Path, half_storage: bool, step: Callable[[str], None]
) -> dict[GraphName, GraphFiles]:
    """Export the graphs into `folder`; `step` is called with a description before each piece of work."""
    plans = plan_graphs(graphs, text_length)
    files: dict[GraphName, GraphFiles] = {}
    for name, plan in plans.items():
        step(f"exporting {name}")
        files[name] = export_graph(plan, folder / f"{name}.onnx", half_storage)
    return files


def export_model(
    model: Any,
    checkpoint: Checkpoint,
    folder: Path,
    *,
    precision: Precision,
    attention: Attention,
    queries: int,
    cls_token: ClsToken,
    half_storage: bool,
    boxes: bool,
    check: bool,
    measure: bool = True,
    step: Callable[[str], None],
) -> list[TensorParity]:
    """Write graphs, tokenizer and `spec.json` of `model` into the existing `folder`.

    `measure` off: leave FP16 graphs as they are, for weights whose values mean nothing.

    Returns:
        The comparison with PyTorch, empty where `check` is off.

    Raises:
        CheckpointError: the architecture is not covered.
    """
    graphs = build_graphs(model, precision, attention, queries, cls_token, boxes)
    text = model.config.text_config
    queries = graphs.concept_decoder.queries
    files = export_graphs(graphs, prompt_length(model), folder, half_storage and precision == "fp32", step)
    # From here on memory is for PyTorch's model and one ONNX Runtime session.
    del graphs
    gc.collect()
    tokenizer = Path(shutil.copyfile(checkpoint.folder / "tokenizer.json", folder / "tokenizer.json"))
    backbone = model.config.vision_config.backbone_config
    grid = backbone.image_size // backbone.patch_size
    spec = ModelSpec(
        name=checkpoint.name,
        is_demo=checkpoint.is_demo,
        image_size=backbone.image_size,
        patch_size=backbone.patch_size,
        grid=grid,
        mask_size=4 * grid,
        channels=model.config.vision_config.fpn_hidden_size,
        text_length=prompt_length(model),
        text_width=model.config.detr_encoder_config.hidden_size,
        vocabulary=text.vocab_size,
        pad_id=pad_token_id(checkpoint.folder, text.vocab_size),
        queries=queries,
        precision=precision,
        weights="fp16" if precision == "fp16" else ("fp16-storage" if half_storage else "fp32"),
        attention=attention,
        cls_token=cls_token,
        opset=OPSET,
        graphs=files,
        tokenizer=stored_file(tokenizer),
    )
    step("asking PyTorch for the probe's answers")
    probe = folder / PROBE_FILE
    make_probe(model, spec, folder).save(probe)
    spec = spec.model_copy(update={"probe": stored_file(probe)})
    if precision == "fp16" and measure:
        spec, _ = mix_precision(spec, folder, step)
    write_spec(spec, folder)
    gc.collect()
    if not check:
        return []
    step("comparing with PyTorch")
    return check_parity(model, spec, folder)
