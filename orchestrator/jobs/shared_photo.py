"""What outputs of one photo ask for together: what is the same is looked for once, what differs has a name of its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.jobs.messages import Shown
from respray.catalog.preset import normalise
from respray.contract.request import ConceptQuery, Output


@dataclass(frozen=True)
class Asked:
    """What a photo is asked for.

    Attributes:
        queries: The concepts to look for, each once.
        protect: Names of those that none of the outputs may touch.
        outputs: The outputs; one that says no concepts knows all.
    """

    queries: Sequence[ConceptQuery]
    protect: Sequence[str]
    outputs: Sequence[Output]

    def identity(self, name: str) -> str:
        """The same for concepts that are found in the same place: by name in any spelling, words, mask, boxes, and what it leaves out."""
        query = next(query for query in self.queries if query.name == name)
        others = [self.identity(other) for other in query.complement_of]
        plain = {"name": normalise(name), "complement_of": others, "aid": False, "implied": False}
        return query.model_copy(update=plain).model_dump_json()


def unite(parts: Sequence[Asked], spelling: Mapping[str, str]) -> Asked:
    """What parts ask of one photo, as one request whose outputs are what they are alone.

    A concept that parts mean differently (one has boxes, a mask is one part's synonym) is as many concepts: the first without boxes has its
    name, the others are `name (2)` and so on. Each is implied, or an aid, only where it is so for all.

    Args:
        parts: What each asks for alone.
        spelling: How names are spelt, by normalised name.
    """
    found: dict[str, ConceptQuery] = {}
    leaves_out: dict[str, list[str]] = {}
    own = [{query.name: part.identity(query.name) for query in part.queries} for part in parts]
    for part, identities in zip(parts, own, strict=True):
        for query in part.queries:
            same = identities[query.name]
            other = found.setdefault(same, query)
            found[same] = other.model_copy(update={"implied": other.implied and query.implied, "aid": other.aid and query.aid})
            leaves_out[same] = [identities[name] for name in query.complement_of]
    names: dict[str, str] = {}
    for same in sorted(found, key=lambda same: found[same].shown):
        name = spelling.get(normalise(found[same].name), found[same].name)
        names[same] = _free(name, set(names.values()), set(spelling.values()) - {name})
    queries = [
        query.model_copy(update={"name": names[same], "complement_of": [names[other] for other in leaves_out[same]]})
        for same, query in found.items()
    ]
    outputs = []
    for part, identities in zip(parts, own, strict=True):
        called = {name: names[same] for name, same in identities.items()}
        for output in part.outputs:
            update = {
                "edits": [edit.model_copy(update={"concept": called[edit.concept]}) for edit in output.edits],
                "protect": [called[name] for name in part.protect],
                "concepts": [called[name] for name in output.concepts or called],
            }
            outputs.append(output.model_copy(update=update))
    return Asked(queries, [], outputs)


def _free(name: str, *taken: set[str]) -> str:
    """A name that is not taken: itself, or `name (2)` and so on."""
    numbered = (name if number == 1 else f"{name} ({number})" for number in itertools.count(1))
    return next(free for free in numbered if not any(free in names for names in taken))


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
            names[boxes] = _free(query.name, taken)
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
