"""From a validated rule message to a `Job`: keys follow from the ids; one output per rule; JPEG unless `options.format` says otherwise."""

from __future__ import annotations

from orchestrator.jobs import keys
from orchestrator.jobs.concepts import find_preset, resolve_concepts
from orchestrator.jobs.item_builder import ItemBuilder, Part, PlannedOutput
from orchestrator.jobs.job_types import Job, Target
from orchestrator.jobs.messages import RuleItem, RuleMessage
from orchestrator.jobs.name_catalog import Catalog, unknown_name_message
from orchestrator.jobs.problems import Problems
from orchestrator.jobs.rules import RuleBuilder, needs_alpha
from orchestrator.jobs.sources import StoreKey
from respray.catalog.preset import normalise
from respray.contract.photo_file import ImageFormat

NOBODY_TOLD = "nobody will be told of this job: callbacks of rule jobs go to WORKERS_API_URL, which is not set"


def build_rule_job(message: RuleMessage, catalog: Catalog, workers_api_url: str | None) -> Job:
    """Build the job.

    Args:
        message: A validated message.
        catalog: What it may name.
        workers_api_url: Where its callbacks go; None: it has none.

    Raises:
        JobError: With all problems at once.
    """
    user, job, problems = message.user_id, message.job_id, Problems()
    preset = find_preset(message.preset, catalog, problems)
    concepts = resolve_concepts(message.concepts, message.protect, preset, message.options, problems)
    fmt: ImageFormat = message.options.format or "jpeg"
    rules = RuleBuilder(catalog, keys.inputs_prefix(user, job), problems)
    outputs = _build_outputs(message, rules, fmt, problems)
    own = _own_by_photo(message, problems)
    problems.raise_if_any()
    # Readers of rule jobs expect masks with every job, also without options.
    builder = ItemBuilder(keys.inputs_prefix(user, job), [Part(concepts, outputs)], message.options, tuple(rules.textures), True, problems)
    extension = "jpg" if fmt == "jpeg" else fmt
    items = [
        builder.build(
            f"items[{idx}]",
            idx,
            photo=own.get(idx, RuleItem(idx=idx)).source(f"items[{idx}]", f"{keys.inputs_prefix(user, job)}{idx}.jpg"),
            targets=tuple(
                # One preview per photo: that of the first rule.
                Target(
                    entry.rule_id,
                    StoreKey(f"{keys.outputs_prefix(user, job)}{entry.rule_id}/{idx}.{extension}"),
                    fmt,
                    None if number else StoreKey(f"{keys.previews_prefix(user, job)}{idx}_preview.jpg"),
                )
                for number, entry in enumerate(message.rules)
            ),
            mask_keys=own[idx].mask_keys if idx in own else {},
        )
        for idx in range(message.image_count)
    ]
    problems.raise_if_any()
    url = f"{workers_api_url.rstrip('/')}/jobs/{job}/callback" if workers_api_url else None
    warnings = () if url else (NOBODY_TOLD,)
    return Job(job, user, tuple(items), url, job, outputs_map=len(message.rules) > 1, warnings=warnings, links=message.options.links)


def _build_outputs(message: RuleMessage, rules: RuleBuilder, fmt: ImageFormat, problems: Problems) -> list[PlannedOutput]:
    """One output of one edit per rule; fewer after noting problems."""
    outputs, ids = list[PlannedOutput](), set[str]()
    concepts = {normalise(name): name for name in reversed(message.concepts)}
    for position, entry in enumerate(message.rules):
        place = f"rules[{position}]"
        if entry.rule_id in ids:
            problems.add(f"{place}.ruleId", f"{entry.rule_id!r} stands twice; accepted is each ruleId once")
        ids.add(entry.rule_id)
        prefix = keys.outputs_prefix(message.user_id, message.job_id)
        if problem := keys.record_problem(f"{prefix}{entry.rule_id}/0.jpg", prefix):
            problems.add(f"{place}.ruleId", problem)
        rule = rules.build(place, entry)
        if rule is not None and needs_alpha(rule) and fmt not in keys.ALPHA_FORMATS:
            hint = "set options.format to png or webp"
            problems.add(place, f"'remove transparent' needs a format with transparency and JPEG has none; {hint}")
        concept = concepts.get(normalise(entry.concept))
        if concept is None:
            problems.add(f"{place}.concept", unknown_name_message("concept", entry.concept, message.concepts))
        elif rule is not None:
            outputs.append(PlannedOutput([entry.edit(concept, rule)], shown=[entry.shown]))
    return outputs


def _own_by_photo(message: RuleMessage, problems: Problems) -> dict[int, RuleItem]:
    """What photos have of their own, by index."""
    own: dict[int, RuleItem] = {}
    for position, entry in enumerate(message.items):
        if entry.idx in own:
            problems.add(f"items[{position}].idx", f"{entry.idx} stands twice; accepted is each idx once")
        elif entry.idx >= message.image_count:
            problems.add(
                f"items[{position}].idx",
                f"{entry.idx} is beyond imageCount {message.image_count}; accepted is 0 to {message.image_count - 1}",
            )
        own[entry.idx] = entry
    return own
