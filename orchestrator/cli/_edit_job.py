"""From what a person types after `respray edit` to a job message, its files, and where its results go."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import SettingsError
from orchestrator.jobs import keys
from orchestrator.jobs.name_catalog import Catalog, unknown_name_message
from orchestrator.jobs.rules import HEX, RuleProblem, resolve_color
from respray.catalog.preset import Preset, normalise
from respray.contract.photo_file import ImageFormat

USER, JOB = "local", "edit"
REMOVALS = {"remove": "inpaint", "inpaint": "inpaint", "transparent": "transparent"}


@dataclass(frozen=True)
class Wishes:
    """What was typed: pairs are `NAME=VALUE` as they stand.

    Attributes:
        photos: Files to edit.
        edits: Concepts and their colour, texture or removal; with `@X,Y` behind it, of the part at that point.
        protect: Concepts that stay as they are.
        masks: Concepts and files that select them.
        at: Concepts and points `X,Y` on the parts that are meant.
        not_at: Concepts and points on those that are not.
        boxes: Concepts and `X0,Y0,X1,Y1` around an example of what is meant.
        not_boxes: Concepts and boxes around examples of what is not.
        instances: Concepts and `largest` or how many.
        preset: Which knows the names' prompts.
        out: The folder for results.
        format: Of the results.
        look: What the results' names end in.
    """

    photos: Sequence[Path]
    edits: Sequence[str]
    protect: Sequence[str]
    masks: Sequence[str]
    at: Sequence[str]
    not_at: Sequence[str]
    boxes: Sequence[str]
    not_boxes: Sequence[str]
    instances: Sequence[str]
    preset: str | None
    out: Path
    format: ImageFormat
    look: str

    @property
    def extension(self) -> str:
        """Of the results' names."""
        return "jpg" if self.format == "jpeg" else self.format

    def result(self, photo: Path) -> Path:
        """Where a photo's result goes."""
        return self.out / f"{photo.stem}_{self.look}.{self.extension}"


def message_of(wishes: Wishes, catalog: Catalog) -> dict[str, Any]:
    """The palette job.

    Args:
        wishes: What was typed.
        catalog: What it may name.

    Raises:
        SettingsError: Something typed cannot be understood or is not there; the message says what, and what would be.
    """
    _check_photos(wishes)
    edits = _edits(wishes.edits, catalog)
    clear = next((name for name, rules in edits.items() if any(rule["value"] == "transparent" for rule in rules)), None)
    if clear is not None and wishes.format == "jpeg":
        raise SettingsError(f"--format jpeg: JPEG has no transparency, which --set {clear}=transparent needs; accepted are png and webp")
    preset = catalog.presets.get(wishes.preset or "")
    edited = _by_every_name(edits, preset)
    for option, given in (("at", wishes.at), ("not_at", wishes.not_at)):
        for text in given:
            name, point = _pair(f"--{option.replace('_', '-')}", text)
            edit = _only_edit(f"--{option.replace('_', '-')}", name, edited, edits)
            edit.setdefault(option, []).append(_point(text, point))
    for option, field, given in (("--box", "boxes", wishes.boxes), ("--not-box", "not_boxes", wishes.not_boxes)):
        for text in given:
            name, box = _pair(option, text)
            # Boxes say what the concept is, so they are those of all its edits.
            edits[_known(option, name, edited)][0].setdefault(field, []).append(_box(text, box))
    for text in wishes.instances:
        name, number = _pair("--instances", text)
        _only_edit("--instances", name, edited, edits)["instances"] = int(number) if number.isdecimal() else number
    concepts = {name: given if len(given) > 1 else given[0] for name, given in edits.items()}
    masks = _pairs("--mask", wishes.masks)
    named = _by_every_name([*edits, *wishes.protect], preset)
    mask_keys = {_known("--mask", name, named): mask_key(number) for number, name in enumerate(masks)}
    for file in masks.values():
        _check_file("mask", Path(file))
    item = {"mask_keys": mask_keys} if mask_keys else {}
    prefix = keys.outputs_prefix(USER, JOB)
    items = [
        {"idx": idx, "input_key": photo_key(idx), "output_key": f"{prefix}{idx}.{wishes.extension}", **item}
        for idx in range(len(wishes.photos))
    ]
    message = {"job_id": JOB, "user_id": USER, "concepts": concepts, "protect": list(wishes.protect), "items": items}
    return message | ({"preset": wishes.preset} if wishes.preset is not None else {})


def lay_files(wishes: Wishes, store: Path) -> None:
    """Copy photos and masks to where the message says that they are. Raises SettingsError for one that cannot be read."""
    masks = _pairs("--mask", wishes.masks).values()
    files = {photo_key(idx): photo for idx, photo in enumerate(wishes.photos)}
    files |= {mask_key(number): Path(mask) for number, mask in enumerate(masks)}
    for key, file in files.items():
        place = store / key
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(file, place)
        except OSError as error:
            raise SettingsError(f"{file} cannot be read: {error.strerror}") from None


def as_typed(error: str, wishes: Wishes, idx: int) -> str:
    """What is said of a photo's or a mask's key, for whoever typed its file: of the photo, whose name stands before it, without a name."""
    for number, mask in enumerate(_pairs("--mask", wishes.masks).values()):
        error = error.replace(mask_key(number), f"the mask {mask}")
    return error.removeprefix(f"{photo_key(idx)}: ")


def photo_key(idx: int) -> str:
    """The storage key of a photo."""
    return f"{keys.inputs_prefix(USER, JOB)}{idx}"


def mask_key(number: int) -> str:
    """The storage key of a mask."""
    return f"{keys.inputs_prefix(USER, JOB)}mask_{number}"


def _check_photos(wishes: Wishes) -> None:
    if problem := keys.id_problem(wishes.look):
        raise SettingsError(f"--look {problem}")
    results: dict[Path, Path] = {}
    for photo in wishes.photos:
        _check_file("photo", photo)
        result = wishes.result(photo)
        other = results.setdefault(result, photo)
        if other is not photo:
            raise SettingsError(f"{other} and {photo} would both be written to {result}; edit them one at a time, with another --out each")
    given = {photo.resolve() for photo in wishes.photos}
    for result, photo in results.items():
        if result.resolve() in given:
            raise SettingsError(f"the result of {photo} would be written over the photo {result}; give another --out or --look")
    if wishes.masks and len(wishes.photos) > 1:
        raise SettingsError(f"--mask belongs to one photo, and {len(wishes.photos)} were given; edit them one at a time")


def _check_file(what: str, file: Path) -> None:
    if not file.exists():
        raise SettingsError(f"there is no {what} {file}")
    if not file.is_file():
        raise SettingsError(f"the {what} {file} is not a file" + (" but a folder; name the files in it" if file.is_dir() else ""))


_FORMS = {
    "--set": "NAME=VALUE, as in Wall=#7C9082",
    "--mask": "NAME=FILE, as in Wall=mask.png",
    "--at": "NAME=X,Y, as in Wall=0.4,0.5",
    "--not-at": "NAME=X,Y, as in Wall=0.4,0.5",
    "--box": "NAME=X0,Y0,X1,Y1, as in Sofa=0.1,0.5,0.4,0.9",
    "--not-box": "NAME=X0,Y0,X1,Y1, as in Sofa=0.1,0.5,0.4,0.9",
    "--instances": "NAME=N, as in Chair=largest",
}


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise SettingsError(f"{option} {text!r} is not {_FORMS[option]}")
    return name.strip(), value.strip()


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, value = _pair(option, text)
        other = next((known for known in pairs if normalise(known) == normalise(name)), None)
        if other is not None:
            raise SettingsError(f"{option} names {other!r} twice ({pairs[other]!r} and {value!r}); accepted is each concept once")
        pairs[name] = value
    return pairs


def _edits(texts: Iterable[str], catalog: Catalog) -> dict[str, list[dict[str, Any]]]:
    """What `--set` says of each concept: one edit of all of it, or several of its parts."""
    edits: dict[str, list[dict[str, Any]]] = {}
    for text in texts:
        name, typed = _pair("--set", text)
        value, *points = typed.split("@")
        concept = next((known for known in edits if normalise(known) == normalise(name)), name)
        if concept in edits and not points:
            raise SettingsError(
                f"--set names {concept!r} twice, the second time as {text!r}; accepted is one value for all of a concept, and after it "
                f"others for its parts, with a point: {name}={value}@0.4,0.5"
            )
        at = {"at": [_point(text, point) for point in points]} if points else {}
        edits.setdefault(concept, []).append(_rule(name, value.strip(), catalog) | at)
    return edits


def _only_edit(option: str, name: str, edited: Mapping[str, str], edits: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The edit of a concept that an option is for."""
    concept = _known(option, name, edited)
    if len(edits[concept]) > 1:
        raise SettingsError(
            f"{option} names {concept!r}, which has {len(edits[concept])} edits; write the point behind the value: "
            f"--set {name}=VALUE@0.4,0.5"
        )
    return edits[concept][0]


def _by_every_name(names: Iterable[str], preset: Preset | None) -> dict[str, str]:
    """Concepts as they are spelt, by all normalised names that the preset has for them; a name that is spelt so is its own."""
    names = list(names)
    found: dict[str, str] = {}
    for name in names:
        key = None if preset is None else preset.lookup(name)
        others = () if preset is None or key is None else (key, *preset.concepts[key].synonyms)
        for other in others:
            found.setdefault(normalise(other), name)
    return found | {normalise(name): name for name in names}


def _known(option: str, name: str, names: Mapping[str, str]) -> str:
    """The concept as `--set` or `--protect` spells it."""
    if normalise(name) not in names:
        raise SettingsError(f"{option}: {unknown_name_message('concept', name, set(names.values()))}")
    return names[normalise(name)]


def _point(text: str, point: str) -> list[float]:
    return _fractions(text, point, 2, "is no point; accepted is NAME=X,Y, fractions of the photo, as in Wall=0.4,0.5")


def _box(text: str, box: str) -> list[float]:
    x0, y0, x1, y1 = _fractions(text, box, 4, "is no box; accepted is NAME=X0,Y0,X1,Y1, fractions of the photo, as in Sofa=0.1,0.5,0.4,0.9")
    if not (x0 < x1 and y0 < y1):
        raise SettingsError(f"{text!r} has no area; accepted is NAME=X0,Y0,X1,Y1 with X0 < X1 and Y0 < Y1")
    return [x0, y0, x1, y1]


def _fractions(text: str, typed: str, count: int, problem: str) -> list[float]:
    try:
        numbers = [float(part) for part in typed.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise SettingsError(f"{text!r} {problem}")
    if not all(0.0 <= number <= 1.0 for number in numbers):
        raise SettingsError(f"{text!r} is beside the photo; accepted are fractions of its width and height, 0 to 1")
    return numbers


def _rule(name: str, value: str, catalog: Catalog) -> dict[str, Any]:
    """The rule that a value means: a colour, a material, or that the thing is to go."""
    if value in REMOVALS:
        return {"action": "remove", "value": REMOVALS[value]}
    if HEX.fullmatch(value) or value in catalog.palette:
        return {"action": "recolor", "value": value}
    if value in catalog.textures:
        return {"action": "texture", "value": value}
    if value.startswith("#") or HEX.fullmatch(f"#{value}"):
        try:
            resolve_color(value, catalog)
        except RuleProblem as problem:
            raise SettingsError(f"--set {name}: {problem}") from None
    known = unknown_name_message("colour or texture", value, [*catalog.palette, *catalog.textures, *REMOVALS])
    raise SettingsError(f"--set {name}: {known}; or a colour as '#rrggbb'")
