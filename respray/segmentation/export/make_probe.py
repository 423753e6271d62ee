"""Ask PyTorch the probe's question. Needs torch and transformers."""

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

from respray.imaging.decode import decode
from respray.segmentation.export.parity import SHOWN, box_tensors
from respray.segmentation.export.transformers_reference import Reference, reference_outputs
from respray.segmentation.prepare import to_square
from respray.segmentation.probe import PROMPTS, Probe, Segments, Shown, sampled
from respray.segmentation.spec import ModelSpec
from respray.segmentation.tokenizer import PromptTokenizer

PHOTO = "room_1.jpg"


def make_probe(model: Any, spec: ModelSpec, folder: Path) -> Probe:
    """The probe of an export: a demo photo, and what the float32 checkpoint says of it.

    Args:
        model: the float32 checkpoint.
        spec: of its graphs.
        folder: the export, with its tokenizer.
    """
    photo = decode(resources.files("respray.demo").joinpath("photos", PHOTO).read_bytes())
    image = to_square(photo, spec.image_size)
    ids, mask = PromptTokenizer.from_spec(spec, folder)(PROMPTS)
    asked = (torch.from_numpy(image[None]), torch.from_numpy(ids), torch.from_numpy(mask), spec.cls_token)
    answers = reference_outputs(model, *asked)
    high, mid, low = (sampled(feature[0].numpy()) for feature in answers.features)
    segments, shown = _segments(answers), None
    del answers
    if spec.boxes:
        boxes, labels = box_tensors(SHOWN)
        shown = Shown(boxes[0], labels[0], _segments(reference_outputs(model, *asked, SHOWN)))
    return Probe(
        image=image,
        input_ids=ids,
        attention_mask=mask,
        features_high=high,
        features_mid=mid,
        features_low=low,
        segments=segments,
        shown=shown,
    )


def _segments(answers: Reference) -> Segments:
    """What the probe keeps of PyTorch's answers."""
    rows, best = torch.arange(len(answers.scores)), answers.scores.argmax(dim=1)
    return Segments(
        presence=answers.presence.numpy(),
        score=answers.scores[rows, best].numpy(),
        box=answers.boxes[rows, best].numpy(),
        mask=_levels(answers.masks[rows, best]),
        region=_levels(answers.region),
    )


def _levels(probabilities: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray((probabilities * 255).round().to(torch.uint8).numpy(), np.uint8)
