"""The plan's arithmetic, checked against sums done by hand and against the specification's own example, and the command around it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import build_app
from respray.planning.errors import PlanError
from respray.planning.plan import UTILISATION, Load, make_plan
from respray.planning.stage_times import Price, StageTimes, measured, price_of, stated

_DOLLAR = Price(active=1.0, flex=1.0, source="test")
_TIMES = StageTimes(
    "test", encode=0.2, decode=0.05, cpu_photo=0.1, cpu_output=0.1, wait_photo=0.2, wait_output=0.1, price=_DOLLAR, source="test"
)


def test_the_specification_s_example_takes_eleven_seconds_by_its_own_formula() -> None:
    """10 images, 3 concepts, 2 rules: 9 s + 1 s + 2 s of overhead; the specification writes "about 11 s"."""
    plan = make_plan(Load(1000, concepts=3, rules=2, job_images=10), stated("a4000"))
    assert plan.spec_job == pytest.approx(12.0)
    assert plan.job_alone < plan.spec_job / 2


def test_pods_cost_and_latency_by_hand() -> None:
    """GPU 0.2 + 3 x 0.05 = 0.35 s a photo; 1 photo a second at the peak; 0.35 / 0.7 of a pod."""
    load = Load(86_400 / 3, concepts=3, rules=1, peak=3, job_images=1)
    plan = make_plan(load, _TIMES, cores=8, concurrency=4)
    assert plan.bound == "the GPU" and plan.per_pod == pytest.approx(1 / 0.35)
    assert plan.pods == 1 and plan.utilisation_at_peak == pytest.approx(0.35)
    assert plan.cost_per_day == 24 and plan.cost_per_1000 == pytest.approx(24 / 28.8)
    assert plan.cost_per_1000_scaled == pytest.approx(1000 * 0.35 / UTILISATION / 3600)
    assert 0.85 < plan.photo_latency < 0.85 + 0.35


def test_more_load_needs_more_pods_in_proportion() -> None:
    pods = [make_plan(Load(images, concepts=3), _TIMES).pods for images in (1e5, 1e6, 1e7)]
    assert pods == sorted(pods) and pods[2] == pytest.approx(10 * pods[1], rel=0.1)


@pytest.mark.parametrize(("cores", "concurrency", "bound"), [(8, 8, "the GPU"), (1, 64, "CPU cores"), (64, 1, "BATCH_CONCURRENCY")])
def test_slowest_part_bounds_a_pod(cores: int, concurrency: int, bound: str) -> None:
    times = StageTimes(
        "t", encode=0.05, decode=0.01, cpu_photo=0.3, cpu_output=0.1, wait_photo=0.1, wait_output=0.1, price=_DOLLAR, source="t"
    )
    assert make_plan(Load(1000, concepts=1), times, cores=cores, concurrency=concurrency).bound == bound


def test_concepts_cost_a_decoder_pass_and_not_an_encoder_pass() -> None:
    one, four = (make_plan(Load(1000, concepts=concepts), _TIMES).per_pod for concepts in (1, 4))
    assert one / four == pytest.approx((0.2 + 4 * 0.05) / (0.2 + 0.05))


def test_measured_times_are_medians_of_a_worker_s_events(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    lines: list[object] = [{"event": "worker", "status": "ready"}]
    for segment in (0.4, 0.5, 9.0):
        timings = {"download": 0.2, "decode": 0.05, "segment": segment, "matte": 0.1, "apply": 0.2, "encode": 0.2, "upload": 0.3}
        lines.append({"event": "item", "status": "completed", "timings": timings})
    lines.append({"event": "item", "status": "failed", "timings": {"segment": 100}})
    events.write_text("\n".join(map(json.dumps, lines)))
    times = measured(events, concepts=2, outputs=2, price=_DOLLAR)
    assert times.on_gpu(2) == pytest.approx(0.5)
    assert (times.cpu_photo, times.cpu_output, times.wait_photo) == pytest.approx((0.15, 0.2, 0.2))
    assert "medians of 3 photos" in times.source


def test_what_cannot_be_planned_is_refused_in_words(tmp_path: Path) -> None:
    for load, word in (((0, 3, 1), "images per day 0"), ((100, 17, 1), "concepts 17: accepted is 1 to 16"), ((100, 3, 0), "rules 0")):
        with pytest.raises(PlanError, match=word):
            Load(*load)
    with pytest.raises(PlanError, match="there are some for a100, a4000, h100"):
        stated("tpu")
    (tmp_path / "log").write_text("not json\n")
    with pytest.raises(PlanError, match="line 1 is not JSON"):
        measured(tmp_path / "log", 1, 1, _DOLLAR)
    (tmp_path / "log").write_text("{}\n")
    with pytest.raises(PlanError, match="no completed item"):
        measured(tmp_path / "log", 1, 1, _DOLLAR)


def test_every_stated_gpu_has_a_source_and_a_plan() -> None:
    for gpu in ("a4000", "rtx4080", "rtx5090", "a100", "h100"):
        times = stated(gpu)
        plan = make_plan(Load(10_000, concepts=3), times)
        assert times.source and plan.pods >= 1 and math.isfinite(plan.photo_latency)


def test_command_prints_a_table_and_json() -> None:
    runner, app = CliRunner(), build_app()
    shown = runner.invoke(app, ["plan", "--images-per-day", "100000", "--gpu", "a100"])
    assert shown.exit_code == 0 and "cost per 1,000 photos" in shown.output and "the specified formula" in shown.output
    document = json.loads(runner.invoke(app, ["plan", "--images-per-day", "100000", "--price", "2", "--json"]).output)
    assert document["times"]["price"] == {"active": 2.0, "flex": 2.0, "source": "--price"} and document["plan"]["pods"] >= 1


def test_prices_are_the_published_ones_and_say_where_from() -> None:
    price = price_of("L40S")
    assert (price.active, price.flex) == pytest.approx((0.00037 * 3600, 0.00053 * 3600))
    assert "docs.runpod.io" in price.source and "read 2026-" in price.source
    plan = make_plan(Load(86_400, concepts=3), stated("a100"))
    assert plan.cost_per_day == pytest.approx(plan.pods * 24 * 2.16), "all day on is what active workers cost"


def test_a_price_that_is_not_published_is_unknown_and_never_invented() -> None:
    runner, app = CliRunner(), build_app()
    shown = runner.invoke(app, ["plan", "--images-per-day", "1000", "--gpu", "rtx4080"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0 and "unknown: no price of rtx4080" in shown.output and "$" not in shown.output and "--price" in shown.output
    document = json.loads(runner.invoke(app, ["plan", "--images-per-day", "1000", "--gpu", "rtx4080", "--json"]).output)
    assert document["plan"]["cost_per_day"] is None and document["times"]["price"]["flex"] is None
    priced = json.loads(runner.invoke(app, ["plan", "--images-per-day", "1000", "--gpu", "rtx4080", "--price", "1", "--json"]).output)
    assert priced["plan"]["cost_per_day"] == 24


def test_measured_times_take_the_price_of_any_gpu_that_is_listed(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps({"event": "item", "status": "completed", "timings": {"segment": 0.1}}))
    arguments = ["plan", "--images-per-day", "1000", "--gpu", "l4", "--measured", str(events), "--json"]
    document = json.loads(CliRunner().invoke(build_app(), arguments).output)
    assert document["times"]["price"]["flex"] == pytest.approx(0.684)
