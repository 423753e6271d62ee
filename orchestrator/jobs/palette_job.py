"""From a validated palette message to a `Job`: keys are in the message or follow from the looks, formats from the keys' extensions."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.jobs import keys, limits
from orchestrator.jobs.concepts import find_preset, resolve_concepts
from orchestrator.jobs.item_builder import ItemBuilder, Part, PlannedOutput
from orchestrator.jobs.job_types import Item, Job
from orchestrator.jobs.messages import ConceptEdits, PaletteMessage, Shown, edits_of
from orchestrator.jobs.name_catalog import Catalog
from orchestrator.jobs.palette_keys import PaletteKeys
from orchestrator.jobs.problems import Problems
from orchestrator.jobs.rules import RuleBuilder, needs_alpha
from respray.catalog.preset import Preset, normalise
from respray.contract.request import Edit


def build_palette_job(message: PaletteMessage, catalog: Catalog) -> Job:
    """Build the job.

    Args:
        message: A validated message.
        catalog: What it may name.

    Raises:
        JobError: With all problems at once.
    """
    user, job, problems = message.user_id, message.job_id, Problems()
    rules = RuleBuilder(catalog, keys.inputs_prefix(user, job), problems)
    builder = _builder(message, rules, catalog, problems)
    transparent = [any(needs_alpha(edit.rule) for edit in planned.edits) for part in builder.parts for planned in part.outputs]
    names = PaletteKeys(message, transparent, problems)
    items, indices = list[Item](), set[int]()
    for position, entry in enumerate(message.items):
        place = f"items[{position}]"
        if entry.idx in indices:
            problems.add(f"{place}.idx", f"{entry.idx} stands twice; accepted is each idx once")
        indices.add(entry.idx)
        targets = names.targets(place, entry)
        if not problems:
            items.append(builder.build(place, entry.idx, photo=entry.source(place), targets=targets, mask_keys=entry.mask_keys))
    problems.raise_if_any()
    url = str(message.callback_url) if message.callback_url else None
    prefix = message.idempotency_prefix or job
    return Job(
        job, user, tuple(items), url, prefix, message.batch_concurrency, outputs_map=message.looks is not None, links=message.options.links
    )


def _builder(message: PaletteMessage, rules: RuleBuilder, catalog: Catalog, problems: Problems) -> ItemBuilder:
    """What is done to every photo."""
    preset, options = find_preset(message.preset, catalog, problems), message.options
    if message.concepts is not None:
        concepts = resolve_concepts(message.concepts, message.protect, preset, options, problems)
        edits = _edits(rules, "concepts", message.concepts, problems)
        parts = [Part(concepts, [PlannedOutput(edits, _shown(edits, message.concepts))])]
    else:
        parts = _looks(message, rules, preset, problems)
    prefix = keys.inputs_prefix(message.user_id, message.job_id)
    return ItemBuilder(prefix, parts, options, tuple(rules.textures), False, problems)


def _looks(message: PaletteMessage, rules: RuleBuilder, preset: Preset | None, problems: Problems) -> list[Part]:
    """What each look does, with the concepts of a job of its own."""
    parts, names = list[Part](), set[str]()
    everywhere = {normalise(name) for name in message.protect}
    for position, look in enumerate(message.looks or ()):
        place = f"looks[{position}]"
        if look.name in names:
            problems.add(f"{place}.name", f"{look.name!r} stands twice; accepted is each look's name once")
        names.add(look.name)
        protect = [*message.protect, *(name for name in look.protect if normalise(name) not in everywhere)]
        concepts = resolve_concepts(look.concepts, protect, preset, message.options, problems, f"{place}.")
        edits = _edits(rules, f"{place}.concepts", look.concepts, problems)
        parts.append(Part(concepts, [PlannedOutput(edits, _shown(edits, look.concepts))]))
    named = {normalise(query.name) for part in parts for query in part.concepts.queries if not query.implied}
    if len(named) > 2 * limits.MAX_CONCEPTS:
        problems.add("looks", f"name {len(named)} concepts together; accepted are {2 * limits.MAX_CONCEPTS}, edited and protected ones")
    return parts


def _edits(rules: RuleBuilder, place: str, concepts: Mapping[str, ConceptEdits], problems: Problems) -> list[Edit]:
    """The edits of one output, in order."""
    given = edits_of(place, concepts)
    if len(given) > limits.MAX_OUTPUT_EDITS:
        problems.add(place, f"has {len(given)} edits in all; accepted are {limits.MAX_OUTPUT_EDITS} of one output")
    first: dict[str, tuple[str, Shown]] = {}
    for name, where, fields in given:
        other, shown = first.setdefault(name, (where, fields.shown))
        if any(fields.shown) and any(shown) and fields.shown != shown:
            problems.add(
                where, f"has other boxes than {other}; boxes say what the concept is: accepted are the same, or at one of its edits"
            )
        elif any(fields.shown):
            first[name] = where, fields.shown
    built = [(name, fields, rules.build(where, fields)) for name, where, fields in given]
    return [fields.edit(name, rule) for name, fields, rule in built if rule is not None]


def _shown(edits: list[Edit], concepts: Mapping[str, ConceptEdits]) -> list[Shown]:
    """The examples in boxes of each edit's concept, whichever of its edits has them."""
    boxes: dict[str, Shown] = {}
    for name, _, fields in edits_of("", concepts):
        boxes[name] = fields.shown if any(fields.shown) else boxes.get(name, fields.shown)
    return [boxes[edit.concept] for edit in edits]
