"""What a job looks for in its photos: the concepts that it edits and protects, and those that its preset protects unasked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
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

    def meaning(self, name: str) -> str:
        """The same for all names that the preset knows one concept by; without a preset, for all spellings of one name."""
        return normalise(name) if self.preset is None else self.preset.meaning(name)

    def owners(self, names: Collection[str]) -> dict[str, str]:
        """Of each name that means a concept of the job that concept's normalised name.

        By the name itself; else by what the preset knows it as, where nothing else among `names` means that concept.
        """
        wanted = {normalise(query.name) for query in self.queries}
        owners = {name: normalise(name) for name in names if normalise(name) in wanted}
        free = {self.meaning(query.name): normalise(query.name) for query in self.queries if normalise(query.name) not in owners.values()}
        others = [(name, self.meaning(name)) for name in names if name not in owners]
        meant = [meaning for _, meaning in others]
        return owners | {name: free[meaning] for name, meaning in others if meaning in free and meant.count(meaning) == 1}

    def with_floor(self, queries: list[ConceptQuery]) -> list[ConceptQuery]:
        """What is behind a removed thing is filled far better where the floor is known, so it is looked for too (in rooms)."""
        if any(is_ground(query.name) for query in queries) or (self.preset is not None and self.preset.lookup(FLOOR) is None):
            return queries
        query = self.preset.query(FLOOR) if self.preset else free_text(FLOOR)
        return [*queries, query.model_copy(update={"aid": True})]


def find_preset(name: str | None, catalog: Catalog, problems: Problems) -> Preset | None:
    """The preset of a job; None where it names none, or after noting that there is no such one."""
    if name is not None and name not in catalog.presets:
        problems.add("preset", unknown_name_message("preset", name, catalog.presets))
    return None if name is None else catalog.presets.get(name)


def resolve_concepts(
    edited: Iterable[str], protected: Iterable[str], preset: Preset | None, options: JobOptions, problems: Problems, within: str = ""
) -> JobConcepts:
    """Queries for every concept named, and for what the preset protects by default where the job does not edit it.

    Args:
        edited: Names of the concepts that rules are for.
        protected: Names of those that no edit may touch.
        preset: Which knows their prompts; None: names are prompts.
        options: The job's options.
        problems: Takes what is wrong; the result is then of no use.
        within: Where in the message the names stand, as in `looks[0].`.
    """
    edited, protected = list(edited), list(protected)
    seen: dict[str, tuple[str, str]] = {}
    for place, names in (("concepts", edited), ("protect", protected)):
        for name in names:
            where, other = seen.setdefault(normalise(name), (place, name))
            if other != name or where != place:
                problems.add(
                    f"{within}{place}",
                    f"{name!r} and {other!r} are the same concept; accepted is each concept once, either edited or protected",
                )
    meant = {preset.meaning(name) for name in (*edited, *protected)} if preset else set()
    implied = [name for name in (preset.protect if preset else ()) if normalise(name) not in meant]
    names = [*edited, *protected, *implied]
    try:
        queries = preset.queries_for(names) if preset else [free_text(name) for name in names]
    except EditError as error:
        problems.add(f"{within}concepts", str(error))
        return JobConcepts(preset)
    common = {} if options.threshold is None else {"threshold": options.threshold}
    # What nobody named is not missed: the preset's protects, and what a complement leaves out.
    marked = [query.model_copy(update={**common, "implied": normalise(query.name) not in seen}) for query in queries]
    return JobConcepts(preset, tuple(marked), (*protected, *implied), frozenset(normalise(name) for name in implied))


def spellings(queries: Sequence[ConceptQuery]) -> dict[str, str]:
    """How each name is spelt, by normalised name: as the first has it that somebody named."""
    spelling: dict[str, str] = {}
    for query in sorted(queries, key=lambda query: query.implied or query.aid):
        spelling.setdefault(normalise(query.name), query.name)
    return spelling
