"""Colours of both sides nearby: what the compiled loops answer is what their definition says, tile by tile and colour by colour."""

from __future__ import annotations

import numpy as np
import pytest

from respray.editing.mask.local_colours import ColourParameters, log_ratio
from respray.imaging.arrays import BoolArray, Float64Array, IntArray

SMALL = ColourParameters(lightness_bins=4, chroma_bins=2, tile=8.0, min_pixels=20.0)


def defined(bins: IntArray, sides: tuple[BoolArray, BoolArray], cell: float, p: ColourParameters) -> Float64Array:
    """`log_ratio` of every pixel, in float64 and without any loop that is spared."""
    step = p.tile * cell
    rows, columns = (int(side / step) + 1 for side in bins.shape)
    shape = (p.lightness_bins, p.chroma_bins, p.chroma_bins)
    count = int(np.prod(shape))
    odds = np.zeros((rows, columns, count))
    tile_of = [(np.arange(side) / step).astype(int) for side in bins.shape]
    for side, (floor, sign) in zip(sides, zip(p.floors, (1.0, -1.0), strict=True), strict=True):
        found = np.zeros((rows, columns, count))
        ys, xs = np.nonzero(side)
        np.add.at(found, (tile_of[0][ys], tile_of[1][xs], bins[ys, xs]), 1.0)
        for row in range(rows):
            for column in range(columns):
                near = np.zeros(count)
                for r in range(max(row - 1, 0), min(row + 2, rows)):
                    for c in range(max(column - 1, 0), min(column + 2, columns)):
                        near += found[r, c] * p.beside ** (abs(r - row) + abs(c - column))
                seen = near.reshape(shape)
                for axis in (0, 0, 1, 2):
                    wide = np.pad(seen, [(1, 1) if a == axis else (0, 0) for a in range(3)])
                    before, here, after = (wide.take(range(k, k + shape[axis]), axis) for k in range(3))
                    seen = 0.25 * before + 0.5 * here + 0.25 * after
                total = seen.sum()
                odds[row, column] += sign * np.log((seen.ravel() + floor / count * max(total, p.min_pixels)) / (total + 1.0))
    places = [np.clip(np.arange(side) / step - 0.5, 0, tiles - 1) for side, tiles in zip(bins.shape, (rows, columns), strict=True)]
    answer = np.zeros(bins.shape)
    for (y, x), colour in np.ndenumerate(bins):
        down, over = places[0][y], places[1][x]
        for row in {int(down), min(int(down) + 1, rows - 1)}:
            for column in {int(over), min(int(over) + 1, columns - 1)}:
                weight = max(0.0, 1.0 - abs(down - row)) * max(0.0, 1.0 - abs(over - column))
                answer[y, x] += weight * odds[row, column, colour]
    return answer


@pytest.mark.parametrize("floors", [(0.1, 1.0), (0.3, 0.3)])
def test_the_ratio_is_that_of_its_definition_wherever_it_is_asked_for(floors: tuple[float, float]) -> None:
    random = np.random.default_rng(7)
    parameters = ColourParameters(**{**vars(SMALL), "floors": floors})
    bins = random.integers(0, 16, (37, 53)).astype(np.int32)
    bins[:, 30:] //= 5
    sides = np.zeros((37, 53), bool), np.zeros((37, 53), bool)
    sides[0][:, :22] = True
    sides[1][5:, 30:48] = True
    expected = defined(bins, sides, 1.0, parameters)
    everywhere = log_ratio(bins, sides, np.arange(bins.size), 1.0, parameters)
    np.testing.assert_allclose(everywhere.reshape(bins.shape), expected, atol=2e-5)
    few = random.permutation(bins.size)[:9]
    np.testing.assert_array_equal(log_ratio(bins, sides, few, 1.0, parameters), everywhere[few])
