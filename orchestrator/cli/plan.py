"""`respray plan`: how many pods a load needs, what it costs, how long a photo takes."""

from __future__ import annotations

import dataclasses
import json as json_module
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from orchestrator.cli._tables import print_table
from orchestrator.errors import ResprayError
from respray.planning.errors import PlanError
from respray.planning.plan import Load, Plan, make_plan
from respray.planning.stage_times import Price, StageTimes, measured, price_of, stated


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def plan(
        images_per_day: Annotated[float, typer.Option(help="Photos a day.")],
        concepts: Annotated[int, typer.Option(help="Concepts per photo, protected ones included.")] = 3,
        rules: Annotated[int, typer.Option(help="Outputs per photo: rules, or a palette job's looks.")] = 1,
        gpu: Annotated[str, typer.Option(help="a4000, rtx4080, rtx5090, a100 or h100; with --measured any, for its price.")] = "a4000",
        price: Annotated[
            float | None,
            typer.Option(min=0.0, help="US dollars per pod and hour [Runpod's published price of the GPU, where it is known]."),
        ] = None,
        peak: Annotated[float, typer.Option(help="The busiest hour over the mean hour.")] = 3.0,
        job_images: Annotated[int, typer.Option(help="Photos per job.")] = 10,
        cores: Annotated[int, typer.Option(help="CPU cores of a pod.")] = 8,
        concurrency: Annotated[int, typer.Option(help="BATCH_CONCURRENCY.")] = 4,
        events: Annotated[Path | None, typer.Option("--measured", help="A worker's events, for its own stage times.")] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Plan pods, cost and latency from measured or stated stage times, with the specified formula beside them."""
        try:
            times = stated(gpu) if events is None else measured(events, concepts, rules, price_of(gpu))
            if price is not None:
                times = dataclasses.replace(times, price=Price(price, price, "--price"))
            load = Load(images_per_day, concepts, rules, peak, job_images)
            answer = make_plan(load, times, cores=cores, concurrency=concurrency)
        except PlanError as error:
            raise ResprayError(str(error)) from None
        if json:
            print(
                json_module.dumps(
                    {"times": dataclasses.asdict(times), "load": dataclasses.asdict(load), "plan": dataclasses.asdict(answer)}
                )
            )
        else:
            print_table(_table(load, times, answer))


def _table(load: Load, times: StageTimes, plan: Plan) -> Table:
    title = f"{load.images_per_day:,.0f} photos a day, {load.concepts} concepts, {load.rules} outputs, on {times.gpu} ({times.source})"
    table = Table("", "", title=title, title_justify="left", show_header=False)
    rows = {
        "one pod": f"{plan.per_pod:.2f} photos a second, limited by {plan.bound}",
        "load": f"{plan.mean_rate:.2f} a second in the mean, {plan.peak_rate:.2f} at the peak",
        "pods": f"{plan.pods}, {plan.utilisation_at_peak:.0%} busy at the peak",
        "a photo takes": f"{plan.photo_latency:.2f} s at the peak, from the queue to the callback",
        f"a job of {load.job_images} takes": f"{plan.job_latency:.1f} s at the peak",
        "cost per 1,000 photos": f"{_money(plan.cost_per_1000)} all day on, {_money(plan.cost_per_1000_scaled)} where pods follow the load",
        "cost per day": f"{_money(plan.cost_per_day)} all day on",
        "price": _price(times.price),
        "the specified formula": f"{plan.spec_job:.1f} s per job alone (here {plan.job_alone:.1f} s), {plan.spec_pods} pods",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _money(dollars: float | None) -> str:
    return "unknown" if dollars is None else f"${dollars:.2f}"


def _price(price: Price) -> str:
    if price.active is None or price.flex is None:
        return f"unknown: {price.source}; give --price"
    return f"${price.active:.2f} an hour all day on, ${price.flex:.2f} where pods follow the load ({price.source})"
