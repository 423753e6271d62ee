"""One photo of a job: its own masks put in place, and the request that the pipeline gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.jobs import keys
from orchestrator.jobs.concepts import JobConcepts
from orchestrator.jobs.job_types import Item, Target
from orchestrator.jobs.messages import JobOptions
from orchestrator.jobs.name_catalog import unknown_name_message
from orchestrator.jobs.problems import Problems
from respray.catalog.preset import normalise
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Remove


@dataclass(frozen=True)
class ItemBuilder:
    """Builds the items of one job.

    Attributes:
        inputs_prefix: Where the job's masks must lie.
        concepts: What is looked for in every photo.
        textures: Storage keys of the job's own textures, by attachment index.
        edits: What is done for each output, in the order of an item's targets.
        masks: Whether instance masks are stored where the options do not say.
        problems: Takes what is wrong with an item.
    """

    inputs_prefix: str
    concepts: JobConcepts
    options: JobOptions
    textures: tuple[str, ...]
    edits: Sequence[list[Edit]]
    masks: bool
    problems: Problems

    def build(
        self,
        place: str,
        idx: int,
        *,
        input_key: str,
        targets: tuple[Target, ...],
        preview_key: str | None,
        mask_keys: Mapping[str, str],
    ) -> Item:
        """One item.

        Args:
            place: Where it stands in the message, for problems.
            idx: The photo's index in the job.
            input_key: The photo.
            targets: Where the outputs go, one for each entry of `edits`.
            preview_key: Where the preview goes; None: there is none.
            mask_keys: Masks that the user has drawn, by concept.
        """
        queries, attachments = self._with_masks(place, mask_keys)
        protect = list(self.concepts.protect)
        drawn = {normalise(name) for name in mask_keys}
        if all(normalise(edit.concept) in drawn for edits in self.edits for edit in edits):
            # Who draws all that is edited has decided where: a model's guess at what the preset protects unasked may not bite into it.
            guessed = self.concepts.implied - drawn
            queries = [query for query in queries if normalise(query.name) not in guessed]
            protect = [name for name in protect if normalise(name) not in guessed]
        if any(isinstance(edit.rule, Remove) and edit.rule.mode == "inpaint" for edits in self.edits for edit in edits):
            queries = self.concepts.with_floor(queries)
        options = self.options
        preview_size = options.preview_size if preview_key else 0
        request = PhotoRequest(
            concepts=queries,
            protect=protect,
            outputs=[
                Output(name=target.name, edits=edits, format=target.format, quality=options.quality)
                for target, edits in zip(targets, self.edits, strict=True)
            ],
            preview_size=preview_size,
            masks=self.masks if options.masks is None else options.masks,
            feather=options.feather,
            max_megapixels=options.max_megapixels,
            missing_is_error=options.missing == "error",
        )
        names = keys.safe_names([query.name for query in self.concepts.queries])
        return Item(idx, input_key, targets, preview_key if preview_size else None, request, attachments, names, options.reuse)

    def _with_masks(self, place: str, mask_keys: Mapping[str, str]) -> tuple[list[ConceptQuery], tuple[str, ...]]:
        """The concepts with the user's masks in place, and all attachment keys (textures first)."""
        attachments = list(self.textures)
        queries = {normalise(query.name): query for query in self.concepts.queries}
        for name, key in mask_keys.items():
            where = f"{place}.mask_keys.{name}"
            query = queries.get(normalise(name))
            if query is None:
                self.problems.add(where, unknown_name_message("concept", name, [q.name for q in self.concepts.queries]))
            elif problem := keys.key_problem(key, self.inputs_prefix):
                self.problems.add(where, problem)
            else:
                attachments.append(key)
                drawn = {"mask_attachment": len(attachments) - 1, "implied": False}
                queries[normalise(name)] = query.model_copy(update=drawn)
        return list(queries.values()), tuple(attachments)
