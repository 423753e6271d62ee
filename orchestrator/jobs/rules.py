"""One rule as a message writes it (`action`/`value` or `type`/`params`) becomes one of `respray.contract.request`'s rule types."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from orchestrator.jobs.catalog import Catalog, known
from orchestrator.jobs.validation_messages import explain
from respray.contract.request import Recolor, Remove, Texture, Tone

AnyRule = Recolor | Tone | Texture | Remove
HEX = re.compile(r"#[0-9A-Fa-f]{6}")
REMOVE_MODES = ("transparent", "inpaint")


class RuleProblem(ValueError):
    """What is wrong with a rule, without the place where it stands."""


def build_rule(kind: str, value: Any, catalog: Catalog, attach_texture: Callable[[str], int]) -> AnyRule:
    """Build a rule. `attach_texture(key)` checks a texture's storage key and returns its attachment index.

    Raises RuleProblem with one sentence that says what was given and what is accepted.
    """
    builder = _BUILDERS.get(kind)
    if builder is None:
        raise RuleProblem(known("rule", kind, _BUILDERS))
    try:
        return builder(value, catalog, attach_texture)
    except ValidationError as error:
        raise RuleProblem("; ".join(explain(error))) from None


def resolve_color(color: Any, catalog: Catalog) -> str:
    """A palette id or `#rrggbb` as `#rrggbb` in lower case."""
    if not isinstance(color, str):
        raise RuleProblem(f"a colour must be a palette id or '#rrggbb', not {_shown(color)}")
    if HEX.fullmatch(color):
        return color.lower()
    if color.startswith("#"):
        raise RuleProblem(f"colour {_shown(color)} is not '#' and six hexadecimal digits")
    if color not in catalog.palette:
        raise RuleProblem(known("palette id", color, catalog.palette) + "; or a colour as '#rrggbb'")
    return catalog.palette[color].lower()


def _recolor(value: Any, catalog: Catalog, attach: Callable[[str], int]) -> Recolor:
    fields = dict(value) if isinstance(value, dict) else {"color": value}
    if "color" not in fields:
        raise RuleProblem("recolor needs 'color': a palette id or '#rrggbb'")
    label = fields.pop("color")
    _only(fields, "recolor", ("strength",), also=("color",))
    return Recolor.model_validate({"color": resolve_color(label, catalog), "label": label, **fields}, strict=True)


def _tone(value: Any, catalog: Catalog, attach: Callable[[str], int]) -> Tone:
    accepted = tuple(name for name in Tone.model_fields if name != "rule")
    if not isinstance(value, dict) or not value:
        raise RuleProblem(f"tone needs an object with at least one of {', '.join(accepted)}, each -1 to 1; given was {_shown(value)}")
    _only(value, "tone", accepted)
    return Tone.model_validate(value, strict=True)


def _texture(value: Any, catalog: Catalog, attach: Callable[[str], int]) -> Texture:
    fields = dict(value) if isinstance(value, dict) else {"texture": value}
    accepted = tuple(name for name in Texture.model_fields if name not in ("rule", "texture", "attachment"))
    _only(fields, "texture", accepted, also=("texture", "texture_key"))
    texture, key = fields.pop("texture", None), fields.pop("texture_key", None)
    if (texture is None) == (key is None):
        raise RuleProblem(
            "texture needs exactly one of 'texture' (an id of the catalogue) and 'texture_key' (a key below the job's inputs)"
        )
    if key is not None:
        if not isinstance(key, str):
            raise RuleProblem(f"texture_key must be a string, not {_shown(key)}")
        fields["attachment"] = attach(key)
    else:
        if not isinstance(texture, str):
            raise RuleProblem(f"texture must be an id of the catalogue, not {_shown(texture)}")
        if texture not in catalog.textures:
            raise RuleProblem(known("texture id", texture, catalog.textures))
        fields["texture"] = texture
    if isinstance(fields.get("offset"), list):
        fields["offset"] = tuple(fields["offset"])
    return Texture.model_validate(fields, strict=True)


def _remove(value: Any, catalog: Catalog, attach: Callable[[str], int]) -> Remove:
    accepted = "'transparent', 'inpaint', or a background colour (palette id or '#rrggbb')"
    if isinstance(value, dict):
        _only(value, "remove", ("mode", "color", "background"))
        mode, color = value.get("mode"), value.get("color", value.get("background"))
        if "color" in value and "background" in value:
            raise RuleProblem("remove takes 'color' or 'background', not both")
        if mode in REMOVE_MODES and color is None:
            return Remove(mode=mode)
        if mode in (None, "background") and color is not None:
            return Remove(mode="background", color=resolve_color(color, catalog))
        raise RuleProblem(f"remove accepts {accepted}; given was {_shown(value)}")
    if value in REMOVE_MODES:
        return Remove(mode=value)
    if not isinstance(value, str):
        raise RuleProblem(f"remove accepts {accepted}; given was {_shown(value)}")
    try:
        return Remove(mode="background", color=resolve_color(value, catalog))
    except RuleProblem as problem:
        raise RuleProblem(f"remove accepts {accepted}; {problem}") from None


def _only(fields: dict[str, Any], rule: str, accepted: tuple[str, ...], also: tuple[str, ...] = ()) -> None:
    """Refuse unknown parameters by name, before pydantic would with a less helpful sentence."""
    unknown = sorted(set(fields) - set(accepted) - set(also))
    if unknown:
        raise RuleProblem(f"{rule} does not know {', '.join(map(repr, unknown))}; it takes {', '.join((*also, *accepted))}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_BUILDERS: dict[str, Callable[[Any, Catalog, Callable[[str], int]], AnyRule]] = {
    "recolor": _recolor,
    "tone": _tone,
    "texture": _texture,
    "remove": _remove,
}
RULE_NAMES = tuple(_BUILDERS)
