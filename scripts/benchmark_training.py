"""Measure training at the size of a market.

    .venv/bin/python scripts/benchmark_training.py [BARS.parquet]

Loads the first 100 symbols of the bars into an embedded server of its own, in
a `SWIFTBOLT_HOME` that is thrown away, builds their features and measures on
two cores, alternating what is compared, medians of three:

| part | measures |
| --- | --- |
| `speed` | `swiftbolt train --all --jobs 2`, per series and horizon, against \
the plain recipe: a random forest of 200 trees 15 deep and an exact gradient \
boosting of 100 rounds 7 deep, one fit each |
| `double` | the same training of every other symbol, in a warehouse of its \
own |
| `retrain` | the same training of 170 symbols, once; where there are fewer, \
drawn on from the line through the two others |

A training is the whole command, from the start of Python to its exit: imports,
the cut, its validation, reading, fitting, weighing, refitting, saving,
recording and promotion. Rounds train as of one session after another, so that
each is a full retrain and from the second on every version is judged against
what is live.

The plain recipe is fitted in memory on rows that were read before: the fit
rows of the same cut, of the same horizons of some of the series (`--sample`,
spread evenly over all), in two processes that are warm, one thread each. Its
time is that of the whole sample over its series and horizons, as with the
training, so both are what two cores take.

`overhead_share` is the time of two cores that is not spent inside `fit` and
`predict_proba` of members, 1 - (sum over both processes) / (2 x wall time):
a core that waits for the other is overhead, too. Members note the time of each
call themselves (`estimator_clock/sitecustomize.py`), in the process that
started and its workers; the training is the same to the byte. The table also
has the share of the wall time in which no process was inside any, and the
processor time, which says more than the clock where other work shares the
cores.

Memory is the largest sum, over the process and its workers, of what is
resident; pages that they share count for each.

Each figure is also a line `RESULT name value`.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import polars as pl
from benchmarking import (
    DATA_VARIABLE,
    DEFAULT_FILE,
    N_CORES,
    Figures,
    checkpoint,
    every_other_symbol,
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
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from python_ml.examples.arrays import FIT
from python_ml.examples.catalog import read_feature_names
from python_ml.examples.cuts import (
    end_of_day,
    ensure_cuts,
)
from python_ml.examples.reading import read_examples
from python_ml.examples.series import (
    Series,
    resolve_series,
)
from python_ml.exceptions import NotEnoughDataError, SwiftBoltError
from python_ml.members.settings import RANDOM_STATE
from python_ml.settings import Settings
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.dbt import run_dbt

PARTS = ("speed", "double", "retrain")
N_SYMBOLS = 100
N_RETRAINED = 170
N_SAMPLE = 12
# Sessions between the as-of times of two rounds.
STEP = 5
CLOCK_FOLDER = Path(__file__).parent / "estimator_clock"
CLOCK_VARIABLE = "ESTIMATOR_CLOCK_FOLDER"
# A look at all processes takes some milliseconds of what is measured.
MEMORY_SECONDS = 0.25

OURS = "train, all series"
HALF = "train, every other series"
RETRAIN = "train, 170 series"
OURS_EACH = "train, per series and horizon"
PLAIN_EACH = "plain recipe, per series and horizon"
PLAIN = "plain recipe, sample"
OURS_PROCESSOR = "the same, processor time, server and all"
PLAIN_PROCESSOR = "the same of the plain recipe, processor time"
OVERHEAD = "not in estimators, of two cores"
OVERHEAD_PROCESSOR = "not in estimators, of the processor time"
IDLE = "no process in any estimator, of the wall time"
INSIDE = "inside {}, both processes"
SERVER = "train, processor time of the server"
BEFORE = "train, before the first fit"
AFTER = "train, after the last prediction"
MEMORY = "peak memory"


@dataclass(frozen=True)
class Call:
    """One `fit` or `predict_proba` of a member."""

    begin: float
    end: float
    processor_seconds: float
    what: str

    @property
    def seconds(self) -> float:
        """Wall time."""
        return self.end - self.begin


@dataclass(frozen=True)
class Training:
    """One run of `swiftbolt train`."""

    started: float
    ended: float
    processor_seconds: float
    server_seconds: float
    peak_mb: float
    n_series: int
    n_horizons: int
    calls: Sequence[Call]

    @property
    def seconds(self) -> float:
        """Wall time."""
        return self.ended - self.started

    @property
    def n_trained(self) -> int:
        """Series times horizons."""
        return self.n_series * self.n_horizons

    def report(self, figures: Figures) -> None:
        """Add shares and seconds of one run."""
        inside = sum(call.seconds for call in self.calls)
        used = sum(call.processor_seconds for call in self.calls)
        every = self.processor_seconds + self.server_seconds
        in_any = covered([(call.begin, call.end) for call in self.calls])
        add = figures.add
        add(OURS_EACH, self.seconds / self.n_trained)
        add(OURS_PROCESSOR, every / self.n_trained)
        add(OVERHEAD, 100 * (1 - inside / (N_CORES * self.seconds)), "%")
        add(OVERHEAD_PROCESSOR, 100 * (1 - used / every), "%")
        add(IDLE, 100 * (1 - in_any / self.seconds), "%")
        for what in ("fit", "predict_proba"):
            add(
                INSIDE.format(what),
                sum(call.seconds for call in self.calls if call.what == what),
            )
        add(SERVER, self.server_seconds)
        add(BEFORE, min(call.begin for call in self.calls) - self.started)
        add(AFTER, self.ended - max(call.end for call in self.calls))


def main() -> int:
    """Parse, measure, print."""
    keep_to_two_cores()
    go_when_told()
    arguments = parse_arguments()
    figures = Figures()
    try:
        found = find_files([arguments.bars] if arguments.bars else [])
        bars = read_bars(found[0])
        with throwaway_settings() as settings:
            Benchmark(settings, bars, arguments, figures).run()
    except SwiftBoltError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(figures.to_text())
    for name, value in results(figures).items():
        print(f"RESULT {name} {value:.4g}")
    for failure in figures.failures:
        print(f"Error: {failure}", file=sys.stderr)
    return 1 if figures.failures else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""

    def parts(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(PARTS):
            raise argparse.ArgumentTypeError(
                f"no part is called {', '.join(sorted(unknown))}; choose from "
                f"{', '.join(PARTS)}"
            )
        return chosen

    parser = argparse.ArgumentParser(
        description="Measure training at the size of a market.",
        epilog="Example: scripts/benchmark_training.py --symbols 20 --rounds 1",
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
        "--only",
        type=parts,
        default=list(PARTS),
        metavar="PART,...",
        help=f"some of {', '.join(PARTS)}; by default all",
    )
    parser.add_argument(
        "--symbols",
        type=positive,
        default=N_SYMBOLS,
        metavar="N",
        help=f"use the first N symbols, by default {N_SYMBOLS}; with another "
        f"number {N_RETRAINED} series are drawn on from these",
    )
    parser.add_argument(
        "--sample",
        type=positive,
        default=N_SAMPLE,
        metavar="N",
        help="series that the plain recipe is fitted on, by default "
        f"{N_SAMPLE}",
    )
    parser.add_argument(
        "--rounds",
        type=positive,
        default=3,
        metavar="N",
        help="runs of each figure, by default 3",
    )
    return parser.parse_args()


def results(figures: Figures) -> dict[str, float]:
    """Figures by the names under which they are compared over time."""
    found: dict[str, float] = {}
    if PLAIN_EACH in figures.runs:
        found["speedup_per_series_horizon"] = figures.median(
            PLAIN_EACH
        ) / figures.median(OURS_EACH)
    found["overhead_share"] = figures.median(OVERHEAD) / 100
    if RETRAIN in figures.runs:
        found["full_retrain_170_seconds"] = figures.median(RETRAIN)
    found["peak_mb"] = max(figures.runs[MEMORY])
    if HALF in figures.runs:
        found["double_series_time_ratio"] = figures.median(
            OURS
        ) / figures.median(HALF)
    return found


class Benchmark:
    """One run over all parts.

    Parameters
    ----------
    settings : Settings
        Of an empty home.
    bars : DataFrame
        Of all symbols there are.
    arguments : Namespace
        Of the command line.
    figures : Figures
        Where they go.
    """

    def __init__(
        self,
        settings: Settings,
        bars: pl.DataFrame,
        arguments: argparse.Namespace,
        figures: Figures,
    ) -> None:
        self.settings = settings
        self.bars = first_symbols(bars, arguments.symbols)
        self.all_bars = bars
        self.arguments = arguments
        self.figures = figures
        self.timeframes = sorted(self.bars["timeframe"].unique())
        self.as_ofs = last_dates(self.bars, arguments.rounds)

    def run(self) -> None:
        """Measure the parts."""
        parts = self.arguments.only
        with self._prepare("", self.bars) as warehouse:
            half = None
            n_symbols = self.bars["symbol"].n_unique()
            is_measured = (
                self.arguments.symbols == N_SYMBOLS
                and self.all_bars["symbol"].n_unique() >= N_RETRAINED
            )
            is_drawn_on = "retrain" in parts and not is_measured
            if ("double" in parts or is_drawn_on) and n_symbols > 1:
                half = self._prepare("half_", every_other_symbol(self.bars))
            for number, as_of in enumerate(self.as_ofs):
                arms: list[Callable[[], object]] = [
                    partial(self._train_all, warehouse, as_of)
                ]
                if half is not None:
                    arms.append(partial(self._train, half, as_of, HALF))
                for arm in arms if number % 2 == 0 else reversed(arms):
                    arm()
                if "speed" in parts:
                    self._fit_plainly(warehouse, as_of)
            if half is not None:
                half.close()
        if "retrain" in parts:
            if is_measured:
                self._retrain()
            elif half is not None:
                self._draw_on()
        self.figures.notes.append(f"load of the machine: {machine_load()}")

    def _prepare(self, prefix: str, bars: pl.DataFrame) -> Warehouse:
        """Load bars into a warehouse and build what trainings need."""
        say(f"loading {len(bars)} bars of {bars['symbol'].n_unique()} symbols")
        warehouse = open_warehouse(
            Settings(
                self.settings.project_root,
                self.settings.home,
                self.settings.target,
                schema_prefix=prefix,
            )
        )
        load(warehouse, bars)
        settle(warehouse, "raw")
        started = time.perf_counter()
        run_dbt(warehouse, ["seed"])
        run_dbt(warehouse, ["run"])
        settle(warehouse, "features")
        say(f"built in {time.perf_counter() - started:.0f} s")
        return warehouse

    def _train_all(self, warehouse: Warehouse, as_of: date) -> None:
        self._train(warehouse, as_of, OURS).report(self.figures)

    def _retrain(self) -> None:
        with self._prepare(
            "retrain_", first_symbols(self.all_bars, N_RETRAINED)
        ) as warehouse:
            self._train(warehouse, self.as_ofs[-1], RETRAIN)

    def _draw_on(self) -> None:
        """The time of 170 series on the line through half and all of them."""
        n_all = self.bars["symbol"].n_unique()
        n_half = every_other_symbol(self.bars)["symbol"].n_unique()
        ours, half = self.figures.median(OURS), self.figures.median(HALF)
        slope = (ours - half) / (n_all - n_half)
        self.figures.add(RETRAIN, ours + slope * (N_RETRAINED - n_all))
        self.figures.notes.append(
            f"{RETRAIN}: drawn on from {n_half} and {n_all}, not measured"
        )

    def _train(self, warehouse: Warehouse, as_of: date, name: str) -> Training:
        checkpoint(warehouse)
        training = train(warehouse, as_of, self.timeframes)
        say(
            f"{name}: {training.seconds:.1f} s as of {as_of}, "
            f"{training.n_series} series x {training.n_horizons} horizons"
        )
        self.figures.add(name, training.seconds)
        self.figures.add(f"{MEMORY}, {name}", training.peak_mb, "MB")
        self.figures.runs.setdefault(MEMORY, []).append(training.peak_mb)
        self.figures.units[MEMORY] = "MB"
        return training

    def _fit_plainly(self, warehouse: Warehouse, as_of: date) -> None:
        tasks = [
            task
            for timeframe in self.timeframes
            for task in read_fit_rows(
                warehouse, as_of, timeframe, self.arguments.sample
            )
        ]
        checkpoint(warehouse)
        with (
            joblib.parallel_config(backend="loky", inner_max_num_threads=1),
            joblib.Parallel(n_jobs=N_CORES, batch_size=1) as parallel,
        ):
            # Starting processes and importing there is not what is compared.
            small = (tasks[0][0][::20], np.arange(len(tasks[0][0][::20])) % 3)
            parallel(joblib.delayed(fit_plainly)(*small) for _ in range(4))
            started = time.perf_counter()
            used = parallel(
                joblib.delayed(fit_plainly)(*task) for task in tasks
            )
            elapsed = time.perf_counter() - started
        say(f"{PLAIN}: {elapsed:.1f} s for {len(tasks)} series and horizons")
        self.figures.add(PLAIN, elapsed)
        self.figures.add(PLAIN_EACH, elapsed / len(tasks))
        self.figures.add(PLAIN_PROCESSOR, sum(used) / len(tasks))


def train(
    warehouse: Warehouse, as_of: date, timeframes: Sequence[str]
) -> Training:
    """Run `swiftbolt train --all --jobs 2` as of a date.

    Raises
    ------
    NotEnoughDataError
        If nothing was trained.
    """
    with tempfile.TemporaryDirectory() as folder:
        server_before = server_seconds(warehouse.settings)
        used_before = sum(os.times()[2:4])
        started = time.monotonic()
        peak, output = run_python(
            warehouse,
            [
                "-m",
                "python_ml.cli",
                "train",
                "--all",
                f"--jobs={N_CORES}",
                f"--timeframes={','.join(timeframes)}",
                f"--as-of={as_of}",
                "--json",
            ],
            variables={
                "PYTHONPATH": str(CLOCK_FOLDER),
                CLOCK_VARIABLE: folder,
            },
            sample_seconds=MEMORY_SECONDS,
        )
        ended = time.monotonic()
        used = sum(os.times()[2:4]) - used_before
        server_used = server_seconds(warehouse.settings) - server_before
        calls = read_clock(Path(folder))
    summary = json.loads(output)
    trained = [run for run in summary["results"] if run["outcome"] == "trained"]
    if not trained:
        raise NotEnoughDataError(f"Nothing was trained as of {as_of}.")
    n_series = len({(run["ticker"], run["timeframe"]) for run in trained})
    return Training(
        started=started,
        ended=ended,
        processor_seconds=used,
        server_seconds=server_used,
        peak_mb=peak,
        n_series=n_series,
        n_horizons=len(trained) // n_series,
        calls=calls,
    )


def read_clock(folder: Path) -> list[Call]:
    """What the estimators of a training noted, by the time they began."""
    calls = []
    for path in folder.iterdir():
        for line in path.read_text().splitlines():
            begin, end, used, what = line.split()
            calls.append(Call(float(begin), float(end), float(used), what))
    return sorted(calls, key=lambda call: call.begin)


def covered(intervals: Sequence[tuple[float, float]]) -> float:
    """Length of the union of intervals that are sorted.

    Examples
    --------
    >>> covered([(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)])
    4.0
    """
    length, reached = 0.0, float("-inf")
    for begin, end in intervals:
        length += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return length


# The plain recipe


def fit_plainly(X: Any, y: Any) -> float:
    """Fit it on the rows of one series and horizon; the processor time."""
    started = time.process_time()
    RandomForestClassifier(
        n_estimators=200, max_depth=15, random_state=RANDOM_STATE
    ).fit(X, y)
    GradientBoostingClassifier(
        n_estimators=100, max_depth=7, random_state=RANDOM_STATE
    ).fit(X, y)
    return time.process_time() - started


def read_fit_rows(
    warehouse: Warehouse, as_of: date, timeframe: str, n_series: int
) -> list[tuple[Any, Any]]:
    """Features and labels to fit on, of each horizon of some series."""
    series, as_ofs, stale = resolve_series(
        warehouse,
        symbols=None,
        timeframes=[timeframe],
        as_of=end_of_day(as_of),
    )
    sample = spread([one for one in series if one not in stale], n_series)
    calendar = sample[0].calendar
    cuts = ensure_cuts(warehouse, as_ofs, [(calendar, timeframe)])
    cut_id, _ = cuts[calendar, timeframe]
    examples = read_examples(
        warehouse, cut_id, sample, read_feature_names(warehouse)
    )
    return [
        (rows.X[rows.split_parts == FIT], rows.y[rows.split_parts == FIT])
        for one in examples.values()
        for rows in one.horizons
    ]


def spread(series: Sequence[Series], n_series: int) -> list[Series]:
    """So many of the series, spread evenly over all."""
    n_series = min(n_series, len(series))
    return [
        series[len(series) * place // n_series] for place in range(n_series)
    ]


# Bars


def first_symbols(bars: pl.DataFrame, n_symbols: int) -> pl.DataFrame:
    """Keep the first symbols of the alphabet."""
    symbols = bars["symbol"].unique().sort().head(n_symbols)
    return bars.filter(pl.col("symbol").is_in(symbols.implode()))


def last_dates(bars: pl.DataFrame, n_rounds: int) -> list[date]:
    """As-of dates of the rounds, ascending; the last is that of the bars.

    Some sessions lie between them, so that no cut is another's.
    """
    dates = bars["ts"].dt.date().unique().sort().to_list()
    return [dates[-1 - STEP * back] for back in reversed(range(n_rounds))]


if __name__ == "__main__":
    sys.exit(main())
