"""From a validated message to a `Job`: names resolved, rules built, keys checked, formats settled.

Problems are collected, so that a sender sees all of them at once, and raised as one JobError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.errors import JobError
from orchestrator.jobs import keys
from orchestrator.jobs.catalog import Catalog, known
from orchestrator.jobs.job_types import Item, Job, Target
from orchestrator.jobs.messages import Options, PaletteItem, PaletteMessage, RuleFields, RuleMessage
from orchestrator.jobs.rules import AnyRule, RuleProblem, build_rule
from orchestrator.jobs.validation_messages import MOST
from respray.catalog.preset import Preset, free_text, is_ground, normalise
from respray.contract.errors import EditError
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Remove

FLOOR = "floor"


@dataclass
class _Build:
    """What both formats share while one job is built."""

    user_id: str
    job_id: str
    catalog: Catalog
    options: Options
    preset: Preset | None = None
    problems: list[str] = field(default_factory=list)
    textures: list[str] = field(default_factory=list)
    concepts: list[ConceptQuery] = field(default_factory=list)
    protect: list[str] = field(default_factory=list)
    implied: set[str] = field(default_factory=set)

    def problem(self, place: str, text: str) -> None:
        self.problems.append(f"{place}: {text}")

    def finish(self) -> None:
        if self.problems:
            shown = self.problems[:MOST]
            raise JobError([*shown, f"and {len(self.problems) - MOST} more problems"] if len(self.problems) > MOST else shown)

    def attach_texture(self, key: str) -> int:
        if problem := keys.key_problem(key, keys.inputs_prefix(self.user_id, self.job_id)):
            raise RuleProblem(f"texture_key {problem}")
        if key not in self.textures:
            self.textures.append(key)
        return self.textures.index(key)

    def rule(self, place: str, fields: RuleFields) -> AnyRule | None:
        """A rule in either spelling, or None after noting a problem."""
        kind = fields.action if fields.action is not None else fields.type
        value = fields.value if fields.value is not None else fields.params
        if fields.action is not None and fields.type is not None:
            self.problem(place, "has both 'action' and 'type'; accepted is one of them")
            return None
        if fields.value is not None and fields.params is not None:
            self.problem(place, "has both 'value' and 'params'; accepted is one of them")
            return None
        if kind is None:
            self.problem(place, "has no rule; accepted is 'action' (or 'type') with one of recolor, tone, texture, remove")
            return None
        try:
            return build_rule(kind, value, self.catalog, self.attach_texture)
        except RuleProblem as problem:
            self.problem(place, str(problem))
            return None

    def choose_preset(self, name: str | None) -> None:
        if name is None:
            return
        self.preset = self.catalog.presets.get(name)
        if self.preset is None:
            self.problem("preset", known("preset", name, self.catalog.presets))

    def add_concepts(self, edited: Iterable[str], protected: Iterable[str]) -> None:
        """Queries for every concept named, and for what the preset protects by default where the job does not edit it."""
        edited, protected = list(edited), list(protected)
        seen: dict[str, str] = {}
        for place, names in (("concepts", edited), ("protect", protected)):
            for name in names:
                other = seen.setdefault(normalise(name), name)
                if other is not name:
                    self.problem(
                        place, f"{name!r} and {other!r} are the same concept; accepted is each concept once, either edited or protected"
                    )
        implied = [n for n in (self.preset.protect if self.preset else ()) if normalise(n) not in seen]
        names = [*edited, *protected, *implied]
        try:
            queries = self.preset.queries_for(names) if self.preset else [free_text(name) for name in names]
        except EditError as error:
            self.problem("concepts", str(error))
            return
        common = {} if self.options.threshold is None else {"threshold": self.options.threshold}
        # What nobody named is not missed: the preset's protects, and what a complement leaves out.
        self.concepts = [q.model_copy(update={**common, "implied": normalise(q.name) not in seen}) for q in queries]
        self.protect = [*protected, *implied]
        self.implied = {normalise(n) for n in implied}

    def with_masks(self, place: str, mask_keys: Mapping[str, str]) -> tuple[list[ConceptQuery], tuple[str, ...]]:
        """This item's concepts with the user's masks in place, and all attachment keys (textures first)."""
        attachments, by_name = list(self.textures), {normalise(q.name): q for q in self.concepts}
        queries = dict(by_name)
        for name, key in mask_keys.items():
            where = f"{place}.mask_keys.{name}"
            if normalise(name) not in by_name:
                self.problem(where, known("concept", name, [q.name for q in self.concepts]))
            elif problem := keys.key_problem(key, keys.inputs_prefix(self.user_id, self.job_id)):
                self.problem(where, problem)
            else:
                attachments.append(key)
                drawn = {"mask_attachment": len(attachments) - 1, "implied": False}
                queries[normalise(name)] = by_name[normalise(name)].model_copy(update=drawn)
        return list(queries.values()), tuple(attachments)

    def with_floor(self, concepts: list[ConceptQuery]) -> list[ConceptQuery]:
        """What is behind a removed thing is filled far better where the floor is known, so it is looked for too (in rooms)."""
        if any(is_ground(query.name) for query in concepts) or (self.preset is not None and self.preset.lookup(FLOOR) is None):
            return concepts
        query = self.preset.query(FLOOR) if self.preset else free_text(FLOOR)
        return [*concepts, query.model_copy(update={"aid": True})]

    def check_alpha(self, place: str, rules: Iterable[AnyRule | None], fmt: keys.Format, hint: str) -> None:
        if fmt not in keys.ALPHA_FORMATS and any(isinstance(r, Remove) and r.mode == "transparent" for r in rules):
            self.problem(place, f"'remove transparent' needs a format with transparency and JPEG has none; {hint}")

    def item(
        self,
        place: str,
        idx: int,
        *,
        input_key: str,
        targets: list[Target],
        edits: list[list[Edit]],
        preview: str | None,
        masks: Mapping[str, str],
        write_masks: bool,
    ) -> Item:
        concepts, attachments = self.with_masks(place, masks)
        protect, drawn = self.protect, {normalise(name) for name in masks}
        if all(normalise(edit.concept) in drawn for some in edits for edit in some):
            # Who draws all that is edited has decided where: a model's guess at what the preset protects unasked may not bite into it.
            guessed = self.implied - drawn
            concepts = [q for q in concepts if normalise(q.name) not in guessed]
            protect = [name for name in protect if normalise(name) not in guessed]
        if any(isinstance(edit.rule, Remove) and edit.rule.mode == "inpaint" for some in edits for edit in some):
            concepts = self.with_floor(concepts)
        outputs = [Output(name=t.name, edits=e, format=t.format, quality=self.options.quality) for t, e in zip(targets, edits, strict=True)]
        preview_size = self.options.preview_size if preview else 0
        request = PhotoRequest(
            concepts=concepts,
            protect=protect,
            outputs=outputs,
            preview_size=preview_size,
            masks=write_masks if self.options.masks is None else self.options.masks,
            feather=self.options.feather,
            max_megapixels=self.options.max_megapixels,
            missing_is_error=self.options.missing == "error",
        )
        names = keys.safe_names([q.name for q in self.concepts])
        return Item(idx, input_key, tuple(targets), preview if preview_size else None, request, attachments, names)


def build_palette_job(message: PaletteMessage, catalog: Catalog) -> Job:
    """A palette job: its keys are in the message, its outputs' formats follow from their extensions."""
    build = _Build(message.user_id, message.job_id, catalog, message.options)
    build.choose_preset(message.preset)
    build.add_concepts(message.concepts, message.protect)
    edits, rules = [], []
    for name, fields in message.concepts.items():
        rule = build.rule(f"concepts.{name}", fields)
        rules.append(rule)
        if rule is not None:
            edits.append(Edit(concept=name, rule=rule))
    items, written, indices = [], set[str](), set[int]()
    for position, entry in enumerate(message.items):
        place = f"items[{position}]"
        if entry.idx in indices:
            build.problem(f"{place}.idx", f"{entry.idx} stands twice; accepted is each idx once")
        indices.add(entry.idx)
        target = _palette_keys(build, place, entry, written)
        if target is None:
            continue
        build.check_alpha(f"{place}.output_key", rules, target.format, f"give {entry.output_key!r} the extension .png or .webp")
        if not build.problems:
            items.append(
                build.item(
                    place,
                    entry.idx,
                    input_key=entry.input_key,
                    targets=[target],
                    edits=[edits],
                    preview=entry.preview_key,
                    masks=entry.mask_keys,
                    write_masks=False,
                )
            )
    build.finish()
    url = str(message.callback_url) if message.callback_url else None
    prefix = message.idempotency_prefix or message.job_id
    return Job(message.job_id, message.user_id, tuple(items), url, prefix, message.batch_concurrency)


def _palette_keys(build: _Build, place: str, entry: PaletteItem, written: set[str]) -> Target | None:
    """Check an item's keys; its target, or None after noting problems."""
    user, job, before = build.user_id, build.job_id, len(build.problems)
    for name, key, prefix in (
        ("input_key", entry.input_key, keys.inputs_prefix(user, job)),
        ("output_key", entry.output_key, keys.outputs_prefix(user, job)),
        ("preview_key", entry.preview_key, keys.previews_prefix(user, job)),
    ):
        if key is None:
            continue
        if problem := keys.key_problem(key, prefix):
            build.problem(f"{place}.{name}", problem)
        elif name != "input_key":
            if key in written:
                build.problem(f"{place}.{name}", f"{key!r} is written twice; accepted is each key once")
            written.add(key)
    if entry.preview_key is not None and keys.format_of(entry.preview_key) != "jpeg":
        build.problem(f"{place}.preview_key", f"{entry.preview_key!r} must end in .jpg or .jpeg: previews are JPEG")
    fmt = keys.format_of(entry.output_key)
    if fmt is None:
        build.problem(f"{place}.output_key", f"{entry.output_key!r} must end in one of .{', .'.join(keys.EXTENSIONS)}")
    elif build.options.format not in (None, fmt):
        build.problem(
            f"{place}.output_key",
            f"{entry.output_key!r} is a {fmt} key but options.format is {build.options.format}; make them agree, or leave it out",
        )
    if fmt is None or len(build.problems) > before:
        return None
    return Target("result", entry.output_key, fmt)


def build_rule_job(message: RuleMessage, catalog: Catalog, workers_api_url: str | None) -> Job:
    """A rule job: its keys follow from the ids; one output per rule; JPEG unless `options.format` says otherwise."""
    build = _Build(message.user_id, message.job_id, catalog, message.options)
    build.choose_preset(message.preset)
    build.add_concepts(message.concepts, message.protect)
    fmt: keys.Format = message.options.format or "jpeg"
    edits, names = [], set[str]()
    for position, entry in enumerate(message.rules):
        place = f"rules[{position}]"
        if entry.rule_id in names:
            build.problem(f"{place}.ruleId", f"{entry.rule_id!r} stands twice; accepted is each ruleId once")
        names.add(entry.rule_id)
        rule = build.rule(place, entry)
        build.check_alpha(place, [rule], fmt, "set options.format to png or webp")
        concept = next((c for c in message.concepts if normalise(c) == normalise(entry.concept)), None)
        if concept is None:
            build.problem(f"{place}.concept", known("concept", entry.concept, message.concepts))
        elif rule is not None:
            edits.append([Edit(concept=concept, rule=rule)])
    masks = _rule_masks(build, message)
    build.finish()
    user, job, extension = message.user_id, message.job_id, "jpg" if fmt == "jpeg" else fmt
    items = []
    for idx in range(message.image_count):
        targets = [Target(r.rule_id, f"{keys.outputs_prefix(user, job)}{r.rule_id}/{idx}.{extension}", fmt) for r in message.rules]
        source, preview = f"{keys.inputs_prefix(user, job)}{idx}.jpg", f"{keys.previews_prefix(user, job)}{idx}_preview.jpg"
        # The seed's workers store masks with every rule job, so that is what its readers expect without options.
        mine = masks.get(idx, {})
        items.append(
            build.item(f"items[{idx}]", idx, input_key=source, targets=targets, edits=edits, preview=preview, masks=mine, write_masks=True)
        )
    build.finish()
    url = f"{workers_api_url.rstrip('/')}/jobs/{job}/callback" if workers_api_url else None
    return Job(job, user, tuple(items), url, job, outputs_map=len(message.rules) > 1)


def _rule_masks(build: _Build, message: RuleMessage) -> dict[int, Mapping[str, str]]:
    """User masks per photo index."""
    masks: dict[int, Mapping[str, str]] = {}
    for position, entry in enumerate(message.items):
        if entry.idx in masks:
            build.problem(f"items[{position}].idx", f"{entry.idx} stands twice; accepted is each idx once")
        elif entry.idx >= message.image_count:
            build.problem(
                f"items[{position}].idx",
                f"{entry.idx} is beyond imageCount {message.image_count}; accepted is 0 to {message.image_count - 1}",
            )
        masks[entry.idx] = entry.mask_keys
    return masks
