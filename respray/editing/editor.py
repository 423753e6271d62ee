"""Carries out the edits of one photo's outputs: each rule on the surfaces of its concept, in the order of the request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from respray.catalog.preset import is_ground, is_hard_ground, is_wall, lies_on_floor
from respray.contract.errors import EditError
from respray.contract.report import EditReport, LightReport
from respray.contract.request import Edit, Output, PhotoRequest, Quad, Recolor, Remove, Rule, Texture, Tone
from respray.editing.core.painter import Painter
from respray.editing.fill.inpaint import Inpainter
from respray.editing.mask.choose import Choice, choose
from respray.editing.mask.cutout import of_colours
from respray.editing.mask.find import FoundMattes, PhotoMattes
from respray.editing.mask.matte import Matte, add_shadow, unite
from respray.editing.paint.neighbours import Neighbours
from respray.editing.paint.recolor import Recolorer
from respray.editing.paint.tone import Toner
from respray.editing.remove import Canvas, remove
from respray.editing.report import measure, sample
from respray.editing.surface.exposure import keep_brightness
from respray.editing.surface.illuminant import estimate_illuminant
from respray.editing.surface.reflection import DichromaticModel
from respray.editing.surface.surface import SOLID_ALPHA, Surface, as_painted, find_surfaces
from respray.editing.surface.temperature import report_light
from respray.editing.texture import rug
from respray.editing.texture.lay import PhotoGeometry, TexturePainter, material_of
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.imaging.decode import DecodedPhoto


@dataclass(frozen=True)
class _Task:
    """One edit of an output.

    Attributes:
        edit: the edit.
        choice: what it works on.
        target: the name under which that meets its neighbours; edits of one concept that share a part of it have one.
        number: which of the edits of its concept it is, from 0; None where there are no others.
        repaints: whether an earlier one has given what it works on new colours.
    """

    edit: Edit
    choice: Choice
    target: str
    number: int | None
    repaints: bool


class PhotoEditor:
    """Edits one photo. What is found in it (light, lines, surfaces) serves all of its outputs."""

    def __init__(
        self,
        photo: DecodedPhoto,
        seen: UInt8Array,
        request: PhotoRequest,
        found: FoundMattes,
        attachments: Sequence[bytes],
        network: Inpainter | None = None,
    ) -> None:
        """Prepare for the outputs of a request.

        Args:
            photo: with its own alpha; not changed.
            seen: uint8 [H,W,3], the photo as it is seen on white.
            request: the request.
            found: what of the photo each concept is.
            attachments: encoded files that the request refers to.
            network: a learned inpainter, where one is mounted.
        """
        self._photo, self._seen, self._found, self._attachments, self._network = photo, seen, found, attachments, network
        # Of the output at hand.
        self._mattes = PhotoMattes({}, {}, None)
        self._sharing: tuple[frozenset[str], tuple[str, ...]] | None = None
        self._concepts = {concept.name: concept for concept in request.concepts}
        self._geometry = PhotoGeometry(seen)
        self._illuminant = estimate_illuminant(seen)
        self._surfaces: dict[tuple[str, tuple[int, ...], bool], list[Surface]] = {}

    @property
    def light(self) -> LightReport:
        """What the photo tells of its light's colour."""
        return report_light(self._seen, self._illuminant)

    def edit(self, output: Output) -> tuple[Canvas, list[EditReport]]:
        """Apply the edits of one output. Several edits of one concept build on each other.

        Raises:
            EditError: a texture names no material, or an attachment that was not sent.
            ImageError: an attachment is no picture.
        """
        sharing = self._found.sharing(output)
        if sharing != self._sharing:
            # What the output before had is let go of first: one output's mattes are held at a time.
            self.let_go()
            self._sharing, self._mattes = sharing, self._found.of(output)
        mattes = self._mattes
        canvas = Canvas(self._photo.rgb, self._photo.alpha)
        tasks = _tasks([(edit, self._of_colours(choose(edit, mattes))) for edit in output.edits])
        neighbours = Neighbours(_painted(tasks))
        reports: list[EditReport] = []
        for task in tasks:
            apply = self._remove if isinstance(task.edit.rule, Remove) else self._paint
            canvas, report = apply(canvas, task, neighbours)
            reports.append(task.choice.told_in(report).model_copy(update={"edit": task.number}))
        neighbours.blend_seams(canvas.rgb)
        return canvas, reports

    def let_go(self) -> None:
        """Let go of what would serve further outputs."""
        self._sharing, self._mattes, self._surfaces = None, PhotoMattes({}, {}, None), {}

    def _remove(self, canvas: Canvas, task: _Task, neighbours: Neighbours) -> tuple[Canvas, EditReport]:
        edit = task.edit
        assert isinstance(edit.rule, Remove)
        rule, parts = edit.rule, self._surfaces_of(task)
        neighbours.blend_seams(canvas.rgb)
        shadow, protected, before = self._shadow_of(edit.concept), self._mattes.protected, sample(parts, canvas.rgb)
        floor, flat = self._floor(), lies_on_floor(edit.concept)
        result = remove(canvas, rule, parts, shadow=shadow, protected=protected, floor=floor, flat=flat, network=self._network)
        return result, measure(edit.concept, rule, parts, before, result.rgb)

    def _paint(self, canvas: Canvas, task: _Task, neighbours: Neighbours) -> tuple[Canvas, EditReport]:
        edit, parts = task.edit, self._surfaces_of(task)
        rule = edit.rule
        if task.repaints and isinstance(rule, Recolor):
            parts = as_painted(parts, canvas.rgb)
        if isinstance(rule, Recolor):
            parts = [keep_brightness(part, rule.color) for part in parts]
        mirrors: list[DichromaticModel | None] = [None] * len(parts)
        if task.repaints and isinstance(rule, Texture):
            # A new material lies in the light of the photo, which an old one's pattern is not.
            mirrors = [as_painted([part], canvas.rgb)[0].reflection for part in parts]
        painters = [painter_of(edit, part, self._geometry, self._attachments, model) for part, model in zip(parts, mirrors, strict=True)]
        before, after = sample(parts, canvas.rgb), canvas.rgb
        if parts and not _changes_nothing(rule):
            after = neighbours.paint(canvas.rgb, task.target, zip(parts, painters, strict=True))
        laid = [painter for painter in painters if isinstance(painter, TexturePainter)]
        confidence = min((painter.confidence for painter in laid if painter.confidence is not None), default=None)
        mirrored = next((painter.mirrored for painter in painters if isinstance(painter, Recolorer)), None)
        requested = rule.color.upper() if isinstance(rule, Recolor) else None
        report = measure(edit.concept, rule, parts, before, after, requested=requested, mirrored=mirrored, geometry=confidence)
        told = dict.fromkeys(
            warning for painter in painters if isinstance(painter, TexturePainter | Recolorer) for warning in painter.warnings
        )
        count = max((painter.planes for painter in laid), default=None)
        # Materials of one concept (a floor left and right of a bed) mostly lie on the same plane.
        planes = list({plane.model_dump_json(): plane for painter in laid for plane in painter.laid}.values())
        update = {"planes": count, "laid": planes, "warnings": [*report.warnings, *told]}
        return Canvas(after, canvas.alpha), report.model_copy(update=update)

    def _of_colours(self, choice: Choice) -> Choice:
        """A choice as it is of the photo's own colours, which a cut-out shows only in part."""
        opacity = self._photo.alpha
        return choice if opacity is None or choice.matte is None else replace(choice, own=of_colours(choice.matte, opacity))

    def _surfaces_of(self, task: _Task) -> list[Surface]:
        """The surfaces that an edit works on, found once for all outputs; none where nothing of its concept is to be edited."""
        edit, choice = task.edit, task.choice
        background = isinstance(edit.rule, Remove) and edit.rule.mode == "background"
        # What a background is put behind is seen on paper; every other rule works on the photo's own colours.
        matte = choice.matte if background else choice.painted
        if matte is None:
            return []
        key = (edit.concept, choice.numbers, background)
        if key not in self._surfaces:
            # A new background also goes under the shadow that is kept on it.
            shadow = self._shadow_of(edit.concept) if background else None
            extent = matte if shadow is None else add_shadow(matte, shadow)
            picture = self._seen if background else self._photo.rgb
            coverage, jpeg = extent.coverage if extent.feathered else None, self._photo.facts.jpeg
            self._surfaces[key] = find_surfaces(picture, extent.alpha, self._illuminant, coverage, jpeg, walls=is_wall(edit.concept))
        quad = _quad_of(edit.rule)
        # A rug lies in the light of the whole floor.
        return self._surfaces[key] if quad is None else rug.parts_under(self._surfaces[key], quad, matte.alpha.shape)

    def _floor(self) -> BoolArray | None:
        """What of the photo is floor, bool [H,W], where that is known."""
        ground = [found.matte for name, found in self._mattes.found.items() if found.matte is not None and is_ground(name)]
        return unite(ground).alpha >= SOLID_ALPHA if ground else None

    def _shadow_of(self, concept: str) -> UInt8Array | None:
        """For "everything but product and shadow": the matte of the surfaces left out (the shadow), which stays on a new background."""
        visible = self._mattes.visible
        left_out = [name for name in self._concepts[concept].complement_of if self._concepts[name].kind == "surface" and name in visible]
        return unite([Matte.sharp(visible[name].alpha) for name in left_out]).alpha if left_out else None


def painter_of(
    edit: Edit, part: Surface, geometry: PhotoGeometry, attachments: Sequence[bytes], mirrors: DichromaticModel | None = None
) -> Painter:
    """Prepare an edit's rule for one surface.

    Args:
        edit: any rule but `Remove`.
        part: the surface.
        geometry: of the photo.
        attachments: encoded files that the rule may refer to.
        mirrors: how the surface reflects where it has new colours already.

    Raises:
        EditError: the rule has no painter, or a texture names no material.
        ImageError: an attachment is no picture.
    """
    if isinstance(edit.rule, Recolor):
        return Recolorer(part, edit.rule, ground=is_ground(edit.concept), polished=is_hard_ground(edit.concept))
    if isinstance(edit.rule, Texture):
        return TexturePainter(edit.concept, part, edit.rule, material_of(edit.rule, attachments), geometry, mirrors)
    if isinstance(edit.rule, Tone):
        return Toner(edit.rule)
    raise EditError(f"the rule '{edit.rule.rule}' cannot be painted")


def _tasks(chosen: Sequence[tuple[Edit, Choice]]) -> list[_Task]:
    """Edits of one concept build on each other where they share a part of it; where they do not, they are neighbours like any others."""
    tasks: list[_Task] = []
    count = Counter(edit.concept for edit, _ in chosen)
    before: Counter[str] = Counter()
    for edit, choice in chosen:
        others = [task for task in tasks if task.edit.concept == edit.concept and _share(choice, task.choice)]
        target, joined = others[0].target if others else str(len(tasks)), {task.target for task in others}
        # One that works on the parts of several joins them.
        tasks = [replace(task, target=target) if task.target in joined else task for task in tasks]
        number = before[edit.concept] if count[edit.concept] > 1 else None
        tasks.append(_Task(edit, choice, target, number, any(_gives_colours(task.edit.rule) for task in others)))
        before[edit.concept] += 1
    return tasks


def _share(one: Choice, other: Choice) -> bool:
    """Whether two choices of one concept have a part in common; no numbers are all of it."""
    return not (one.numbers and other.numbers) or bool(set(one.numbers) & set(other.numbers))


def _painted(tasks: Sequence[_Task]) -> dict[str, Matte]:
    """What is painted, by the names of the targets."""
    mattes: dict[str, Matte] = {}
    for task in tasks:
        matte = task.choice.painted
        if matte is None or isinstance(task.edit.rule, Remove) or _changes_nothing(task.edit.rule):
            continue
        if (quad := _quad_of(task.edit.rule)) is not None:
            # The quadrilateral is no edge of the concept: a pixel on it still shows nothing else.
            matte = replace(matte, alpha=rug.under(matte.alpha, quad), coverage=matte.coverage)
        mattes[task.target] = matte if task.target not in mattes else _together(mattes[task.target], matte)
    return mattes


def _together(one: Matte, other: Matte) -> Matte:
    """What two edits of one concept paint; a floor with a rug on it is the floor, whose edge is as sharp as it was."""
    for whole, part in ((one, other), (other, one)):
        if not (part.alpha > whole.alpha).any():
            return whole
    return unite([one, other])


def _gives_colours(rule: Rule) -> bool:
    """Whether what it leaves is another material, and not the photo's in another light."""
    return isinstance(rule, Recolor | Texture) and rule.strength > 0.0


def _quad_of(rule: Rule) -> Quad | None:
    """Where a rule lays its picture down once."""
    return rule.quad if isinstance(rule, Texture) else None


def _changes_nothing(rule: Rule) -> bool:
    if isinstance(rule, Tone):
        return rule == Tone()
    return isinstance(rule, Recolor | Texture) and rule.strength == 0.0
