"""Materials in a room: along its walls, around its corners, once as a rug; and a paint's sheen."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from respray.contract.report import EditReport
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Quad, Recolor, Rule, Texture
from respray.editing.apply import edit_photo
from respray.editing.core.color import LUMINANCE, decode_srgb, encode_srgb, hex_to_linear
from respray.editing.core.field import Tile
from respray.editing.mask.select import Segments
from respray.editing.surface.illuminant import estimate_illuminant
from respray.editing.surface.pattern import without_pattern
from respray.editing.surface.surface import find_surfaces
from respray.editing.texture.camera import RoomCamera
from respray.editing.texture.corners import find_facets
from respray.editing.texture.lay import PhotoGeometry, TexturePainter
from respray.editing.texture.lines import Segments2D
from respray.editing.texture.plane import find_along, horizontal_plane
from respray.editing.texture.sample import make_material
from respray.imaging.arrays import BoolArray, Float64Array, FloatArray, UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode
from tests.editing.rooms import segments, shading, wall_photo
from tests.editing.test_texture import HEIGHT, WIDTH, camera
from tests.orchestrator.support import palette_job

# The corner of a room stands here: metres right, ahead, and the height of floor and ceiling below the camera.
CORNER, FLOOR, CEILING = (0.6, 4.0), 1.5, -1.1


def project(true: RoomCamera, points: Float64Array) -> Float64Array:
    """World points [n,3] along the camera's axes -> pixels [n,2]."""
    pixels = points @ true.axes @ true.matrix.T
    found: Float64Array = pixels[:, :2] / pixels[:, 2:]
    return found


def corner_room() -> tuple[RoomCamera, BoolArray, Segments2D, Float64Array]:
    """A camera that looks into a corner: it, the mask of both walls, the lines along them, and the corner's ends in the photo."""
    true = camera(yaw=0.7, pitch=0.05, focal=600.0)
    # Along the axes: both walls meet where the first axis is `x` and the second `y`.
    x, y = 4.0, 4.5
    levels = [CEILING, -0.4, FLOOR]
    rails = [project(true, np.array([[x, y, z], [x - 3.0, y, z]])) for z in levels]
    rails += [project(true, np.array([[x, y, z], [x, y - 3.0, z]])) for z in levels]
    ends = np.array([rail.ravel() for rail in rails])
    lines = Segments2D(ends, np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]))
    outline = np.array([rails[0][1], rails[0][0], rails[3][1], rails[5][1], rails[5][0], rails[2][1]])
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], (1,))
    return true, mask > 0, lines, np.array([rails[0][0], rails[2][0]])


def test_two_walls_meet_at_their_corner_and_level_joints_run_on() -> None:
    true, mask, lines, corner = corner_room()
    facets = find_facets(true, mask, lines, FLOOR)
    assert len(facets) == 2
    border = facets[1].border
    assert border is not None
    at = np.column_stack([corner, np.ones(2)])
    assert np.abs(at @ border).max() < 1.5
    one, other = (at @ facet.plane(true).to_plane.T for facet in facets)
    one, other = one[:, :2] / one[:, 2:], other[:, :2] / other[:, 2:]
    # Metres along and down are the same on both: nothing jumps, and the wall is as far away and high as it is.
    assert np.abs(one - other).max() < 0.02
    assert one[1, 1] - one[0, 1] == pytest.approx(FLOOR - CEILING, rel=0.03)


def test_a_corner_that_is_hidden_is_where_ceiling_and_floor_lines_meet() -> None:
    true, mask, lines, corner = corner_room()
    # A curtain hangs in the corner, most of it on the right wall; its edge is upright and long.
    left, right = int(corner[:, 0].min()) - 6, int(corner[:, 0].max()) + 60
    mask[:, left:right] = False
    ends = lines.ends.copy()
    along = np.clip((right - ends[3:, 0]) / (ends[3:, 2] - ends[3:, 0]), 0.0, 1.0)[:, None]
    ends[3:, :2] += along * (ends[3:, 2:] - ends[3:, :2])
    edge = np.array([[right + 1.0, 90.0, right + 1.0, 330.0]])
    ends = np.concatenate([ends, edge])
    seen = Segments2D(ends, np.hypot(ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]))
    facets = find_facets(true, mask, seen, FLOOR)
    assert len(facets) == 2 and facets[1].border is not None
    assert np.abs(np.column_stack([corner, np.ones(2)]) @ facets[1].border).max() < 3.0


def test_one_wall_is_not_split() -> None:
    true, mask, lines, corner = corner_room()
    left = mask & (np.arange(WIDTH)[None] < corner[:, 0].min())
    assert find_facets(true, left, lines, FLOOR) == []
    assert find_facets(true, np.zeros_like(mask), lines, FLOOR) == []
    assert find_facets(true, mask, Segments2D(np.zeros((0, 4)), np.zeros(0)), FLOOR) != [], "its outline tells"


class Known(PhotoGeometry):
    """A photo whose camera and lines are known."""

    def __init__(self, known: RoomCamera, lines: Segments2D) -> None:
        super().__init__(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        self.camera, self.segments = known, lines


def test_a_wall_concept_has_the_planes_of_its_walls_and_another_has_one() -> None:
    true, mask, lines, _ = corner_room()
    photo = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    (surface,) = find_surfaces(photo, np.where(mask, np.uint8(255), np.uint8(0)), estimate_illuminant(photo))
    tiles = Texture(texture="tile_square")
    assert len(Known(true, lines).planes("wall", surface, tiles)) == 2
    assert len(Known(true, lines).planes("Background", surface, tiles)) == 1


def test_along_is_the_longer_side_of_the_floor_and_across_the_other() -> None:
    true = camera(yaw=0.2, pitch=-0.3, focal=500.0)
    plane = horizontal_plane(true, False, FLOOR)
    for size, expected in (((2.0, 2.5), 90.0), ((0.8, 6.0), 0.0)):
        across, away = size
        ground = np.array([[-across, 1.8, FLOOR], [-across, away, FLOOR], [across, away, FLOOR], [across, 1.8, FLOOR]])
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.fillPoly(mask, [np.round(project(true, ground)).astype(np.int32)], (1,))
        assert find_along(plane, true, mask > 0, True).along == expected


def test_degrees_turn_the_planks_clockwise_as_one_looks_at_the_floor() -> None:
    """One red line along the picture's width, on a floor seen from straight in front: it leads away, and is turned to the right of that."""
    looking_down = camera(0.0, -0.7)
    photo = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    (surface,) = find_surfaces(photo, alpha, estimate_illuminant(photo))
    line = np.full((100, 100, 3), 200, np.uint8)
    line[:10] = (255, 0, 0)
    material = make_material(line, (1.0, 1.0), 0.0)
    slopes: dict[str | float, float] = {}
    for direction in ("along", 20.0, -20.0):
        rule = Texture(attachment=0, direction=direction)
        painter = TexturePainter("floor", surface, rule, material, Known(looking_down, Segments2D(np.zeros((0, 4)), np.zeros(0))))
        painted = painter.paint(Tile(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT), np.full((HEIGHT, WIDTH, 3), 0.3, np.float32))
        red = painted[..., 0] > 3.0 * painted[..., 1]
        # Where the edge nearest to the middle goes from one row to another, further away.
        low, high = (np.flatnonzero(red[row, 1:] & ~red[row, :-1]) for row in (320, 300))
        start = low[np.abs(low - WIDTH / 2).argmin()]
        slopes[direction] = float(high[np.abs(high - start).argmin()] - start)
    assert slopes[20.0] > slopes["along"] + 2.0 > slopes[-20.0] + 4.0


def edited(
    photo: UInt8Array, mask: BoolArray, rule: Rule, concept: str = "Floor", files: tuple[bytes, ...] = ()
) -> tuple[UInt8Array, EditReport]:
    request = PhotoRequest(
        concepts=[ConceptQuery(name=concept, prompts=["x"])],
        outputs=[Output(name="out", edits=[Edit(concept=concept, rule=rule)])],
        preview_size=0,
    )
    result = edit_photo(photo, segments(mask), request, list(files))
    return decode(result.files[0]), result.report.outputs[0].edits[0]


def test_without_lines_direction_is_warned_of() -> None:
    photo, mask = wall_photo("#A8A04A", 240, 320)
    _, report = edited(photo, mask, Texture(texture="oak_planks", direction="across"))
    assert any("'direction' of 'Floor' is measured from where the camera looks" in warning for warning in report.warnings)
    assert report.planes == 1


def test_the_report_says_where_the_material_lies_so_that_others_can_draw_on_it() -> None:
    photo, mask = wall_photo("#A8A04A", 240, 320)
    rule = Texture(texture="tile_square", size_m=0.5, scale=2.0, rotation=20.0)
    _, report = edited(photo, mask, rule, concept="Wall")
    (laid,) = report.laid
    width, height = laid.repeat
    assert (laid.kind, laid.turn, width) == ("wall", 20.0, 1.0) and height > 0.0
    geometry = PhotoGeometry(photo)
    (surface, *_) = find_surfaces(photo, np.where(mask, np.uint8(255), np.uint8(0)), estimate_illuminant(photo))
    ((plane, _),) = geometry.planes("Wall", surface, rule)
    for x, y in ((0.2, 0.3), (0.7, 0.9)):
        told, known = np.array(laid.to_metres).reshape(3, 3) @ (x, y, 1.0), plane.to_plane @ (x * 320, y * 240, 1.0)
        assert told[2] > 0.0
        np.testing.assert_allclose(told[:2] / told[2], known[:2] / known[2], rtol=1e-4)
    _, rug = edited(photo, mask, Texture(texture="carpet", quad=QUAD))
    assert rug.laid[0].kind == "quad"


QUAD: Quad = ((0.35, 0.4), (0.65, 0.4), (0.8, 0.75), (0.2, 0.75))


def test_a_rug_lies_in_its_quadrilateral_once_in_the_floors_light_and_behind_what_stands_on_it() -> None:
    photo, floor = wall_photo("#A8A04A", 240, 320)
    floor[100:170, 150:190] = False  # a table's foot
    picture = np.full((100, 150, 3), 200, np.uint8)
    picture[:, :75], picture[:50, 75:] = (200, 40, 40), (40, 40, 200)
    result, report = edited(photo, floor, Texture(attachment=0, quad=QUAD), files=(encode(picture),))
    assert report.geometry_confidence is None and report.warnings == []
    inside = np.zeros(floor.shape, np.uint8)
    corners = np.array(QUAD) * (320, 240)
    cv2.fillPoly(inside, [np.round(corners).astype(np.int32)], (1,))
    changed = (result != photo).any(axis=-1)
    near = cv2.dilate(inside, np.ones((5, 5), np.uint8)) > 0
    assert not changed[~near].any() and not changed[110:160, 160:180].any()
    whole = (cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0) & (cv2.erode(floor.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)
    assert changed[whole].all()
    # Its left half is red, the far right blue: it does not repeat, and is not turned over.
    red, blue = result[150, 100].astype(int), result[110, 205].astype(int)
    assert red[0] > 2 * red[2] and blue[2] > 2 * blue[0]
    # The light falls off to the right, on the rug as on the floor (in the near half, left of the picture's middle and right of it).
    grey, _ = edited(photo, floor, Texture(attachment=0, quad=QUAD), files=(encode(np.full((50, 50, 3), 180, np.uint8)),))
    light = decode_srgb(grey)[172] @ LUMINANCE
    floor_light = decode_srgb(photo)[172] @ LUMINANCE
    assert light[80] / light[240] == pytest.approx(floor_light[80] / floor_light[240], rel=0.1)


def chequers(light: FloatArray, tile: int = 30) -> UInt8Array:
    """White and dark tiles in some light (float32 [h,w]): uint8 [h,w,3]."""
    y, x = np.indices(light.shape) // tile
    albedo = np.where((x + y) % 2 == 0, 0.7, 0.06)
    return encode_srgb(np.repeat((albedo * light)[..., None], 3, axis=2).astype(np.float32))


def test_a_rug_on_chequered_tiles_has_the_light_and_not_the_chequers() -> None:
    light = shading(240, 320)
    photo = chequers(light)
    rug = encode(np.full((50, 50, 3), 180, np.uint8))
    result, _ = edited(photo, np.ones((240, 320), bool), Texture(attachment=0, quad=QUAD), files=(rug,))
    inside = np.zeros((240, 320), np.uint8)
    cv2.fillPoly(inside, [np.round(np.array(QUAD) * (320, 240)).astype(np.int32)], (1,))
    whole = cv2.erode(inside, np.ones((9, 9), np.uint8)) > 0
    seen = np.log(decode_srgb(result)[whole] @ LUMINANCE) - np.log(light[whole])
    # 1.2 with the chequers taken for light.
    assert np.std(seen) < 0.05


def test_patches_of_sun_are_light_and_no_pattern() -> None:
    for pieces in (1, 4):
        light = np.full((240, 320), 0.2, np.float32)
        for number in range(pieces):
            light[60:180, 20 + 75 * number : 80 + 75 * number] = 0.9
        log, solid = np.log(light), np.ones(light.shape, bool)
        assert without_pattern(log, solid)[0] is log
    tiles = np.log(decode_srgb(chequers(np.ones((240, 320), np.float32))) @ LUMINANCE)
    flat, known = without_pattern(tiles.astype(np.float32), solid)
    assert np.abs(flat[known]).max() < 0.05 and known.mean() > 0.8


def test_a_rugs_edge_is_as_soft_as_a_pixel() -> None:
    photo = np.full((200, 300, 3), 180, np.uint8)
    slanted: Quad = ((0.2, 0.2), (0.8, 0.3), (0.8, 0.8), (0.2, 0.8))
    result, _ = edited(
        photo, np.ones((200, 300), bool), Texture(attachment=0, quad=slanted), files=(encode(np.zeros((9, 9, 3), np.uint8)),)
    )
    along = result[:, 100, 0].astype(int)
    steps = np.flatnonzero(np.abs(np.diff(along)) > 4)
    top = steps[steps < 100]
    assert 1 <= len(top) <= 3, "one or two mixed pixels between floor and rug"


def test_a_rug_beside_its_floor_changes_nothing_and_says_so() -> None:
    photo, floor = wall_photo("#A8A04A", 240, 320)
    floor[:, 100:] = False
    beside: Quad = ((0.6, 0.4), (0.8, 0.4), (0.8, 0.6), (0.6, 0.6))
    result, report = edited(photo, floor, Texture(texture="carpet", quad=beside))
    assert (result == photo).all()
    assert report.warnings == ["nothing of 'Floor' to edit"]


def glossy() -> tuple[UInt8Array, BoolArray, BoolArray]:
    """A red wall with a mirrored lamp: photo, mask, and where the lamp is."""
    height, width = 240, 320
    ys, xs = np.mgrid[:height, :width]
    lamp = np.exp(-(((xs - 160) / 18.0) ** 2 + ((ys - 110) / 14.0) ** 2)).astype(np.float32)
    linear = hex_to_linear("#8A2B22")[None, None] * np.float32(0.9) + 0.35 * lamp[..., None]
    return encode_srgb(linear.astype(np.float32)), np.ones((height, width), bool), lamp > 0.5


def test_sheen_takes_highlights_off_or_makes_them_stronger_and_is_off_by_default() -> None:
    photo, mask, lamp = glossy()
    light: dict[str | None, float] = {}
    for sheen in (None, "matte", "satin", "gloss"):
        rule = Recolor.model_validate({"color": "#2B4A7A", "sheen": sheen})
        result, report = edited(photo, mask, rule, "Wall")
        linear = decode_srgb(result) @ LUMINANCE
        light[sheen] = float(linear[lamp].mean() - np.median(linear))
        assert report.warnings == []
        assert result[5, 5].tolist() == edited(photo, mask, Recolor(color="#2B4A7A"), "Wall")[0][5, 5].tolist()
    assert light["matte"] < 0.35 * light[None]
    assert light["matte"] < light["satin"] < 0.8 * light[None]
    assert light["gloss"] > 1.15 * light[None]


def shining(color: str, width: float, mirrored: float = 0.0, glow: float = 0.0) -> tuple[UInt8Array, BoolArray, BoolArray]:
    """A wall without colour, and a lamp that it mirrors or that shines on it: photo, mask, and where the lamp is."""
    ys, xs = np.mgrid[:240, :320]
    lamp = np.exp(-(((xs - 160) / width) ** 2 + ((ys - 110) / width) ** 2)).astype(np.float32)[..., None]
    linear = hex_to_linear(color) * np.float32(0.7) * (1 + glow * lamp) + mirrored * lamp
    return encode_srgb(linear.astype(np.float32)), np.ones((240, 320), bool), lamp[..., 0] > 0.5


@pytest.mark.parametrize("color", ["#E8E8E8", "#6A6A6A", "#2A2A2B"])
def test_sheen_is_for_white_and_grey_surfaces_too(color: str) -> None:
    photo, mask, lamp = shining(color, 16.0, mirrored=0.27)
    light: dict[str | None, float] = {}
    for sheen in (None, "matte", "satin", "gloss"):
        # White to another white: what was mirrored stays where nothing is said.
        result, report = edited(photo, mask, Recolor.model_validate({"color": color, "sheen": sheen}), "Door")
        linear = decode_srgb(result) @ LUMINANCE
        light[sheen] = float(linear[lamp].mean() - np.median(linear))
        assert not any("sheen" in warning for warning in report.warnings)
    assert light["matte"] < 0.7 * light[None]
    assert light["matte"] < light["satin"] < light["gloss"]
    assert light["gloss"] > 1.1 * light[None]


def test_a_lamps_glow_on_a_pale_wall_is_no_highlight() -> None:
    photo, mask, _ = shining("#E8E8E8", 90.0, glow=0.4)
    plain, _ = edited(photo, mask, Recolor(color="#2B4A7A"), "Wall")
    result, report = edited(photo, mask, Recolor(color="#2B4A7A", sheen="matte"), "Wall")
    assert (result == plain).all()
    assert any("no highlights" in warning and "'sheen'" in warning for warning in report.warnings)


def message(concept: str, action: str, value: dict[str, Any]) -> dict[str, Any]:
    return palette_job(count=1, preset="interior", protect=[], concepts={concept: {"action": action, "value": value}})


@pytest.mark.parametrize(
    ("concept", "action", "value", "expected"),
    [
        ("Floor", "texture", {"texture": "oak_planks", "direction": "across"}, {"direction": "across"}),
        ("Floor", "texture", {"texture": "oak_planks", "direction": 45}, {"direction": 45.0}),
        ("Floor", "texture", {"texture": "carpet", "quad": [list(point) for point in QUAD]}, {"quad": QUAD}),
        ("Wall", "recolor", {"color": "oak_a", "sheen": "gloss"}, {"sheen": "gloss"}),
    ],
)
def test_a_messages_parameters_reach_the_photo(concept: str, action: str, value: dict[str, Any], expected: dict[str, Any]) -> None:
    """From the message's JSON through the request's own to pixels."""
    (item,) = parse_job(message(concept, action, value), load_catalog()).items
    request = PhotoRequest.model_validate_json(item.request.model_dump_json())
    rule = next(edit.rule for edit in request.outputs[0].edits if edit.concept == concept)
    assert {name: getattr(rule, name) for name in expected} == expected
    photo, mask, _ = glossy()
    drawn = [query.model_copy(update={"mask_attachment": 0, "complement_of": []}) for query in request.concepts if query.name == concept]
    alone = request.model_copy(
        update={"concepts": drawn, "protect": [], "outputs": [request.outputs[0].model_copy(update={"concepts": []})]}
    )
    plain = alone.model_copy(
        update={"outputs": [Output(name="out", edits=[Edit(concept=concept, rule=rule.model_copy(update=dict.fromkeys(expected)))])]}
    )
    mask_file = encode(np.where(mask, np.uint8(255), np.uint8(0)))
    with_it, without = (decode(edit_photo(photo, Segments.empty(), wanted, [mask_file]).files[0]) for wanted in (alone, plain))
    assert (with_it != photo).any() and (with_it != without).any()
