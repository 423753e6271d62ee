"""One photo of a job: its own masks put in place, and the request that the pipeline gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.jobs import keys
from orchestrator.jobs.concepts import JobConcepts, spellings
from orchestrator.jobs.fields import Picture
from orchestrator.jobs.job_types import Item, Target
from orchestrator.jobs.messages import JobOptions, Shown
from orchestrator.jobs.name_catalog import unknown_name_message
from orchestrator.jobs.problems import Problems
from orchestrator.jobs.shared_photo import Asked, unite, with_boxes
from orchestrator.jobs.sources import Source, StoreKey
from respray.catalog.preset import normalise
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Remove


@dataclass(frozen=True)
class PlannedOutput:
    """What is done for one output of every photo.

    Attributes:
        edits: Its edits, in order.
        shown: The examples in boxes of each edit's concept, in the order of `edits`.
    """

    edits: list[Edit]
    shown: Sequence[Shown] = ()


@dataclass(frozen=True)
class Part:
    """Outputs that share their concepts: all of a job's, or those of one look.

    Attributes:
        concepts: What is looked for in every photo.
        outputs: What is done for each output, in the order of an item's targets.
    """

    concepts: JobConcepts
    outputs: Sequence[PlannedOutput]


@dataclass(frozen=True)
class ItemBuilder:
    """Builds the items of one job.

    Attributes:
        inputs_prefix: Where the job's masks must lie.
        parts: What is done to every photo. Each asks for what it would ask for alone; what several ask for is looked for once.
        textures: Storage keys of the job's own textures, by attachment index.
        masks: Whether instance masks are stored where the options do not say.
        problems: Takes what is wrong with an item.
    """

    inputs_prefix: str
    parts: Sequence[Part]
    options: JobOptions
    textures: tuple[str, ...]
    masks: bool
    problems: Problems

    def build(self, place: str, idx: int, *, photo: Source, targets: tuple[Target, ...], mask_keys: Mapping[str, Picture]) -> Item:
        """One item.

        Args:
            place: Where it stands in the message, for problems.
            idx: The photo's index in the job.
            photo: Where the photo comes from.
            targets: Where the outputs go, in the order of the parts' outputs.
            mask_keys: Masks that the user has drawn, by concept.
        """
        owners = [part.concepts.owners(mask_keys) for part in self.parts]
        self._refuse_repeats(place, owners)
        masks, attachments, warnings = self._attached(place, mask_keys, owners)
        options = self.options
        previews = options.preview_size and any(target.preview for target in targets)
        if not previews:
            targets = tuple(replace(target, preview=None) for target in targets)
        left = iter(targets)
        asked = [self._ask(part, own, masks, [next(left) for _ in part.outputs]) for part, own in zip(self.parts, owners, strict=True)]
        spelling = self._spelling
        whole = asked[0] if len(asked) == 1 else unite(asked, spelling)
        request = PhotoRequest(
            concepts=list(whole.queries),
            protect=list(whole.protect),
            outputs=list(whole.outputs),
            preview_size=options.preview_size if previews else 0,
            masks=self.masks if options.masks is None else options.masks,
            feather=options.feather,
            max_megapixels=options.max_megapixels,
            missing_is_error=options.missing == "error",
            metadata=options.metadata,
        )
        # What is a concept of its own for one output comes last, so that the others' names are what they are without it.
        names = keys.safe_names(list(dict.fromkeys((*spelling.values(), *(query.name for query in whole.queries)))))
        return Item(idx, photo, targets, request, attachments, names, warnings, options.reuse)

    @property
    def _spelling(self) -> dict[str, str]:
        return spellings([query for part in self.parts for query in part.concepts.queries])

    def _ask(self, part: Part, owners: Mapping[str, str], masks: Mapping[str, int], targets: Sequence[Target]) -> Asked:
        """What a part asks of a photo. `owners`: whose the masks are, by their names; `masks`: their attachments."""
        queries = {normalise(query.name): query for query in part.concepts.queries}
        for name, owner in owners.items():
            if name in masks:
                queries[owner] = queries[owner].model_copy(update={"mask_attachment": masks[name], "implied": False})
        edited = [edit for planned in part.outputs for edit in planned.edits]
        guessed = self._guessed(edited, part.concepts, set(owners.values()))
        protect = [name for name in part.concepts.protect if normalise(name) not in guessed]
        found = [query for name, query in queries.items() if name not in guessed]
        if fills(edited):
            found = part.concepts.with_floor(found)
        outputs = [
            Output(name=target.name, edits=planned.edits, protect=protect, format=target.format, quality=self.options.quality)
            for target, planned in zip(targets, part.outputs, strict=True)
        ]
        found, outputs = with_boxes(found, outputs, [planned.shown for planned in part.outputs])
        self._refuse_synonyms(found, outputs)
        return Asked(found, protect, [output.model_copy(update={"protect": []}) for output in outputs])

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

    @staticmethod
    def _guessed(edits: Sequence[Edit], concepts: JobConcepts, drawn: set[str]) -> frozenset[str]:
        """Who draws all that is edited has decided where: a model's guess at what the preset protects unasked may not bite into it."""
        return concepts.implied - drawn if all(normalise(edit.concept) in drawn for edit in edits) else frozenset()

    def _refuse_repeats(self, place: str, owners: Sequence[Mapping[str, str]]) -> None:
        """Note masks of one name in two spellings."""
        repeats: dict[str, str] = {}
        for own in owners:
            first: dict[str, str] = {}
            repeats |= {name: other for name, owner in own.items() if (other := first.setdefault(owner, name)) != name}
        for name, other in repeats.items():
            self.problems.add(f"{place}.mask_keys.{name}", f"{other!r} is the same concept; accepted is one mask of each")

    def _attached(
        self, place: str, mask_keys: Mapping[str, Picture], owners: Sequence[Mapping[str, str]]
    ) -> tuple[dict[str, int], tuple[Source, ...], tuple[str, ...]]:
        """The attachment of each mask that serves a concept, where attachments come from (textures first), and warnings of other masks."""
        attachments: list[Source] = [StoreKey(key) for key in self.textures]
        masks: dict[str, int] = {}
        warnings: list[str] = []
        for name, picture in mask_keys.items():
            where = f"{place}.mask_keys.{name}"
            if not any(name in own for own in owners):
                # Callers have masks of all that is in a photo, and send them with every job.
                reason = unknown_name_message("concept", name, list(self._spelling.values()))
                warnings.append(f"the mask of {name!r} was not used, because this job neither edits nor protects it ({reason})")
            elif picture.key is not None and (problem := keys.key_problem(picture.key, self.inputs_prefix)):
                self.problems.add(where, problem)
            else:
                masks[name] = len(attachments)
                attachments.append(picture.source(where))
        return masks, tuple(attachments), tuple(warnings)


def fills(edits: Sequence[Edit]) -> bool:
    """Whether something is removed and what was behind it painted."""
    return any(isinstance(edit.rule, Remove) and edit.rule.mode == "inpaint" for edit in edits)
