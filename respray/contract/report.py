"""What came of one photo, as the Triton pipeline tells it. Travels as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from respray.contract.base import StrictModel
from respray.contract.request import Box, Point


class BoxReport(StrictModel):
    """What a box of a concept did: how much of it is what was found of the concept, 0..1."""

    use: Literal["boxes", "not_boxes"]
    box: Box
    covered: float


class ConceptReport(StrictModel):
    """What was found: share of the photo covered, number of instances, best score, where the mask came from; and of each box that was
    shown to the network, how much of it is that.
    """

    name: str
    found: bool
    coverage: float
    instances: int
    score: float
    source: Literal["sam3", "user", "complement"] = "sam3"
    boxes: list[BoxReport] = Field(default_factory=list)


class PointReport(StrictModel):
    """What a point of an edit did.

    `part` is the number of the part of the edit's concept that it lies on; None: it lies on none of it, but on the concept `on`, or on
    nothing that was asked for.
    """

    use: Literal["at", "not_at"]
    point: Point
    part: int | None = None
    on: str | None = None


PlaneKind = Literal["floor", "ceiling", "wall", "quad"]


class PlaneReport(StrictModel):
    """A plane that a material lies on, for whoever draws on it.

    `to_metres` is the homography, row by row, from homogeneous fractions of the photo to homogeneous metres (u, v) on the plane (of a
    `quad`, to its own width and height); the last component is positive in front of the camera. One repeat of the material is `repeat`
    metres wide and high, and its width runs `turn` degrees from u towards v. With `begins` (a, b, c) the plane is that of the photo's
    points with ax + by + c > 0, up to where the next one begins.
    """

    kind: PlaneKind
    to_metres: list[float] = Field(min_length=9, max_length=9)
    repeat: tuple[float, float]
    turn: float
    begins: tuple[float, float, float] | None = None


class LightReport(StrictModel):
    """The light's correlated colour temperature in kelvin, as the photo shows it: balanced by its camera. None: not known, and `why`."""

    temperature_k: int | None = None
    why: str | None = None


class EditReport(StrictModel):
    """Honest numbers about one edit; None where a rule has no such number.

    Colours are sRGB hex of the median over the solid part of the matte, read as albedo (shading removed);
    `delta_e` is CIEDE2000 between requested and measured. Of an edit with points or `instances`, `parts` says how many of `parts_found`
    were edited, and `points` what each point did. `planes` counts those that a texture lies on: walls that meet at corners are several;
    `laid` says where they are.
    `edit` is the place among the edits of its concept, from 0, where the output has several of them.
    """

    concept: str
    edit: int | None = None
    rule: str
    requested: str | None = None
    measured: str | None = None
    delta_e: float | None = None
    coverage: float = 0.0
    clipped: float | None = None
    out_of_gamut: float | None = None
    shading_correlation: float | None = None
    geometry_confidence: float | None = None
    planes: int | None = None
    laid: list[PlaneReport] = Field(default_factory=list)
    parts: int | None = None
    parts_found: int | None = None
    points: list[PointReport] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)


class OutputReport(StrictModel):
    """One output's edits in the order in which they were applied."""

    name: str
    edits: list[EditReport]


class FileReport(StrictModel):
    """One returned file, in the order of `file_sizes`. `kind` says what it is; `name` the output, concept or (`segments`) prompt; instances
    count from 1.
    """

    kind: Literal["output", "preview", "mask", "segments"]
    name: str
    instance: int = 0
    media_type: str


class ProbeMeasure(StrictModel):
    """One thing that was compared: its worst value over all prompts or maps, and the limit. An error is to be at most the limit, the others
    at least.
    """

    what: Literal["score_error", "mask_iou", "feature_cosine", "score_error_with_boxes", "mask_iou_with_boxes"]
    value: float
    limit: float


class ProbeReport(StrictModel):
    """How a server's graphs answered the probe at its start, against PyTorch in FP32.

    `model`, `target` (`respray build`), `engine` and `device` say who answered; `at` when (UTC). `measures` is empty where the graphs have
    no probe: nothing was compared then. `fallback_from` says what was wrong with the target that this one took over from, if it did.
    """

    model: str
    target: str
    engine: str
    device: str
    at: datetime
    measures: list[ProbeMeasure] = Field(default_factory=list)
    fallback_from: str = ""

    def __str__(self) -> str:
        bounds = {"score_error": "most", "score_error_with_boxes": "most"}
        what = ", ".join(
            f"{measure.what.replace('_', ' ')} {measure.value:.4f} (at {bounds.get(measure.what, 'least')} {measure.limit})"
            for measure in self.measures
        )
        return f"{what or 'nothing compared'}; by {self.engine} on {self.device}, target {self.target}, at {self.at:%Y-%m-%d %H:%M} UTC"


class PhotoReport(StrictModel):
    """What the pipeline did to one photo. `timings` are seconds per stage: decode, segment, matte, apply, encode, preview.

    `model` is the digest of what segmented it, empty where the server's repository says none; `reused` the prompts that were answered by
    kept segments. `light` is None where the photo was not looked at, as when only segments are asked for. `probe` answers a
    request's `tell_probe`; `call` is the request's.
    """

    width: int
    height: int
    concepts: list[ConceptReport]
    outputs: list[OutputReport]
    files: list[FileReport]
    timings: dict[str, float]
    light: LightReport | None = None
    model: str = ""
    reused: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    probe: ProbeReport | None = None
    call: str | None = None
