"""A backtest from its first day to its last, done or gone on with."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from python_ml.console.logs import get_logger, log_event
from python_ml.console.progress import progress_bar
from python_ml.forecasting.due import read_series
from python_ml.operations.backtest.drifting import DriftWatch, recommended
from python_ml.operations.backtest.record import (
    FORECAST,
    RETRAIN,
    WEIGHTS,
    begin_run,
    finish_run,
    read_steps,
)
from python_ml.operations.backtest.schedule import Schedule
from python_ml.operations.backtest.steps import (
    Backtest,
    drop_superseded,
    forecast_span,
    move_weights,
    retrain,
)
from python_ml.operations.backtest.summary import (
    BacktestSummary,
    read_summary,
)
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.jobs import excluding, job_run

logger = get_logger(__name__)

SETTLE = ("run", "--select", "forecast_outcomes")
# What may read forecasts, but for the audits: those are of all runs at once.
VIEWS = (
    *("run", "--select", "path:models/staging/ml"),
    *("path:models/intermediate/forecasts", "path:models/forecasting"),
    "path:models/monitoring",
)

# Steps that are done, by time and kind, with the time that each led to.
Done = dict[tuple[datetime, str], datetime]


def run_backtest(
    warehouse: Warehouse,
    name: str,
    schedule: Schedule,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    n_jobs: int | None = None,
) -> BacktestSummary:
    """Run training, weights and forecasts through history, day by day.

    What the run deploys and forecasts is its own and never live. A version
    trained as of a time forecasts only bars that close at or after it. A run
    that was ended goes on with what is missing, and one that is finished does
    nothing more.

    Parameters
    ----------
    warehouse : Warehouse
        Open warehouse with built features.
    name : str
        Of the run.
    schedule : Schedule
    symbols, timeframes : sequence of str, optional
        By default all.
    n_jobs : int, optional
        Processes that fit, by default one per core.

    Returns
    -------
    BacktestSummary

    Raises
    ------
    SettingsError
        If the name is that of a run with other settings.
    UnknownSeriesError
        If a symbol or timeframe is not in the warehouse.
    NotEnoughDataError, TrainingError
        If nothing could be trained as of the first day.
    ArtifactError, FeatureMismatchError
        If a version of the run cannot forecast.
    JobRunningError
        If another backtest, a training or, at its end, a build runs; the
        same command goes on later.
    """
    arguments: dict[str, Any] = {
        "name": name,
        "from": schedule.from_date,
        "to": schedule.to_date,
        "policy": schedule.policy,
        "symbols": None if symbols is None else list(symbols),
        "timeframes": None if timeframes is None else list(timeframes),
    }
    with job_run(warehouse, "backtest", arguments) as job:
        series = read_series(warehouse, symbols, timeframes)
        is_finished = begin_run(
            warehouse, name, schedule, symbols=symbols, timeframes=timeframes
        )
        if not is_finished:
            backtest = Backtest(
                warehouse,
                name,
                series,
                symbols,
                timeframes,
                job.job_run_id,
                n_jobs,
            )
            _go_on(backtest, schedule)
            with (
                excluding(warehouse, "build"),
                excluding(warehouse, "check-drift"),
            ):
                run_dbt(warehouse, SETTLE)
            finish_run(warehouse, name)
        # Of a finished run, too: a live build can have dropped them.
        with excluding(warehouse, "build"):
            build_views(warehouse, name)
        summary = read_summary(warehouse, name)
        job.counts["forecasts"] = summary.count("n_forecasts")
        job.counts["retrains"] = summary.count("n_retrains")
    return summary


def build_views(warehouse: Warehouse, name: str) -> None:
    """Build the views on forecasts for a run, into schemas of its own.

    They read its forecasts and deployments in place of the live ones:
    `backtest_monthly_monitoring.leaderboard` is `monitoring.leaderboard` of
    the run `monthly`.

    Raises
    ------
    BuildError
        If dbt fails.
    """
    variables = json.dumps({"backtest": name})
    run_dbt(warehouse, [*VIEWS, "--vars", variables])


def _go_on(backtest: Backtest, schedule: Schedule) -> None:
    """Do every step that is not done, in the order of history."""
    done = _read_done(backtest)
    watch = DriftWatch.begin(backtest.warehouse, schedule)
    at = schedule.starts_at
    with progress_bar(
        total=(schedule.to_date - schedule.from_date).days + 1,
        description=f"backtest {backtest.name}",
    ) as bar:
        while at < schedule.ends_at:
            if (at, FORECAST) in done:
                until = done[at, FORECAST]
            else:
                _decide(backtest, schedule, at, done=done, watch=watch)
                until = forecast_span(
                    backtest, at, schedule.next_after(at), watch=watch
                )
                drop_superseded(backtest, until)
                log_event(
                    logger, "span_forecast", run=backtest.name, until=until
                )
            bar.update((until.date() - at.date()).days)
            at = until


def _decide(
    backtest: Backtest,
    schedule: Schedule,
    at: datetime,
    *,
    done: Done,
    watch: DriftWatch | None,
) -> None:
    """Retrain and move weights where that is due at a time."""
    if (at, RETRAIN) not in done:
        if at in schedule.retrain_times:
            is_first = at == schedule.starts_at
            reason = "first training" if is_first else "as planned"
            retrain(backtest, at, reason=reason, is_first=is_first)
        elif watch is not None:
            drifting = recommended(backtest.at(at), watch)
            if not drifting.empty:
                names = ", ".join(
                    drifting["ticker"] + " " + drifting["timeframe"]
                )
                retrain(
                    backtest,
                    at,
                    reason=f"drift of {names}",
                    drifting=drifting,
                )
    if (at, WEIGHTS) not in done and at in schedule.weight_times:
        move_weights(backtest, at)


def _read_done(backtest: Backtest) -> Done:
    steps = read_steps(backtest.warehouse, backtest.name)
    return {
        (row["step_at"].to_pydatetime(), str(row["step"])): (
            row["step_at"] if pd.isna(row["until_at"]) else row["until_at"]
        ).to_pydatetime()
        for row in steps.to_dict("records")
    }


def default_name(schedule: Schedule) -> str:
    """Name of a run that was given none.

    Examples
    --------
    >>> from datetime import date
    >>> default_name(Schedule(date(2012, 1, 1), date(2012, 12, 31)))
    'calendar_20120101_20121231'
    """
    return (
        f"{schedule.policy}_{schedule.from_date:%Y%m%d}_"
        f"{schedule.to_date:%Y%m%d}"
    )
