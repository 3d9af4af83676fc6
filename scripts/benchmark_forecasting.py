"""Measure forecasts and what is read of them, on a ledger of millions.

    .venv/bin/python scripts/benchmark_forecasting.py [BARS.parquet]

Loads daily bars of 500 symbols but for the last days, into an embedded server
of its own; builds, trains them all and forecasts once; `--quickly` trains five
symbols and copies their versions to the others. Every labelled bar before that
is then written to the ledger as a live forecast that settled, which makes some
five million. Each round loads one more day and builds it; then

| figure | measures |
| --- | --- |
| `forecast_500_series_seconds` | `swiftbolt forecast` of the daily series, \
three horizons, from the start of Python to the committed ledger |
| `forecast_start_up_seconds` | of these, until the job begins and after it |
| `settle_one_day_seconds` | `swiftbolt check-drift` after it |
| `settle_nothing_seconds` | the same once more, with nothing new |
| `latest_one_symbol_ms` | `forecasting.latest_forecasts` of one ticker |
| `latest_all_seconds` | all of it |
| `consensus_all_seconds` | `forecasting.consensus_forecasts` |
| `drift_one_series_ms` | `monitoring.drift_status` of one series |
| `band_coverage_all_seconds` | `monitoring.band_coverage` |

Queries are asked five times, the median counts. Each figure is also a line
`RESULT name value`.
"""

import argparse
import sys
import time
from datetime import date
from pathlib import Path

import polars as pl
from benchmark_daily import (
    CLI,
    MEMORY_SECONDS,
    N_SYMBOLS,
    read_last_jobs,
    take_bars,
)
from benchmarking import (
    DATA_VARIABLE,
    DEFAULT_FILE,
    Figures,
    checkpoint,
    count_rows,
    find_files,
    go_when_told,
    keep_to_two_cores,
    load,
    machine_load,
    positive,
    read_bars,
    run_python,
    say,
    settle,
    throwaway_settings,
)
from copied_versions import train_all

from python_ml.exceptions import SwiftBoltError
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, open_warehouse
from python_ml.warehouse.ledgers import rewriting

FIRST_DATE = date(2010, 1, 1)
N_ASKED = 5

# What every labelled bar might have been forecast as, had it been: a quantile
# of a normal distribution for each end, the classes of someone who knows a
# little. Outcomes are those of the labels.
FILL_LEDGER = """
    insert into {ml}.forecasts (
        symbol_id, timeframe, horizon, horizon_bars, bar_number, closed_at,
        run_kind, run_name, issued_at, is_late, target_bar_number, target_at,
        probability_bearish, probability_neutral, probability_bullish,
        direction, confidence,
        climatology_bearish, climatology_neutral, climatology_bullish,
        member_probabilities, reference_close, expected_volatility,
        forecast_volatility, label_threshold, price_target,
        lower_50, upper_50, lower_80, upper_80, lower_95, upper_95,
        version_id, trust, trust_reasons
    )
    select
        labels.symbol_id, labels.timeframe, labels.horizon,
        labels.horizon_bars, labels.bar_number, labels.closed_at,
        'live', 'live', now(), false,
        labels.label_end_bar_number, labels.label_end_at,
        0.30, 0.30, 0.40, 'BULLISH', 0.06, 0.33, 0.34, 0.33,
        '{"climatology": [0.33, 0.34, 0.33],
          "random_forest": [0.3, 0.3, 0.4],
          "gradient_boosting": [0.3, 0.3, 0.4],
          "pooled_gradient_boosting": [0.3, 0.3, 0.4],
          "pooled_logistic_regression": [0.3, 0.3, 0.4]}',
        bars.close, labels.expected_volatility, labels.forecast_volatility,
        labels.label_threshold, bars.close,
        bars.close * exp(-0.67 * labels.forecast_volatility),
        bars.close * exp(0.67 * labels.forecast_volatility),
        bars.close * exp(-1.28 * labels.forecast_volatility),
        bars.close * exp(1.28 * labels.forecast_volatility),
        bars.close * exp(-1.96 * labels.forecast_volatility),
        bars.close * exp(1.96 * labels.forecast_volatility),
        versions.version_id, 'publish', '[]'
    from {features}.labels as labels
    inner join {features}.bars as bars
        on
            labels.symbol_id = bars.symbol_id
            and labels.timeframe = bars.timeframe
            and labels.bar_number = bars.bar_number
    inner join (
        select symbol_id, timeframe, min(version_id) as version_id
        from {ml}.ensembles
        group by symbol_id, timeframe
    ) as versions
        on
            labels.symbol_id = versions.symbol_id
            and labels.timeframe = versions.timeframe
    where labels.forecast_volatility is not null
    order by labels.closed_at, labels.symbol_id
    on conflict do nothing
"""

# Nothing may have been forecast by a version of its future: an audit says so.
DATE_BACK = """
    update {ml}.ensembles set as_of = '2009-12-31';
    update {ml}.deployments set effective_at = '2009-12-31'
"""

LATEST = "select * from {forecasting}.latest_forecasts"
QUERIES = {
    "latest_one_symbol_ms": f"{LATEST} where ticker = 'AAPL'",
    "latest_all_seconds": LATEST,
    "consensus_all_seconds": "select * from {forecasting}.consensus_forecasts",
    "drift_one_series_ms": (
        "select * from {monitoring}.drift_status "
        "where ticker = 'AAPL' and timeframe = 'd1'"
    ),
    "band_coverage_all_seconds": "select * from {monitoring}.band_coverage",
}


def main() -> int:
    """Parse, measure, print."""
    keep_to_two_cores()
    go_when_told()
    arguments = parse_arguments()
    figures = Figures()
    try:
        found = find_files([arguments.bars] if arguments.bars else [])
        # All there are: the ledger is as long as the bars are.
        bars = take_bars(
            read_bars(found[0]),
            n_symbols=arguments.symbols,
            first_date=FIRST_DATE,
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
    figures.report()
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Measure forecasts on a ledger of millions.",
        epilog="Example: scripts/benchmark_forecasting.py --symbols 50",
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


def measure(
    warehouse: Warehouse,
    bars: pl.DataFrame,
    rounds: int,
    figures: Figures,
    *,
    is_quick: bool,
) -> None:
    """Fill the ledger, then measure one day after the other."""
    days = bars["ts"].unique().sort()[-rounds:].to_list()
    earlier = bars.filter(pl.col("ts") < days[0])
    prepare(warehouse, earlier, is_quick=is_quick)
    n_forecasts = count_rows(warehouse, "forecasts", "{ml}")
    say(f"{n_forecasts} forecasts in the ledger")
    for day in days:
        load(warehouse, bars.filter(pl.col("ts") == day))
        run(warehouse, "build")
        checkpoint(warehouse)
        seconds = run(warehouse, "forecast", "--timeframes=d1")
        begun, ended = read_last_jobs(warehouse)["forecast"]
        figures.add("forecast_500_series_seconds", seconds)
        figures.add("forecast_start_up_seconds", seconds - (ended - begun))
        checkpoint(warehouse)
        figures.add("settle_one_day_seconds", run(warehouse, "check-drift"))
        figures.add("settle_nothing_seconds", run(warehouse, "check-drift"))
        say(f"{day:%Y-%m-%d}: {seconds:.1f} s")
    settle(warehouse, "ml")
    settle(warehouse, "forecasting")
    for name, query in QUERIES.items():
        scale = 1000 if name.endswith("_ms") else 1
        for _ in range(N_ASKED):
            started = time.perf_counter()
            read_frame(warehouse, query)
            figures.add(
                name,
                scale * (time.perf_counter() - started),
                "ms" if scale > 1 else "s",
            )
    figures.notes += [
        f"{n_forecasts} forecasts in the ledger",
        f"load of the machine: {machine_load()}",
    ]


def prepare(
    warehouse: Warehouse, bars: pl.DataFrame, *, is_quick: bool
) -> None:
    """Load and build all earlier days, train, forecast and fill the ledger."""
    say(f"loading {len(bars)} bars of {bars['symbol'].n_unique()} symbols")
    load(warehouse, bars)
    settle(warehouse, "raw")
    say("building")
    run(warehouse, "build")
    settle(warehouse, "features")
    train_all(warehouse, is_quick=is_quick, sample_seconds=MEMORY_SECONDS)
    say("forecasting for the first time")
    run(warehouse, "forecast")
    say("filling the ledger")
    with rewriting(warehouse) as connection:
        connection.exec_driver_sql(warehouse.sql(FILL_LEDGER))
        connection.exec_driver_sql(warehouse.sql(DATE_BACK))
    settle(warehouse, "ml")
    say("settling all of it")
    run(warehouse, "check-drift")
    settle(warehouse, "forecasting")


def run(warehouse: Warehouse, *command: str) -> float:
    """Run a command of `swiftbolt`; its seconds."""
    started = time.perf_counter()
    run_python(warehouse, [*CLI, *command], sample_seconds=MEMORY_SECONDS)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
