"""What a job looks for in its photos: the concepts that it edits and protects, and those that its preset protects unasked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.jobs.messages import JobOptions
from orchestrator.jobs.name_catalog import Catalog, unknown_name_message
from orchestrator.jobs.problems import Problems
from respray.catalog.preset import Preset, free_text, is_ground, normalise
from respray.contract.errors import EditError
from respray.contract.request import ConceptQuery

FLOOR = "floor"


@dataclass(frozen=True)
class JobConcepts:
    """The concepts of a job, the same for all its items.

    Attributes:
        queries: What is looked for, each concept once.
        protect: Names of what no edit may touch.
        implied: Normalised names of what the preset protects though nobody named it.
    """

    preset: Preset | None
    queries: tuple[ConceptQuery, ...] = ()
    protect: tuple[str, ...] = ()
    implied: frozenset[str] = frozenset()

    def with_floor(self, queries: list[ConceptQuery]) -> list[ConceptQuery]:
        """What is behind a removed thing is filled far better where the floor is known, so it is looked for too (in rooms)."""
        if any(is_ground(query.name) for query in queries) or (self.preset is not None and self.preset.lookup(FLOOR) is None):
            return queries
        query = self.preset.query(FLOOR) if self.preset else free_text(FLOOR)
        return [*queries, query.model_copy(update={"aid": True})]


def resolve_concepts(
    edited: Iterable[str], protected: Iterable[str], preset_name: str | None, options: JobOptions, catalog: Catalog, problems: Problems
) -> JobConcepts:
    """Queries for every concept named, and for what the preset protects by default where the job does not edit it.

    Args:
        edited: Names of the concepts that rules are for.
        protected: Names of those that no edit may touch.
        preset_name: The preset that knows their prompts; None: names are prompts.
        options: The job's options.
        catalog: Where presets are found.
        problems: Takes what is wrong; the result is then of no use.
    """
    preset = None if preset_name is None else catalog.presets.get(preset_name)
    if preset_name is not None and preset is None:
        problems.add("preset", unknown_name_message("preset", preset_name, catalog.presets))
    edited, protected = list(edited), list(protected)
    seen: dict[str, str] = {}
    for place, names in (("concepts", edited), ("protect", protected)):
        for name in names:
            other = seen.setdefault(normalise(name), name)
            if other != name:
                problems.add(
                    place, f"{name!r} and {other!r} are the same concept; accepted is each concept once, either edited or protected"
                )
    implied = [name for name in (preset.protect if preset else ()) if normalise(name) not in seen]
    names = [*edited, *protected, *implied]
    try:
        queries = preset.queries_for(names) if preset else [free_text(name) for name in names]
    except EditError as error:
        problems.add("concepts", str(error))
        return JobConcepts(preset)
    common = {} if options.threshold is None else {"threshold": options.threshold}
    # What nobody named is not missed: the preset's protects, and what a complement leaves out.
    marked = [query.model_copy(update={**common, "implied": normalise(query.name) not in seen}) for query in queries]
    return JobConcepts(preset, tuple(marked), (*protected, *implied), frozenset(normalise(name) for name in implied))
