"""The fast part of the quality suite: two rendered rooms, scored as `make quality` scores many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import filling, geometry, page, recolor, verdicts
from benchmarks.quality.cases import recolor_cases

SEEDS = range(9013, 9015)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[recolor.RecolorRow]:
    """Every measurable surface of the rooms, recoloured."""
    cache = tmp_path_factory.mktemp("rooms")
    found = recolor.run(recolor_cases(SEEDS, 360, 240, cache))
    # The second pass reads the cache and must see the same pictures.
    again = [case.name for case in recolor_cases(SEEDS, 360, 240, cache)]
    assert sorted(again) == sorted(row.name for row in found)
    return found


def test_ours_is_close_to_the_truth_and_ahead_of_every_shortcut(rows: list[recolor.RecolorRow]) -> None:
    table = recolor.summary(rows)
    ours = table.pop("ours")
    assert ours["mean"] < 4.5
    assert ours["raw_mean"] < 10.0
    assert all(ours["raw_mean"] < other["raw_mean"] for other in table.values())
    assert all(ours["mean"] < other["mean"] for other in table.values())


def test_nothing_leaks_and_mattes_beat_bilinear(rows: list[recolor.RecolorRow]) -> None:
    assert sum(row.leaked for row in rows) == 0
    assert sum(row.protected_changed for row in rows) == 0
    assert np.mean([row.matte["error"] for row in rows]) < np.mean([row.matte["error_bilinear"] for row in rows])


def test_the_page_and_the_table_are_written(rows: list[recolor.RecolorRow], tmp_path: Path) -> None:
    colours = recolor.summary(rows)
    grids, holes = [geometry.GeometryRow(1, 0.5, 0.02, 0.9)], [filling.HoleRow(1, "wall", 30.0, 29.0, 28.0)]
    facts = verdicts.verdicts(verdicts.Findings(rows, colours, grids, holes))
    index = page.write(tmp_path, facts, rows, page.table(colours))
    assert index.read_text().count("<img") == 3 * len(rows)
    assert len(list(tmp_path.glob("*.jpg"))) == 3 * len(rows)
    assert "Lab L-keep" in page.text(page.table(colours))
