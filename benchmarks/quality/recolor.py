"""Recolouring against the re-rendered truth, beside the three shortcuts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import cv2
import numpy as np

from benchmarks.quality.baselines import BASELINES
from benchmarks.quality.cases import Case
from benchmarks.quality.metrics import ColourScore, boundary_f, leakage, matte_error, score
from benchmarks.quality.speed import segments_of
from respray.contract.photo_facts import PhotoFacts
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.apply import edit_photo
from respray.editing.mask.find import find_mattes
from respray.editing.mask.overlap import PROTECT_ALPHA
from respray.editing.mask.refine import refine
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.imaging.decode import DecodedPhoto, decode, decode_photo

MASK_SIDE = 288
# Of the files that `cases.camera` writes.
JPEG_QUALITY = 92
# A network's mask is a little soft.
MASK_BLUR = 0.8
MASK_SHIFT = 0.7
# What protection must hold against, in pixels.
FEATHER = 6.0


@dataclass(frozen=True)
class RecolorRow:
    """One case: scores by method (ours and the shortcuts), our report's own numbers, and what must be exact."""

    name: str
    concept: str
    color: str
    scores: dict[str, ColourScore]
    measured: str | None
    delta_e: float | None
    leaked: int
    protected_changed: int
    matte: dict[str, float]
    pictures: dict[str, UInt8Array] = field(repr=False, compare=False)

    def numbers(self) -> dict[str, object]:
        """Everything but the pictures, for JSON; what a surface does not have is None."""
        values: dict[str, Any] = {k: v for k, v in asdict(self).items() if k != "pictures"}
        for method, found in self.scores.items():
            values["scores"][method] = {k: None if math.isnan(v) else v for k, v in asdict(found).items()}
        return values


def network_mask(mask: BoolArray) -> UInt8Array:
    """An exact mask (bool [H,W]) as a good network would answer it: probabilities uint8 [288,288]."""
    small = cv2.resize(mask.astype(np.float32), (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
    probabilities: UInt8Array = np.round(cv2.GaussianBlur(small, (0, 0), MASK_BLUR) * 255.0).astype(np.uint8)
    return probabilities


def camera_facts() -> PhotoFacts:
    """What the files of the suite's camera say of themselves."""
    return decode_photo(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()).facts


def run(cases: Iterable[Case]) -> list[RecolorRow]:
    """Edit every case through the applier's own entry point, from a 288 x 288 mask, and score it."""
    rows = []
    facts = camera_facts()
    for case in cases:
        probability = network_mask(case.mask)
        segments = segments_of(probability)
        job = PhotoRequest(
            concepts=[ConceptQuery(name=case.concept, prompts=[case.concept])],
            outputs=[Output(name="out", edits=[Edit(concept=case.concept, rule=Recolor(color=case.color))])],
            preview_size=0,
        )
        # The edit's own matte: what is straightened and settled in a plane is a part of it.
        alpha = find_mattes(case.photo, job, segments, []).of(job.outputs[0]).visible[case.concept].alpha
        result = edit_photo(DecodedPhoto(case.photo, facts=facts), segments, job, [])
        edited = decode(result.files[0])
        share = alpha.astype(np.float32)[..., None] / 255.0
        scores = {"ours": score(edited, case.photo, case.truth, case.calm, case.mask)}
        scores |= {
            name: score(shortcut(case.photo, share, case.color), case.photo, case.truth, case.calm, case.mask)
            for name, shortcut in BASELINES.items()
        }
        report = result.report.outputs[0].edits[0]
        rows.append(
            RecolorRow(
                name=case.name,
                concept=case.concept,
                color=case.color,
                scores=scores,
                measured=report.measured,
                delta_e=report.delta_e,
                leaked=leakage(case.photo, edited, alpha),
                protected_changed=_protected_changed(case, probability, job),
                matte=_matte_scores(case, alpha, probability),
                pictures={"photo": case.photo, "ours": edited, "truth": case.truth},
            )
        )
    return rows


def _protected_changed(case: Case, probability: UInt8Array, job: PhotoRequest) -> int:
    """Pixels changed of what lies around the surface, when that is protected and the edit has a wide soft edge."""
    around = cast(UInt8Array, cv2.bitwise_not(probability))
    concepts = [*job.concepts, ConceptQuery(name="around", prompts=["around"])]
    guarded = job.model_copy(update={"concepts": concepts, "protect": ["around"], "feather": FEATHER})
    edited = decode(edit_photo(case.photo, segments_of(probability, around), guarded, []).files[0])
    return int((edited != case.photo).any(axis=-1)[refine(around, case.photo).alpha >= PROTECT_ALPHA].sum())


def _matte_scores(case: Case, alpha: UInt8Array, probability: UInt8Array) -> dict[str, float]:
    """Our matte beside bilinear enlargement, from the exact mask and from one displaced as a network's is."""
    size = (case.photo.shape[1], case.photo.shape[0])
    moved = _displaced(probability)
    bilinear, moved_bilinear = (_enlarged(low, size) for low in (probability, moved))
    return {
        "error": matte_error(alpha, case.mask),
        "error_bilinear": matte_error(bilinear, case.mask),
        "boundary_f": boundary_f(alpha, case.mask),
        "boundary_f_bilinear": boundary_f(bilinear, case.mask),
        "moved_f": boundary_f(refine(moved, case.photo).alpha, case.mask),
        "moved_f_bilinear": boundary_f(moved_bilinear, case.mask),
    }


def _enlarged(low: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    return cast(UInt8Array, cv2.resize(low, size, interpolation=cv2.INTER_LINEAR))


def _displaced(probability: UInt8Array) -> UInt8Array:
    """Edges moved smoothly by MASK_SHIFT mask pixels (standard deviation), as masks of real networks are."""
    rng = np.random.default_rng(0)
    shifts = [cv2.GaussianBlur(rng.standard_normal(probability.shape).astype(np.float32), (0, 0), 6.0) for _ in range(2)]
    y, x = np.mgrid[0 : probability.shape[0], 0 : probability.shape[1]].astype(np.float32)
    dx, dy = (shift / np.std(shift) * np.float32(MASK_SHIFT) for shift in shifts)
    return cast(UInt8Array, cv2.remap(probability, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def summary(rows: list[RecolorRow]) -> dict[str, dict[str, float]]:
    """Mean and median of every score by method, over the surfaces that have it."""
    table: dict[str, dict[str, float]] = {}
    for method in rows[0].scores:
        values = [asdict(row.scores[method]) for row in rows]
        table[method] = {key: float(np.nanmean([v[key] for v in values])) for key in values[0]}
        table[method] |= {f"{key}_median": float(np.nanmedian([v[key] for v in values])) for key in values[0]}
    return table
