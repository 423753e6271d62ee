"""One photo of a job: its own masks put in place, and the request that the pipeline gets."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.jobs import keys
from orchestrator.jobs.concepts import JobConcepts
from orchestrator.jobs.fields import Picture
from orchestrator.jobs.job_types import Item, Target
from orchestrator.jobs.messages import JobOptions, Shown
from orchestrator.jobs.name_catalog import unknown_name_message
from orchestrator.jobs.problems import Problems
from orchestrator.jobs.sources import Source, StoreKey
from respray.catalog.preset import normalise
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Remove


@dataclass(frozen=True)
class PlannedOutput:
    """What is done for one output of every photo.

    Attributes:
        edits: Its edits, in order.
        look: The concepts of its own, where the job's outputs differ in what they edit and protect; None: they are the job's.
        shown: The examples in boxes of each edit's concept, in the order of `edits`.
    """

    edits: list[Edit]
    look: JobConcepts | None = None
    shown: Sequence[Shown] = ()


@dataclass(frozen=True)
class ItemBuilder:
    """Builds the items of one job.

    Attributes:
        inputs_prefix: Where the job's masks must lie.
        concepts: What is looked for in every photo.
        textures: Storage keys of the job's own textures, by attachment index.
        outputs: What is done for each output, in the order of an item's targets.
        masks: Whether instance masks are stored where the options do not say.
        problems: Takes what is wrong with an item.
    """

    inputs_prefix: str
    concepts: JobConcepts
    options: JobOptions
    textures: tuple[str, ...]
    outputs: Sequence[PlannedOutput]
    masks: bool
    problems: Problems

    def build(self, place: str, idx: int, *, photo: Source, targets: tuple[Target, ...], mask_keys: Mapping[str, Picture]) -> Item:
        """One item.

        Args:
            place: Where it stands in the message, for problems.
            idx: The photo's index in the job.
            photo: Where the photo comes from.
            targets: Where the outputs go, one for each entry of `outputs`.
            mask_keys: Masks that the user has drawn, by concept.
        """
        owners = self._owners(place, mask_keys)
        queries, attachments, warnings = self._with_masks(place, mask_keys, owners)
        drawn = set(owners.values())
        options = self.options
        previews = options.preview_size and any(target.preview for target in targets)
        if not previews:
            targets = tuple(replace(target, preview=None) for target in targets)
        outputs = [self._output(target, planned, drawn) for target, planned in zip(targets, self.outputs, strict=True)]
        edited = [edit for planned in self.outputs for edit in planned.edits]
        guessed = self._guessed(edited, self.concepts, drawn)
        protect = [name for name in self.concepts.protect if normalise(name) not in guessed]
        if any(output.concepts for output in outputs):
            used = {name for output in outputs for name in output.concepts}
            queries = [query for query in queries if query.name in used]
        else:
            queries = [query for query in queries if normalise(query.name) not in guessed]
            if fills(edited):
                queries = self.concepts.with_floor(queries)
        queries, outputs = with_boxes(queries, outputs, [planned.shown for planned in self.outputs])
        self._refuse_synonyms(queries, outputs)
        request = PhotoRequest(
            concepts=queries,
            protect=protect,
            outputs=outputs,
            preview_size=options.preview_size if previews else 0,
            masks=self.masks if options.masks is None else options.masks,
            feather=options.feather,
            max_megapixels=options.max_megapixels,
            missing_is_error=options.missing == "error",
            metadata=options.metadata,
        )
        # What boxes make a concept of its own comes last, so that the others' names are what they are without boxes.
        names = keys.safe_names(list(dict.fromkeys(query.name for query in (*self.concepts.queries, *queries))))
        return Item(idx, photo, targets, request, attachments, names, warnings, options.reuse)

    def _refuse_synonyms(self, queries: Sequence[ConceptQuery], outputs: Sequence[Output]) -> None:
        """Note names of one concept in one output, of which one is edited: both are found in the same place, and one edit would be lost."""
        for output in outputs:
            edited, seen = {edit.concept for edit in output.edits}, dict[tuple[object, ...], str]()
            for query in queries:
                if query.mask_attachment is not None or query.aid or (output.concepts and query.name not in output.concepts):
                    continue
                asked = (tuple(query.prompts), tuple(query.complement_of), tuple(query.boxes), tuple(query.not_boxes))
                other = seen.setdefault(asked, query.name)
                if other != query.name and not edited.isdisjoint((other, query.name)) and not self.problems:
                    self.problems.add(
                        "concepts",
                        f"{query.name!r} and {other!r} are the same concept to the preset, looked for with the same words; accepted is one "
                        "of them, edited or protected, or a mask or boxes for one of them, or no preset, which takes words as they are",
                    )

    def _output(self, target: Target, planned: PlannedOutput, drawn: set[str]) -> Output:
        output = Output(name=target.name, edits=planned.edits, format=target.format, quality=self.options.quality)
        if planned.look is None:
            return output
        guessed = self._guessed(planned.edits, planned.look, drawn)
        protect = [name for name in planned.look.protect if normalise(name) not in guessed]
        concepts = [query.name for query in planned.look.queries if normalise(query.name) not in guessed]
        return output.model_copy(update={"protect": protect, "concepts": concepts})

    @staticmethod
    def _guessed(edits: Sequence[Edit], concepts: JobConcepts, drawn: set[str]) -> frozenset[str]:
        """Who draws all that is edited has decided where: a model's guess at what the preset protects unasked may not bite into it."""
        return concepts.implied - drawn if all(normalise(edit.concept) in drawn for edit in edits) else frozenset()

    def _owners(self, place: str, mask_keys: Mapping[str, Picture]) -> dict[str, str]:
        """Of each mask that serves a concept the concept's normalised name; after noting those of one name in two spellings."""
        owners = self.concepts.owners(mask_keys)
        first: dict[str, str] = {}
        for name, owner in owners.items():
            if (other := first.setdefault(owner, name)) != name:
                self.problems.add(f"{place}.mask_keys.{name}", f"{other!r} is the same concept; accepted is one mask of each")
        return owners

    def _with_masks(
        self, place: str, mask_keys: Mapping[str, Picture], owners: Mapping[str, str]
    ) -> tuple[list[ConceptQuery], tuple[Source, ...], tuple[str, ...]]:
        """The concepts with the user's masks, where attachments come from (textures first), and warnings of masks that serve nothing."""
        attachments: list[Source] = [StoreKey(key) for key in self.textures]
        warnings: list[str] = []
        queries = {normalise(query.name): query for query in self.concepts.queries}
        for name, picture in mask_keys.items():
            where, owner = f"{place}.mask_keys.{name}", owners.get(name)
            if owner is None:
                # Callers have masks of all that is in a photo, and send them with every job.
                reason = unknown_name_message("concept", name, [q.name for q in self.concepts.queries])
                warnings.append(f"the mask of {name!r} was not used, because this job neither edits nor protects it ({reason})")
            elif picture.key is not None and (problem := keys.key_problem(picture.key, self.inputs_prefix)):
                self.problems.add(where, problem)
            else:
                attachments.append(picture.source(where))
                drawn = {"mask_attachment": len(attachments) - 1, "implied": False}
                queries[owner] = queries[owner].model_copy(update=drawn)
        return list(queries.values()), tuple(attachments), tuple(warnings)


def fills(edits: Sequence[Edit]) -> bool:
    """Whether something is removed and what was behind it painted."""
    return any(isinstance(edit.rule, Remove) and edit.rule.mode == "inpaint" for edit in edits)


def with_boxes(
    queries: Sequence[ConceptQuery], outputs: Sequence[Output], shown: Sequence[Sequence[Shown]]
) -> tuple[list[ConceptQuery], list[Output]]:
    """The concepts with the examples in boxes that edits of them have.

    A concept that is edited with different boxes is as many concepts: it has its own name with the first of them (with none, where an edit
    has none or something protects it), and `name (2)` and so on with the others. Each output knows the one that it edits.

    Args:
        queries: The concepts of a photo.
        outputs: Its outputs.
        shown: The examples of each output's edits; empty where none of them has any.
    """
    different: dict[str, dict[Shown, str]] = {}
    plain: Shown = ((), ())
    examples = [each or [plain] * len(output.edits) for output, each in zip(outputs, shown, strict=True)]
    for output, each in zip(outputs, examples, strict=True):
        for name in output.protect:
            different.setdefault(name, {}).setdefault(plain, name)
        for edit, boxes in zip(output.edits, each, strict=True):
            different.setdefault(edit.concept, {})[boxes] = edit.concept
    taken, more, changed = {query.name for query in queries}, list[ConceptQuery](), dict[str, ConceptQuery]()
    for query in queries:
        names = different.get(query.name, {})
        for number, boxes in enumerate(sorted(names, key=lambda boxes: boxes != plain)):
            copy = query.model_copy(update={"boxes": list(boxes[0]), "not_boxes": list(boxes[1])})
            if number == 0:
                changed[query.name] = copy
                continue
            names[boxes] = next(name for count in itertools.count(number + 1) if (name := f"{query.name} ({count})") not in taken)
            taken.add(names[boxes])
            more.append(copy.model_copy(update={"name": names[boxes]}))
    if not more:
        return [changed.get(query.name, query) for query in queries], list(outputs)
    every = [query.name for query in queries]
    renamed = []
    for output, each in zip(outputs, examples, strict=True):
        own = {edit.concept: different[edit.concept][boxes] for edit, boxes in zip(output.edits, each, strict=True)}
        update = {
            "edits": [edit.model_copy(update={"concept": own[edit.concept]}) for edit in output.edits],
            "concepts": [own.get(name, name) for name in output.concepts or every],
        }
        renamed.append(output.model_copy(update=update))
    return [*(changed.get(query.name, query) for query in queries), *more], renamed
