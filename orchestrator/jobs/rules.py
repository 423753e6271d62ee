"""One rule as a message writes it (`action`/`value` or `type`/`params`) becomes one of `respray.contract.request`'s rule types."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from orchestrator.jobs import keys
from orchestrator.jobs.messages import RuleFields
from orchestrator.jobs.name_catalog import Catalog, unknown_name_message
from orchestrator.jobs.problems import Problems
from orchestrator.jobs.validation_messages import shown, validation_messages
from respray.contract.request import Recolor, Remove, Texture, Tone

AnyRule = Recolor | Tone | Texture | Remove
HEX = re.compile(r"#[0-9A-Fa-f]{6}")
REMOVE_MODES = ("transparent", "inpaint")


class RuleProblem(ValueError):
    """What is wrong with a rule, without the place where it stands."""


class TextureKeys:
    """Storage keys of a job's own textures, in the order of their attachment index."""

    def __init__(self, inputs_prefix: str) -> None:
        self._prefix = inputs_prefix
        self.keys: list[str] = []

    def index_of(self, key: str) -> int:
        """The attachment index of a texture. Raises RuleProblem for a key that the job may not read."""
        if problem := keys.key_problem(key, self._prefix):
            raise RuleProblem(f"texture_key {problem}")
        if key not in self.keys:
            self.keys.append(key)
        return self.keys.index(key)


class RuleBuilder:
    """Builds the rules of one job and collects the textures that they bring."""

    def __init__(self, catalog: Catalog, inputs_prefix: str, problems: Problems) -> None:
        self._catalog, self._problems = catalog, problems
        self._textures = TextureKeys(inputs_prefix)

    @property
    def textures(self) -> list[str]:
        """Storage keys of the textures of the rules built so far."""
        return self._textures.keys

    def build(self, place: str, fields: RuleFields) -> AnyRule | None:
        """A rule in either spelling, or None after noting a problem at `place`."""
        try:
            return build_rule(fields, self._catalog, self._textures)
        except RuleProblem as problem:
            self._problems.add(place, str(problem))
            return None


def build_rule(fields: RuleFields, catalog: Catalog, textures: TextureKeys) -> AnyRule:
    """One rule.

    Args:
        fields: The rule in one of the two spellings.
        catalog: What it may name.
        textures: Takes the key of a texture that the job brings.

    Raises:
        RuleProblem: With one sentence that says what was given and what is accepted.
    """
    if fields.action is not None and fields.type is not None:
        raise RuleProblem("has both 'action' and 'type'; accepted is one of them")
    if fields.value is not None and fields.params is not None:
        raise RuleProblem("has both 'value' and 'params'; accepted is one of them")
    kind = fields.action if fields.action is not None else fields.type
    if kind is None:
        raise RuleProblem("has no rule; accepted is 'action' (or 'type') with one of recolor, tone, texture, remove")
    builder = _BUILDERS.get(kind)
    if builder is None:
        raise RuleProblem(unknown_name_message("rule", kind, _BUILDERS))
    try:
        return builder(fields.value if fields.value is not None else fields.params, catalog, textures)
    except ValidationError as error:
        raise RuleProblem("; ".join(validation_messages(error))) from None


def needs_alpha(rule: AnyRule) -> bool:
    """Whether a rule's output has transparent pixels."""
    return isinstance(rule, Remove) and rule.mode == "transparent"


def resolve_color(color: Any, catalog: Catalog) -> str:
    """A palette id or `#rrggbb` as `#rrggbb` in lower case."""
    if not isinstance(color, str):
        raise RuleProblem(f"a colour must be a palette id or '#rrggbb', not {shown(color)}")
    if HEX.fullmatch(color):
        return color.lower()
    if color.startswith("#"):
        raise RuleProblem(f"colour {shown(color)} is not '#' and six hexadecimal digits")
    if color not in catalog.palette and HEX.fullmatch(f"#{color.strip().removeprefix('#')}"):
        raise RuleProblem(f"colour {shown(color)} is no palette id; did you mean '#{color.strip().removeprefix('#')}'?")
    if color not in catalog.palette:
        raise RuleProblem(unknown_name_message("palette id", color, catalog.palette) + "; or a colour as '#rrggbb'")
    return catalog.palette[color].lower()


# The builders' docstrings are the reference's words for senders (`tools.docs.reference`).
def _recolor(value: Any, catalog: Catalog, textures: TextureKeys) -> Recolor:
    """Lay a new colour on a surface and keep its own light and shadow. A colour alone stands for `{"color": ...}`.

    `strength` blends with the photo. `sheen` says what becomes of the photo's highlights: `matte` takes them off, `satin` makes them
    weaker, `gloss` stronger; without it they stay as they are.
    """
    fields = dict(value) if isinstance(value, dict) else {"color": value}
    if "color" not in fields:
        raise RuleProblem("recolor needs 'color': a palette id or '#rrggbb'")
    label = fields.pop("color")
    _only(fields, "recolor", ("strength", "sheen"), also=("color",))
    return Recolor.model_validate({"color": resolve_color(label, catalog), "label": label, **fields}, strict=True)


def _tone(value: Any, catalog: Catalog, textures: TextureKeys) -> Tone:
    """Photographic adjustment inside the matte, at least one of these; 0 changes nothing."""
    accepted = tuple(name for name in Tone.model_fields if name != "rule")
    if not isinstance(value, dict) or not value:
        raise RuleProblem(f"tone needs an object with at least one of {', '.join(accepted)}, each -1 to 1; given was {shown(value)}")
    _only(value, "tone", accepted)
    return Tone.model_validate(value, strict=True)


def _texture(value: Any, catalog: Catalog, textures: TextureKeys) -> Texture:
    """Lay a material on a surface in perspective, keeping light and shadow: `texture` or `texture_key`, exactly one.

    An id of the catalogue alone stands for `{"texture": ...}`. `size_m` is the width in metres that one repeat covers (left out: the
    catalogue's; 1 for a picture of your own); `scale` multiplies it; `rotation` is in degrees in the plane; `offset` in repeats;
    `camera_height_m` is the assumed height of the camera above the floor. `direction` and `quad` are told
    [here](contract.md#materials-in-a-room); with `quad` only `strength` goes.
    """
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
            raise RuleProblem(f"texture_key must be a string, not {shown(key)}")
        fields["attachment"] = textures.index_of(key)
    else:
        if not isinstance(texture, str):
            raise RuleProblem(f"texture must be an id of the catalogue, not {shown(texture)}")
        if texture not in catalog.textures:
            raise RuleProblem(unknown_name_message("texture id", texture, catalog.textures))
        fields["texture"] = texture
    # JSON has no tuples.
    if isinstance(fields.get("offset"), list):
        fields["offset"] = tuple(fields["offset"])
    if isinstance(fields.get("quad"), list):
        fields["quad"] = tuple(tuple(point) if isinstance(point, list) else point for point in fields["quad"])
    return Texture.model_validate(fields, strict=True)


def _remove(value: Any, catalog: Catalog, textures: TextureKeys) -> Remove:
    """Take the concept out: `transparent`, `inpaint` (filled from its surroundings), or a colour of the palette or `#rrggbb` behind it.

    Each of these alone is the value; as an object it is the `mode`, or the `color`.
    """
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
        raise RuleProblem(f"remove accepts {accepted}; given was {shown(value)}")
    if value in REMOVE_MODES:
        return Remove(mode=value)
    if not isinstance(value, str):
        raise RuleProblem(f"remove accepts {accepted}; given was {shown(value)}")
    try:
        return Remove(mode="background", color=resolve_color(value, catalog))
    except RuleProblem as problem:
        raise RuleProblem(f"remove accepts {accepted}; {problem}") from None


def _only(fields: dict[str, Any], rule: str, accepted: tuple[str, ...], also: tuple[str, ...] = ()) -> None:
    """Refuse unknown parameters by name, before pydantic would with a less helpful sentence."""
    unknown = sorted(set(fields) - set(accepted) - set(also))
    if unknown:
        raise RuleProblem(f"{rule} does not know {', '.join(map(repr, unknown))}; it takes {', '.join((*also, *accepted))}")


_BUILDERS: dict[str, Callable[[Any, Catalog, TextureKeys], AnyRule]] = {
    "recolor": _recolor,
    "tone": _tone,
    "texture": _texture,
    "remove": _remove,
}
RULE_NAMES = tuple(_BUILDERS)
RULE_TEXTS = {name: inspect.getdoc(builder) for name, builder in _BUILDERS.items()}
