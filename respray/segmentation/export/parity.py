"""Compare exported graphs with PyTorch, tensor by tensor. Needs torch and transformers."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from respray.contract import tensors
from respray.contract.request import MAX_BOXES
from respray.segmentation.arrays import AnyArray, Float32Array, Int32Array, IntArray, NamedArrays, UInt8Array
from respray.segmentation.device import CPU
from respray.segmentation.export.transformers_reference import Boxes, Reference, reference_outputs
from respray.segmentation.runner import GraphRunner
from respray.segmentation.spec import NO_BOX, GraphName, ModelSpec
from respray.segmentation.tokenizer import PromptTokenizer

Clock = Callable[[str], AbstractContextManager[None]]
PROMPTS = ("floor", "wall", "window")
# Examples shown to the first prompts: none, one, and four of both kinds.
SHOWN: tuple[Boxes, ...] = (
    (),
    (((0.1, 0.3, 0.55, 0.9), True),),
    (((0.0, 0.0, 1.0, 1.0), True), ((0.61, 0.2, 0.64, 0.23), False), ((0.3, 0.35, 0.9, 0.7), True), ((0.97, 0.9, 1.0, 1.0), False)),
)


@dataclass(frozen=True)
class TensorParity:
    """One tensor of the graphs against PyTorch's.

    Attributes:
        error: largest absolute difference. scale: largest absolute value of PyTorch's. cosine: of both as vectors.
        ok: within the tolerance of its precision.
    """

    name: str
    error: float
    scale: float
    cosine: float
    ok: bool


def drawn_photo(size: int) -> UInt8Array:
    """A square with edges, shading and noise, always the same: uint8 [size, size, 3]."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    cv2.rectangle(smooth, (size // 8, size // 3), (size // 2, size), (200, 180, 160), -1)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def check_parity(
    model: Any,
    spec: ModelSpec,
    folder: Path,
    *,
    threads: int | None = None,
    prompts: Sequence[str] = PROMPTS,
    clock: Clock = lambda _name: nullcontext(),
) -> list[TensorParity]:
    """Run the exported files and transformers on the same photo and prompts.

    Args:
        model: the float32 checkpoint.
        spec, folder: the export. threads: of ONNX Runtime. prompts: the concepts to ask for.
        clock: entered around each timed piece of work with its name.

    Returns:
        One entry per tensor; `ok` tells whether it is within tolerance (FP32: 2e-4 of the tensor's scale, one level of the
        uint8 masks; FP16: cosine 0.999). For FP16 that is what rounded weights cost: see `float_twin` for why it says nothing
        of overflow, which `mixed` sees to.
    """
    image = drawn_photo(spec.image_size)[None]
    ids, mask = PromptTokenizer.from_spec(spec, folder)(prompts)
    half = spec.precision == "fp16"
    report: list[TensorParity] = []

    with torch.no_grad():
        features = _run(spec, folder, "sam3_image_encoder", {tensors.IMAGE: image}, threads, clock)
        tokens = {tensors.INPUT_IDS: ids, tensors.ATTENTION_MASK: mask}
        text = _run(spec, folder, "sam3_text_encoder", tokens, threads, clock)[tensors.TEXT_FEATURES]
        embeds = model.get_text_features(torch.from_numpy(ids).long(), torch.from_numpy(mask).long(), return_dict=True).pooler_output
        valid = mask.astype(bool)
        report.append(_compare(tensors.TEXT_FEATURES, text[valid], embeds.numpy()[valid], half))
        prompt = {tensors.TEXT_FEATURES: text[None], tensors.TEXT_MASK: mask[None]}
        maps = {name: features[name] for name in tensors.FEATURES}
        decoded = _decode(spec, folder, maps, prompt, threads, clock)
        with clock("transformers"):
            reference = reference_outputs(model, torch.from_numpy(image), torch.from_numpy(ids), torch.from_numpy(mask), spec.cls_token)
        for name, expected in zip(tensors.FEATURES, reference.features, strict=True):
            report.append(_compare(name, features[name], expected.numpy(), half))
        report += _compare_answers(decoded, reference, spec.queries, half)
        if not spec.boxes:
            return report
        del reference, decoded
        rows = np.arange(len(SHOWN)) % len(prompts)
        geometry = geometry_inputs(spec, features, SHOWN) | {tensors.TEXT_FEATURES: text[None, rows], tensors.TEXT_MASK: mask[None, rows]}
        shown = _run(spec, folder, "sam3_geometry_encoder", geometry, threads, clock)
        prompt = {tensors.TEXT_FEATURES: shown[tensors.PROMPT_FEATURES], tensors.TEXT_MASK: shown[tensors.PROMPT_MASK]}
        decoded = _decode(spec, folder, maps, prompt, threads, clock)
        with clock("transformers"):
            words = (torch.from_numpy(ids[rows]), torch.from_numpy(mask[rows]))
            reference = reference_outputs(model, torch.from_numpy(image), *words, spec.cls_token, SHOWN)
    return report + _compare_answers(decoded, reference, spec.queries, half, " with boxes")


def geometry_inputs(spec: ModelSpec, features: NamedArrays, shown: Sequence[Boxes]) -> NamedArrays:
    """The geometry encoder's inputs beside the text: the map that boxes are looked up in, and the boxes of each concept, filled up."""
    boxes, labels = box_tensors(shown)
    plain = features[tensors.FEATURES_PLAIN if spec.plain_features else tensors.FEATURES_LOW]
    return {tensors.FEATURES_PLAIN: plain, tensors.BOX_PROMPTS: boxes, tensors.BOX_LABELS: labels}


def box_tensors(shown: Sequence[Boxes]) -> tuple[Float32Array, Int32Array]:
    """One photo's boxes, filled up: float32 [1, N, MAX_BOXES, 4] and their labels, int32 [1, N, MAX_BOXES]."""
    boxes = np.zeros((1, len(shown), MAX_BOXES, 4), np.float32)
    labels = np.full((1, len(shown), MAX_BOXES), NO_BOX, np.int32)
    for row, given in enumerate(shown):
        for column, (box, meant) in enumerate(given):
            boxes[0, row, column], labels[0, row, column] = box, int(meant)
    return boxes, labels


def _compare_answers(decoded: NamedArrays, reference: Reference, kept: int, half: bool, which: str = "") -> list[TensorParity]:
    """The decoder's outputs of one photo against transformers' answers."""
    report: list[TensorParity] = []
    best = np.sort(reference.scores.numpy(), axis=1)[:, ::-1][:, :kept]
    report.append(_compare(tensors.PRESENCE + which, decoded[tensors.PRESENCE][0], reference.presence.numpy(), half))
    report.append(_compare(tensors.SCORES + which, decoded[tensors.SCORES][0], best, half))
    same = _matching_queries(decoded[tensors.BOXES][0], decoded[tensors.SCORES][0], reference.boxes.numpy(), reference.scores.numpy())
    boxes = np.take_along_axis(reference.boxes.numpy(), same[..., None], axis=1)
    report.append(_compare(tensors.BOXES + which, decoded[tensors.BOXES][0], boxes, half))
    region = reference.region.numpy() * 255
    report.append(_compare(tensors.REGION + which, decoded[tensors.REGION][0].astype(np.float32), region, half, levels=True))
    rows = np.arange(len(same))[:, None]
    masks = reference.masks.numpy()[rows, same] * 255
    report.append(_compare(tensors.MASKS + which, decoded[tensors.MASKS][0].astype(np.float32), masks, half, levels=True))
    return report


def _run(spec: ModelSpec, folder: Path, name: GraphName, inputs: NamedArrays, threads: int | None, clock: Clock) -> NamedArrays:
    runner = GraphRunner(folder / spec.graphs[name].model.file, threads, CPU, sparing=True)
    with clock(name):
        return runner(inputs)


def _decode(spec: ModelSpec, folder: Path, maps: NamedArrays, prompt: NamedArrays, threads: int | None, clock: Clock) -> NamedArrays:
    """All concepts, one at a time: written-out attention of several takes gigabytes."""
    runner = GraphRunner(folder / spec.graphs["sam3_concept_decoder"].model.file, threads, CPU, sparing=True)
    with clock("sam3_concept_decoder"):
        count = prompt[tensors.TEXT_MASK].shape[1]
        parts = [runner({**maps, **{name: value[:, row : row + 1] for name, value in prompt.items()}}) for row in range(count)]
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


def _matching_queries(boxes: Float32Array, scores: Float32Array, all_boxes: Float32Array, all_scores: Float32Array) -> IntArray:
    """For each kept query [N, K] the index [N, K] of PyTorch's that it is: rounding may swap queries of nearly equal scores."""
    distance = np.abs(boxes[:, :, None] - all_boxes[:, None]).sum(axis=3) + np.abs(scores[:, :, None] - all_scores[:, None])
    return np.asarray(distance.argmin(axis=2), np.intp)


def _compare(name: str, value: AnyArray, expected: AnyArray, half: bool, levels: bool = False) -> TensorParity:
    mine, theirs = value.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    error, scale = float(np.abs(mine - theirs).max()), float(np.abs(theirs).max())
    norm = np.linalg.norm(mine) * np.linalg.norm(theirs)
    cosine = float(mine @ theirs / norm) if norm > 0 else float(error == 0)
    # Rounding to uint8 alone is half a level.
    tolerance = 1.5 if levels else 2e-4 * max(scale, 1e-3)
    ok = bool(np.isfinite(mine).all()) and (cosine >= 0.999 if half else error <= tolerance)
    return TensorParity(name, error, scale, cosine, ok)
