"""Who owns a pixel that several concepts claim: objects lie above surfaces, then priority, then the order of the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from respray.contract.request import ConceptQuery
from respray.editing.mask.matte import Matte, cut_out, subtract, unite

# A protected pixel is not touched at all from this alpha on; below it, edits fade out under the protected matte.
PROTECT_ALPHA = 128


def resolve(concepts: Sequence[ConceptQuery], mattes: Mapping[str, Matte], protect: Iterable[str]) -> dict[str, Matte]:
    """Cut each matte by those in front of it.

    Order from front to back: protected, objects, surfaces; within a kind the higher `priority`, then the earlier concept. Complements lie
    behind everything.

    Args:
        concepts: of the request.
        mattes: by concept name; concepts that were not found are absent.
        protect: names of the protected ones.

    Returns:
        New mattes of the unprotected concepts, by name.
    """
    protected = set(protect)
    guarded = [mattes[name] for name in protected if name in mattes]
    front = unite(guarded) if guarded else None
    kept = None if front is None else front.alpha >= PROTECT_ALPHA
    order = sorted(
        (c for c in concepts if c.name in mattes and c.name not in protected),
        key=lambda c: (bool(c.complement_of), c.kind != "object", -c.priority),
    )
    result: dict[str, Matte] = {}
    for concept in order:
        whole = mattes[concept.name]
        visible = whole if front is None else subtract(whole, front)
        result[concept.name] = visible if kept is None else cut_out(visible, kept)
        front = whole if front is None else unite([front, whole])
    return result
