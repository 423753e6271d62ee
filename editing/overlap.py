"""Who owns a pixel that several concepts claim: objects lie above surfaces, then priority, then the order of the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from editing.matte import Matte, without
from editing.request import ConceptQuery
from imaging.arrays import UInt8Array

# A protected pixel is not touched at all from here on; below it, edits fade out under the protected matte.
PROTECT_ALPHA = 128


def resolve(concepts: Sequence[ConceptQuery], mattes: Mapping[str, Matte], protect: Iterable[str]) -> dict[str, Matte]:
    """Cut each matte by those in front of it.

    `mattes` by concept name (concepts that were not found are absent). Order from front to back: protected, objects, surfaces; within a
    kind the higher `priority`, then the earlier concept. Complements lie behind everything. Returns new mattes for unprotected concepts.
    """
    protected = set(protect)
    shield = _union([mattes[name].alpha for name in protected if name in mattes])
    order = sorted(
        (c for c in concepts if c.name in mattes and c.name not in protected),
        key=lambda c: (bool(c.complement_of), c.kind != "object", -c.priority),
    )
    result: dict[str, Matte] = {}
    front = shield
    for concept in order:
        matte = mattes[concept.name]
        if front is not None:
            matte = without(matte, front)
        if shield is not None:
            matte = replace(matte, alpha=np.where(shield >= PROTECT_ALPHA, np.uint8(0), matte.alpha))
        result[concept.name] = matte
        front = mattes[concept.name].alpha if front is None else cv2.max(front, mattes[concept.name].alpha)
    return result


def _union(alphas: list[UInt8Array]) -> UInt8Array | None:
    total: UInt8Array | None = None
    for alpha in alphas:
        total = alpha if total is None else cv2.max(total, alpha)
    return total
