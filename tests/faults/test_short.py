"""The fault table, short: every row with real processes and few images. `make faults` is the long one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.faults import rows
from tests.faults.stage import Outcome, Stage, find_graphs

pytestmark = pytest.mark.server

SHORT: dict[str, Callable[[Stage], Outcome]] = {
    "triton killed": partial(rows.triton_killed, images=8, kills=1),
    "redis restarted": partial(rows.redis_restarted, jobs_count=2, images=4, restarts=1),
    "s3 broken": partial(rows.s3_broken, images=6),
    "receiver down": partial(rows.receiver_down, images=4),
    "delivered twice": partial(rows.delivered_twice, images=6),
    "worker killed": partial(rows.worker_killed, images=8, kills=3),
    "many jobs": partial(rows.many_jobs, jobs_count=30, workers=2, kills=1),
}
# Workers that die in a row, and the photos that each may have been telling of just then.
DEATHS = {"worker killed": 3, "many jobs": 1}
IN_HAND = 2


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with a Triton of its own: it is killed here."""
    try:
        find_graphs()
    except FileNotFoundError as error:
        pytest.fail(str(error))
    built = Stage(tmp_path_factory.mktemp("faults"))
    yield built
    built.close()


@pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.slow) if row == "many jobs" else row for row in SHORT])
def test_everything_comes_out_right(stage: Stage, row: str) -> None:
    outcome = SHORT[row](stage)
    assert outcome.right, outcome
    deaths = DEATHS.get(row, 0)
    assert outcome.repeats <= max(2, deaths * IN_HAND), "the same event again only where a worker died between telling and writing it down"
