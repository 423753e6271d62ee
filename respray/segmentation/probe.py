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
from respray.segmentation.arrays import AnyArray, Float32Array, Int32Array, UInt8Array
from respray.segmentation.errors import SpecError
from respray.segmentation.spec import ModelSpec

PROBE_FILE = "probe.npz"
PROMPTS = ("floor", "wall", "window")
FEATURE_SAMPLES = 4_096
"""Values of each feature map that are compared, evenly spaced: all of them would be 85 MB at full size."""

# FP16 moves a score in the third decimal and a region by a few pixels of its border; an engine that computes something else moves all.
MAX_SCORE_ERROR = 0.03
MIN_MASK_IOU = 0.99
MIN_COSINE = 0.995
_UNDECIDED = 8
"""Levels (of 255) around one half within which a pixel's side is rounding's to decide: it counts for neither mask."""


@dataclass(frozen=True)
class Probe:
    """What is asked, and PyTorch's answers. N prompts, K instances, S the encoder's side, h the masks' side.

    Attributes:
        image: uint8 [S,S,3]. input_ids, attention_mask: int32 [N,T].
        features_high, features_mid, features_low: float32 [FEATURE_SAMPLES], see `sampled`.
        presence: float32 [N]. score: float32 [N], the best instance's. box: float32 [N,4], its box.
        mask: uint8 [N,h,h], its probability x 255. region: uint8 [N,h,h].
    """

    image: UInt8Array
    input_ids: Int32Array
    attention_mask: Int32Array
    features_high: Float32Array
    features_mid: Float32Array
    features_low: Float32Array
    presence: Float32Array
    score: Float32Array
    box: Float32Array
    mask: UInt8Array
    region: UInt8Array

    def save(self, path: Path) -> None:
        """Write all arrays into one compressed file."""
        np.savez_compressed(path, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path, spec: ModelSpec) -> Self:
        """Read a probe that belongs to graphs of `spec`.

        Raises:
            SpecError: the file is damaged, or of a model of another size.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                probe = cls(**{field.name: stored[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise SpecError(f"{path} is no probe ({error}); export the checkpoint again") from error
        count = len(probe.input_ids)
        shapes = {
            "image": (spec.image_size, spec.image_size, 3),
            "input_ids": (count, spec.text_length),
            "attention_mask": (count, spec.text_length),
            "region": (count, spec.mask_size, spec.mask_size),
            "mask": (count, spec.mask_size, spec.mask_size),
        }
        for name, shape in shapes.items():
            if getattr(probe, name).shape != shape:
                raise SpecError(f"{path}: {name} has the shape {getattr(probe, name).shape}, the graphs take {shape}; export again")
        return probe


@dataclass(frozen=True)
class ProbeResult:
    """How far an answer is from PyTorch's, each at its worst over all prompts or maps.

    Attributes:
        score_error: of presence and of the best instance's score. mask_iou: of regions and of the best instances' masks at one half.
        cosine: of the sampled features.
    """

    score_error: float
    mask_iou: float
    cosine: float

    @property
    def measures(self) -> list[ProbeMeasure]:
        """Each value beside its limit."""
        return [
            ProbeMeasure(what="score_error", value=round(self.score_error, 6), limit=MAX_SCORE_ERROR),
            ProbeMeasure(what="mask_iou", value=round(self.mask_iou, 6), limit=MIN_MASK_IOU),
            ProbeMeasure(what="feature_cosine", value=round(self.cosine, 6), limit=MIN_COSINE),
        ]

    @property
    def problems(self) -> list[str]:
        """Each limit that is not kept, in words; empty where the answer is right."""
        kept = {
            f"scores are off by {self.score_error:.3f} (at most {MAX_SCORE_ERROR})": self.score_error <= MAX_SCORE_ERROR,
            f"masks agree by an IoU of {self.mask_iou:.3f} (at least {MIN_MASK_IOU})": self.mask_iou >= MIN_MASK_IOU,
            f"features agree by a cosine of {self.cosine:.4f} (at least {MIN_COSINE})": self.cosine >= MIN_COSINE,
        }
        return [limit for limit, ok in kept.items() if not ok]

    def __str__(self) -> str:
        return f"score error {self.score_error:.4f}, mask IoU {self.mask_iou:.4f}, cosine of features {self.cosine:.5f}"


def sampled(feature: AnyArray) -> Float32Array:
    """FEATURE_SAMPLES values of one photo's feature map [C,h,w] (or all of a smaller one), evenly spaced, as float32."""
    flat = feature.ravel()
    places = np.linspace(0, flat.size - 1, min(FEATURE_SAMPLES, flat.size)).astype(np.intp)
    return np.asarray(flat[places], np.float32)


def compare(probe: Probe, answers: Mapping[str, AnyArray]) -> ProbeResult:
    """Compare a server's answers with PyTorch's.

    Args:
        probe: what was asked.
        answers: the encoder's three feature maps [C,h,w], and the decoder's outputs without the batch dimension (`tensors.SEGMENTS`).
    """
    rows = np.arange(len(probe.input_ids))
    scores = answers[tensors.SCORES][rows]
    # Rounding may swap instances of nearly equal scores: the one that lies where PyTorch's best does is meant.
    boxes = answers[tensors.BOXES][rows]
    best = (np.abs(boxes - probe.box[:, None]).sum(axis=2) + np.abs(scores - probe.score[:, None])).argmin(axis=1)
    errors = [np.abs(scores.max(axis=1) - probe.score), np.abs(answers[tensors.PRESENCE][rows] - probe.presence)]
    pairs = [*zip(answers[tensors.REGION][rows], probe.region, strict=True)]
    pairs += [*zip(answers[tensors.MASKS][rows, best], probe.mask, strict=True)]
    cosines = [_cosine(sampled(answers[name]), getattr(probe, name)) for name in tensors.FEATURES]
    # NaN compares as false with every limit; nan_to_num makes it the worst value instead.
    return ProbeResult(
        score_error=float(np.nan_to_num(np.max(errors), nan=np.inf)),
        mask_iou=min(_iou(mine, theirs) for mine, theirs in pairs),
        cosine=min(cosines),
    )


def _iou(mine: UInt8Array, theirs: UInt8Array) -> float:
    decided = np.abs(theirs.astype(np.int16) - 128) > _UNDECIDED
    a, b = (mine >= 128) & decided, (theirs >= 128) & decided
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def _cosine(mine: Float32Array, theirs: Float32Array) -> float:
    a, b = mine.astype(np.float64), theirs.astype(np.float64)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.nan_to_num(a @ b / norm, nan=-1.0)) if norm > 0 else float(np.array_equal(a, b))
