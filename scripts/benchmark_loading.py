"""Measure how fast a large file is loaded, and in how much memory.

    .venv/bin/python scripts/benchmark_loading.py [BARS.parquet]

Loads the file with `swiftbolt ingest bars` into an embedded server of its own,
in a `SWIFTBOLT_HOME` that is thrown away: as parquet, and the same bars as CSV.
The reference, in the same run, is what cannot be left out: pandas reads the
file and COPY writes text to a table with the key of `raw.bars`. On two cores:

| figure | measures |
| --- | --- |
| `load_seconds` | the command on the parquet file, from the start of Python \
to its exit |
| `load_peak_mb` | most resident memory of it |
| `load_csv_seconds`, `load_csv_peak_mb` | the same of the CSV |
| `load_reference_seconds` | pandas and COPY |

Each figure is also a line `RESULT name value`.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from benchmarking import (
    DATA_VARIABLE,
    DEFAULT_FILE,
    Figures,
    checkpoint,
    find_files,
    go_when_told,
    keep_to_two_cores,
    machine_load,
    positive,
    run_python,
    say,
    throwaway_settings,
)

from python_ml.exceptions import SwiftBoltError
from python_ml.warehouse.connection import Warehouse, open_warehouse

PARQUET, CSV, REFERENCE = "parquet", "csv", "pandas and COPY"
PARQUET_MEMORY, CSV_MEMORY = "parquet, peak memory", "csv, peak memory"
RESULTS = {
    "load_seconds": PARQUET,
    "load_peak_mb": PARQUET_MEMORY,
    "load_csv_seconds": CSV,
    "load_csv_peak_mb": CSV_MEMORY,
    "load_reference_seconds": REFERENCE,
}
REFERENCE_TABLE = """
    create table public.reference_bars (
        symbol text,
        timeframe text,
        ts timestamptz,
        open double precision not null,
        high double precision not null,
        low double precision not null,
        close double precision not null,
        volume double precision not null,
        primary key (symbol, timeframe, ts)
    )
"""


def main() -> int:
    """Parse, measure, print."""
    keep_to_two_cores()
    go_when_told()
    arguments = parse_arguments()
    figures = Figures()
    try:
        (path,) = find_files([arguments.bars] if arguments.bars else [])
        with tempfile.TemporaryDirectory() as folder:
            csv = Path(folder) / "bars.csv"
            pd.read_parquet(path).to_csv(csv, index=False)
            for _ in range(arguments.rounds):
                for name, memory, file in (
                    (PARQUET, PARQUET_MEMORY, path),
                    (CSV, CSV_MEMORY, csv),
                ):
                    measure_load(figures, name, memory, file)
                measure_reference(figures, path)
    except SwiftBoltError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    figures.notes.append(f"load of the machine: {machine_load()}")
    figures.report(RESULTS)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Measure how fast a large file is loaded.",
        epilog="Example: scripts/benchmark_loading.py --rounds 1",
    )
    parser.add_argument(
        "bars",
        nargs="?",
        type=Path,
        metavar="BARS.parquet",
        help=f"file of bars, by default {DEFAULT_FILE} in ${DATA_VARIABLE}",
    )
    parser.add_argument(
        "--rounds",
        type=positive,
        default=3,
        metavar="N",
        help="loads to measure, by default 3",
    )
    return parser.parse_args()


def measure_load(figures: Figures, name: str, memory: str, path: Path) -> None:
    """Load a file into a new warehouse."""
    with (
        throwaway_settings() as settings,
        open_warehouse(settings) as warehouse,
    ):
        checkpoint(warehouse)
        started = time.perf_counter()
        peak, output = run_python(
            warehouse,
            ["-m", "python_ml.cli", "ingest", "bars", str(path), "--json"],
        )
        figures.add(name, time.perf_counter() - started)
        figures.add(memory, peak, "MB")
    result = json.loads(output)
    say(
        f"{name}: {result['bars_loaded']} bars in "
        f"{figures.runs[name][-1]:.1f} s, {peak:.0f} MB"
    )


def measure_reference(figures: Figures, path: Path) -> None:
    """Read with pandas and write with COPY."""
    with (
        throwaway_settings() as settings,
        open_warehouse(settings) as warehouse,
    ):
        checkpoint(warehouse)
        started = time.perf_counter()
        copy(warehouse, pd.read_parquet(path))
        figures.add(REFERENCE, time.perf_counter() - started)


def copy(warehouse: Warehouse, bars: pd.DataFrame) -> None:
    """Write bars to a table of their own, as text."""
    text = io.StringIO()
    bars.to_csv(text, index=False, header=False)
    text.seek(0)
    connection = warehouse.engine.raw_connection()
    try:
        with connection.cursor() as cursor:
            cursor.execute(REFERENCE_TABLE)
            cursor.copy_expert(
                f"copy public.reference_bars ({', '.join(bars.columns)}) "
                "from stdin (format csv)",
                text,
            )
        connection.commit()
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
