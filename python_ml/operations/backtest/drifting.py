"""On which day of a backtest drift asks for a series to be trained again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from python_ml.examples.cuts import end_of_day
from python_ml.monitoring.drift_windows import (
    DriftThresholds,
    asks_for_retraining,
)
from python_ml.operations.backtest.schedule import Schedule
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.seeds import read_seed

SERIES = ["symbol_id", "ticker", "timeframe"]
Key = tuple[int, str, str]

# Days back in which a judgement's window lies many times over, also of the
# longest timeframe.
LOOKBACK_DAYS = 800

# What the run has forecast and what came of it, with the accuracy that the
# first training run of the version promised.
SETTLED_QUERY = """
    with

    first_runs as (
        select version_id, horizon, min(training_run_id) as training_run_id
        from {ml}.training_runs
        where status = 'succeeded' and version_id is not null
        group by version_id, horizon
    )

    select
        issued.symbol_id,
        symbols.ticker,
        issued.timeframe,
        issued.horizon_bars,
        issued.closed_at,
        outcomes.settled_at,
        issued.direction = outcomes.outcome as is_hit,
        runs.ensemble_validation_accuracy as baseline
    from {issued} as issued
    inner join {outcomes} as outcomes
        on
            issued.forecast_id = outcomes.forecast_id
            and issued.symbol_id = outcomes.symbol_id
            and issued.timeframe = outcomes.timeframe
    inner join {raw}.symbols as symbols
        on issued.symbol_id = symbols.symbol_id
    left join first_runs
        on
            issued.version_id = first_runs.version_id
            and issued.horizon = first_runs.horizon
    left join {ml}.training_runs as runs
        on first_runs.training_run_id = runs.training_run_id
    where issued.closed_at >= :since
"""

# The same of forecasts that are not in the ledger yet.
LABELS_QUERY = """
    select
        labels.symbol_id,
        labels.ticker,
        labels.timeframe,
        labels.horizon,
        labels.bar_number,
        labels.label_end_at as settled_at,
        labels.label
    from {features}.labels as labels
    where
        labels.label is not null
        and labels.closed_at > :since
        and labels.label_end_at <= :until
        and labels.symbol_id = any(:symbol_ids)
        and labels.timeframe = any(:timeframes)
"""

BASELINES_QUERY = """
    select distinct on (version_id, horizon)
        version_id,
        horizon,
        ensemble_validation_accuracy as baseline
    from {ml}.training_runs
    where status = 'succeeded' and version_id = any(:version_ids)
    order by version_id, horizon, training_run_id
"""

TRAINED_QUERY = """
    select symbol_id, timeframe, max(as_of) as trained_at
    from {ml}.ensembles
    where run_name = :run_name and members_version_id is null
    group by symbol_id, timeframe
"""


@dataclass(frozen=True)
class DriftWatch:
    """Watches the forecasts of a run for drift.

    A series that was trained is left alone until as many forecasts made since
    have settled as a judgement looks at: until then it would be judged by
    what its last version did.

    Parameters
    ----------
    thresholds : DriftThresholds
    """

    thresholds: DriftThresholds

    @classmethod
    def begin(
        cls, warehouse: Warehouse, schedule: Schedule
    ) -> "DriftWatch | None":
        """A watch with the thresholds of the seed; None if none is asked."""
        if not schedule.judges_drift:
            return None
        row = read_seed(warehouse.settings, "drift_thresholds").iloc[0]
        return cls(
            DriftThresholds(
                float(row["alert_below"]),
                int(row["min_predictions"]),
                int(row["window_predictions"]),
            )
        )


def recommended(seen: Warehouse, watch: DriftWatch) -> pd.DataFrame:
    """Series that drift asks to train, by what has settled.

    Parameters
    ----------
    seen : Warehouse
        Of the run, at the time of the question.
    watch : DriftWatch

    Returns
    -------
    DataFrame of shape (n_series, 2)
        `ticker` and `timeframe`.
    """
    outcomes = _read_settled(seen)
    asking = [
        (ticker, timeframe)
        for (_, ticker, timeframe), asks, _ in _judge(seen, watch, outcomes)
        if asks[-1]
    ]
    return pd.DataFrame(asking, columns=["ticker", "timeframe"])


def first_recommendation(
    seen: Warehouse, watch: DriftWatch, rows: pd.DataFrame, *, at: datetime
) -> datetime | None:
    """End of the first day after a time on which drift asks to train.

    Parameters
    ----------
    seen : Warehouse
        Of the run, at the end of the span.
    watch : DriftWatch
    rows : DataFrame
        Forecasts of the span, which the ledger does not hold yet.
    at : datetime
        Where the span begins.
    """
    outcomes = pd.concat(
        [_read_settled(seen), _settle(seen, rows, at=at)], ignore_index=True
    )
    found: list[date] = []
    for _, asks, judged in _judge(seen, watch, outcomes):
        # Of outcomes that settle on one day the last decides.
        days = judged["settled_at"].dt.date.to_numpy()
        is_last = np.append(days[1:] != days[:-1], True)
        is_later = (judged["settled_at"] > at).to_numpy()
        found += list(days[asks & is_last & is_later][:1])
    return end_of_day(min(found)) if found else None


def _judge(
    seen: Warehouse, watch: DriftWatch, outcomes: pd.DataFrame
) -> Iterator[tuple[Key, npt.NDArray[np.bool_], pd.DataFrame]]:
    """Whether each series asks after each of its outcomes, in order."""
    if outcomes.empty:
        return
    run = seen.backtest
    trained = read_frame(
        seen, TRAINED_QUERY, {"run_name": run.name if run else None}
    )
    ordered = outcomes.merge(
        trained, on=["symbol_id", "timeframe"], how="left"
    ).sort_values(
        ["symbol_id", "timeframe", "settled_at", "horizon_bars", "closed_at"]
    )
    for (symbol_id, ticker, timeframe), rows in ordered.groupby(
        SERIES, sort=True
    ):
        asks = asks_for_retraining(
            rows["is_hit"].to_numpy(dtype=np.float64),
            rows["baseline"].to_numpy(dtype=np.float64, na_value=np.nan),
            rows["horizon_bars"].to_numpy(dtype=np.float64),
            watch.thresholds,
        )
        n_since = (rows["closed_at"] > rows["trained_at"]).cumsum().to_numpy()
        is_judged = n_since >= watch.thresholds.window_predictions
        yield (
            (int(str(symbol_id)), str(ticker), str(timeframe)),
            asks & is_judged,
            rows,
        )


def _read_settled(seen: Warehouse) -> pd.DataFrame:
    run = seen.backtest
    if run is None:
        raise ValueError("A warehouse as it is live has no time to look from.")
    since = run.at - timedelta(days=LOOKBACK_DAYS)
    return read_frame(seen, SETTLED_QUERY, {"since": since})


def _settle(
    seen: Warehouse, rows: pd.DataFrame, *, at: datetime
) -> pd.DataFrame:
    """Outcomes of forecasts that settle within their span."""
    run = seen.backtest
    labels = read_frame(
        seen,
        LABELS_QUERY,
        {
            "since": at,
            "until": run.at if run else None,
            "symbol_ids": rows["symbol_id"].unique().tolist(),
            "timeframes": rows["timeframe"].unique().tolist(),
        },
    )
    baselines = read_frame(
        seen,
        BASELINES_QUERY,
        {"version_ids": rows["version_id"].unique().tolist()},
    )
    keys = ["symbol_id", "timeframe", "horizon", "bar_number"]
    columns = [*keys, "horizon_bars", "closed_at", "direction", "version_id"]
    settled = (
        rows[columns]
        .merge(labels, on=keys)
        .merge(baselines, on=["version_id", "horizon"], how="left")
    )
    return settled.assign(is_hit=settled["direction"] == settled["label"])[
        [
            *SERIES,
            "horizon_bars",
            "closed_at",
            "settled_at",
            "is_hit",
            "baseline",
        ]
    ]
