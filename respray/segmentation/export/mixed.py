"""Mixed precision by measurement: an FP16 export whose values stay in FP16's range on photos, with FP32 islands where they do not."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import onnx_ir as ir

from respray.contract import tensors
from respray.contract.request import MAX_BOXES
from respray.imaging.decode import decode
from respray.segmentation.arrays import NamedArrays, UInt8Array
from respray.segmentation.export.float_twin import peaks
from respray.segmentation.export.graph_file import save_graph
from respray.segmentation.export.islands import Island, widen
from respray.segmentation.export.parity import drawn_photo
from respray.segmentation.prepare import to_square
from respray.segmentation.probe import PROMPTS
from respray.segmentation.spec import GraphFiles, GraphName, ModelSpec
from respray.segmentation.tokenizer import PromptTokenizer

_log = logging.getLogger(__name__)
PHOTO = "room_1.jpg"
NAMED = 3


def calibration_photos(size: int) -> list[UInt8Array]:
    """What values are measured on: a photo of a room, and a drawn one with hard edges and noise; each uint8 [size, size, 3]."""
    photo = decode(resources.files("respray.demo").joinpath("photos", PHOTO).read_bytes())
    return [to_square(photo, size), drawn_photo(size)]


def mix_precision(spec: ModelSpec, folder: Path, step: Callable[[str], None], threads: int | None = None) -> tuple[ModelSpec, list[Island]]:
    """Measure an FP16 export and widen what needs it, graph by graph; one graph is in memory at a time.

    Args:
        spec, folder: the export. step: called with a description before each graph. threads: of ONNX Runtime.

    Returns:
        The spec of what is in the folder then, and the islands.

    Raises:
        ParityError: what passes from graph to graph is too large for FP16.
    """
    files: dict[GraphName, GraphFiles] = dict(spec.graphs)
    islands: list[Island] = []

    def measured(name: GraphName, feeds: list[NamedArrays]) -> list[NamedArrays]:
        step(f"measuring {name}")
        path = folder / files[name].model.file
        with tempfile.TemporaryDirectory(prefix=".twin-", dir=folder) as twins:
            found, answers = peaks(path, Path(twins), feeds, threads)
            model = ir.load(path)
            widened = widen(model, name, found)
            if widened:
                islands.extend(widened)
                files[name] = save_graph(model, path)
        return answers

    ids, mask = PromptTokenizer.from_spec(spec, folder)(PROMPTS)
    text = measured("sam3_text_encoder", [{tensors.INPUT_IDS: ids, tensors.ATTENTION_MASK: mask}])[0][tensors.TEXT_FEATURES]
    photos = calibration_photos(spec.image_size)
    features = measured("sam3_image_encoder", [{tensors.IMAGE: photo[None]} for photo in photos])
    # A concept at a time: written-out attention of several takes gigabytes.
    prompts = [{tensors.TEXT_FEATURES: text[None, row : row + 1], tensors.TEXT_MASK: mask[None, row : row + 1]} for row in range(len(text))]
    if spec.boxes:
        plain = tensors.FEATURES_PLAIN if spec.plain_features else tensors.FEATURES_LOW
        feeds = [{tensors.FEATURES_PLAIN: maps[plain], **_boxes(), **prompts[0]} for maps in features]
        shown = measured("sam3_geometry_encoder", feeds)[0]
        prompts.append({tensors.TEXT_FEATURES: shown[tensors.PROMPT_FEATURES], tensors.TEXT_MASK: shown[tensors.PROMPT_MASK]})
    maps = [{name: found[name] for name in tensors.FEATURES} for found in features]
    measured("sam3_concept_decoder", [{**given, **prompt} for given in maps for prompt in prompts])
    if islands:
        named = "; ".join(str(island) for island in sorted(islands, key=lambda one: -one.peak)[:NAMED])
        _log.warning("%d nodes compute in FP32, because FP16 might not hold their values: %s", len(islands), named)
    return spec.model_copy(update={"graphs": files, "islands": [str(island) for island in islands]}), islands


def _boxes() -> NamedArrays:
    """As many boxes as one concept may have, of every size, half of them what is not meant."""
    rng = np.random.default_rng(5)
    corners = np.sort(rng.random((1, 1, MAX_BOXES, 2, 2), np.float32), axis=3).reshape(1, 1, MAX_BOXES, 4)
    labels = (np.arange(MAX_BOXES) % 2).astype(np.int32)
    return {tensors.BOX_PROMPTS: corners, tensors.BOX_LABELS: labels[None, None]}
