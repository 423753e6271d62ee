"""Fields that both message formats are made of: names, keys, links, pictures. They refuse what is none, in a sentence."""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeAlias, cast

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
    model_validator,
)

from orchestrator.jobs import keys, limits
from orchestrator.jobs.sources import InlineSource, Source, StoreKey, WebLink, decode_base64, link_problem, unencoded_problem


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
    if isinstance(value, str) and (problem := unencoded_problem(value)):
        raise ValueError(problem)
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
    if not isinstance(value, str | bytes):  # bytes: decoded already
        raise ValueError("must be a string of base64 (in Node, buffer.toString('base64'))")
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
        require_one({name: getattr(self, name) for name in ("key", "url", "base64")})
        return self

    def source(self, place: str) -> Source:
        """Where it comes from.

        Args:
            place: Where it stands in the message.
        """
        return source_of(self.key, self.url, self.base64, f"{place}.base64")


def source_of(key: str | None, url: str | None, data: bytes | None, place: str) -> Source:
    """Where a picture comes from, by whichever of the three was given; `place` is the field of inline data."""
    return StoreKey(key) if key is not None else WebLink(url) if url is not None else InlineSource(data or b"", place)


def require_one(given: dict[str, Any]) -> None:
    """Raise ValueError unless exactly one of these fields is there."""
    there = [name for name, value in given.items() if value is not None]
    if len(there) != 1:
        accepted = f"accepted is one of {', '.join(given)}"
        raise ValueError(f"has {' and '.join(there)}; {accepted}" if there else f"{' or '.join(given)} is missing")


def check_id(value: str) -> str:
    """A job's, user's or photo's id, if it is one."""
    if problem := keys.id_problem(value):
        raise ValueError(problem)
    return value


def check_rule_id(value: str) -> str:
    """A rule's id, if it is one."""
    if len(value) > limits.MAX_NAME_CHARACTERS:
        raise ValueError(f"must have at most {limits.MAX_NAME_CHARACTERS} characters, has {len(value)}")
    return check_id(value)


def check_name(value: str) -> str:
    """A concept's name, if people can read it."""
    if not value.strip():
        raise ValueError("a name must not be blank")
    if keys.has_control_characters(value):
        raise ValueError(f"{value[:40]!r} contains control characters")
    return value
