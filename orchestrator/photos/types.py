"""What is asked of the photo service, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.jobs import limits
from orchestrator.jobs.fields import Inline, Name
from orchestrator.jobs.messages import EditMap, JobOptions
from respray.catalog.preset import normalise
from respray.contract.report import ConceptReport, PhotoReport
from respray.contract.request import MAX_BOXES, Box, Crop, box_problem


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Boxes = Annotated[list[Box], Field(max_length=MAX_BOXES)]


class StoredPhoto(_Strict):
    """A photo by the SHA-256 of its bytes; its size in pixels, upright."""

    photo: str
    width: int
    height: int


class SegmentsQuery(_Strict):
    """What to find in a photo. `masks`: answer mask pictures, of the small copy's size (longest side 1200 pixels at most).

    `boxes` and `not_boxes`: by concept, around examples of what is meant and of what is not, as an edit has them.
    """

    concepts: list[Name] = Field(min_length=1, max_length=limits.MAX_CONCEPTS)
    preset: Name | None = None
    options: JobOptions = JobOptions()
    masks: bool = True
    boxes: dict[Name, Boxes] = Field(default={}, max_length=limits.MAX_CONCEPTS)
    not_boxes: dict[Name, Boxes] = Field(default={}, max_length=limits.MAX_CONCEPTS)

    @model_validator(mode="after")
    def _examples(self) -> Self:
        names = {normalise(name) for name in self.concepts}
        for given in (self.boxes, self.not_boxes):
            if unknown := next((name for name in given if normalise(name) not in names), None):
                concepts = ", ".join(map(repr, self.concepts))
                raise ValueError(f"boxes of {unknown!r} were given; accepted are those of the concepts {concepts}")
        for name in self.concepts:
            if problem := box_problem(*self.shown(name)):
                raise ValueError(f"{name!r}: {problem}")
        return self

    def shown(self, concept: str) -> tuple[list[Box], list[Box]]:
        """The examples of a concept: what is meant, and what is not. Names count as they do everywhere, in any spelling."""
        meant, not_meant = (
            [box for name, boxes in given.items() if normalise(name) == normalise(concept) for box in boxes]
            for given in (self.boxes, self.not_boxes)
        )
        return meant, not_meant


class MaskPicture(_Strict):
    """One instance of a concept: its matte as a grey PNG; instances count from 1."""

    concept: str
    instance: int
    png: bytes


class Segments(_Strict):
    """What was found, concept by concept, and mask pictures. `reused`: the prompts that the network was not asked for again.

    `warnings`: sentences, such as that the model takes no boxes.
    """

    concepts: list[ConceptReport]
    masks: list[MaskPicture]
    reused: list[str]
    warnings: list[str]


class DrawnMask(_Strict):
    """A mask of the user's own, as base64."""

    base64: Inline


class PreviewQuery(_Strict):
    """Edits as a palette message writes them, one of each concept or a list of several; without any, the picture is the photo as it is.

    `long_side`: of the picture, in pixels; 0 is the photo's own size. Up to 1200 the edits are made on a copy of that size, which is quick;
    otherwise, and with `crop` (x0, y0, x1, y1 in fractions of the photo), on the photo itself, as a job does.
    `mask_keys`: masks of the user's own, by concept, in place of what would be found.
    """

    concepts: EditMap = Field(default={}, max_length=limits.MAX_CONCEPTS)
    protect: list[Name] = Field(default=[], max_length=limits.MAX_CONCEPTS)
    preset: Name | None = None
    options: JobOptions = JobOptions()
    format: Literal["jpeg", "webp", "png"] = "jpeg"
    long_side: int = Field(default=1200, ge=0, le=16_383)
    crop: Crop | None = None
    mask_keys: dict[Name, DrawnMask] = Field(default={}, max_length=limits.MAX_CONCEPTS)


@dataclass(frozen=True)
class Preview:
    """The encoded picture and what the pipeline says of it."""

    picture: bytes
    media_type: str
    report: PhotoReport
