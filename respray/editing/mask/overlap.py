"""Who owns a pixel that several concepts claim: objects lie above surfaces, then priority, then the order of the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from respray.contract.request import ConceptQuery
from respray.editing.mask.matte import Matte, unite, without

# A protected pixel is not touched at all from here on; below it, edits fade out under the protected matte.
PROTECT_ALPHA = 128


def resolve(concepts: Sequence[ConceptQuery], mattes: Mapping[str, Matte], protect: Iterable[str]) -> dict[str, Matte]:
    """Cut each matte by those in front of it.

    `mattes` by concept name (concepts that were not found are absent). Order from front to back: protected, objects, surfaces; within a
    kind the higher `priority`, then the earlier concept. Complements lie behind everything. Returns new mattes for unprotected concepts.
    """
    protected = set(protect)
    guarded = [mattes[name] for name in protected if name in mattes]
    shield = unite(guarded) if guarded else None
    order = sorted(
        (c for c in concepts if c.name in mattes and c.name not in protected),
        key=lambda c: (bool(c.complement_of), c.kind != "object", -c.priority),
    )
    kept = None if shield is None else shield.alpha >= PROTECT_ALPHA
    result: dict[str, Matte] = {}
    front = shield
    for concept in order:
        matte = mattes[concept.name]
        if front is not None:
            matte = without(matte, front)
        if kept is not None:
            alpha = np.where(kept, np.uint8(0), matte.alpha)
            matte = replace(matte, alpha=alpha, hard=None if matte.hard is None else np.where(kept, np.uint8(0), matte.hard))
        result[concept.name] = matte
        front = mattes[concept.name] if front is None else unite([front, mattes[concept.name]])
    return result
