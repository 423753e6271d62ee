"""From a validated palette message to a `Job`: its keys and links are in the message, its outputs' formats follow from their extensions."""

from __future__ import annotations

from orchestrator.jobs import keys
from orchestrator.jobs.concepts import resolve_concepts
from orchestrator.jobs.item_builder import ItemBuilder
from orchestrator.jobs.job_types import Item, Job, Target
from orchestrator.jobs.messages import PaletteItem, PaletteMessage
from orchestrator.jobs.name_catalog import Catalog
from orchestrator.jobs.problems import Problems
from orchestrator.jobs.rules import RuleBuilder, needs_alpha
from orchestrator.jobs.sources import Destination, KeyTarget, UrlTarget, link_format, without_query
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
            name = "output_key" if entry.output_key is not None else "output_url"
            hint = f"give {target.to.label!r} the extension .png or .webp"
            problems.add(f"{place}.{name}", f"'remove transparent' needs a format with transparency and JPEG has none; {hint}")
        if not problems:
            item = builder.build(
                place,
                entry.idx,
                photo=entry.source(place),
                targets=(target,),
                preview=_destination(entry.preview_key, entry.preview_url),
                mask_keys=entry.mask_keys,
            )
            items.append(item)
    problems.raise_if_any()
    url = str(message.callback_url) if message.callback_url else None
    return Job(job, user, tuple(items), url, message.idempotency_prefix or job, message.batch_concurrency, links=options.links)


def _destination(key: str | None, url: str | None) -> Destination | None:
    return KeyTarget(key) if key is not None else UrlTarget(url) if url is not None else None


def _check_keys(message: PaletteMessage, place: str, entry: PaletteItem, written: set[str], problems: Problems) -> Target | None:
    """Check an item's keys and links, and note in `written` what it writes; its target, or None after noting problems."""
    user, job, before = message.user_id, message.job_id, len(problems)
    for name, key, prefix in (
        ("input_key", entry.input_key, keys.inputs_prefix(user, job)),
        ("output_key", entry.output_key, keys.outputs_prefix(user, job)),
        ("preview_key", entry.preview_key, keys.previews_prefix(user, job)),
    ):
        if key is None:
            continue
        if problem := keys.key_problem(key, prefix):
            problems.add(f"{place}.{name}", problem)
        elif name != "input_key":
            _write_once(f"{place}.{name}", key, key, written, problems)
    for name, url in (("output_url", entry.output_url), ("preview_url", entry.preview_url)):
        if url is not None:
            _write_once(f"{place}.{name}", url, without_query(url), written, problems)
    preview = keys.format_of(entry.preview_key) if entry.preview_key is not None else link_format(entry.preview_url or "") or "jpeg"
    if preview != "jpeg":
        name, shown = (
            ("preview_key", entry.preview_key) if entry.preview_key is not None else ("preview_url", without_query(entry.preview_url or ""))
        )
        problems.add(f"{place}.{name}", f"{shown!r} must end in .jpg or .jpeg: previews are JPEG")
    fmt = _format(message, place, entry, problems)
    to = _destination(entry.output_key, entry.output_url)
    if fmt is None or to is None or len(problems) > before:
        return None
    return Target("result", to, fmt)


def _write_once(place: str, written_to: str, shown: str, written: set[str], problems: Problems) -> None:
    if written_to in written:
        problems.add(place, f"{shown!r} is written twice; accepted is each once")
    written.add(written_to)


def _format(message: PaletteMessage, place: str, entry: PaletteItem, problems: Problems) -> keys.Format | None:
    """What an item's output is written as, or None after noting a problem. A link's path need not have an extension."""
    wanted = message.options.format
    if entry.output_url is not None:
        name, shown, fmt = "output_url", without_query(entry.output_url), link_format(entry.output_url) or wanted
        accepted = f"must have a path that ends in one of .{', .'.join(keys.EXTENSIONS)}, or options.format must be given"
    else:
        key = entry.output_key or ""
        name, shown, fmt = "output_key", key, keys.format_of(key)
        accepted = f"must end in one of .{', .'.join(keys.EXTENSIONS)}"
    if fmt is None:
        problems.add(f"{place}.{name}", f"{shown!r} {accepted}")
    elif wanted not in (None, fmt):
        kind = name.removeprefix("output_").replace("url", "link")
        problems.add(f"{place}.{name}", f"{shown!r} is a {fmt} {kind} but options.format is {wanted}; make them agree, or leave it out")
    return fmt
