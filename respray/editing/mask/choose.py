"""What of its concept an edit means: all of it, or the parts that its points and its number of instances choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from respray.contract.report import EditReport, PointReport
from respray.contract.request import Edit, Point
from respray.editing.core.reduce import average
from respray.editing.mask.find import FoundConcept, PhotoMattes
from respray.editing.mask.fringe import without_tail
from respray.editing.mask.matte import Matte, cut_out
from respray.editing.mask.overlap import PROTECT_ALPHA
from respray.editing.mask.parts import Parts, connected_parts, instance_parts, pixel_of


@dataclass(frozen=True)
class Choice:
    """What an edit works on.

    Attributes:
        matte: None where that is nothing.
        own: the matte of the photo's own colours, where that is another (`mask.cutout`).
        found: how many parts its concept has; None: nobody asked.
        numbers: of the parts that were chosen.
        points: what each point did.
        warnings: sentences for the report.
    """

    matte: Matte | None
    found: int | None = None
    numbers: tuple[int, ...] = ()
    points: list[PointReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    own: Matte | None = None

    @property
    def painted(self) -> Matte | None:
        """The matte of the photo's own colours."""
        return self.matte if self.own is None else self.own

    def told_in(self, report: EditReport) -> EditReport:
        """An edit's report, and what was chosen."""
        if self.found is None:
            return report
        told = {"parts": len(self.numbers), "parts_found": self.found, "points": self.points}
        return report.model_copy(update={**told, "warnings": [*self.warnings, *report.warnings]})


def choose(edit: Edit, mattes: PhotoMattes) -> Choice:
    """Choose the parts of a concept.

    A part lies under a point where some of it is seen there, be it on its soft edge. A part that something else hides there does not: the
    point is on what hides it.

    Args:
        edit: the edit.
        mattes: of its output.

    Returns:
        The choice; all of the concept where the edit does not say otherwise.
    """
    visible = mattes.visible.get(edit.concept)
    if visible is None or not edit.partial:
        return Choice(visible)
    parts = _parts(mattes.found[edit.concept], visible)
    points: list[PointReport] = []
    warnings: list[str] = []
    shares, seen = _shares(parts, visible), without_tail(visible.alpha)
    present = [number for number, share in enumerate(shares, start=1) if share > 0.0]

    def under(use: Literal["at", "not_at"], given: Sequence[Point]) -> set[int]:
        hit = set[int]()
        for point in given:
            if seen[pixel_of(point, seen.shape)]:
                hit.add(parts.at(point))
                points.append(PointReport(use=use, point=point, part=parts.at(point)))
                continue
            on = _lies_at(point, edit.concept, mattes)
            points.append(PointReport(use=use, point=point, on=on))
            place = "nothing that was asked for" if on is None else f"'{on}'" + (", which is protected," if on in mattes.kept else "")
            warnings.append(f"{use} [{point[0]:g}, {point[1]:g}] is on {place} and not on '{edit.concept}'")
        return hit

    wanted = under("at", edit.at) if edit.at else set(present)
    unwanted = under("not_at", edit.not_at)
    chosen = [number for number in present if number in wanted - unwanted]
    if edit.instances == "largest":
        chosen = sorted(chosen, key=lambda number: -shares[number - 1])[:1]
    elif edit.instances != "all":
        chosen = sorted(sorted(chosen, key=lambda number: -parts.scores[number - 1])[: edit.instances])
    if not chosen:
        warnings.append(f"no part of '{edit.concept}' was chosen, of {len(present)} that there are")
        return Choice(None, len(present), (), points, warnings)
    if chosen == present:
        return Choice(visible, len(present), tuple(chosen), points, warnings)
    elsewhere = ~parts.where(chosen, visible.alpha.shape)
    return Choice(cut_out(visible, elsewhere), len(present), tuple(chosen), points, warnings)


def _parts(concept: FoundConcept, visible: Matte) -> Parts:
    """An object's parts are whole things, whatever hides some of them; a surface's are what is seen of it in one piece."""
    if concept.pieces is not None:
        return concept.pieces
    if concept.by_instance and concept.instances:
        return instance_parts(concept.instances, concept.scores, visible.alpha.shape)
    return connected_parts(visible.alpha)


def _shares(parts: Parts, visible: Matte) -> list[float]:
    """How much of the photo is seen of each part, 0..1."""
    height, width = parts.labels.shape
    alpha = average(visible.alpha, (width, height))
    sums = np.bincount(parts.labels.ravel(), weights=alpha.ravel(), minlength=parts.count + 1)
    return [float(total) / 255.0 / alpha.size for total in sums[1:]]


def _lies_at(point: Point, concept: str, mattes: PhotoMattes) -> str | None:
    """The concept that is seen at a point, of what is in front the first."""
    seen: list[tuple[bool, int, str]] = []
    for name, found in mattes.found.items():
        matte = found.matte if name in mattes.kept else mattes.visible.get(name)
        if name == concept or matte is None:
            continue
        alpha = int(matte.alpha[pixel_of(point, matte.alpha.shape)])
        if alpha >= PROTECT_ALPHA:
            seen.append((name in mattes.kept, alpha, name))
    return max(seen)[2] if seen else None
