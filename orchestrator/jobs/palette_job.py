"""From a validated palette message to a `Job`: its keys are in the message, its outputs' formats follow from their extensions."""

from __future__ import annotations

from orchestrator.jobs import keys
from orchestrator.jobs.concepts import resolve_concepts
from orchestrator.jobs.item_builder import ItemBuilder
from orchestrator.jobs.job_types import Item, Job, Target
from orchestrator.jobs.messages import PaletteItem, PaletteMessage
from orchestrator.jobs.name_catalog import Catalog
from orchestrator.jobs.problems import Problems
from orchestrator.jobs.rules import RuleBuilder, needs_alpha
from respray.contract.request import Edit


def build_palette_job(message: PaletteMessage, catalog: Catalog) -> Job:
    """Build the job.

    Args:
        message: A validated message.
        catalog: What it may name.

    Raises:
        JobError: With all problems at once.
    """
    user, job, options, problems = message.user_id, message.job_id, message.options, Problems()
    concepts = resolve_concepts(message.concepts, message.protect, message.preset, options, catalog, problems)
    rules = RuleBuilder(catalog, keys.inputs_prefix(user, job), problems)
    built = {name: rules.build(f"concepts.{name}", fields) for name, fields in message.concepts.items()}
    edits = [Edit(concept=name, rule=rule) for name, rule in built.items() if rule is not None]
    transparent = any(needs_alpha(edit.rule) for edit in edits)
    builder = ItemBuilder(keys.inputs_prefix(user, job), concepts, options, tuple(rules.textures), [edits], False, problems)
    items, written, indices = list[Item](), set[str](), set[int]()
    for position, entry in enumerate(message.items):
        place = f"items[{position}]"
        if entry.idx in indices:
            problems.add(f"{place}.idx", f"{entry.idx} stands twice; accepted is each idx once")
        indices.add(entry.idx)
        target = _check_keys(message, place, entry, written, problems)
        if target is None:
            continue
        if transparent and target.format not in keys.ALPHA_FORMATS:
            hint = f"give {entry.output_key!r} the extension .png or .webp"
            problems.add(f"{place}.output_key", f"'remove transparent' needs a format with transparency and JPEG has none; {hint}")
        if not problems:
            item = builder.build(
                place,
                entry.idx,
                input_key=entry.input_key,
                targets=(target,),
                preview_key=entry.preview_key,
                mask_keys=entry.mask_keys,
            )
            items.append(item)
    problems.raise_if_any()
    url = str(message.callback_url) if message.callback_url else None
    return Job(job, user, tuple(items), url, message.idempotency_prefix or job, message.batch_concurrency)


def _check_keys(message: PaletteMessage, place: str, entry: PaletteItem, written: set[str], problems: Problems) -> Target | None:
    """Check an item's keys, and note in `written` what it writes; its target, or None after noting problems."""
    user, job, before = message.user_id, message.job_id, len(problems)
    for name, key, prefix in (
        ("input_key", entry.input_key, keys.inputs_prefix(user, job)),
        ("output_key", entry.output_key, keys.outputs_prefix(user, job)),
        ("preview_key", entry.preview_key, keys.previews_prefix(user, job)),
    ):
        if key is None:
            continue
        if (problem := keys.key_problem(key, prefix)) or (name == "output_key" and (problem := keys.record_problem(key, prefix))):
            problems.add(f"{place}.{name}", problem)
        elif name != "input_key":
            if key in written:
                problems.add(f"{place}.{name}", f"{key!r} is written twice; accepted is each key once")
            written.add(key)
    if entry.preview_key is not None and keys.format_of(entry.preview_key) != "jpeg":
        problems.add(f"{place}.preview_key", f"{entry.preview_key!r} must end in .jpg or .jpeg: previews are JPEG")
    fmt, wanted = keys.format_of(entry.output_key), message.options.format
    if fmt is None:
        problems.add(f"{place}.output_key", f"{entry.output_key!r} must end in one of .{', .'.join(keys.EXTENSIONS)}")
    elif wanted not in (None, fmt):
        problems.add(
            f"{place}.output_key",
            f"{entry.output_key!r} is a {fmt} key but options.format is {wanted}; make them agree, or leave it out",
        )
    if fmt is None or len(problems) > before:
        return None
    return Target("result", entry.output_key, fmt)
