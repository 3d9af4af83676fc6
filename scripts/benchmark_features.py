"""Measure the feature build at the size of a market.

    .venv/bin/python scripts/benchmark_features.py [BARS.parquet ...]

Loads bars into an embedded server of its own, in a `SWIFTBOLT_HOME` that is
thrown away, and measures on two cores, alternating what is compared, medians
of three:

| part | measures |
| --- | --- |
| `full` | `dbt run --full-refresh` of `bars`, `feature_rows` and `labels` \
against `polars_reference.py`, which reads the same bars, computes the same \
columns with polars and writes them back with the same types and keys |
| `double` | the same build on every other symbol |
| `incremental` | `dbt run` of the three after one new bar for every symbol |
| `memory` | the largest resident memory of the processes that run \
`dbt build --full-refresh` and `swiftbolt validate` |
| `size` | disk space of a feature row, indexes and all |
| `validate` | the Great Expectations gate over all suites |

Seconds of dbt are what dbt itself reports as elapsed: from its first look at
the database to its last node, hooks and statistics included, its imports and
the parsing of the project left out; the reference, likewise, is timed with
polars imported, from its first read to its last commit. The whole dbt call is
in the table. Every table and view between the raw bars and the three tables
that must be made anew with them is counted as part of the build.

Each figure is also a line `RESULT name value`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import polars_reference
import sqlalchemy as sa
from benchmarking import (
    DATA_VARIABLE,
    DEFAULT_FILE,
    Figures,
    checkpoint,
    count_rows,
    every_other_symbol,
    find_files,
    go_when_told,
    keep_to_two_cores,
    load,
    read_bars,
    run_python,
    say,
    server_seconds,
    settle,
    throwaway_settings,
)

from python_ml.exceptions import (
    IngestionError,
    SwiftBoltError,
    ValidationFailedError,
)
from python_ml.settings import Settings
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.dbt import DbtSummary, run_dbt

PARTS = ("full", "double", "incremental", "memory", "size", "validate")
TARGETS = ("bars", "feature_rows", "labels")
HALF_PREFIX = "half_"
N_COMPARED_SYMBOLS = 10
TOLERANCE = 1e-9
BUILD_CODE = """
from python_ml.operations.daily import BUILD
from python_ml.settings import load_settings
from python_ml.warehouse.connection import open_warehouse
from python_ml.warehouse.dbt import run_dbt
with open_warehouse(load_settings()) as warehouse:
    run_dbt(warehouse, [*BUILD, "--full-refresh"])
"""


OURS = "full build, dbt"
OURS_WHOLE = "full build, whole call of dbt"
OURS_SERVER = "full build, processor time of the server"
REFERENCE = "reference pipeline"
REFERENCE_SERVER = "reference pipeline, processor time of the server"
REFERENCE_PYTHON = "reference pipeline, processor time of Python"
HALF = "full build of half the symbols, dbt"
INCREMENTAL = "one new bar for every symbol, dbt"
INCREMENTAL_WHOLE = "one new bar for every symbol, whole call of dbt"
VALIDATE = "validation"
MEMORY = "peak memory, dbt build"
MEMORY_VALIDATE = "peak memory, validate"
MEMORY_INGEST = "peak memory, ingest bars"
SIZE = "feature_rows"


def main() -> int:
    """Parse, measure, print."""
    keep_to_two_cores()
    go_when_told()
    arguments = parse_arguments()
    figures = Figures()
    try:
        bars = pl.concat(read_bars(path) for path in find_files(arguments.bars))
        if arguments.symbols:
            bars = take_symbols(bars, arguments.symbols)
        with throwaway_settings() as settings:
            Benchmark(settings, bars, arguments.rounds, figures).run(
                arguments.only
            )
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
        description="Measure the feature build at the size of a market.",
        epilog="Example: scripts/benchmark_features.py --symbols 60 "
        "--rounds 1 --only full,incremental",
    )
    parser.add_argument(
        "bars",
        nargs="*",
        type=Path,
        metavar="BARS.parquet",
        help="files with the columns symbol, timeframe, ts (UTC, bar open; "
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
        "--symbols", type=int, metavar="N", help="use N of the symbols only"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="runs of each figure"
    )
    return parser.parse_args()


def results(figures: Figures) -> dict[str, float]:
    """Figures by the names under which they are compared over time."""
    found: dict[str, float] = {}

    def add(name: str, numerator: str, denominator: str | None = None) -> None:
        if {numerator, denominator or numerator} <= figures.runs.keys():
            found[name] = figures.median(numerator) / (
                figures.median(denominator) if denominator else 1
            )

    add("full_build_ratio", OURS, REFERENCE)
    add("incremental_dbt_seconds", INCREMENTAL)
    add("double_symbols_time_ratio", OURS, HALF)
    if MEMORY in figures.runs:
        found["python_peak_mb"] = max(
            figures.median(MEMORY), figures.median(MEMORY_VALIDATE)
        )
    add("bytes_per_row", SIZE)
    add("validate_to_build_ratio", VALIDATE, OURS)
    return found


# Bars


def take_symbols(bars: pl.DataFrame, n_symbols: int) -> pl.DataFrame:
    """Keep so many symbols, spread evenly over all."""
    symbols = bars["symbol"].unique().sort()
    n_symbols = min(n_symbols, len(symbols))
    chosen = symbols.gather(
        [len(symbols) * place // n_symbols for place in range(n_symbols)]
    )
    return bars.filter(pl.col("symbol").is_in(chosen.implode()))


# Measuring


class Benchmark:
    """One run over all parts.

    Parameters
    ----------
    settings : Settings
        Of an empty home.
    bars : DataFrame
        Everything to load.
    rounds : int
        Runs of each figure.
    figures : Figures
        Where they go.
    """

    def __init__(
        self,
        settings: Settings,
        bars: pl.DataFrame,
        rounds: int,
        figures: Figures,
    ) -> None:
        self.settings = settings
        self.rounds = rounds
        self.figures = figures
        # The last bars of each series come one by one for the incremental runs.
        age = pl.int_range(pl.len(), 0, -1).over("symbol", "timeframe")
        aged = bars.sort("symbol", "timeframe", "ts").with_columns(
            age.alias("age")
        )
        self.old_bars = aged.filter(pl.col("age") > rounds).drop("age")
        self.new_bars = [
            aged.filter(pl.col("age") == rounds - number).drop("age")
            for number in range(rounds)
        ]

    def run(self, parts: Sequence[str]) -> None:
        """Measure the parts."""
        with open_warehouse(self.settings) as warehouse:
            self.warehouse = warehouse
            self._prepare(warehouse, self.old_bars)
            self.full, self.incremental = find_selections(warehouse)
            self._measure_full_builds(parts)
            if "size" in parts:
                self._measure_size()
            if "memory" in parts:
                self._measure_memory(MEMORY, ["-c", BUILD_CODE])
            if "incremental" in parts:
                self._measure_incremental()
            if {"memory", "validate"} & set(parts):
                self._cut()
            if "validate" in parts:
                self._measure_validation()
            if "memory" in parts:
                self._measure_memory(
                    MEMORY_VALIDATE, ["-m", "python_ml.cli", "validate"]
                )

    def _prepare(self, warehouse: Warehouse, bars: pl.DataFrame) -> None:
        """Load bars and build what `bars` itself is built from."""
        say(f"loading {len(bars)} bars of {bars['symbol'].n_unique()} symbols")
        peak = load(warehouse, bars)
        if warehouse is self.warehouse:
            self.figures.add(MEMORY_INGEST, peak, "MB")
        settle(warehouse, "raw")
        run_dbt(warehouse, ["seed"])
        above = [f"+{name}" for name in TARGETS]
        below = [f"{name}+" for name in TARGETS]
        run_dbt(warehouse, ["run", "--select", *above, "--exclude", *below])

    def _measure_full_builds(self, parts: Sequence[str]) -> None:
        half = None
        if "double" in parts:
            half = open_warehouse(
                Settings(
                    self.settings.project_root,
                    self.settings.home,
                    self.settings.target,
                    schema_prefix=HALF_PREFIX,
                )
            )
            self._prepare(half, every_other_symbol(self.old_bars))
        arms: list[Callable[[], None]] = [
            lambda: self._build_fully(self.warehouse, OURS)
        ]
        if "full" in parts:
            arms.append(self._build_reference)
        if half is not None:
            arms.append(lambda: self._build_fully(half, HALF))
        for number in range(self.rounds):
            # The first build comes first: the reference copies its shapes.
            for arm in arms if number % 2 == 0 else reversed(arms):
                arm()
            if number == 0:
                self._note_rows()
                if "full" in parts:
                    self._compare()
        if half is not None:
            half.close()

    def _build_fully(self, warehouse: Warehouse, name: str) -> None:
        checkpoint(warehouse)
        server_started = server_seconds(self.settings)
        summary = run_dbt(
            warehouse, ["run", "--full-refresh", "--select", *self.full]
        )
        server_elapsed = server_seconds(self.settings) - server_started
        elapsed = dbt_seconds(summary)
        say(f"{name}: {elapsed:.2f} s ({slowest_nodes(summary)})")
        self.figures.add(name, elapsed)
        if name == OURS:
            self.figures.add(OURS_WHOLE, summary.duration_seconds)
            self.figures.add(OURS_SERVER, server_elapsed)
        settle(warehouse, "features")

    def _build_reference(self) -> None:
        shapes = polars_reference.read_shapes(self.warehouse)
        schema = self.settings.schema(polars_reference.SCHEMA)
        with self.warehouse.begin() as connection:
            connection.execute(sa.text(f"create schema if not exists {schema}"))
        checkpoint(self.warehouse)
        server_started = server_seconds(self.settings)
        python_started = time.process_time()
        started = time.perf_counter()
        _, times = polars_reference.build(self.warehouse, shapes)
        elapsed = time.perf_counter() - started
        self.figures.add(REFERENCE, elapsed)
        self.figures.add(
            REFERENCE_SERVER, server_seconds(self.settings) - server_started
        )
        self.figures.add(REFERENCE_PYTHON, time.process_time() - python_started)
        say(f"{REFERENCE}: {elapsed:.2f} s ({times.to_text()})")
        settle(self.warehouse, polars_reference.SCHEMA)

    def _note_rows(self) -> None:
        counts = []
        with self.warehouse.begin() as connection:
            for name in TARGETS:
                n_rows = connection.scalar(
                    sa.text(
                        self.warehouse.sql(
                            f"select count(*) from {{features}}.{name}"
                        )
                    )
                )
                counts.append(f"{name} {n_rows:,}")
        self.figures.notes.append(f"rows: {', '.join(counts)}")
        self.figures.notes += [
            f"dbt built in full: {' '.join(self.full)}",
            f"dbt built after new bars: {' '.join(self.incremental)}",
        ]

    def _compare(self) -> None:
        """Compare our tables with the reference's on some symbols."""
        differences = compare_tables(self.warehouse)
        worst = max(differences, key=lambda name: differences[name])
        text = (
            f"dbt's tables and the reference's differ, on {N_COMPARED_SYMBOLS} "
            f"symbols, by at most {differences[worst]:.1e}, in {worst}; "
            f"allowed is {TOLERANCE:.0e}"
        )
        self.figures.notes.append(text)
        if differences[worst] > TOLERANCE:
            self.figures.failures.append(f"{text}. One of them is wrong.")

    def _measure_incremental(self) -> None:
        for bars in self.new_bars:
            load(self.warehouse, bars)
            before = count_rows(self.warehouse, "bars")
            checkpoint(self.warehouse)
            summary = run_dbt(
                self.warehouse, ["run", "--select", *self.incremental]
            )
            elapsed = dbt_seconds(summary)
            say(f"{INCREMENTAL}: {elapsed:.2f} s ({slowest_nodes(summary)})")
            self.figures.add(INCREMENTAL, elapsed)
            self.figures.add(INCREMENTAL_WHOLE, summary.duration_seconds)
            added = count_rows(self.warehouse, "bars") - before
            if added < len(bars):
                raise IngestionError(
                    f"{len(bars)} bars were loaded, but dbt added {added} "
                    "rows to features.bars. Look into the log of dbt."
                )

    def _measure_size(self) -> None:
        with self.warehouse.begin() as connection:
            size = connection.scalar(
                sa.text(
                    self.warehouse.sql(
                        "select pg_total_relation_size("
                        "'{features}.feature_rows') "
                        "/ count(*)::double precision "
                        "from {features}.feature_rows"
                    )
                )
            )
        self.figures.add(SIZE, float(size or 0), "bytes a row")

    def _measure_validation(self) -> None:
        # As dbt, without its imports.
        import expectations.gate  # noqa: F401
        from python_ml.warehouse.validation import judge, raise_on_failure

        for _ in range(self.rounds):
            checkpoint(self.warehouse)
            started = time.perf_counter()
            summary = judge(self.warehouse)
            elapsed = time.perf_counter() - started
            say(f"{VALIDATE}: {elapsed:.2f} s")
            self.figures.add(VALIDATE, elapsed)
        self.figures.notes.append(f"validation: {summary.counts()}")
        try:
            raise_on_failure(summary)
        except ValidationFailedError as error:
            self.figures.notes.append(f"validation found: {error}")

    def _cut(self) -> None:
        """Record the cuts of a training, so that its suite is run, too."""
        from python_ml.examples.cuts import ensure_cuts

        with self.warehouse.begin() as connection:
            found = connection.execute(
                sa.text(
                    self.warehouse.sql(
                        "select calendar, timeframe, max(closed_at) "
                        "from {features}.bars group by calendar, timeframe"
                    )
                )
            ).all()
        as_of: dict[str, datetime] = {}
        for calendar, _, closed_at in found:
            as_of[calendar] = max(closed_at, as_of.get(calendar, closed_at))
        run_dbt(
            self.warehouse,
            [
                "run",
                "--select",
                "+training_examples",
                "--exclude",
                *(f"+{name}" for name in TARGETS),
            ],
        )
        ensure_cuts(
            self.warehouse,
            as_of,
            [(calendar, timeframe) for calendar, timeframe, _ in found],
        )

    def _measure_memory(self, name: str, command: Sequence[str]) -> None:
        # What validation finds is told by the part `validate`.
        peak, _ = run_python(
            self.warehouse, command, may_fail=name == MEMORY_VALIDATE
        )
        say(f"{name}: {peak:.0f} MB")
        self.figures.add(name, peak, "MB")


def find_selections(warehouse: Warehouse) -> tuple[list[str], list[str]]:
    """What a full build and an incremental one must run.

    Returns
    -------
    full, incremental : list of str
        The three tables and those that they are made from on the way from the
        raw bars, with the views above them that go when a table of them is
        replaced: in a full build each is, later those that are not
        incremental.
    """
    kinds = list_models(
        warehouse, [f"source:market.bars+,+{name}" for name in TARGETS]
    )
    tables = [name for name, kind in kinds.items() if kind != "view"]
    selections = []
    for replaced in (
        tables,
        [name for name in tables if kinds[name] != "incremental"],
    ):
        above = list_models(
            warehouse,
            [f"{name}+,+{target}" for name in replaced for target in TARGETS],
        )
        selections.append(list(dict.fromkeys([*tables, *above])))
    return selections[0], selections[1]


def list_models(warehouse: Warehouse, select: Sequence[str]) -> dict[str, str]:
    """Materialization of the dbt models that a selection names."""
    if not select:
        return {}
    summary = run_dbt(
        warehouse,
        [
            "ls",
            "--resource-type=model",
            "--select",
            *select,
            "--output=json",
            "--output-keys=name config",
        ],
    )
    nodes = [json.loads(line) for line in summary.output]
    return {node["name"]: node["config"]["materialized"] for node in nodes}


def dbt_seconds(summary: DbtSummary) -> float:
    """Elapsed time as dbt reports it."""
    return float(summary.output.elapsed_time)


def slowest_nodes(summary: DbtSummary) -> str:
    """Name the nodes that took longest."""
    nodes = sorted(
        summary.output.results, key=lambda node: -node.execution_time
    )
    return ", ".join(
        f"{node.node.name} {node.execution_time:.2f}" for node in nodes[:4]
    )


def compare_tables(warehouse: Warehouse) -> dict[str, float]:
    """Largest differences between dbt's tables and the reference's.

    On symbols spread over all. Numbers differ by `|a - b| / max(1, |a|)`, other
    values by nothing or infinitely, and so do a number and none.

    Returns
    -------
    dict of str to float
        By table and column, and `n_rows` of each table.
    """
    differences = {}
    shapes = polars_reference.read_shapes(warehouse)
    theirs_in = warehouse.settings.schema(polars_reference.SCHEMA)
    chosen = (
        "select max(symbol_id) from (select symbol_id, ntile("
        f"{N_COMPARED_SYMBOLS}) over (order by symbol_id) as part "
        "from {raw}.symbols) as parts group by part"
    )
    for name, shape in shapes.items():
        ours, theirs = (
            polars_reference.read_query(
                warehouse,
                f"select * from {schema}.{name} "
                f"where symbol_id in ({chosen}) "
                f"order by {', '.join(shape.key)}",
            )
            for schema in ("{features}", theirs_in)
        )
        is_same_size = ours.height == theirs.height and (
            count_rows(warehouse, name)
            == count_rows(warehouse, name, theirs_in)
        )
        differences[f"{name}.n_rows"] = 0.0 if is_same_size else float("inf")
        if is_same_size:
            for column in ours.columns:
                differences[f"{name}.{column}"] = compare_columns(
                    ours[column], theirs[column]
                )
    return differences


def compare_columns(ours: pl.Series, theirs: pl.Series) -> float:
    """Largest difference of two columns; infinite where one lacks a value."""
    if ours.dtype != theirs.dtype or (ours.is_null() != theirs.is_null()).any():
        return float("inf")
    if not ours.dtype.is_float():
        return 0.0 if ours.equals(theirs) else float("inf")
    scale = ours.abs().clip(lower_bound=1.0)
    largest: Any = ((ours - theirs).abs() / scale).max()
    return float(largest or 0.0)


if __name__ == "__main__":
    sys.exit(main())
