"""Materials against rendered rooms: direction of a floor, walls that meet, a rug on the floor, a paint's sheen.

python -m benchmarks.quality.materials            # 8 rooms, about two minutes
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from benchmarks.quality.cases import camera, repainted, usable_surfaces
from benchmarks.quality.geometry import MIN_FLOOR_SHARE, floor_points, grid_angle, true_camera
from benchmarks.quality.metrics import exposure_between
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Quad, Recolor, Rule, Sheen, Texture
from respray.editing.apply import edit_photo
from respray.editing.core.color import LUMINANCE, decode_srgb, delta_e_2000, linear_to_lab, srgb8_to_lab
from respray.editing.mask.select import Segments
from respray.editing.texture.camera import RoomCamera, estimate_camera
from respray.editing.texture.corners import find_facets
from respray.editing.texture.lines import find_segments
from respray.editing.texture.plane import Plane, find_along, horizontal_plane, wall_plane
from respray.imaging.arrays import BoolArray, Float64Array, IntArray, UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode
from training import scenes

FIRST_SEED, WIDTH, HEIGHT = 9500, 900, 600
# A room less elongated than this has no longer axis that anybody would name.
MIN_LONGER = 1.15
# Shares of all wall pixels below which a wall is not counted, and cosine from which on two normals are the same.
MIN_WALL_SHARE, SAME_NORMAL = 0.03, 0.9
# Pixels; a corner that is nearer to the true one than this is found.
NEAR_CORNER = 3.0
# Metres, half of the rug's sides; its height in the room is the floor's.
RUG = (0.9, 0.6)
# Highlights are looked at where they are at least this share of the light, on at least so many pixels.
MIN_HIGHLIGHT, MIN_PIXELS = 0.12, 300
SHEEN_COLOR = "#A4573D"


@dataclass(frozen=True)
class DirectionRow:
    """A floor: error of the grid's directions (degrees in the picture), the room's longer side over its other, whether `along` is it."""

    seed: int
    angle: float
    longer: float
    right: bool


@dataclass(frozen=True)
class CornerRow:
    """Walls: how many are seen and found; share of their pixels whose plane faces the right way, of ours and of one plane for all; for each
    corner found how far it is from a true one, and the largest step of level joints at the true one (pixels)."""

    seed: int
    seen: int
    found: int
    right: float
    right_one: float
    corner_px: list[float]
    joint_px: list[float]


@dataclass(frozen=True)
class RugRow:
    """A rug: CIEDE2000 to the truth after one exposure factor, of ours and of the picture pasted in perspective without the floor's light;
    pixels changed that are further than one pixel from it."""

    seed: int
    ours: float
    pasted: float
    leaked: int


@dataclass(frozen=True)
class SheenRow:
    """A glossy surface: how much brighter its highlights are than the rest of it, 0 = as in the truth without, 1 = with highlights; where
    the photo's are kept (`as it is`), and by `sheen`."""

    seed: int
    concept: str
    colored: bool
    energy: dict[str, float]


@dataclass(frozen=True)
class Materials:
    """All that was measured of some rooms."""

    floors: Sequence[DirectionRow] = ()
    walls: Sequence[CornerRow] = ()
    rugs: Sequence[RugRow] = ()
    sheens: Sequence[SheenRow] = ()


def run(seeds: Sequence[int]) -> Materials:
    """Measure rooms."""
    return Materials(list(directions(seeds)), list(corners(seeds)), list(rugs(seeds)), list(sheens(seeds)))


def directions(seeds: Sequence[int]) -> Iterator[DirectionRow]:
    """`along` and the true axes of every room whose floor is seen."""
    for seed in seeds:
        room, scene = _rendered(seed)
        mask = scene.plane_masks["floor"]
        if mask.mean() < MIN_FLOOR_SHARE:
            continue
        found, true = estimate_camera(find_segments(scene.photo), WIDTH, HEIGHT), true_camera(scene.camera)
        plane = find_along(horizontal_plane(found, False, room.eye[2]), found, mask, True)
        # The plane's u and v in the photo, and which of the true axes is nearest to "along".
        turn = np.radians(plane.along)
        inverse = np.linalg.inv(plane.to_plane)
        direction = inverse[:, 0] * np.cos(turn) + inverse[:, 1] * np.sin(turn)
        ray = np.linalg.inv(found.matrix) @ direction
        longest = true.axes[int(np.argmax(room.size[:2]))]
        right = abs(float(ray @ longest)) / float(np.linalg.norm(ray)) > np.sqrt(0.5)
        sides = sorted(room.size[:2])
        yield DirectionRow(seed, grid_angle(found, true, floor_points(scene, seed)), sides[1] / sides[0], bool(right))


def corners(seeds: Sequence[int]) -> Iterator[CornerRow]:
    """Walls of every room, from exact masks."""
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for seed in seeds:
        room, scene = _rendered(seed)
        mask, true = scene.masks["wall"], true_camera(scene.camera)
        normals = {"wall_x0": -true.axes[0], "wall_x1": true.axes[0], "wall_y0": -true.axes[1], "wall_y1": true.axes[1]}
        own = {name: scene.plane_masks[name] & mask for name in normals}
        total = sum(int(where.sum()) for where in own.values())
        if not total:
            continue
        lines = find_segments(scene.photo)
        found = estimate_camera(lines, WIDTH, HEIGHT)
        facets = find_facets(found, mask, lines, room.eye[2])
        number = np.zeros(mask.shape, np.int64)
        for index, facet in enumerate(facets):
            if facet.border is not None:
                number[facet.border[0] * xs + facet.border[1] * ys + facet.border[2] > 0.0] = index
        one = _normal(wall_plane(found, mask, lines, room.eye[2]), found)
        right_one = _right_share([one], np.zeros(mask.shape, np.int64), own, normals)
        right = _right_share([facet.normal for facet in facets], number, own, normals) if facets else right_one
        placed = [(facet.plane(found), facet.border) for facet in facets]
        met = [_meeting(before[0], after[0], after[1], room, scene) for before, after in pairwise(placed)]
        seen = sum(where.sum() > MIN_WALL_SHARE * total for where in own.values())
        yield CornerRow(seed, int(seen), max(1, len(facets)), right, right_one, [m[0] for m in met], [m[1] for m in met])


def rugs(seeds: Sequence[int]) -> Iterator[RugRow]:
    """A rug in the middle of every floor, over the truth: its picture times the light that the renderer found there."""
    picture = _rug_picture()
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    for seed in seeds:
        room, scene = _rendered(seed)
        floor = scene.masks["floor"]
        middle = _seen_middle(scene, floor)
        if middle is None:
            continue
        (x, y), (a, b) = middle, RUG
        ground = np.array([[x - a, y + b, 0.0], [x + a, y + b, 0.0], [x + a, y - b, 0.0], [x - a, y - b, 0.0]])
        if (((ground - scene.camera.position) @ scene.camera.rotation.T)[:, 2] < 0.1).any():
            continue
        corners_px = scene.camera.project(ground)
        quad = corners_px / (WIDTH, HEIGHT)
        if (quad < -1.0).any() or (quad > 2.0).any():
            continue
        to_floor = np.linalg.inv(scene.homographies["floor"])
        at = np.stack([xs, ys, np.ones_like(xs)], axis=-1) @ to_floor.T
        u = ((at[..., 0] / at[..., 2] - x + a) / (2 * a) * picture.shape[1] - 0.5).astype(np.float32)
        v = ((y + b - at[..., 1] / at[..., 2]) / (2 * b) * picture.shape[0] - 0.5).astype(np.float32)
        inside = (
            (u > -0.5) & (v > -0.5) & (u < picture.shape[1] - 0.5) & (v < picture.shape[0] - 0.5) & (at[..., 2] * at[HEIGHT - 1, 0, 2] > 0)
        )
        where = inside & floor
        if where.sum() < MIN_PIXELS:
            continue
        albedo = cv2.remap(decode_srgb(picture), u, v, cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        linear = np.where(where[..., None], albedo * scene.shading, scene.linear)
        truth = scenes.develop(linear, camera(scene), scene.exposure, room.seed)
        pasted = np.where(where[..., None], cv2.remap(picture, u, v, cv2.INTER_AREA), scene.photo)
        ours = _edited(scene.photo, "Floor", floor, Texture(attachment=1, quad=_quad(quad)), [encode(picture)])
        fair = where & (truth.max(axis=-1) < 250)
        near = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        leaked = int(((ours != scene.photo).any(axis=-1) & ~near).sum())
        yield RugRow(seed, _difference(ours, truth, fair), _difference(pasted, truth, fair), leaked)


def sheens(seeds: Sequence[int]) -> Iterator[SheenRow]:
    """Surfaces whose highlights are seen, in one new colour; the truth is that colour without them, and with them."""
    for seed in seeds:
        room, scene = _rendered(seed)
        for concept, mask in usable_surfaces(scene):
            own = scene.highlights @ LUMINANCE
            where = mask & (own > MIN_HIGHLIGHT * (scene.linear @ LUMINANCE)) & (scene.photo.max(axis=-1) < 250)
            if where.sum() < MIN_PIXELS:
                continue
            linear = repainted(room, scene, {concept: SHEEN_COLOR}, camera(scene))
            matt = linear - scene.highlights
            rest = mask & (own < MIN_HIGHLIGHT / 4.0 * (scene.linear @ LUMINANCE)) & (scene.photo.max(axis=-1) < 250)
            if rest.sum() < MIN_PIXELS:
                continue
            bare, full = (
                _contrast(scenes.develop(image, camera(scene), scene.exposure, room.seed), where, rest) for image in (matt, linear)
            )
            if full - bare < 0.05:
                continue
            energy: dict[str, float] = {}
            kinds: tuple[Sheen | None, ...] = (None, "matte", "satin", "gloss")
            for sheen in kinds:
                ours = _edited(scene.photo, concept, mask, Recolor(color=SHEEN_COLOR, sheen=sheen), [])
                energy[sheen or "as it is"] = (_contrast(ours, where, rest) - bare) / (full - bare)
            chroma = scene.albedo[mask].mean(axis=0)
            yield SheenRow(seed, concept, bool(chroma.max() > 2.0 * chroma.min()), energy)


@lru_cache(maxsize=32)
def _rendered(seed: int) -> tuple[scenes.RoomSpec, scenes.Scene]:
    room = scenes.sample_room(seed)
    sensor = camera(scenes.render(room, 96, 64))
    return room, scenes.render(room, WIDTH, HEIGHT, sensor=sensor)


def _normal(plane: Plane, found: RoomCamera) -> Float64Array:
    """A plane's unit normal in camera coordinates."""
    normal: Float64Array = (plane.to_plane @ found.matrix)[2]
    return normal


def _right_share(ways: list[Float64Array], number: IntArray, own: dict[str, BoolArray], normals: dict[str, Float64Array]) -> float:
    """Of the pixels of walls (by name, like their true normals), the share whose plane's normal, `ways[number]`, is the true one."""
    hits = sum(
        int((where & (number == i)).sum())
        for i, way in enumerate(ways)
        for name, where in own.items()
        if abs(float(way @ normals[name])) > SAME_NORMAL
    )
    return hits / sum(int(where.sum()) for where in own.values())


def _meeting(left: Plane, right: Plane, border: Float64Array | None, room: scenes.RoomSpec, scene: scenes.Scene) -> tuple[float, float]:
    """How far a corner is from the nearest true one, and the largest step of level joints at that one: pixels."""
    assert border is not None
    best = (float("inf"), float("inf"))
    for x, y in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        heights = np.linspace(0.4 * room.eye[2], room.size[2], 12)
        points = np.column_stack([np.full(12, x * room.size[0]), np.full(12, y * room.size[1]), heights])
        if (((points - scene.camera.position) @ scene.camera.rotation.T)[:, 2] < 0.05).any():
            continue
        at = np.column_stack([scene.camera.project(points), np.ones(12)])
        away = float(np.abs(at @ border).mean())
        one, other = (at @ plane.to_plane.T for plane in (left, right))
        level = one[:, 1] / one[:, 2], other[:, 1] / other[:, 2]
        per_pixel = np.abs(np.gradient(level[0])) / np.maximum(np.linalg.norm(np.gradient(at[:, :2], axis=0), axis=1), 1e-9)
        best = min(best, (away, float((np.abs(level[0] - level[1]) / np.maximum(per_pixel, 1e-9)).max())))
    return best


def _seen_middle(scene: scenes.Scene, floor: BoolArray) -> tuple[float, float] | None:
    """The middle of what is seen of a floor within four metres, metres; None where that is little."""
    rows, columns = np.nonzero(floor)
    at = np.column_stack([columns + 0.5, rows + 0.5, np.ones(len(rows))]) @ np.linalg.inv(scene.homographies["floor"]).T
    metres = at[:, :2] / at[:, 2:]
    near = metres[np.linalg.norm(metres - scene.camera.position[:2], axis=1) < 4.0]
    return (float(np.median(near[:, 0])), float(np.median(near[:, 1]))) if len(near) > 10 * MIN_PIXELS else None


def _rug_picture() -> UInt8Array:
    """A rug with a border and a field of squares."""
    picture = np.full((400, 600, 3), (150, 70, 60), np.uint8)
    cv2.rectangle(picture, (24, 24), (575, 375), (225, 210, 180), 10)
    for row in range(4):
        for column in range(7):
            colour = (50, 70, 110) if (row + column) % 2 else (170, 140, 90)
            cv2.rectangle(picture, (60 + 70 * column, 60 + 70 * row), (119 + 70 * column, 119 + 70 * row), colour, -1)
    return picture


def _quad(corners_at: Float64Array) -> Quad:
    first, second, third, fourth = ((float(x), float(y)) for x, y in corners_at)
    return first, second, third, fourth


def _edited(photo: UInt8Array, concept: str, mask: BoolArray, rule: Rule, attachments: list[bytes]) -> UInt8Array:
    request = PhotoRequest(
        concepts=[ConceptQuery(name=concept, prompts=[concept], mask_attachment=0)],
        outputs=[Output(name="out", edits=[Edit(concept=concept, rule=rule)])],
        preview_size=0,
    )
    drawn = encode(np.where(mask, np.uint8(255), np.uint8(0)))
    return decode(edit_photo(photo, Segments.empty(), request, [drawn, *attachments]).files[0])


def _difference(edit: UInt8Array, truth: UInt8Array, where: BoolArray) -> float:
    """Mean CIEDE2000 after one exposure factor."""
    factor = exposure_between(edit, truth, where)
    return float(delta_e_2000(linear_to_lab(decode_srgb(edit)[where] * factor), srgb8_to_lab(truth[where])).mean())


def _contrast(picture: UInt8Array, where: BoolArray, rest: BoolArray) -> float:
    """Log of the mean luminance of some pixels over that of others."""
    bright, dark = (float((decode_srgb(picture)[chosen] @ LUMINANCE).mean()) for chosen in (where, rest))
    return float(np.log(max(bright, 1e-4) / max(dark, 1e-4)))


def table(found: Materials) -> list[list[str]]:
    """A header, and what and how much."""
    return [["materials", "measured"], *([what, value] for what, value in _summary(found.floors, found.walls, found.rugs, found.sheens))]


def _summary(
    floors: Sequence[DirectionRow], walls: Sequence[CornerRow], laid: Sequence[RugRow], paints: Sequence[SheenRow]
) -> list[tuple[str, str]]:
    long = [row.right for row in floors if row.longer >= MIN_LONGER]
    several = [row for row in walls if row.seen > 1]
    away, steps = [v for row in walls for v in row.corner_px], [v for row in walls for v in row.joint_px]
    angles = [row.angle for row in floors]
    right, right_one = (_mean([getattr(row, name) for row in several]) for name in ("right", "right_one"))
    rows = [
        ("floors: error of the grid's directions, median and largest (degrees)", f"{_median(angles):.2f}, {max(angles, default=0.0):.2f}"),
        (f"... `along` is the longer side, of {len(long)} rooms with one", f"{sum(long)}"),
        (f"walls: pixels on a plane that faces right, {len(several)} rooms with corners (one plane)", f"{right:.3f} ({right_one:.3f})"),
        ("... rooms where as many walls are found as are seen", f"{sum(row.seen == row.found for row in walls)} of {len(walls)}"),
        (
            f"... {len(away)} corners: pixels to the true one, median; under 3 pixels",
            f"{_median(away):.1f}; {sum(v < NEAR_CORNER for v in away)}",
        ),
        ("... largest step of a level joint at the true corner, median (pixels)", f"{_median(steps):.1f}"),
        (
            f"rug on {len(laid)} floors: CIEDE2000, mean (pasted without the floor's light)",
            f"{_mean([row.ours for row in laid]):.2f} ({_mean([row.pasted for row in laid]):.2f})",
        ),
        ("... pixels changed beside it", f"{sum(row.leaked for row in laid)}"),
    ]
    for coloured in (True, False):
        chosen = [row for row in paints if row.colored is coloured]
        if chosen:
            shares = ", ".join(f"{name} {_median([row.energy[name] for row in chosen]):.2f}" for name in chosen[0].energy)
            kind = "coloured" if coloured else "pale"
            rows.append((f"sheen: highlights over the truth's, median of {len(chosen)} {kind} surfaces", shares))
    return rows


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=8, help="rendered rooms (default 8)")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help=f"first seed (default {FIRST_SEED})")
    parser.add_argument("--out", type=Path, default=Path("build/quality"), help="where materials.json goes")
    options = parser.parse_args()
    found = run(range(options.first, options.first + options.rooms))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "materials.json").write_text(json.dumps(asdict(found), indent=1))
    print("\n".join(f"{what}: {value}" for what, value in table(found)[1:]))


if __name__ == "__main__":
    main()
