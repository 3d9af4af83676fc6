"""Measure evidence of drift on real outcomes, as they were and moved in time.

    .venv/bin/python scripts/benchmark_drift_real.py [BARS.parquet ...]

Each file is loaded into an embedded server of its own, and a backtest forecasts
the second half of its bars. `monitoring.drift_evidence` of that run says how
often something alarms while nobody did anything. Then the outcomes of each
series are moved: from the middle of the run on, each forecast is given what
came half a year later, which has nothing to do with it.

| figure | measures |
| --- | --- |
| `false_alarm_real_TF_TEST` | alarms a year of a series and horizon \
(pooled: of a timeframe and horizon), where the budget is 0.05 |
| `detected_real_TF_TEST` | share of series and horizons with an alarm after \
their outcomes were moved, of those without one before |
| `delay_sessions_real_TF_TEST` | mean sessions to it, of those detected |

Each figure is also a line `RESULT name value`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from benchmark_daily import CLI, MEMORY_SECONDS
from benchmarking import (
    DEFAULT_FILE,
    Figures,
    find_files,
    go_when_told,
    keep_to_two_cores,
    load,
    machine_load,
    positive,
    read_bars,
    run_python,
    say,
    throwaway_settings,
)
from drift_simulations import FloatArray

from python_ml.exceptions import SwiftBoltError
from python_ml.monitoring.evidence import (
    evidence_path,
    hits_bets,
    skill_bets,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, open_warehouse

FILES = (DEFAULT_FILE, "intraday_polygon6_2023_2025.parquet")
NAME = "real"
HALF_A_YEAR = pd.Timedelta(days=182)
CLASSES = ("BEARISH", "NEUTRAL", "BULLISH")
SERIES = ["symbol_id", "timeframe", "horizon", "stream"]
SKILL_BOUND = 1.0

EVIDENCE = f"""
    select *
    from backtest_{NAME}_monitoring.drift_evidence
"""

OUTCOMES = f"""
    select bets.*, forecasts.probability_bearish,
        forecasts.probability_neutral, forecasts.probability_bullish,
        forecasts.direction, outcomes.outcome, outcomes.climatology_log_loss,
        forecasts.climatology_bearish, forecasts.climatology_neutral,
        forecasts.climatology_bullish, outcomes.settled_date
    from backtest_{NAME}_intermediate.int_outcomes_joined_to_bets as bets
    inner join {{ml}}.forecasts as forecasts
        on bets.forecast_id = forecasts.forecast_id
    inner join backtest_{NAME}_forecasting.forecast_outcomes as outcomes
        on bets.forecast_id = outcomes.forecast_id
    order by bets.closed_at
"""


def main() -> int:
    """Parse, measure, print."""
    keep_to_two_cores()
    go_when_told()
    parser = argparse.ArgumentParser(
        description="Measure evidence of drift on real outcomes.",
        epilog="Example: scripts/benchmark_drift_real.py --symbols 20",
    )
    parser.add_argument("bars", nargs="*", type=Path, metavar="BARS.parquet")
    parser.add_argument(
        "--symbols",
        type=positive,
        default=20,
        metavar="N",
        help="use the first N symbols of each file, by default 20",
    )
    arguments = parser.parse_args()
    figures = Figures()
    try:
        for path in find_files(arguments.bars, FILES):
            with (
                throwaway_settings() as settings,
                open_warehouse(settings) as warehouse,
            ):
                measure(warehouse, path, arguments.symbols, figures)
    except SwiftBoltError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    figures.notes.append(f"load of the machine: {machine_load()}")
    figures.report()
    return 0


def measure(
    warehouse: Warehouse, path: Path, n_symbols: int, figures: Figures
) -> None:
    """Load a file, backtest its second half, and judge that."""
    bars = read_bars(path)
    symbols = bars["symbol"].unique().sort()[:n_symbols]
    bars = bars.filter(pl.col("symbol").is_in(symbols.implode()))
    first, last = bars["ts"].min(), bars["ts"].max()
    middle = first + (last - first) / 2
    say(f"{path.name}: {len(bars)} bars of {n_symbols} symbols at most")
    # The intraday file has some bars after early closes.
    load(warehouse, bars, may_reject=["outside_session"])
    for command in (
        ("build",),
        (
            "backtest",
            f"--from={middle:%Y-%m-%d}",
            f"--to={last:%Y-%m-%d}",
            "--retrain=quarterly",
            "--weights=never",
            f"--name={NAME}",
        ),
    ):
        say(" ".join(command))
        run_python(
            warehouse, [*CLI, *command], sample_seconds=10 * MEMORY_SECONDS
        )
    evidence = read_frame(warehouse, EVIDENCE)
    outcomes = read_frame(warehouse, OUTCOMES)
    for (timeframe, test), rows in evidence.groupby(["timeframe", "test"]):
        own = outcomes[outcomes["timeframe"] == timeframe]
        days = (own["settled_at"].max() - own["closed_at"].min()).days
        figures.add(
            f"false_alarm_real_{timeframe}_{test}",
            rows["is_alarm"].sum() / (len(rows) * days / 365.25),
            "a year",
        )
    thresholds = evidence.groupby("timeframe")["threshold"].min()
    for timeframe, own in outcomes.groupby("timeframe"):
        disturb(figures, str(timeframe), own, float(thresholds[timeframe]))


def disturb(
    figures: Figures, timeframe: str, outcomes: pd.DataFrame, alarm: float
) -> None:
    """Move outcomes in time from the middle on, and look for it."""
    begin, end = outcomes["closed_at"].min(), outcomes["closed_at"].max()
    changes_at = begin + (end - begin - HALF_A_YEAR) / 2
    until = end - HALF_A_YEAR
    found: dict[str, list[float]] = {"skill": [], "hits": []}
    for _, series in outcomes.groupby(["symbol_id", "horizon"]):
        moved = move(series.sort_values("closed_at"), changes_at)
        moved = moved[moved["closed_at"] <= until]
        largest: dict[str, dict[pd.Timestamp, float]] = {}
        for _, stream in moved.groupby("stream"):
            for test, path in paths(stream).items():
                for time, value in zip(stream["settled_at"], path, strict=True):
                    times = largest.setdefault(test, {})
                    times[time] = max(value, times.get(time, 0.0))
        dates = np.unique(moved["settled_date"].to_numpy())
        for test, times in largest.items():
            alarms = [time for time, value in times.items() if value >= alarm]
            if alarms and min(alarms) < changes_at:
                continue
            delay = np.nan
            if alarms:
                is_between = (dates > np.datetime64(changes_at.date())) & (
                    dates <= np.datetime64(min(alarms).date())
                )
                delay = float(is_between.sum())
            found[test].append(delay)
    for test, delays in found.items():
        if delays:
            is_found = np.isfinite(delays)
            name = f"real_{timeframe}_{test}"
            figures.add(f"detected_{name}", float(is_found.mean()), "share")
            if is_found.any():
                figures.add(
                    f"delay_sessions_{name}",
                    float(np.nanmean(delays)),
                    "sessions",
                )


def move(series: pd.DataFrame, changes_at: pd.Timestamp) -> pd.DataFrame:
    """Give forecasts from a time on the outcome of half a year later."""
    later = pd.merge_asof(
        series[["closed_at"]].assign(wanted=series["closed_at"] + HALF_A_YEAR),
        series[["closed_at", "outcome"]].rename(
            columns={"closed_at": "wanted", "outcome": "later"}
        ),
        on="wanted",
        direction="forward",
    )["later"].to_numpy()
    is_moved = (series["closed_at"] >= changes_at).to_numpy()
    outcome = np.where(is_moved, later, series["outcome"])
    return series.assign(outcome=outcome).dropna(subset=["outcome"])


def paths(stream: pd.DataFrame) -> dict[str, FloatArray]:
    """Evidence of each test over one stream."""
    place = stream["outcome"].map(CLASSES.index).to_numpy()
    rows = np.arange(len(stream))
    losses = {
        kind: -np.log(
            np.maximum(
                stream[[f"{kind}_{name.lower()}" for name in CLASSES]].to_numpy(
                    dtype=np.float64
                )[rows, place],
                1e-6,
            )
        )
        for kind in ("probability", "climatology")
    }
    gains = losses["climatology"] - losses["probability"]
    found = {"skill": evidence_path(skill_bets(gains, bound=SKILL_BOUND))}
    expected = stream["expected_hit_rate"].to_numpy(dtype=np.float64)
    if np.isfinite(expected).all():
        hits = (stream["outcome"] == stream["direction"]).to_numpy(
            dtype=np.float64
        )
        found["hits"] = evidence_path(hits_bets(hits, expected))
    return {test: path.mean(axis=1) for test, path in found.items()}


if __name__ == "__main__":
    sys.exit(main())
