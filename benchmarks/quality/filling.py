"""Fillings against what was there: holes cut into walls and floors, and furniture taken out of rooms that are rendered again without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import cv2
import numpy as np

from benchmarks.quality.cases import camera
from benchmarks.quality.metrics import psnr
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Remove
from respray.editing.apply import edit_photo
from respray.editing.fill.inpaint import FillParameters, fill, hole_of
from respray.editing.mask.select import Segments
from respray.imaging.arrays import BoolArray, UInt8Array
from respray.imaging.decode import decode
from respray.imaging.encode import encode
from training import scenes

HOLE_RADIUS = (15, 50)
# What people take out of a room, and how much of the photo it may cover.
FURNITURE = ("sofa", "bed", "table", "cabinet", "chair", "plant")
COVERAGE = (0.015, 0.2)
# A pixel shows another thing when its depth differs by more than this (metres).
OTHER_DEPTH = 1e-3


@dataclass(frozen=True)
class HoleRow:
    """PSNR (dB) inside one hole by method."""

    seed: int
    concept: str
    ours: float
    telea: float
    navier_stokes: float


@dataclass(frozen=True)
class RemovalRow(HoleRow):
    """One piece of furniture removed; `unaided`: ours when nobody says what is floor."""

    unaided: float
    pictures: dict[str, UInt8Array] = field(repr=False, compare=False)

    def numbers(self) -> dict[str, object]:
        """Everything but the pictures."""
        return {key: value for key, value in asdict(self).items() if key != "pictures"}


def holes(seeds: range, width: int = 600, height: int = 400) -> list[HoleRow]:
    """Cut an ellipse out of the middle of walls and floors and fill it."""
    rows = []
    for seed in seeds:
        scene = scenes.render(scenes.sample_room(seed), width, height)
        for concept in ("wall", "floor"):
            depth = cv2.distanceTransform(scene.masks[concept].astype(np.uint8), cv2.DIST_L2, 5)
            y, x = (int(v) for v in np.unravel_index(int(depth.argmax()), depth.shape))
            radius = int(min(float(depth.max()) * 0.8, HOLE_RADIUS[1]))
            if radius < HOLE_RADIUS[0]:
                continue
            drawn = cv2.ellipse(np.zeros((height, width), np.uint8), (x, y), (radius, int(radius * 0.8)), 20, 0, 360, (1,), -1)
            hole = np.asarray(drawn) > 0
            ours = psnr(fill(scene.photo, hole), scene.photo, hole)
            rows.append(HoleRow(seed, concept, ours, *_classical(scene.photo, scene.photo, hole)))
    return rows


def removals(seeds: range, width: int = 600, height: int = 400) -> list[RemovalRow]:
    """Remove the largest piece of furniture from every room that has one, through the applier's own entry point."""
    rows = []
    for seed in seeds:
        room = scenes.sample_room(seed)
        sensor = camera(scenes.render(room, 96, 64))
        scene = scenes.render(room, width, height, sensor=sensor)
        found = max(_furniture(room, scene), key=lambda item: float(item[1].mean()), default=None)
        if found is None:
            continue
        concept, mask, empty = found
        truth = scenes.develop(empty.linear, sensor, scene.exposure, room.seed)
        ours, unaided = (_removed(scene.photo, masks) for masks in ({concept: mask, "floor": scene.masks["floor"]}, {concept: mask}))
        hole = hole_of(mask.astype(np.uint8) * np.uint8(255))
        pictures = {"photo": scene.photo, "ours": ours, "truth": truth}
        classical = _classical(scene.photo, truth, hole)
        rows.append(RemovalRow(seed, concept, psnr(ours, truth, hole), *classical, psnr(unaided, truth, hole), pictures))
    return rows


def _furniture(room: scenes.RoomSpec, scene: scenes.Scene) -> Iterator[tuple[str, BoolArray, scenes.Scene]]:
    """Name, mask and empty room of every piece of furniture of a usable size."""
    height, width = scene.depth.shape
    for instance in np.unique(room.instance_of):
        concept = scenes.CONCEPTS[int(np.bincount(room.concept_of[room.instance_of == instance]).argmax())]
        if concept not in FURNITURE:
            continue
        empty = scenes.render(scenes.without(room, int(instance)), width, height)
        mask = np.abs(empty.depth - scene.depth) > OTHER_DEPTH
        if COVERAGE[0] < float(mask.mean()) < COVERAGE[1]:
            yield concept, mask, empty


def _removed(photo: UInt8Array, masks: dict[str, BoolArray]) -> UInt8Array:
    """The photo without the first concept; all masks are the user's."""
    concepts = [ConceptQuery(name=name, prompts=[name], mask_attachment=number, aid=number > 0) for number, name in enumerate(masks)]
    edit = Edit(concept=concepts[0].name, rule=Remove(mode="inpaint"))
    request = PhotoRequest(concepts=concepts, outputs=[Output(name="out", edits=[edit])], preview_size=0)
    attached = [encode(mask.astype(np.uint8) * np.uint8(255), "png") for mask in masks.values()]
    return decode(edit_photo(photo, Segments.empty(), request, attached).files[0])


def _classical(photo: UInt8Array, truth: UInt8Array, hole: BoolArray) -> tuple[float, float]:
    """PSNR of OpenCV's two methods."""
    telea, stokes = (
        cv2.inpaint(photo, hole.astype(np.uint8), FillParameters().telea_radius, method) for method in (cv2.INPAINT_TELEA, cv2.INPAINT_NS)
    )
    return psnr(np.asarray(telea), truth, hole), psnr(np.asarray(stokes), truth, hole)
