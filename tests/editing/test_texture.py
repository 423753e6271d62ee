"""Textures: the camera from known lines, planes of known size, sampling without aliasing, light kept."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from benchmarks.quality.geometry import textures
from respray.contract.errors import EditError, UnknownNameError
from respray.contract.report import EditReport
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Texture
from respray.editing.apply import edit_photo
from respray.editing.core.color import decode_srgb
from respray.editing.report import MIN_CONFIDENCE
from respray.editing.surface.illuminant import estimate_illuminant
from respray.editing.surface.surface import find_surfaces
from respray.editing.texture.camera import RoomCamera, estimate_camera
from respray.editing.texture.lay import PhotoGeometry
from respray.editing.texture.lines import Segments2D, find_segments
from respray.editing.texture.plane import horizontal_plane, wall_plane
from respray.editing.texture.sample import make_material, sample_material
from respray.imaging.arrays import Float64Array, UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode
from tests.editing.rooms import segments, wall_photo

WIDTH, HEIGHT = 900, 600
OAK = Texture(texture="oak_planks")


def camera(yaw: float = 0.5, pitch: float = 0.12, focal: float = 650.0) -> RoomCamera:
    """A camera turned by `yaw` and tilted down by `pitch` (radians)."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    axes = np.array([[cy, sy * sp, sy * cp], [-sy, cy * sp, cy * cp], [0.0, cp, -sp]])
    return RoomCamera(axes, focal, (WIDTH / 2, HEIGHT / 2), 1.0)


def drawn_lines(true: RoomCamera) -> Segments2D:
    """Segments along the three directions of a room through random points, with a little noise."""
    rng = np.random.default_rng(1)
    ends: list[Float64Array] = []
    while len(ends) < 90:
        start = np.array([rng.uniform(-3, 3), rng.uniform(1, 6), rng.uniform(-1.5, 1.5)])
        stop = start + np.eye(3)[len(ends) % 3] * rng.uniform(0.5, 1.5)
        points = np.array([start, stop]) @ true.axes
        if (points[:, 2] < 0.3).any():
            continue
        pixels = points @ true.matrix.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        if (pixels > 0).all() and (pixels < [WIDTH, HEIGHT]).all():
            ends.append((pixels + rng.normal(0, 0.2, (2, 2))).ravel())
    array = np.array(ends)
    return Segments2D(array, np.hypot(array[:, 2] - array[:, 0], array[:, 3] - array[:, 1]))


def angle(one: Float64Array, other: Float64Array) -> float:
    return float(np.degrees(np.arccos(np.clip(abs(one @ other), 0.0, 1.0))))


@pytest.mark.parametrize(("yaw", "pitch", "focal"), [(0.5, 0.12, 650.0), (0.75, -0.05, 500.0), (0.2, 0.25, 800.0)])
def test_the_camera_is_found_from_lines(yaw: float, pitch: float, focal: float) -> None:
    true = camera(yaw, pitch, focal)
    found = estimate_camera(drawn_lines(true), WIDTH, HEIGHT)
    assert min(angle(found.axes[0], true.axes[0]), angle(found.axes[0], true.axes[1])) < 1.5
    assert angle(found.axes[2], true.axes[2]) < 1.0
    assert found.focal == pytest.approx(focal, rel=0.1)
    assert found.confidence > 0.8


@pytest.mark.parametrize("seed", [8026, 8047, 8050, 9510])
def test_the_camera_of_a_rendered_room_is_found_among_many_that_fit_a_little_less(seed: int) -> None:
    """From one start the fit ended at 28.9, 2.0, 8.1 and 2.0 degrees; without narrowing down it ends at 0.8 in the third room."""
    (room,) = textures(range(seed, seed + 1))
    assert room.angle < 0.6 and room.scale < 0.05


def test_a_cross_in_the_middle_of_the_picture_has_a_camera() -> None:
    """Every line's middle is its own vanishing point: equations without a solution."""
    across = [[320 - r, 240, 320 + r, 240] for r in (100, 150, 200)]
    down = [[320, 240 - r, 320, 240 + r] for r in (50, 100, 150)]
    ends = np.array(across + down, np.float64)
    found = estimate_camera(Segments2D(ends, np.hypot(*(ends[:, 2:] - ends[:, :2]).T)), 640, 480)
    assert np.isfinite(found.axes).all() and np.isfinite(found.focal) and found.axes[2, 1] > 0.7


def test_without_lines_a_level_camera_of_no_confidence() -> None:
    found = estimate_camera(find_segments(np.full((300, 400, 3), 128, np.uint8)), 400, 300)
    assert found.confidence == 0.0
    assert found.axes[2] @ [0, 1, 0] == 1.0


def test_metres_on_the_floor_and_distance_of_a_wall() -> None:
    true = camera(0.0, 0.0)
    plane = horizontal_plane(true, False, 1.5)
    # Two points on the floor, 1 m apart across, 3 m in front of a level camera 1.5 m above it.
    pixels = np.array([[true.center[0] + 650 * x / 3.0, true.center[1] + 650 * 1.5 / 3.0, 1.0] for x in (0.0, 1.0)])
    metres = pixels @ plane.to_plane.T
    metres = metres[:, :2] / metres[:, 2:]
    assert np.linalg.norm(metres[1] - metres[0]) == pytest.approx(1.0, abs=1e-6)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[100:544, 200:700] = True
    across = (
        np.array([[300.0, 300.0, 1.0], [400.0, 300.0, 1.0]])
        @ wall_plane(true, mask, Segments2D(np.zeros((0, 4)), np.zeros(0)), 1.5).to_plane.T
    )
    across = across[:, :2] / across[:, 2:]
    # The foot at row 544 is 1.5 x 650 / 244 = 4.0 m away, where 100 pixels are 0.615 m.
    assert np.linalg.norm(across[1] - across[0]) == pytest.approx(0.615, abs=0.01)


def test_far_away_a_checkerboard_becomes_its_mean() -> None:
    board = (np.indices((64, 64)).sum(axis=0) // 8 % 2 * 255).astype(np.uint8)
    material = make_material(np.repeat(board[..., None], 3, axis=2), (1.0, 1.0), 0.0)
    near = sample_material(material, np.diag([1 / 64, 1 / 64, 1.0]), 0, 0, 32, 32)
    far = sample_material(material, np.diag([1.7, 1.7, 1.0]), 0, 0, 32, 32)
    assert near.std() > 0.4
    assert far.std() < 0.02
    assert far.mean() == pytest.approx(0.5, abs=0.02)


def textured(concept: str = "floor", **options: object) -> tuple[UInt8Array, EditReport]:
    photo, mask = wall_photo("#A8A04A", 240, 320)
    job = PhotoRequest(
        concepts=[ConceptQuery(name=concept, prompts=["x"])],
        outputs=[Output(name="out", edits=[Edit(concept=concept, rule=Texture.model_validate(options))])],
    )
    picture = np.full((64, 64, 3), 180, np.uint8)
    result = edit_photo(photo, segments(mask), job, [encode(picture)])
    return decode(result.files[0]), result.report.outputs[0].edits[0]


def test_light_is_kept_and_low_confidence_is_reported() -> None:
    edited, report = textured(attachment=0)
    assert report.geometry_confidence is not None and report.geometry_confidence < 0.4
    assert any("perspective" in warning for warning in report.warnings)
    light = decode_srgb(edited)[120, 60:260].mean(axis=1)
    assert light[10] > light[-10] * 1.1


def test_rotation_scale_and_offset_change_the_picture_and_mistakes_are_named() -> None:
    plain, _ = textured(texture="tile_square")
    for options in ({"rotation": 30.0}, {"scale": 2.0}, {"offset": (0.5, 0.0)}):
        assert (textured(texture="tile_square", **options)[0] != plain).any()
    with pytest.raises(UnknownNameError, match=r"unknown texture 'lava'; there is: carpet"):
        textured(texture="lava")
    with pytest.raises(EditError, match="not both"):
        textured(texture="carpet", attachment=0)
    with pytest.raises(EditError, match="attachment 5, but 1 were sent"):
        textured(attachment=5)


class Known(PhotoGeometry):
    """A photo whose camera is known."""

    def __init__(self, camera: RoomCamera) -> None:
        super().__init__(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        self.camera = camera


LIES = {
    "Floor": ("floor", True),
    "oak floor": ("floor", True),
    "floor-tiles": ("floor", True),
    "mat": ("floor", True),
    "Ceiling": ("ceiling", True),
    "wall_paint": ("wall", True),
    "Cabinet": ("wall", True),
    "Countertop": ("floor", False),
    "kitchen table": ("floor", False),
    "bed": ("floor", False),
    "Background": ("wall", False),
    "Tile": ("wall", False),
    "floor lamp": ("wall", False),
    "sofa": ("wall", False),
}


@pytest.mark.parametrize(("concept", "plane", "sure"), [(name, *rest) for name, rest in LIES.items()], ids=LIES)
def test_a_plane_is_told_by_the_concepts_name_and_a_mere_assumption_is_not_trusted(concept: str, plane: str, sure: bool) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[350:550, 200:700] = 255
    (surface,) = find_surfaces(photo, alpha, estimate_illuminant(photo))
    # Turned, so that one wall faces the camera.
    ((found, _),) = Known(camera(yaw=0.05)).planes(concept, surface, OAK)
    assert found.kind == plane
    assert (found.confidence >= MIN_CONFIDENCE) is sure


def test_a_table_top_is_nearer_to_the_camera_than_the_floor() -> None:
    photo = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    (surface,) = find_surfaces(photo, np.full((HEIGHT, WIDTH), 255, np.uint8), estimate_illuminant(photo))
    floor, table = (Known(camera()).planes(name, surface, OAK)[0][0].to_plane for name in ("floor", "table"))

    def metres(to_plane: Float64Array) -> float:
        """Of 100 photo pixels."""
        points = np.array([[400.0, 500.0, 1.0], [500.0, 500.0, 1.0]]) @ to_plane.T
        return float(np.linalg.norm(np.diff(points[:, :2] / points[:, 2:], axis=0)))

    assert metres(table) == pytest.approx(metres(floor) / 2)


def test_what_is_not_known_to_lie_on_a_plane_is_warned_of() -> None:
    _, report = textured("Background", texture="oak_planks")
    assert any("its name does not tell how it lies" in warning for warning in report.warnings)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_very_long_pictures_and_extreme_sizes_are_laid() -> None:
    long = np.random.default_rng(0).integers(0, 256, (8, 40_000, 3), np.uint8)
    photo = long[:, :16_000].copy()
    rule = Texture(attachment=0, scale=0.001, size_m=0.001, offset=(1000.0, -1000.0))
    job = PhotoRequest(
        concepts=[ConceptQuery(name="floor", prompts=["floor"])],
        outputs=[Output(name="out", edits=[Edit(concept="floor", rule=rule)])],
        preview_size=0,
    )
    result = edit_photo(photo, segments(np.ones((8, 100), bool)), job, [encode(long)])
    edited = decode(result.files[0])
    assert edited.shape == photo.shape
    assert (edited != photo).mean() > 0.9


@pytest.mark.parametrize("bad", [{"scale": 1e-160}, {"size_m": 1e-200}, {"offset": (1e308, 0.0)}, {"offset": (0.0, float("nan"))}], ids=str)
def test_numbers_that_overflow_on_the_plane_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(bad))):
        Texture.model_validate({"texture": "oak_planks", **bad})
