"""Measure pages and report on 500 daily symbols with a year of forecasts.

    .venv/bin/python scripts/benchmark_web.py [BARS.parquet]

Loads and builds some years of daily bars in an embedded server of its own,
trains them all, and writes every labelled bar of the last year to the ledger as
a live forecast that settled. `--quickly` trains five symbols and copies their
versions to the others, which pages cannot tell from trained ones. The pages are
then served by `swiftbolt dashboard`.

| figure | measures |
| --- | --- |
| `first_page_ms` | the overview, kept since a job last changed anything |
| `first_page_anew_ms` | the same, made anew as soon as a job has ended |
| `first_page_later_ms` | the same, some seconds after a job has ended |
| `symbol_switch_ms` | the page of forecasts, another symbol each time |
| `slowest_page_ms`, `slowest_page_anew_ms` | the slowest of all pages |
| `page_kilobytes` | the heaviest page, as sent, beside Plotly's script |
| `readers_median_ms`, `readers_failed` | 20 readers at once for a minute |
| `dashboard_memory_mb` | most resident memory of the dashboard at any time |
| `report_seconds`, `report_megabytes` | `swiftbolt report` |
| `help_seconds` | `swiftbolt --help` |

Each page is asked ten times, the median counts; what is asked anew is asked
without a moment for the dashboard to make it first. Each figure is also a line
`RESULT name value`.
"""

import argparse
import concurrent.futures
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from urllib.parse import urlencode

import polars as pl
import psutil
from benchmark_daily import CLI, N_SYMBOLS, take_bars
from benchmark_forecasting import DATE_BACK, FILL_LEDGER
from benchmarking import (
    DATA_VARIABLE,
    DEFAULT_FILE,
    MEMORY_SAMPLE_SECONDS,
    Figures,
    count_rows,
    environment_of,
    find_files,
    go_when_told,
    keep_to_two_cores,
    load,
    machine_load,
    positive,
    read_bars,
    resident_bytes,
    run_python,
    say,
    settle,
    throwaway_settings,
)
from copied_versions import train_all

from python_ml.exceptions import SwiftBoltError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.ledgers import rewriting

FIRST_DATE = date(2018, 1, 1)
N_ASKED = 10
N_ASKED_LATER = 5
LATER_SECONDS = 15
N_READERS = 20
READ_SECONDS = 60
PATHS = (
    "",
    "forecasts",
    "track-record",
    "drift",
    "ensembles",
    "data",
    "sql",
)
LAST_YEAR = """
    where labels.forecast_volatility is not null
        and labels.closed_at >= (
            select max(closed_at) - interval '1 year' from {features}.labels
        )
"""
SOME_JOB = """
    insert into {ml}.job_runs (
        job, arguments, status, started_at, finished_at, duration_seconds,
        host, pid, code_version
    )
    values (
        'benchmark', '{}', 'succeeded', now(), clock_timestamp(), 0,
        'here', 1, 'test'
    )
"""


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
            first_date=FIRST_DATE,
            rounds=1,
        )
        with (
            throwaway_settings() as settings,
            open_warehouse(settings) as warehouse,
        ):
            prepare(warehouse, bars, is_quick=arguments.quickly)
            symbols = bars["symbol"].unique().sort().to_list()
            with (
                dashboard(warehouse) as (address, process),
                watching_memory(process, figures),
            ):
                measure_pages(warehouse, address, symbols, figures)
                measure_readers(address, symbols, figures)
            measure_commands(warehouse, figures)
    except SwiftBoltError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    figures.notes.append(f"load of the machine: {machine_load()}")
    figures.report()
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Measure pages and report.",
        epilog="Example: scripts/benchmark_web.py --symbols 50 --quickly",
    )
    parser.add_argument(
        "bars",
        nargs="?",
        type=Path,
        metavar="BARS.parquet",
        help=f"file of bars, by default {DEFAULT_FILE} in ${DATA_VARIABLE}",
    )
    parser.add_argument(
        "--symbols",
        type=positive,
        default=N_SYMBOLS,
        metavar="N",
        help=f"use the first N symbols, by default {N_SYMBOLS}",
    )
    parser.add_argument(
        "--quickly",
        action="store_true",
        help="train few symbols and copy their versions to the others",
    )
    return parser.parse_args()


def prepare(
    warehouse: Warehouse, bars: pl.DataFrame, *, is_quick: bool
) -> None:
    """Load, build, train, and fill the ledger of the last year."""
    say(f"loading {len(bars)} bars of {bars['symbol'].n_unique()} symbols")
    load(warehouse, bars)
    settle(warehouse, "raw")
    say("building")
    run_python(warehouse, [*CLI, "build"])
    settle(warehouse, "features")
    train_all(warehouse, is_quick=is_quick)
    run_python(warehouse, [*CLI, "forecast"])
    say("filling the ledger")
    fill = FILL_LEDGER.replace(
        "    where labels.forecast_volatility is not null\n", LAST_YEAR
    )
    with rewriting(warehouse) as connection:
        connection.exec_driver_sql(warehouse.sql(fill))
        connection.exec_driver_sql(warehouse.sql(DATE_BACK))
    settle(warehouse, "ml")
    say(f"settling {count_rows(warehouse, 'forecasts', '{ml}')} forecasts")
    run_python(warehouse, [*CLI, "check-drift"])
    settle(warehouse, "forecasting")


@contextlib.contextmanager
def dashboard(warehouse: Warehouse) -> Iterator[tuple[str, psutil.Process]]:
    """Serve the pages in a process of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *CLI, "dashboard", f"--port={port}"],
        env=environment_of(warehouse),
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(300):
            with contextlib.suppress(urllib.error.URLError):
                read(f"{address}static/icon.svg")
                break
            time.sleep(0.1)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def watching_memory(
    process: psutil.Process, figures: Figures
) -> Iterator[None]:
    """Look at the memory of a process again and again; add the most of it."""
    is_over = threading.Event()
    peak = [resident_bytes(process)]

    def watch() -> None:
        while not is_over.wait(MEMORY_SAMPLE_SECONDS):
            peak[0] = max(peak[0], resident_bytes(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
    figures.add("dashboard_memory_mb", peak[0] / 1e6, "MB")


def end_some_job(warehouse: Warehouse) -> None:
    """Have the dashboard see that the warehouse has changed."""
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            SOME_JOB.replace("{ml}", warehouse.settings.schema("ml"))
        )


def read(address: str) -> tuple[float, int]:
    """Milliseconds and bytes as sent of a page; an error is raised."""
    request = urllib.request.Request(
        address, headers={"Accept-Encoding": "gzip"}
    )
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        body = answer.read()
    return 1000 * (time.perf_counter() - started), len(body)


def measure_pages(
    warehouse: Warehouse, address: str, symbols: list[str], figures: Figures
) -> None:
    """Ask for every page, kept and anew, and for other symbols."""
    slowest: dict[str, dict[str, list[float]]] = {"": {}, "_anew": {}}
    sizes = []
    for path in PATHS:
        read(f"{address}{path}")
        for kind, values in slowest.items():
            values[path] = []
            for _ in range(N_ASKED):
                if kind:
                    end_some_job(warehouse)
                milliseconds, size = read(f"{address}{path}")
                values[path].append(milliseconds)
            sizes.append(size)
        figures.notes.append(
            f"/{path}: kept {sorted(slowest[''][path])[N_ASKED // 2]:.0f} ms, "
            f"anew {sorted(slowest['_anew'][path])[N_ASKED // 2]:.0f} ms"
        )
    for kind, values in slowest.items():
        for value in values[""]:
            figures.add(f"first_page{kind}_ms", value, "ms")
        worst = max(values.values(), key=lambda found: sorted(found)[5])
        for value in worst:
            figures.add(f"slowest_page{kind}_ms", value, "ms")
    for _ in range(N_ASKED_LATER):
        end_some_job(warehouse)
        time.sleep(LATER_SECONDS)
        figures.add("first_page_later_ms", read(address)[0], "ms")
    for symbol in symbols[1 : N_ASKED + 1]:
        query = urlencode({"symbol": symbol})
        figures.add(
            "symbol_switch_ms", read(f"{address}forecasts?{query}")[0], "ms"
        )
    figures.add("page_kilobytes", max(sizes) / 1e3, "kB")


def measure_readers(address: str, symbols: list[str], figures: Figures) -> None:
    """Let readers click along at once, each with symbols of its own."""
    until = time.monotonic() + READ_SECONDS

    def click(reader: int) -> tuple[list[float], int]:
        times, n_failed, number = [], 0, reader
        while time.monotonic() < until:
            path = PATHS[number % len(PATHS)]
            query = (
                "?" + urlencode({"symbol": symbols[number % len(symbols)]})
                if path
                else ""
            )
            try:
                times.append(read(f"{address}{path}{query}")[0])
            except OSError:
                n_failed += 1
            number += N_READERS + 1
        return times, n_failed

    with concurrent.futures.ThreadPoolExecutor(N_READERS) as readers:
        found = list(readers.map(click, range(N_READERS)))
    times = [value for own, _ in found for value in own]
    figures.add("readers_median_ms", statistics.median(times), "ms")
    figures.add("readers_failed", sum(failed for _, failed in found), "pages")
    figures.notes.append(f"{len(times)} pages read by {N_READERS} readers")


def measure_commands(warehouse: Warehouse, figures: Figures) -> None:
    """Write the report and show the help."""
    for _ in range(3):
        started = time.perf_counter()
        _, output = run_python(warehouse, [*CLI, "report", "--json"])
        figures.add("report_seconds", time.perf_counter() - started)
        figures.add("report_megabytes", json.loads(output)["bytes"] / 1e6, "MB")
    for _ in range(N_ASKED):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, *CLI, "--help"],
            check=True,
            cwd=PROJECT_ROOT,
            stdout=subprocess.DEVNULL,
        )
        figures.add("help_seconds", time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
