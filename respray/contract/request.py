"""What one photo's work is, as the orchestrator asks it of the Triton pipeline. Travels as JSON.

Ids (palette, texture, preset) are resolved by the orchestrator before a request is built, so that an
unknown id is refused before anything is downloaded; the pipeline sees only resolved values and attachment indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from respray.contract.base import StrictModel
from respray.contract.photo_file import DEFAULT_MEGAPIXELS, ImageFormat
from respray.contract.segments_file import Sha256

# Which of the network's answers an object's matte is made from.
ObjectSource = Literal["instances", "region"]
# A fraction of the upright photo's width or height.
Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Point = tuple[Fraction, Fraction]
# Corners (x0, y0, x1, y1).
Box = tuple[Fraction, Fraction, Fraction, Fraction]


def _has_area(crop: Box) -> Box:
    x0, y0, x1, y1 = crop
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"[{x0:g}, {y0:g}, {x1:g}, {y1:g}] has no area; accepted is [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
    return crop


Crop = Annotated[Box, AfterValidator(_has_area)]
# Of one concept, examples and counterexamples together: the graphs have room for so many.
MAX_BOXES = 16
# More than anybody points at, few enough that a message cannot keep a worker busy.
MAX_POINTS = 64
MAX_INSTANCES = 256


def _check_instances(value: Any) -> Any:
    if value in ("all", "largest") or (type(value) is int and 1 <= value <= MAX_INSTANCES):
        return value
    raise ValueError(f"must be 'all', 'largest', or a whole number from 1 to {MAX_INSTANCES}, not {str(value)[:40]!r}")


Instances = Annotated[Literal["all", "largest"] | int, BeforeValidator(_check_instances)]
# A material repeats, so that more says nothing, and huge numbers overflow on their way to a pixel.
Repeats = Annotated[float, Field(ge=-1000.0, le=1000.0, allow_inf_nan=False)]
Sheen = Literal["matte", "satin", "gloss"]


def _check_direction(value: Any) -> Any:
    if value in ("along", "across") or (type(value) in (int, float) and -360.0 <= value <= 360.0):
        return value
    raise ValueError(f"must be 'along', 'across', or degrees from -360 to 360, not {str(value)[:40]!r}")


Direction = Annotated[Literal["along", "across"] | float, BeforeValidator(_check_direction)]
# Corners of a rug may lie outside the photo, which shows a part of it: as far as the photo is wide or high.
Corner = tuple[Annotated[float, Field(ge=-1.0, le=2.0, allow_inf_nan=False)], Annotated[float, Field(ge=-1.0, le=2.0, allow_inf_nan=False)]]
# Twice the smallest area, of the photo's, that two neighbouring sides of a quadrilateral span: below it they are one line.
MIN_QUAD_CORNER = 1e-5


def _check_quad(quad: tuple[Corner, Corner, Corner, Corner]) -> tuple[Corner, Corner, Corner, Corner]:
    for number, (x, y) in enumerate(quad):
        (x0, y0), (x1, y1) = quad[number - 1], quad[(number + 1) % 4]
        if (x - x0) * (y1 - y) - (y - y0) * (x1 - x) < MIN_QUAD_CORNER:
            raise ValueError(
                "must be the four corners of a convex quadrilateral, clockwise as the photo shows them, from the picture's top left one; "
                f"at corner {number + 1}, [{x:g}, {y:g}], it does not turn to the right"
            )
    return quad


Quad = Annotated[tuple[Corner, Corner, Corner, Corner], AfterValidator(_check_quad)]


class Recolor(StrictModel):
    """Lay a new colour on a surface and keep its own light and shadow.

    `color` is sRGB `#rrggbb`; `label` is what the user wrote (a palette id or the hex); `strength` blends with the photo. `sheen` says
    what becomes of the photo's highlights: `matte` takes them off, `satin` makes them weaker, `gloss` stronger; without it they
    stay as they are.
    """

    rule: Literal["recolor"] = "recolor"
    color: str = Field(pattern=r"^#[0-9A-Fa-f]{6}$")
    label: str = ""
    strength: float = Field(default=1.0, ge=0.0, le=1.0)
    sheen: Sheen | None = None


class Tone(StrictModel):
    """Photographic adjustment inside the matte; every value in -1..1, 0 changes nothing."""

    rule: Literal["tone"] = "tone"
    brightness: float = Field(default=0.0, ge=-1.0, le=1.0)
    contrast: float = Field(default=0.0, ge=-1.0, le=1.0)
    saturation: float = Field(default=0.0, ge=-1.0, le=1.0)
    warmth: float = Field(default=0.0, ge=-1.0, le=1.0)
    exposure: float = Field(default=0.0, ge=-1.0, le=1.0)


class Texture(StrictModel):
    """Lay a material on a surface in perspective, keeping light and shadow.

    Exactly one of `texture` (catalogue id) and `attachment` (index of an attached image file) is given. `size_m` is the width
    in metres that one repeat covers (None: the catalogue's); `scale` multiplies it; `rotation` is in degrees in the plane;
    `offset` in repeats, each -1000..1000; `camera_height_m` is the assumed height of the camera above the floor.

    `direction` says how the picture's width, which planks run along, lies in the room: `along` it (its longer side, as far as
    the floor shows it; a wall's level), `across` it, or degrees from `along`, clockwise as one looks at the surface; `rotation`
    is added. Without it the width points away from the camera.

    `quad` lays the picture down once, as a rug: its corners as fractions of the upright photo, clockwise from where the
    picture's top left corner lies; -1..2, for a rug may run out of the photo. Only `strength` goes with it.
    """

    rule: Literal["texture"] = "texture"
    texture: str | None = None
    attachment: int | None = Field(default=None, ge=0)
    size_m: float | None = Field(default=None, ge=0.001, le=20.0)
    scale: float = Field(default=1.0, ge=0.001, le=100.0)
    rotation: float = Field(default=0.0, ge=-360.0, le=360.0)
    offset: tuple[Repeats, Repeats] = (0.0, 0.0)
    strength: float = Field(default=1.0, ge=0.0, le=1.0)
    camera_height_m: float = Field(default=1.5, gt=0.1, le=10.0)
    direction: Direction | None = None
    quad: Quad | None = None

    @field_validator("quad")
    @classmethod
    def _once(cls, quad: Quad | None, info: ValidationInfo) -> Quad | None:
        names = ("size_m", "scale", "rotation", "offset", "camera_height_m", "direction")
        given = [name for name in names if info.data.get(name) != cls.model_fields[name].default]
        if quad is not None and given:
            raise ValueError(f"says where the picture lies and how large it is; {', '.join(given)} cannot go with it")
        return quad


class Remove(StrictModel):
    """Take the concept out: `transparent` (alpha), `inpaint` (filled from its surroundings), or a flat `background` colour."""

    rule: Literal["remove"] = "remove"
    mode: Literal["transparent", "inpaint", "background"]
    color: str | None = Field(default=None, pattern=r"^#[0-9A-Fa-f]{6}$")


Rule = Annotated[Recolor | Tone | Texture | Remove, Field(discriminator="rule")]


def box_problem(boxes: Sequence[Box], not_boxes: Sequence[Box]) -> str | None:
    """What is wrong with the boxes of a concept beyond their numbers, and what is accepted."""
    if len(boxes) + len(not_boxes) > MAX_BOXES:
        return f"{len(boxes)} boxes and {len(not_boxes)} not_boxes were given; accepted are {MAX_BOXES} in all"
    for name, given in (("boxes", boxes), ("not_boxes", not_boxes)):
        for x0, y0, x1, y1 in given:
            if not (x0 < x1 and y0 < y1):
                return f"{name}: [{x0:g}, {y0:g}, {x1:g}, {y1:g}] has no area; accepted is [x0, y0, x1, y1] with x0 < x1 and y0 < y1"
    return None


class ConceptQuery(StrictModel):
    """One concept to find in the photo.

    `prompts` are the words SAM3 is asked for (their regions are united); `kind` says how overlaps are resolved (objects lie above
    surfaces, higher `priority` above lower); `mask_attachment` replaces segmentation; `complement_of` means "everything but these".
    `aid`: nobody asked for it, it only tells the other concepts' edits more; it is neither reported nor missed. `implied`: nobody named it,
    it comes with the preset (its default protects, and what a complement leaves out); it is reported, but not missed.
    `boxes` are around examples of what is meant, `not_boxes` around what is not, in fractions of the upright photo; SAM3 sees them with
    the prompts.
    """

    name: str
    prompts: list[str] = Field(min_length=1)
    kind: Literal["surface", "object"] = "surface"
    priority: int = 0
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    mask_attachment: int | None = Field(default=None, ge=0)
    complement_of: list[str] = Field(default_factory=list)
    aid: bool = False
    implied: bool = False
    boxes: list[Box] = Field(default_factory=list, max_length=MAX_BOXES)
    not_boxes: list[Box] = Field(default_factory=list, max_length=MAX_BOXES)

    @property
    def shown(self) -> bool:
        """Whether there are examples in boxes."""
        return bool(self.boxes or self.not_boxes)

    @model_validator(mode="after")
    def _boxes(self) -> Self:
        if problem := box_problem(self.boxes, self.not_boxes):
            raise ValueError(problem)
        return self


class Edit(StrictModel):
    """One rule on one concept (by `ConceptQuery.name`), or on some of its parts.

    Parts are the instances of an object, the connected parts of a surface. With `at`, those under one of its points (x, y), fractions of
    the upright photo; none of those under a point of `not_at`; and of what is left `instances`: all, the largest, or so many by score (by
    size, where parts are what is connected).
    """

    concept: str
    rule: Rule
    at: list[Point] = Field(default_factory=list, max_length=MAX_POINTS)
    not_at: list[Point] = Field(default_factory=list, max_length=MAX_POINTS)
    instances: Instances = "all"

    @property
    def partial(self) -> bool:
        """Whether it may be about less than the whole concept."""
        return bool(self.at or self.not_at) or self.instances != "all"


class Output(StrictModel):
    """One edited file: its edits in order, and how it is encoded (`quality` for JPEG and lossy WebP).

    `protect` names concepts that its edits may not touch, beside the request's. Of `concepts` (empty: of all in the request) it knows, and
    among equals the earlier is in front: what only other outputs ask for hides nothing from it.

    `crop` (x0, y0, x1, y1 in fractions of the photo) writes that part of the edited photo only; `long_side` makes what is written that
    small, in pixels; 0, or more than there is, leaves its size.
    """

    name: str
    edits: list[Edit]
    format: ImageFormat = "png"
    quality: int = Field(default=92, ge=1, le=100)
    protect: list[str] = Field(default_factory=list)
    concepts: list[str] = Field(default_factory=list)
    long_side: int = Field(default=0, ge=0, le=65_500)
    crop: Crop | None = None


class KnownSegments(StrictModel):
    """Kept segments of one prompt: the attachment that holds them, and the SHA-256 of the photo that they must be of."""

    attachment: int = Field(ge=0)
    photo: Sha256


class PhotoRequest(StrictModel):
    """Everything the pipeline needs to know about one photo. `preview_size` is in pixels (longest side); 0 writes none.

    `metadata`: whether outputs keep the photo's copyright, artist, description, capture data and resolution (never its position).

    `known` are segments that were found before: what is wrong with one means that its prompt is segmented. `keep_segments` answers what was
    segmented now as files of kind `segments`, one a prompt. `outputs` may be empty where masks or segments are asked for, and `concepts`
    where nothing is edited. `tell_probe` asks how the server's graphs answered the probe at its start.
    `call` comes back in the report, and tells this call's answer from another's.
    """

    concepts: list[ConceptQuery]
    protect: list[str] = Field(default_factory=list)
    outputs: list[Output] = Field(default_factory=list)
    preview_size: int = Field(default=256, ge=0, le=4096)
    masks: bool = False
    feather: float = Field(default=0.0, ge=0.0, le=100.0)
    max_megapixels: float = Field(default=DEFAULT_MEGAPIXELS, gt=0.0, le=200.0)
    missing_is_error: bool = False
    metadata: Literal["keep", "none"] = "keep"
    known: list[KnownSegments] = Field(default_factory=list, max_length=64)
    keep_segments: bool = False
    tell_probe: bool = False
    call: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.outputs and not self.masks and not self.keep_segments:
            raise ValueError("no outputs, masks or segments are asked for")
        if not self.concepts and not self.outputs:
            raise ValueError("no concepts are given to find")
        return self


def needs_segmentation(concept: ConceptQuery) -> bool:
    """Whether the concept's prompts go to the network."""
    return concept.mask_attachment is None and not concept.complement_of


def prompts_of(concepts: Sequence[ConceptQuery]) -> list[str]:
    """The prompts to segment, in the order that `respray.editing.mask.select.Segments` must have."""
    return [prompt for concept in concepts if needs_segmentation(concept) for prompt in concept.prompts]
