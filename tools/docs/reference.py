"""Reference pages written from the code itself, so that they cannot say anything else: `python -m tools.docs.reference [--check]`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

from orchestrator.cli.app import command_names, load_command
from orchestrator.jobs import messages
from orchestrator.jobs.rules import RULE_NAMES, RULE_TEXTS
from orchestrator.settings import Settings, spellings
from respray.contract import report, request
from respray.observe.metrics import Metrics
from respray.weights.model_presets import load_presets

_COLOR = "palette id or `#rrggbb`"
IN_MESSAGES: dict[str, dict[str, tuple[str, str, str] | None]] = {
    "recolor": {"color": ("color", _COLOR, "required"), "label": None},
    "texture": {"texture": ("texture", "id of the catalogue", ""), "attachment": ("texture_key", "key below the job's inputs", "")},
    "remove": {"mode": ("mode", "`transparent`, `inpaint`", ""), "color": ("color", _COLOR, "")},
}
"""Fields of rules that messages write in other words than requests do: the parser resolves ids and keys."""
ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"


def main(arguments: list[str] | None = None) -> int:
    """Write the pages; with `--check` write nothing, and return 1 where one is not what the code says."""
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    pages = {
        "jobs": jobs(),
        "request": photo_request(),
        "settings": settings(),
        "commands": commands(),
        "models": models(),
        "metrics": metrics(),
    }
    stale = [
        name for name, page in pages.items() if not (path := FOLDER / f"{name}.md").is_file() or path.read_text(encoding="utf-8") != page
    ]
    if check:
        if stale:
            names = ", ".join(f"docs/reference/{name}.md" for name in stale)
            print(f"{names} no longer say what the code says; run: python -m tools.docs.reference", file=sys.stderr)
        return int(bool(stale))
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        (FOLDER / f"{name}.md").write_text(pages[name], encoding="utf-8")
    return 0


def jobs() -> str:
    """The two message formats and the rules."""
    parts = [
        "# Job messages\n",
        "Two formats are accepted everywhere and told apart by their fields. Unknown fields are errors. "
        "`respray run JOB.json` takes either from a file.\n",
        "## Palette job\n",
        *_example("palette.json"),
        *_model(messages.PaletteMessage),
        "### Edits\n",
        *_model(messages.RuleFields),
        "### Items\n",
        *_model(messages.PaletteItem),
        "### Looks\n",
        *_model(messages.Look),
        "## Rule job\n",
        *_example("rules.json"),
        *_model(messages.RuleMessage),
        "### Rules of a rule job\n",
        *_model(messages.RuleEntry),
        "### Items of a rule job\n",
        *_model(messages.RuleItem),
        "## Options\n",
        "Both formats take `options`.\n",
        *_model(messages.JobOptions),
        "## Rules\n",
        f"`action` and `value`, or `type` and `params`, with one of: {', '.join(f'`{name}`' for name in RULE_NAMES)}.\n",
    ]
    for name in RULE_NAMES:
        kind = getattr(request, name.capitalize())
        parts += [f"### {name}\n", f"{RULE_TEXTS[name] or _doc(kind)}\n", *_table(kind, ("rule",), IN_MESSAGES.get(name, {}))]
    return "\n".join(parts)


def photo_request() -> str:
    """The JSON that crosses Triton: request and report."""
    parts = [
        "# Photo request and report\n",
        "The two JSON documents of one photo, as `pipeline_bls` takes and gives them ([gRPC](grpc.md)). Unknown fields are errors. "
        "A job message is not this: the orchestrator makes a request from it, with all ids resolved.\n",
        "## Request\n",
        *_model(request.PhotoRequest),
    ]
    asked: tuple[type[BaseModel], ...] = (request.ConceptQuery, request.Output, request.Edit)
    for kind in asked:
        parts += [f"### {kind.__name__}\n", *_model(kind)]
    rules = ", ".join(f"`{name}`" for name in RULE_NAMES)
    parts += [f"`rule` is an object with a field `rule` ({rules}) and the fields of that rule.\n"]
    for name in RULE_NAMES:
        parts += [f"### {name.capitalize()}\n", *_model(getattr(request, name.capitalize()))]
    parts += ["## Report\n", *_model(report.PhotoReport)]
    answered: tuple[type[BaseModel], ...] = (report.ConceptReport, report.OutputReport, report.EditReport, report.FileReport)
    for kind in answered:
        parts += [f"### {kind.__name__}\n", *_model(kind)]
    return "\n".join(parts)


def settings() -> str:
    """Every environment variable."""
    lines = [
        "# Settings\n",
        "Environment variables, or a file `.env` in the working folder (the environment wins). Several spellings of one setting are the "
        "same; set to different values they are an error that names both. An empty value counts as not set.\n",
        "| variable | other spellings | accepted | default |",
        "|---|---|---|---|",
    ]
    for field in Settings.model_fields.values():
        first, *others = spellings(field)
        lines.append(f"| `{first}` | {', '.join(f'`{name}`' for name in others)} | {_accepted(field)} | {_default(field)} |")
    return "\n".join([*lines, ""])


def commands() -> str:
    """`--help` of every command."""
    parts = ["# Commands\n", "`respray --version` prints the version; `--help` stands behind every command.\n"]
    for name, command in ((name, load_command(name)) for name in command_names()):
        parts += [f"## respray {name}\n", *_help(f"respray {name}", command)]
        for child_name, child in sorted(getattr(command, "commands", {}).items()):
            parts += [f"### respray {name} {child_name}\n", *_help(f"respray {name} {child_name}", child)]
    return "\n".join(parts)


def models() -> str:
    """The models that MODEL_NAME can name."""
    lines = ["# Models\n", "`MODEL_NAME` is one of these, from `respray/weights/model_presets.yaml`.\n"]
    lines += ["| name | what | weights | precision | VRAM |", "|---|---|---|---|---|"]
    for preset in load_presets().values():
        weights = preset.weights
        origin = "in the package" if weights.folder else f"[{weights.repository}](https://huggingface.co/{weights.repository})"
        memory = f"{preset.vram_gb:g} GB" if preset.vram_gb else "CPU"
        lines.append(f"| `{preset.name}` | {preset.description} | {origin} | {preset.precision} | {memory} |")
    return "\n".join([*lines, ""])


def metrics() -> str:
    """The worker's own metrics."""
    lines = ["# Metrics\n", "What a worker serves at `/metrics` on `HEALTH_PORT`. Triton serves its own (`nv_...`) on port 8002.\n"]
    lines += ["| metric | type | what |", "|---|---|---|"]
    for family in Metrics().registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        lines.append(f"| `{family.name}{suffix}` | {family.type} | {family.documentation} |")
    return "\n".join([*lines, ""])


def _help(name: str, command: Any) -> list[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    lines = [f"{command.help or ''}\n"]
    records = [record for parameter in command.params if (record := parameter.get_help_record(context)) is not None]
    # Defaults that lie in the checkout are shown as seen from it: the page must not say whose machine made it.
    shown = [(option, text.replace(f"{ROOT}/", "")) for option, text in records]
    if shown:
        lines += ["| option | what |", "|---|---|", *(f"| `{_cell(option)}` | {_cell(text)} |" for option, text in shown), ""]
    return lines


def _example(name: str) -> list[str]:
    text = (ROOT / "respray" / "demo" / "jobs" / name).read_text(encoding="utf-8").rstrip()
    return ["```json", text, "```\n"]


def _model(model: type[BaseModel]) -> list[str]:
    return [_doc(model), *_table(model)]


def _doc(model: type[BaseModel]) -> str:
    return f"{inspect.cleandoc(model.__doc__ or '')}\n"


def _table(
    model: type[BaseModel], skip: tuple[str, ...] = (), others: Mapping[str, tuple[str, str, str] | None] = MappingProxyType({})
) -> list[str]:
    """Fields of a model; of those in `others` the row that is there in their place, if any."""
    rows: dict[str, tuple[str, str, str] | None] = {
        name: (field.alias or name, _accepted(field), _default(field)) for name, field in model.model_fields.items() if name not in skip
    }
    written = [f"| `{row[0]}` | {row[1]} | {row[2]} |" for row in {**rows, **others}.values() if row is not None]
    return ["| field | accepted | default |", "|---|---|---|", *written, ""]


def _accepted(field: FieldInfo) -> str:
    """Type and constraints, in words that the schema has: no second description to keep true."""

    if "SecretStr" in str(field.annotation):
        return "secret"
    annotation: Any = field.annotation
    for entry in field.metadata:
        annotation = Annotated[annotation, entry]
    return _describe(TypeAdapter(annotation).json_schema(mode="validation"))


def _describe(schema: dict[str, Any]) -> str:
    definitions = schema.get("$defs", {})
    if "$ref" in schema:
        return f"object ({schema['$ref'].rsplit('/', 1)[-1]})"
    if "anyOf" in schema:
        return " or ".join(_describe({**option, "$defs": definitions}) for option in schema["anyOf"] if option.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = {
        "number": "number",
        "integer": "whole number",
        "string": "text",
        "boolean": "`true` or `false`",
        "object": "object",
        "array": "list",
    }
    words = kind.get(schema.get("type", ""), "any")
    if isinstance(schema.get("items"), dict) and schema["items"]:
        kind_of_entry, _, limits = _describe({**schema["items"], "$defs": definitions}).partition(", ")
        words += f" of {kind_of_entry}" + (f" ({limits})" if limits else "")
    bounds = _range(schema, "minimum", "maximum")
    for lower, upper, unit in (("minLength", "maxLength", " characters"), ("minItems", "maxItems", " entries")):
        bounds += _range(schema, lower, upper, unit)
    bounds += _range(schema, "minProperties", "maxProperties", " entries")
    if "pattern" in schema:
        bounds.append(f"`{schema['pattern']}`".replace("|", "\\|"))
    return ", ".join([words, *bounds])


def _range(schema: dict[str, Any], lower: str, upper: str, unit: str = "") -> list[str]:
    """The bounds in words, where there are any: "1 to 64", "above 0", "at most 16 entries"."""
    exclusive = {name: f"exclusive{name.capitalize()}" for name in (lower, upper)}
    if lower in schema and upper in schema:
        if schema[lower] == schema[upper]:
            return [f"{_number(schema[lower])}{unit}"]
        return [f"{_number(schema[lower])} to {_number(schema[upper])}{unit}"]
    words = {lower: "at least", exclusive[lower]: "above", upper: "at most", exclusive[upper]: "below"}
    bounds = [f"{word} {_number(schema[name])}{unit}" for name, word in words.items() if name in schema]
    return [bound.replace(" 1 entries", " 1 entry") for bound in bounds]


def _number(value: float) -> str:
    """A bound, the same whether pydantic keeps it as 1 or as 1.0."""
    return str(int(value)) if float(value).is_integer() else str(value)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or isinstance(default, (SecretStr, BaseModel)) or default == "":
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
