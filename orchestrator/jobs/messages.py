"""The two message formats as they travel; see docs/reference/contract.md.

Only the parser and the two job builders know that there are two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias, cast

from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    UrlConstraints,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from orchestrator.jobs import keys, limits
from orchestrator.jobs.sources import InlineSource, Source, StoreKey, WebLink, decode_base64, link_problem
from respray.contract.photo_file import DEFAULT_MEGAPIXELS
from respray.contract.request import MAX_BOXES, MAX_POINTS, Box, Edit, Instances, Point, Rule, box_problem


class StrictModel(BaseModel):
    """Strict: unknown fields are errors, `"1"` is not a number and `true` is not one either."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        """Many languages write a field that was not set as null."""
        if not isinstance(value, dict) or None not in value.values():
            return value
        optional = {field.alias or name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: given for name, given in value.items() if given is not None or name not in optional}


Name = Annotated[str, Field(min_length=1, max_length=limits.MAX_NAME_CHARACTERS)]
Key = Annotated[str, Field(max_length=limits.MAX_KEY_BYTES)]
Index = Annotated[int, Field(ge=0, lt=1_000_000)]


def _keep_brackets(value: Any, check: ValidatorFunctionWrapHandler) -> AnyUrl:
    """PHP and Rails write lists as `name[]` in a query, which is no URL by the letter and is kept to it; nothing else is forgiven."""
    before, mark, query = value.partition("?") if isinstance(value, str) else ("", "", "")
    if "[" not in query and "]" not in query:
        return cast(AnyUrl, check(value))
    check(before + mark + query.replace("[", "%5B").replace("]", "%5D"))
    return AnyUrl(value)


CallbackUrl = Annotated[
    AnyUrl,
    UrlConstraints(max_length=limits.MAX_URL_CHARACTERS, allowed_schemes=["https", "http"], host_required=True),
    WrapValidator(_keep_brackets),
]


def _check_link(value: str) -> str:
    if problem := link_problem(value):
        raise ValueError(problem)
    return value


Link = Annotated[str, AfterValidator(_check_link)]
"""A URL with its signature. Its problems are told without showing it."""


LOOK = "{look}"
"""Stands for a look's name in the keys and links of its results."""


def _check_output_link(value: str) -> str:
    _check_link(value.replace(LOOK, "look"))
    return value


OutputLink = Annotated[str, AfterValidator(_check_output_link)]
OutputLinks: TypeAlias = str | dict[str, str]
"""Where a result is written to: a link, in a job with looks with `{look}` in it; or a link for each look, by its name."""
_LINK = TypeAdapter(OutputLink)
_LINK_OF_EACH = TypeAdapter(Annotated[dict[Name, OutputLink], Field(min_length=1, max_length=limits.MAX_LOOKS)])


def _one_link_or_each(value: Any, _: ValidatorFunctionWrapHandler) -> OutputLinks:
    """By what is there: of a union, pydantic tells what is wrong with each of its types."""
    return _LINK_OF_EACH.validate_python(value, strict=True) if isinstance(value, dict) else _LINK.validate_python(value, strict=True)


PutLinks = Annotated[OutputLink | dict[Name, OutputLink], WrapValidator(_one_link_or_each)]


def _decode(value: Any) -> Any:
    return decode_base64(value, limits.MAX_INLINE_BYTES) if isinstance(value, str) else value


Inline = Annotated[bytes, BeforeValidator(_decode)]
"""A file that travels as base64."""


class Picture(StrictModel):
    """A mask, in one of three ways: a key (also as plain text), a link, or the file itself."""

    key: Key | None = None
    url: Link | None = None
    base64: Inline | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"key": value}
        if not isinstance(value, dict | Picture):
            raise ValueError('must be a key, {"url": ...} or {"base64": ...}')
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        _require_one({name: getattr(self, name) for name in ("key", "url", "base64")})
        return self

    def source(self, place: str) -> Source:
        """Where it comes from.

        Args:
            place: Where it stands in the message.
        """
        return _source(self.key, self.url, self.base64, f"{place}.base64")


def _source(key: str | None, url: str | None, data: bytes | None, place: str) -> Source:
    return StoreKey(key) if key is not None else WebLink(url) if url is not None else InlineSource(data or b"", place)


def _require_one(given: dict[str, Any]) -> None:
    """Raise ValueError unless exactly one of these fields is there."""
    there = [name for name, value in given.items() if value is not None]
    if len(there) != 1:
        accepted = f"accepted is one of {', '.join(given)}"
        raise ValueError(f"has {' and '.join(there)}; {accepted}" if there else f"{' or '.join(given)} is missing")


def _check_id(value: str) -> str:
    if problem := keys.id_problem(value):
        raise ValueError(problem)
    return value


def _check_rule_id(value: str) -> str:
    if len(value) > limits.MAX_NAME_CHARACTERS:
        raise ValueError(f"must have at most {limits.MAX_NAME_CHARACTERS} characters, has {len(value)}")
    return _check_id(value)


def _check_name(value: str) -> str:
    if not value.strip():
        raise ValueError("a name must not be blank")
    if not all(c.isprintable() for c in value):
        raise ValueError(f"{value[:40]!r} contains control characters")
    return value


class JobOptions(StrictModel):
    """Options of both formats. `missing` says what a concept that is not found means: nothing to do, or an error of that item.

    `reuse`: what was found in this very photo before is used again, and what is found now is kept (`SEGMENTS_DAYS`).
    """

    threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    feather: float = Field(default=0.0, ge=0.0, le=100.0)
    masks: bool | None = None
    format: Literal["png", "jpeg", "webp"] | None = None
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
    """A rule in either spelling, and which parts of its concept it is for; `rules.py` checks that it is one of the rules.

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
        _require_one({name: getattr(self, name) for name in ("input_key", "input_url", "input_base64")})
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
        return _source(self.input_key, self.input_url, self.input_base64, f"{place}.input_base64")


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

    _id = field_validator("name")(_check_rule_id)

    @field_validator("concepts", "protect")
    @classmethod
    def _names(cls, value: Any) -> Any:
        for name in value:
            _check_name(name)
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

    _ids = field_validator("job_id", "user_id")(_check_id)

    @field_validator("concepts")
    @classmethod
    def _names(cls, value: dict[str, ConceptEdits] | None) -> dict[str, ConceptEdits] | None:
        for name in value or ():
            _check_name(name)
        return value

    @field_validator("protect")
    @classmethod
    def _protect_names(cls, value: list[str]) -> list[str]:
        return [_check_name(name) for name in value]

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

    _rule_id = field_validator("rule_id")(_check_rule_id)


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
        return _source(None if self.input_url or self.input_base64 else key, self.input_url, self.input_base64, f"{place}.input_base64")


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

    _ids = field_validator("job_id", "user_id")(_check_id)

    @field_validator("concepts", "protect")
    @classmethod
    def _names(cls, value: list[str]) -> list[str]:
        return [_check_name(name) for name in value]
