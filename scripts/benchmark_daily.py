"""Measure the daily job at the size of a market.

    .venv/bin/python scripts/benchmark_daily.py [BARS.parquet]

Loads daily bars of 500 symbols but for the last days, into an embedded server
of its own, in a `SWIFTBOLT_HOME` that is thrown away; builds, trains them all
and runs once; `--quickly` trains five symbols and copies their versions to the
others, which a run cannot tell from trained ones. Then each round loads one
more day, runs, and runs again with nothing new. On two cores, medians of three:

| figure | measures |
| --- | --- |
| `daily_cycle_seconds` | `swiftbolt ingest bars` of one day and `swiftbolt \
run` after it, each from the start of Python to its exit |
| `load_seconds_one_day` | of these, the first |
| `build_seconds` | its job `build`: dbt, with all tests and audits |
| `tests_and_audits_seconds` | the share of tests in that; at each moment time \
is divided evenly among the nodes that run |
| `validate_seconds` | from the end of `build` to the start of `forecast`: the \
Great Expectations gate, its imports and its pages |
| `forecast_seconds` | the job `forecast` |
| `drift_seconds` | the job `check-drift` |
| `noop_run_seconds` | `swiftbolt run` once more, with nothing new |

All parts are of the very run that `daily_cycle_seconds` measures: jobs are read
from `ml.job_runs`, nodes from what dbt returned in that process; what they
leave over is Python's start and exit. The table also has the processor time of
a day, of Python and of the server, which says more than the clock where other
work shares the cores, and below it the slowest nodes of the last day.

Each figure is also a line `RESULT name value`.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from benchmarking import (
    DATA_VARIABLE,
    DEFAULT_FILE,
    Figures,
    checkpoint,
    find_files,
    go_when_told,
    keep_to_two_cores,
    load,
    machine_load,
    positive,
    read_bars,
    run_python,
    say,
    server_seconds,
    settle,
    throwaway_settings,
)
from copied_versions import train_all

from python_ml.exceptions import IngestionError, SwiftBoltError
from python_ml.warehouse.connection import Warehouse, open_warehouse

N_SYMBOLS = 500
FIRST_DATE = date(2015, 1, 1)
N_SLOWEST = 15
# A look at all processes takes some milliseconds of what is measured.
MEMORY_SECONDS = 0.25
CLI = ("-m", "python_ml.cli")
RUN_SCRIPT = Path(__file__).with_name("run_with_node_times.py")

CYCLE = "one day: load and run"
LOAD = "load"
BUILD = "build"
TESTS = "tests and audits, in the build"
VALIDATE = "validate"
FORECAST = "forecast"
DRIFT = "check drift"
NOOP = "run with nothing new"
REST = "start and exit of Python, imports"
PYTHON = "one day, processor time of Python"
SERVER = "one day, processor time of the server"
MEMORY = "peak memory, run"
TRAIN = "train all, once"
RESULTS = {
    "daily_cycle_seconds": CYCLE,
    "load_seconds_one_day": LOAD,
    "build_seconds": BUILD,
    "tests_and_audits_seconds": TESTS,
    "validate_seconds": VALIDATE,
    "forecast_seconds": FORECAST,
    "drift_seconds": DRIFT,
    "noop_run_seconds": NOOP,
}


@dataclass(frozen=True)
class Node:
    """A dbt node while it was run; times in seconds since the epoch."""

    name: str
    is_test: bool
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """Wall time."""
        return self.ended - self.started


@dataclass(frozen=True)
class Run:
    """One `swiftbolt run`."""

    seconds: float
    peak_mb: float
    parts: Mapping[str, float]
    nodes: Sequence[Node]


def main() -> int:
    """Parse, measure, print."""
    keep_to_two_cores()
    go_when_told()
    arguments = parse_arguments()
    figures = Figures()
    try:
        found = find_files([arguments.bars] if arguments.bars else [])
        bars = take_bars(
            read_bars(found[0]),
            n_symbols=arguments.symbols,
            first_date=arguments.first_date,
            rounds=arguments.rounds,
        )
        with (
            throwaway_settings() as settings,
            open_warehouse(settings) as warehouse,
        ):
            measure(
                warehouse,
                bars,
                arguments.rounds,
                figures,
                is_quick=arguments.quickly,
            )
    except SwiftBoltError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    figures.report(RESULTS)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Measure the daily job at the size of a market.",
        epilog="Example: scripts/benchmark_daily.py --symbols 50 --rounds 1",
    )
    parser.add_argument(
        "bars",
        nargs="?",
        type=Path,
        metavar="BARS.parquet",
        help="file with the columns symbol, timeframe, ts (UTC, bar open; "
        "00:00 of the date for d1), open, high, low, close, volume; by "
        f"default {DEFAULT_FILE} in ${DATA_VARIABLE}",
    )
    parser.add_argument(
        "--symbols",
        type=positive,
        default=N_SYMBOLS,
        metavar="N",
        help=f"use the first N symbols, by default {N_SYMBOLS}",
    )
    parser.add_argument(
        "--from",
        dest="first_date",
        type=date.fromisoformat,
        default=FIRST_DATE,
        metavar="DATE",
        help=f"use bars from then on, by default {FIRST_DATE}",
    )
    parser.add_argument(
        "--rounds",
        type=positive,
        default=3,
        metavar="N",
        help="days to measure, by default 3",
    )
    parser.add_argument(
        "--quickly",
        action="store_true",
        help="train few symbols and copy their versions to the others",
    )
    return parser.parse_args()


def take_bars(
    bars: pl.DataFrame, *, n_symbols: int, first_date: date, rounds: int
) -> pl.DataFrame:
    """Keep the daily bars of the first symbols, from a date on."""
    symbols = bars["symbol"].unique().sort().head(n_symbols)
    first = datetime.combine(first_date, datetime.min.time(), UTC)
    taken = bars.filter(
        pl.col("symbol").is_in(symbols.implode()),
        pl.col("timeframe") == "d1",
        pl.col("ts") >= first,
    )
    n_days = taken["ts"].n_unique()
    if n_days <= rounds:
        raise IngestionError(
            f"There are daily bars of {n_days} days from "
            f"{first_date} on; {rounds} rounds need more. "
            "Name an earlier date with --from, or fewer --rounds."
        )
    return taken


def measure(
    warehouse: Warehouse,
    bars: pl.DataFrame,
    rounds: int,
    figures: Figures,
    *,
    is_quick: bool,
) -> None:
    """Prepare the warehouse, then measure one day after the other."""
    days = bars["ts"].unique().sort()[-rounds:].to_list()
    earlier = bars.filter(pl.col("ts") < days[0])
    prepare(warehouse, earlier, figures, is_quick=is_quick)
    run: Run | None = None
    for day in days:
        checkpoint(warehouse)
        of_day = bars.filter(pl.col("ts") == day)
        run = measure_day(warehouse, of_day, figures)
        checkpoint(warehouse)
        again = run_daily(warehouse)
        figures.add(NOOP, again.seconds)
        say(
            f"{day:%Y-%m-%d}: {figures.runs[CYCLE][-1]:.1f} s with "
            f"{len(of_day)} new bars, {again.seconds:.1f} s with none"
        )
    if run is not None:
        figures.notes += describe_slowest(run.nodes)
    figures.notes += [
        describe_size(warehouse),
        f"load of the machine: {machine_load()}",
    ]


def prepare(
    warehouse: Warehouse,
    bars: pl.DataFrame,
    figures: Figures,
    *,
    is_quick: bool,
) -> None:
    """Load and build all earlier days, train on them and forecast."""
    say(f"loading {len(bars)} bars of {bars['symbol'].n_unique()} symbols")
    load(warehouse, bars)
    settle(warehouse, "raw")
    say("building")
    run_python(warehouse, [*CLI, "build"], sample_seconds=MEMORY_SECONDS)
    settle(warehouse, "features")
    started = time.perf_counter()
    train_all(warehouse, is_quick=is_quick, sample_seconds=MEMORY_SECONDS)
    figures.add(TRAIN, time.perf_counter() - started)
    say("running for the first time")
    run_daily(warehouse)


def measure_day(
    warehouse: Warehouse, bars: pl.DataFrame, figures: Figures
) -> Run:
    """Load one day and run."""
    server_before = server_seconds(warehouse.settings)
    used_before = sum(os.times()[2:4])
    started = time.perf_counter()
    load(warehouse, bars)
    loaded = time.perf_counter() - started
    run = run_daily(warehouse)
    figures.add(CYCLE, loaded + run.seconds)
    figures.add(LOAD, loaded)
    for name, seconds in run.parts.items():
        figures.add(name, seconds)
    figures.add(PYTHON, sum(os.times()[2:4]) - used_before)
    figures.add(SERVER, server_seconds(warehouse.settings) - server_before)
    figures.add(MEMORY, run.peak_mb, "MB")
    return run


def run_daily(warehouse: Warehouse) -> Run:
    """Run `swiftbolt run` and take it apart."""
    path = warehouse.settings.home / "nodes.json"
    started = time.perf_counter()
    peak, _ = run_python(
        warehouse,
        [str(RUN_SCRIPT), str(path)],
        sample_seconds=MEMORY_SECONDS,
    )
    seconds = time.perf_counter() - started
    nodes = [Node(**node) for node in json.loads(path.read_text())]
    jobs = read_last_jobs(warehouse)
    begin, built = jobs["build"]
    forecasting, forecast = jobs["forecast"]
    checking, checked = jobs["check-drift"]
    parts = {
        BUILD: built - begin,
        TESTS: share_of_tests(nodes),
        VALIDATE: forecasting - built,
        FORECAST: forecast - forecasting,
        DRIFT: checked - checking,
    }
    parts[REST] = seconds - sum(
        part for name, part in parts.items() if name != TESTS
    )
    return Run(seconds, peak, parts, nodes)


def read_last_jobs(warehouse: Warehouse) -> dict[str, tuple[float, float]]:
    """Start and end of the last run of each job, seconds since the epoch."""
    query = """
        select distinct on (job) job, started_at, finished_at
        from {ml}.job_runs
        where status = 'succeeded'
        order by job, job_run_id desc
    """
    with warehouse.begin() as connection:
        found = connection.execute(sa.text(warehouse.sql(query))).all()
    return {
        job: (started.timestamp(), finished.timestamp())
        for job, started, finished in found
    }


def share_of_tests(nodes: Sequence[Node]) -> float:
    """Wall time of the nodes that are tests.

    At each moment it is divided evenly among all nodes that run.

    Examples
    --------
    >>> share_of_tests([Node("a", False, 0, 4), Node("b", True, 2, 6)])
    3.0
    """
    times = sorted(
        {time for node in nodes for time in (node.started, node.ended)}
    )
    share = 0.0
    for begin, end in itertools.pairwise(times):
        running = [node for node in nodes if node.started <= begin < node.ended]
        if running:
            n_tests = sum(node.is_test for node in running)
            share += (end - begin) * n_tests / len(running)
    return share


def describe_slowest(nodes: Sequence[Node]) -> list[str]:
    """Lines that name the nodes which took longest, beside others."""
    slowest = sorted(nodes, key=lambda node: -node.seconds)[:N_SLOWEST]
    return [
        "slowest nodes of the last day, s:",
        *(f"{node.seconds:>8.2f}  {node.name}" for node in slowest),
    ]


def describe_size(warehouse: Warehouse) -> str:
    """How many series and horizons are live and how much they rest on."""
    query = """
        select
            (select count(*) from {features}.bars),
            (
                select count(distinct (symbol_id, timeframe))
                from {ml}.deployments
            ),
            (select count(*) from {ml}.forecasts)
    """
    with warehouse.begin() as connection:
        n_bars, n_series, n_forecasts = connection.execute(
            sa.text(warehouse.sql(query))
        ).one()
    return (
        f"{n_bars:,} bars, {n_series} series deployed, {n_forecasts:,} "
        "forecasts in the ledger"
    )


if __name__ == "__main__":
    sys.exit(main())
