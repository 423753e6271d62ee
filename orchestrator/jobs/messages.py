"""The two message formats as they travel; see docs/reference/contract.md.

Only the parser and the two job builders know that there are two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from orchestrator.jobs import limits
from orchestrator.jobs.fields import (
    CallbackUrl,
    Index,
    Inline,
    Key,
    Link,
    Name,
    Picture,
    PutLinks,
    StrictModel,
    check_id,
    check_name,
    check_rule_id,
    require_one,
    source_of,
)
from orchestrator.jobs.sources import Source
from respray.contract.photo_file import DEFAULT_MEGAPIXELS, ImageFormat
from respray.contract.request import MAX_BOXES, MAX_POINTS, Box, Edit, Instances, Point, Rule, box_problem


class JobOptions(StrictModel):
    """Options of both formats. `missing` says what a concept that is not found means: nothing to do, or an error of that item.

    `reuse`: what was found in this very photo before is used again, and what is found now is kept (`SEGMENTS_DAYS`).
    """

    threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    feather: float = Field(default=0.0, ge=0.0, le=100.0)
    masks: bool | None = None
    format: ImageFormat | None = None
    quality: int = Field(default=92, ge=1, le=100)
    max_megapixels: float = Field(default=DEFAULT_MEGAPIXELS, gt=0.0, le=200.0)
    preview_size: int = Field(default=256, ge=0, le=4096)
    missing: Literal["ignore", "error"] = "ignore"
    metadata: Literal["keep", "none"] = "keep"
    links: int | None = Field(default=None, ge=1, le=limits.MAX_LINK_SECONDS)
    reuse: bool = True

    @field_validator("format", mode="before")
    @classmethod
    def _jpg(cls, value: Any) -> Any:
        return "jpeg" if value == "jpg" else value


# JSON knows no tuples.
JsonPoint = Annotated[Point, Field(strict=False)]
JsonBox = Annotated[Box, Field(strict=False)]


Shown = tuple[tuple[Box, ...], tuple[Box, ...]]


class RuleFields(StrictModel):
    """A [rule](#rules) in either spelling, and which parts of its concept it is for.

    Parts are the instances of an object and the connected parts of a surface. `at` and `not_at` are points `[x, y]`, fractions of the
    upright photo: with `at`, parts under one of these points; none under those of `not_at`. `instances` is `all`, `largest`, or how many
    by score.

    `boxes` and `not_boxes` are `[x0, y0, x1, y1]` in the same fractions, around examples of what is meant and of what is not: the network
    sees them with the concept's words.
    """

    action: str | None = None
    value: Any = None
    type: str | None = None
    params: Any = None
    at: list[JsonPoint] = Field(default=[], max_length=MAX_POINTS)
    not_at: list[JsonPoint] = Field(default=[], max_length=MAX_POINTS)
    instances: Instances = "all"
    boxes: list[JsonBox] = Field(default=[], max_length=MAX_BOXES)
    not_boxes: list[JsonBox] = Field(default=[], max_length=MAX_BOXES)

    @model_validator(mode="after")
    def _boxes(self) -> Self:
        if problem := box_problem(self.boxes, self.not_boxes):
            raise ValueError(problem)
        return self

    @property
    def shown(self) -> Shown:
        """The examples in boxes: what is meant, and what is not."""
        return tuple(self.boxes), tuple(self.not_boxes)

    def edit(self, concept: str, rule: Rule) -> Edit:
        """The edit of a concept by the rule that `rules.py` has made of this."""
        return Edit(concept=concept, rule=rule, at=self.at, not_at=self.not_at, instances=self.instances)


class PaletteItem(StrictModel):
    """One photo of a palette job: one `input_...` field, one `output_...` field, at most one `preview_...` field.

    With `looks`, keys and links have `{look}` in them, or `output_url` and `preview_url` are `{look: link}`. Keys may be left out, and then
    follow from the ids and the look's name.
    """

    idx: Index
    input_key: Key | None = None
    input_url: Link | None = None
    input_base64: Inline | None = None
    output_key: Key | None = None
    output_url: PutLinks | None = None
    preview_key: Key | None = None
    preview_url: PutLinks | None = None
    mask_keys: dict[Name, Picture] = Field(default={}, max_length=limits.MAX_CONCEPTS)

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        require_one({name: getattr(self, name) for name in ("input_key", "input_url", "input_base64")})
        if self.output_key is not None and self.output_url is not None:
            raise ValueError("has output_key and output_url; accepted is one of them")
        if self.preview_key is not None and self.preview_url is not None:
            raise ValueError("has preview_key and preview_url; accepted is one of them")
        return self

    def source(self, place: str) -> Source:
        """Where the photo comes from.

        Args:
            place: Where the item stands in the message.
        """
        return source_of(self.input_key, self.input_url, self.input_base64, f"{place}.input_base64")


Several = Annotated[list[RuleFields], Field(min_length=1, max_length=limits.MAX_EDITS)]
_SEVERAL = TypeAdapter(Several)


def _one_or_several(value: Any, _: ValidatorFunctionWrapHandler) -> RuleFields | list[RuleFields]:
    """By what is there: of a union, pydantic tells what is wrong with each of its types."""
    return _SEVERAL.validate_python(value) if isinstance(value, list) else RuleFields.model_validate(value)


ConceptEdits: TypeAlias = RuleFields | list[RuleFields]
"""What is done to a concept in one output: one edit, or several in order."""
EditMap = dict[Name, Annotated[RuleFields | Several, WrapValidator(_one_or_several)]]
Concepts = Annotated[EditMap, Field(min_length=1, max_length=limits.MAX_CONCEPTS)]


def edits_of(place: str, concepts: Mapping[str, ConceptEdits]) -> list[tuple[str, str, RuleFields]]:
    """The edits of a map of concepts, in order.

    Args:
        place: Where the map stands in the message.
        concepts: One edit of each concept, or several.

    Returns:
        Of each edit its concept, its place (`concepts.Wall`, in a list `concepts.Wall[1]`), and itself.
    """
    return [
        (name, f"{place}.{name}{number}", fields)
        for name, edits in concepts.items()
        for number, fields in ([(f"[{i}]", edit) for i, edit in enumerate(edits)] if isinstance(edits, list) else [("", edits)])
    ]


class Look(StrictModel):
    """One of several ways to edit every photo of a palette job. Its `protect` adds to the job's; its name is a part of keys."""

    name: str
    concepts: Concepts
    protect: list[Name] = Field(default=[], max_length=limits.MAX_CONCEPTS)

    _id = field_validator("name")(check_rule_id)

    @field_validator("concepts", "protect")
    @classmethod
    def _names(cls, value: Any) -> Any:
        for name in value:
            check_name(name)
        return value


class PaletteMessage(StrictModel):
    """One output per photo, all concepts edited together; or, with `looks` in place of `concepts`, one output per look and photo.

    `concepts` has for each concept one edit (a [rule](#rules), and which [parts](contract.md#some-parts-of-a-concept) it is for), or a list
    of 1 to 16, which are made in its order.
    """

    job_id: str
    user_id: str
    preset: Name | None = None
    concepts: Concepts | None = None
    looks: list[Look] | None = Field(default=None, min_length=1, max_length=limits.MAX_LOOKS)
    protect: list[Name] = Field(default=[], max_length=limits.MAX_CONCEPTS)
    items: list[PaletteItem] = Field(min_length=1, max_length=limits.MAX_ITEMS)
    callback_url: CallbackUrl | None = None
    idempotency_prefix: Annotated[str, Field(min_length=1, max_length=limits.MAX_ID_CHARACTERS)] | None = None
    batch_concurrency: int | None = Field(default=None, ge=1, le=limits.MAX_BATCH_CONCURRENCY)
    options: JobOptions = JobOptions()

    _ids = field_validator("job_id", "user_id")(check_id)

    @field_validator("concepts")
    @classmethod
    def _names(cls, value: dict[str, ConceptEdits] | None) -> dict[str, ConceptEdits] | None:
        for name in value or ():
            check_name(name)
        return value

    @field_validator("protect")
    @classmethod
    def _protect_names(cls, value: list[str]) -> list[str]:
        return [check_name(name) for name in value]

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if (self.concepts is None) == (self.looks is None):
            given = "has both 'concepts' and 'looks'" if self.looks else "has neither 'concepts' nor 'looks'"
            raise ValueError(f"{given}; accepted is one of them: concepts (one output per photo) or looks (one per look and photo)")
        return self


class RuleEntry(RuleFields):
    """One rule of a rule job: one output per photo."""

    rule_id: str = Field(alias="ruleId")
    concept: Name

    _rule_id = field_validator("rule_id")(check_rule_id)


class RuleItem(StrictModel):
    """What one photo of a rule job has of its own: masks that the user already has, and the photo where it is not under its key."""

    idx: Index
    input_url: Link | None = None
    input_base64: Inline | None = None
    mask_keys: dict[Name, Picture] = Field(default={}, max_length=limits.MAX_CONCEPTS)

    @model_validator(mode="after")
    def _one_at_most(self) -> Self:
        if self.input_url is not None and self.input_base64 is not None:
            raise ValueError("has input_url and input_base64; accepted is one of them")
        return self

    def source(self, place: str, key: str) -> Source:
        """Where the photo comes from.

        Args:
            place: Where the item stands in the message.
            key: The key that follows from the ids.
        """
        return source_of(None if self.input_url or self.input_base64 else key, self.input_url, self.input_base64, f"{place}.input_base64")


class RuleMessage(StrictModel):
    """One output per rule per photo; keys follow from the ids. `preset`, `protect`, `items` and `options` may be left out."""

    user_id: str = Field(alias="userId")
    job_id: str = Field(alias="jobId")
    concepts: list[Name] = Field(min_length=1, max_length=limits.MAX_CONCEPTS)
    rules: list[RuleEntry] = Field(min_length=1, max_length=limits.MAX_RULES)
    image_count: int = Field(alias="imageCount", ge=1, le=limits.MAX_ITEMS)
    preset: Name | None = None
    protect: list[Name] = Field(default=[], max_length=limits.MAX_CONCEPTS)
    items: list[RuleItem] = Field(default=[], max_length=limits.MAX_ITEMS)
    options: JobOptions = JobOptions()

    _ids = field_validator("job_id", "user_id")(check_id)

    @field_validator("concepts", "protect")
    @classmethod
    def _names(cls, value: list[str]) -> list[str]:
        return [check_name(name) for name in value]
