"""The probe's question as models of the repository are asked it, whoever runs them: a server, or this process.

NumPy only. What is asked and compared stands in `probe`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from respray.contract import tensors
from respray.segmentation.arrays import NamedArrays
from respray.segmentation.probe import SHOWN, Probe
from respray.segmentation.spec import ModelSpec

Infer: TypeAlias = Callable[[str, NamedArrays, Sequence[str]], NamedArrays]
"""A model of the repository, by its name: inputs of one photo (with their batch dimension), and which outputs are wanted."""


def answers(infer: Infer, probe: Probe, spec: ModelSpec, joined: bool = False) -> NamedArrays:
    """What models say to the question, without their batch dimension: the feature maps, and the decoder's outputs.

    Args:
        infer: runs the models. probe: the question. spec: of the graphs.
        joined: `sam3` runs encoder and decoder itself, and answers the maps of the same run; the models beside it load late, which they are
            not made to for a question.

    Returns:
        `tensors.FEATURES` and `tensors.SEGMENTS`; where the probe has boxes, `tensors.SEGMENTS` with them too, behind `SHOWN`.
    """
    image = {tensors.IMAGE: probe.image[None]}
    tokens = {tensors.INPUT_IDS: probe.input_ids, tensors.ATTENTION_MASK: probe.attention_mask}
    rows = [
        infer("sam3_text_encoder", {name: values[row : row + 1] for name, values in tokens.items()}, (tensors.TEXT_FEATURES,))
        for row in range(len(probe.input_ids))
    ]
    texts = np.concatenate([row[tensors.TEXT_FEATURES] for row in rows])[None]
    concepts = {tensors.TEXT_FEATURES: texts, tensors.TEXT_MASK: probe.attention_mask[None]}
    maps = [*tensors.FEATURES, *([tensors.FEATURES_PLAIN] if joined and probe.shown is not None and spec.plain_features else [])]
    found = infer("sam3", {**image, **concepts}, (*tensors.SEGMENTS, *maps) if joined else tensors.SEGMENTS)
    if not joined:
        found |= infer("sam3_image_encoder", image, maps)
    shown: NamedArrays = {}
    if probe.shown is not None:
        boxes = {tensors.BOX_PROMPTS: probe.shown.boxes[None], tensors.BOX_LABELS: probe.shown.labels[None]}
        if joined:
            plain = found.pop(tensors.FEATURES_PLAIN) if spec.plain_features else found[tensors.FEATURES_LOW]
            given = {tensors.FEATURES_PLAIN: plain, **boxes, **concepts}
            longer = infer("sam3_geometry_encoder", given, (tensors.PROMPT_FEATURES, tensors.PROMPT_MASK))
            prompts = {tensors.TEXT_FEATURES: longer[tensors.PROMPT_FEATURES], tensors.TEXT_MASK: longer[tensors.PROMPT_MASK]}
            shown = infer("sam3", {**image, **prompts}, tensors.SEGMENTS)
        else:
            shown = infer("sam3_boxes", {**image, **boxes, **concepts}, tensors.SEGMENTS)
    return {name: values[0] for name, values in found.items()} | {SHOWN + name: values[0] for name, values in shown.items()}
