"""The probe: a photo, prompts and PyTorch's FP32 answers, stored beside the graphs. Whatever serves them has to give the same answers.

An engine can be wrong without a word: TensorRT's builder reports success for SAM3 engines whose best score is 0.045 in place of 0.933
(https://github.com/NVIDIA/TensorRT/issues/4837). NumPy only: the server's launchers compare, PyTorch has answered at export.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from respray.contract import tensors
from respray.contract.report import ProbeMeasure
from respray.contract.request import MAX_BOXES
from respray.segmentation.arrays import AnyArray, Float32Array, Int32Array, UInt8Array
from respray.segmentation.errors import SpecError
from respray.segmentation.spec import ModelSpec

PROBE_FILE = "probe.npz"
PROMPTS = ("floor", "wall", "window")
SHOWN = "shown_"
"""What the names of arrays begin with that belong to prompts with boxes."""
FEATURE_SAMPLES = 4_096
"""Values of each feature map that are compared, evenly spaced: all of them would be 85 MB at full size."""

# FP16 moves a score in the third decimal and a region by a few pixels of its border; an engine that computes something else moves all.
MAX_SCORE_ERROR = 0.03
MIN_MASK_IOU = 0.99
MIN_COSINE = 0.995
_UNDECIDED = 8
"""Levels (of 255) around one half within which a pixel's side is rounding's to decide: it counts for neither mask."""


@dataclass(frozen=True)
class Segments:
    """PyTorch's answers to N prompts, each of its best instance.

    Attributes:
        presence: float32 [N]. score: float32 [N]. box: float32 [N,4].
        mask: uint8 [N,h,h], its probability x 255. region: uint8 [N,h,h].
    """

    presence: Float32Array
    score: Float32Array
    box: Float32Array
    mask: UInt8Array
    region: UInt8Array


@dataclass(frozen=True)
class Shown:
    """The same prompts with examples in boxes, of graphs that take some: other nodes, and a decoder with longer prompts.

    Attributes:
        boxes: float32 [N,MAX_BOXES,4], corners in 0..1. labels: int32 [N,MAX_BOXES]: 1 meant, 0 not meant, NO_BOX.
        segments: what PyTorch answers to them.
    """

    boxes: Float32Array
    labels: Int32Array
    segments: Segments


@dataclass(frozen=True)
class Probe:
    """What is asked, and PyTorch's answers. N prompts, S the encoder's side, h the masks' side.

    Attributes:
        image: uint8 [S,S,3]. input_ids, attention_mask: int32 [N,T].
        features_high, features_mid, features_low: float32 [FEATURE_SAMPLES], see `sampled`.
        segments: what PyTorch answers to the prompts alone.
        shown: the prompts with boxes; None of graphs that take none, and of exports from before boxes were asked.
    """

    image: UInt8Array
    input_ids: Int32Array
    attention_mask: Int32Array
    features_high: Float32Array
    features_mid: Float32Array
    features_low: Float32Array
    segments: Segments
    shown: Shown | None = None

    def save(self, path: Path) -> None:
        """Write all arrays into one compressed file, side by side: an earlier version reads what it knows of them."""
        arrays = {name: getattr(self, name) for name in _QUESTION} | {name: getattr(self.segments, name) for name in _SEGMENTS}
        if self.shown is not None:
            arrays |= {SHOWN + "boxes": self.shown.boxes, SHOWN + "labels": self.shown.labels}
            arrays |= {SHOWN + name: getattr(self.shown.segments, name) for name in _SEGMENTS}
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path, spec: ModelSpec) -> Self:
        """Read a probe that belongs to graphs of `spec`.

        Raises:
            SpecError: the file is damaged, or of a model of another size.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            shown = None
            if SHOWN + "boxes" in arrays and spec.boxes:
                segments = Segments(**{name: arrays[SHOWN + name] for name in _SEGMENTS})
                shown = Shown(arrays[SHOWN + "boxes"], arrays[SHOWN + "labels"], segments)
            words = Segments(**{name: arrays[name] for name in _SEGMENTS})
            probe = cls(**{name: arrays[name] for name in _QUESTION}, segments=words, shown=shown)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise SpecError(f"{path} is no probe ({error}); export the checkpoint again") from error
        count = len(probe.input_ids)
        masks, texts = (count, spec.mask_size, spec.mask_size), (count, spec.text_length)
        shapes = {
            "image": (spec.image_size, spec.image_size, 3),
            "input_ids": texts,
            "attention_mask": texts,
            "region": masks,
            "mask": masks,
        }
        if shown is not None:
            shapes |= {SHOWN + "boxes": (count, MAX_BOXES, 4), SHOWN + "labels": (count, MAX_BOXES)}
            shapes |= {SHOWN + "region": masks, SHOWN + "mask": masks}
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise SpecError(f"{path}: {name} has the shape {arrays[name].shape}, the graphs take {shape}; export again")
        return probe


_SEGMENTS = tuple(field.name for field in fields(Segments))
_QUESTION = tuple(field.name for field in fields(Probe) if field.name not in ("segments", "shown"))


@dataclass(frozen=True)
class ProbeResult:
    """How far an answer is from PyTorch's, each at its worst over all prompts or maps.

    Attributes:
        score_error: of presence and of the best instance's score. mask_iou: of regions and of the best instances' masks at one half.
        cosine: of the sampled features.
        shown_score_error, shown_mask_iou: the same of prompts with boxes; None where none were asked.
    """

    score_error: float
    mask_iou: float
    cosine: float
    shown_score_error: float | None = None
    shown_mask_iou: float | None = None

    @property
    def measures(self) -> list[ProbeMeasure]:
        """Each value beside its limit."""
        measures = [
            ProbeMeasure(what="score_error", value=round(self.score_error, 6), limit=MAX_SCORE_ERROR),
            ProbeMeasure(what="mask_iou", value=round(self.mask_iou, 6), limit=MIN_MASK_IOU),
            ProbeMeasure(what="feature_cosine", value=round(self.cosine, 6), limit=MIN_COSINE),
        ]
        if self.shown_score_error is not None and self.shown_mask_iou is not None:
            measures.append(ProbeMeasure(what="score_error_with_boxes", value=round(self.shown_score_error, 6), limit=MAX_SCORE_ERROR))
            measures.append(ProbeMeasure(what="mask_iou_with_boxes", value=round(self.shown_mask_iou, 6), limit=MIN_MASK_IOU))
        return measures

    @property
    def problems(self) -> list[str]:
        """Each limit that is not kept, in words; empty where the answer is right."""
        found = []
        for which, error, iou in (("", self.score_error, self.mask_iou), (" with boxes", self.shown_score_error, self.shown_mask_iou)):
            if error is not None and not error <= MAX_SCORE_ERROR:
                found.append(f"scores{which} are off by {error:.3f} (at most {MAX_SCORE_ERROR})")
            if iou is not None and not iou >= MIN_MASK_IOU:
                found.append(f"masks{which} agree by an IoU of {iou:.3f} (at least {MIN_MASK_IOU})")
        if not self.cosine >= MIN_COSINE:
            found.append(f"features agree by a cosine of {self.cosine:.4f} (at least {MIN_COSINE})")
        return found

    def __str__(self) -> str:
        text = f"score error {self.score_error:.4f}, mask IoU {self.mask_iou:.4f}, cosine of features {self.cosine:.5f}"
        if self.shown_score_error is not None:
            text += f"; with boxes score error {self.shown_score_error:.4f}, mask IoU {self.shown_mask_iou:.4f}"
        return text


def sampled(feature: AnyArray) -> Float32Array:
    """FEATURE_SAMPLES values of one photo's feature map [C,h,w] (or all of a smaller one), evenly spaced, as float32."""
    flat = feature.ravel()
    places = np.linspace(0, flat.size - 1, min(FEATURE_SAMPLES, flat.size)).astype(np.intp)
    return np.asarray(flat[places], np.float32)


def compare(probe: Probe, answers: Mapping[str, AnyArray]) -> ProbeResult:
    """Compare a server's answers with PyTorch's.

    Args:
        probe: what was asked.
        answers: as `question.answers` gives them: the encoder's three feature maps [C,h,w], the decoder's outputs without the batch
            dimension (`tensors.SEGMENTS`), and those to prompts with boxes, by their names behind `SHOWN`, where the probe has some.
    """
    cosines = [_cosine(sampled(answers[name]), getattr(probe, name)) for name in tensors.FEATURES]
    words = _agreement(probe.segments, {name: answers[name] for name in tensors.SEGMENTS})
    shown = None
    if probe.shown is not None:
        shown = _agreement(probe.shown.segments, {name: answers[SHOWN + name] for name in tensors.SEGMENTS})
    return ProbeResult(*words, min(cosines), *(shown or (None, None)))


def _agreement(expected: Segments, answers: Mapping[str, AnyArray]) -> tuple[float, float]:
    """The largest error of a score, and the smallest IoU of a mask or region."""
    rows = np.arange(len(expected.score))
    scores = answers[tensors.SCORES][rows]
    # Rounding may swap instances of nearly equal scores: the one that lies where PyTorch's best does is meant.
    boxes = answers[tensors.BOXES][rows]
    best = (np.abs(boxes - expected.box[:, None]).sum(axis=2) + np.abs(scores - expected.score[:, None])).argmin(axis=1)
    errors = [np.abs(scores.max(axis=1) - expected.score), np.abs(answers[tensors.PRESENCE][rows] - expected.presence)]
    pairs = [*zip(answers[tensors.REGION][rows], expected.region, strict=True)]
    pairs += [*zip(answers[tensors.MASKS][rows, best], expected.mask, strict=True)]
    # NaN compares as false with every limit; nan_to_num makes it the worst value instead.
    return float(np.nan_to_num(np.max(errors), nan=np.inf)), min(_iou(mine, theirs) for mine, theirs in pairs)


def _iou(mine: UInt8Array, theirs: UInt8Array) -> float:
    decided = np.abs(theirs.astype(np.int16) - 128) > _UNDECIDED
    a, b = (mine >= 128) & decided, (theirs >= 128) & decided
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def _cosine(mine: Float32Array, theirs: Float32Array) -> float:
    a, b = mine.astype(np.float64), theirs.astype(np.float64)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.nan_to_num(a @ b / norm, nan=-1.0)) if norm > 0 else float(np.array_equal(a, b))
