"""The two message formats as they travel; see docs/reference/contract.md.

Only the parser and the two job builders know that there are two.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AnyUrl, BaseModel, ConfigDict, Field, UrlConstraints, field_validator

from orchestrator.jobs import keys, limits
from respray.contract.photo_file import DEFAULT_MEGAPIXELS


class StrictModel(BaseModel):
    """Strict: unknown fields are errors, `"1"` is not a number and `true` is not one either."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)


Name = Annotated[str, Field(min_length=1, max_length=limits.MAX_NAME_CHARACTERS)]
Key = Annotated[str, Field(max_length=limits.MAX_KEY_BYTES)]
Index = Annotated[int, Field(ge=0, lt=1_000_000)]
CallbackUrl = Annotated[AnyUrl, UrlConstraints(max_length=limits.MAX_URL_CHARACTERS, allowed_schemes=["https", "http"], host_required=True)]


def _check_id(value: str) -> str:
    if problem := keys.id_problem(value):
        raise ValueError(problem)
    return value


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
    reuse: bool = True

    @field_validator("format", mode="before")
    @classmethod
    def _jpg(cls, value: Any) -> Any:
        return "jpeg" if value == "jpg" else value


class RuleFields(StrictModel):
    """A rule in either spelling; `rules.py` checks that it is one of them."""

    action: str | None = None
    value: Any = None
    type: str | None = None
    params: Any = None


class PaletteItem(StrictModel):
    """One photo of a palette job."""

    idx: Index
    input_key: Key
    output_key: Key
    preview_key: Key | None = None
    mask_keys: dict[Name, Key] = Field(default={}, max_length=limits.MAX_CONCEPTS)


class PaletteMessage(StrictModel):
    """One output per photo, all concepts edited together."""

    job_id: str
    user_id: str
    preset: Name | None = None
    concepts: dict[Name, RuleFields] = Field(min_length=1, max_length=limits.MAX_CONCEPTS)
    protect: list[Name] = Field(default=[], max_length=limits.MAX_CONCEPTS)
    items: list[PaletteItem] = Field(min_length=1, max_length=limits.MAX_ITEMS)
    callback_url: CallbackUrl | None = None
    idempotency_prefix: Annotated[str, Field(min_length=1, max_length=limits.MAX_ID_CHARACTERS)] | None = None
    batch_concurrency: int | None = Field(default=None, ge=1, le=limits.MAX_BATCH_CONCURRENCY)
    options: JobOptions = JobOptions()

    _ids = field_validator("job_id", "user_id")(_check_id)

    @field_validator("concepts")
    @classmethod
    def _names(cls, value: dict[str, RuleFields]) -> dict[str, RuleFields]:
        for name in value:
            _check_name(name)
        return value

    @field_validator("protect")
    @classmethod
    def _protect_names(cls, value: list[str]) -> list[str]:
        return [_check_name(name) for name in value]


class RuleEntry(RuleFields):
    """One rule of a rule job: one output per photo."""

    rule_id: str = Field(alias="ruleId")
    concept: Name

    @field_validator("rule_id")
    @classmethod
    def _rule_id(cls, value: str) -> str:
        if len(value) > limits.MAX_NAME_CHARACTERS:
            raise ValueError(f"must have at most {limits.MAX_NAME_CHARACTERS} characters, has {len(value)}")
        return _check_id(value)


class RuleItem(StrictModel):
    """Masks that the user already has for one photo of a rule job."""

    idx: Index
    mask_keys: dict[Name, Key] = Field(default={}, max_length=limits.MAX_CONCEPTS)


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
