"""Forecasts: each bar scored by the version that was deployed at its close.

Rows go to `ml.forecasts`, a ledger that is only ever added to. What is there
already is left out by the query that reads the bars, so a second run neither
predicts nor writes.
"""

import datetime
from collections.abc import Iterator, Sequence

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.console.progress import progress
from python_ml.exceptions import ArtifactError, FeatureMismatchError
from python_ml.forecasting.band_ends import with_band_ends
from python_ml.forecasting.band_states import NewStates
from python_ml.forecasting.due import (
    LIVE,
    REPLAY,
    days_since_forecast,
    name_of_run,
    narrow_to_deployed,
    read_due_examples,
    read_series,
)
from python_ml.forecasting.score import score
from python_ml.forecasting.summary import ForecastSummary, summarise
from python_ml.forecasting.trust import (
    FACTS,
    TrustRule,
    judge,
    read_rules,
)
from python_ml.processes import Outcomes, count_workers
from python_ml.registry.deployments import last_deployment_id, lock_deployments
from python_ml.registry.versions import (
    Version,
    load_version,
    read_versions,
)
from python_ml.settings import Settings
from python_ml.warehouse.bulk import insert_frame
from python_ml.warehouse.clock import read_clock
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run
from python_ml.warehouse.ledger_digests import extend_digests

logger = get_logger(__name__)

VersionError = ArtifactError | FeatureMismatchError

# A new process costs about as much as that many series.
MIN_VERSIONS_PER_WORKER = 60


def forecast(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    replay_from: datetime.date | None = None,
) -> ForecastSummary:
    """Issue the forecasts that are due.

    Live, the first run of a series forecasts its latest bar and later runs
    every bar since. With `replay_from` every bar from then on is forecast as
    it would have been. Either way a bar is forecast by the version deployed
    at its close and by no other, all horizons in one transaction.

    Parameters
    ----------
    warehouse : Warehouse
    symbols : sequence of str, optional
        Tickers; by default all.
    timeframes : sequence of str, optional
        By default all.
    replay_from : date, optional
        First day, UTC, of the bars of a replay; their `run_kind` is `replay`.

    Returns
    -------
    ForecastSummary

    Raises
    ------
    UnknownSeriesError
        If the warehouse has no bars of a symbol or timeframe asked for.
    NoEnsembleError
        If nothing was ever deployed for any series asked for.
    ArtifactError, FeatureMismatchError
        If no version that is due can forecast: its artifact is missing or not
        the one that was recorded, or a feature that it was trained on is gone.
        Where others can, those that cannot are in the summary.
    JobRunningError
        If another process issues forecasts.
    """
    run_kind = LIVE if replay_from is None else REPLAY
    arguments = {
        "symbols": None if symbols is None else list(symbols),
        "timeframes": None if timeframes is None else list(timeframes),
        "replay_from": replay_from,
    }
    with job_run(warehouse, "forecast", arguments) as job:
        series = read_series(warehouse, symbols, timeframes)
        rows, n_inserted, failures = _issue(
            warehouse,
            narrow_to_deployed(series, symbols, timeframes),
            run_kind=run_kind,
            replay_from=replay_from,
            job_run_id=job.job_run_id,
        )
        summary = summarise(
            rows,
            n_inserted,
            run_kind=run_kind,
            series=series,
            failures=failures,
        )
        job.counts["forecasts"] = n_inserted
        job.counts["late_forecasts"] = summary.n_late
        job.counts["series"] = summary.n_series
        # Of days that are over; what was due need not wait for it.
        job.counts["ledger_digests"] = extend_digests(warehouse)
        log_event(
            logger,
            "forecasts_issued",
            run_kind=run_kind,
            rows=n_inserted,
            first=summary.first_closed_at,
            last=summary.last_closed_at,
        )
    return summary


def _issue(
    warehouse: Warehouse,
    series: pd.DataFrame,
    *,
    run_kind: str,
    replay_from: datetime.date | None,
    job_run_id: int,
) -> tuple[pd.DataFrame, int, list[str]]:
    """Score what is due and write it down.

    Returns the rows, how many were new, and why some versions failed.

    Scoring takes its time. If someone deploys meanwhile, what was scored may
    be by a version that is live no more, so it is scored again.
    """
    rules = read_rules(warehouse)
    while True:
        with warehouse.begin() as connection:
            read_by = last_deployment_id(connection)
        rows, states, errors = score_due(
            warehouse, series, run_kind=run_kind, replay_from=replay_from
        )
        if rows.empty and errors:
            raise errors[0]
        failures = [str(error) for error in errors]
        if rows.empty:
            return rows, 0, failures
        with warehouse.begin() as connection:
            lock_deployments(connection, warehouse)
            if last_deployment_id(connection) != read_by:
                log_event(logger, "deployed_meanwhile", rows=len(rows))
                continue
            rows, n_inserted = write_down(
                connection,
                rows,
                states,
                rules=rules,
                run_kind=run_kind,
                job_run_id=job_run_id,
            )
            return rows, n_inserted, failures


def write_down(
    connection: sa.Connection,
    rows: pd.DataFrame,
    states: Sequence[NewStates],
    *,
    rules: Sequence[TrustRule],
    run_kind: str,
    job_run_id: int,
) -> tuple[pd.DataFrame, int]:
    """Add scored rows to the ledger, in the caller's transaction.

    Parameters
    ----------
    connection : Connection
    rows : DataFrame
        As `score_due` returns them.
    states : sequence of NewStates
        Of bands, likewise.
    rules : sequence of TrustRule
        By which each forecast is trusted.
    run_kind : {"live", "replay", "backtest"}
        Only a live forecast can be late: by the database's clock, or because
        that cannot be right.
    job_run_id : int

    Returns
    -------
    (DataFrame, int)
        The rows as issued, and how many were new.
    """
    clock = read_clock(connection)
    for problem in clock.problems:
        log_event(logger, "clock_in_doubt", problem=problem)
    issued_at = pd.Timestamp(clock.database)
    issued = rows.drop(columns="late_after").assign(
        issued_at=issued_at,
        is_late=(run_kind == LIVE)
        & (
            (issued_at > rows["late_after"])
            # Nobody knew the bar by then, so the time is wrong.
            | (issued_at < rows["closed_at"])
            | clock.is_set_back
        ),
        job_run_id=job_run_id,
    )
    issued["trust"], issued["trust_reasons"] = judge(
        {fact: issued[fact].to_numpy() for fact in FACTS.values()}, rules
    )
    issued = issued.drop(columns=set(FACTS.values()) - {"is_late"})
    for new in states:
        new.write(connection, created_at=issued_at, job_run_id=job_run_id)
    n_inserted = insert_frame(
        connection, schema.forecasts, issued, skip_existing=True
    )
    return issued, n_inserted


def score_due(
    warehouse: Warehouse,
    series: pd.DataFrame,
    *,
    run_kind: str,
    replay_from: datetime.date | None,
    until: datetime.datetime | None = None,
) -> tuple[pd.DataFrame, list[NewStates], list[VersionError]]:
    """All forecasts that are due, not yet issued, and what cannot be.

    Parameters
    ----------
    warehouse : Warehouse
    series : DataFrame
        With `symbol_id` and `timeframe`, as `due.read_series` returns them.
    run_kind : {"live", "replay", "backtest"}
    replay_from, until
        As `due.read_due_examples` takes them.

    Returns
    -------
    (DataFrame, list of NewStates, list of error)
        Columns of `ml.forecasts`, `late_after` and the facts that trust is
        judged by, by close and series; the states of bands that are new; and
        why versions could not forecast.
    """
    frames: list[pd.DataFrame] = []
    states: list[NewStates] = []
    errors: list[VersionError] = []
    for timeframe, of_timeframe in series.groupby("timeframe", sort=False):
        examples = read_due_examples(
            warehouse,
            str(timeframe),
            of_timeframe["symbol_id"].tolist(),
            run_kind=run_kind,
            replay_from=replay_from,
            until=until,
        )
        if examples.empty:
            continue
        examples["days_since_forecast"] = days_since_forecast(examples)
        with_ends, new = with_band_ends(
            warehouse,
            examples,
            run_kind=run_kind,
            run_name=name_of_run(warehouse, run_kind),
        )
        states.append(new)
        frames += _score_versions(warehouse, with_ends, errors)
    if not frames:
        return pd.DataFrame(), [], errors
    issued = pd.concat(frames, ignore_index=True).sort_values(
        ["closed_at", "symbol_id", "timeframe", "horizon_bars"],
        ignore_index=True,
    )
    run_name = name_of_run(warehouse, run_kind)
    issued = issued.assign(run_kind=run_kind, run_name=run_name)
    return issued, states, errors


def _score_versions(
    warehouse: Warehouse, examples: pd.DataFrame, errors: list[VersionError]
) -> Iterator[pd.DataFrame]:
    """Forecasts of the examples, version by version.

    A version that cannot forecast stops no other; why goes to `errors`.
    """
    versions = read_versions(
        warehouse, examples["version_id"].unique().tolist()
    )
    tasks = [
        (warehouse.settings, versions[str(version_id)], rows)
        for version_id, rows in examples.groupby("version_id", sort=True)
    ]
    n_workers = count_workers(
        len(tasks), least_per_worker=MIN_VERSIONS_PER_WORKER
    )
    for outcome in progress(
        Outcomes(_load_and_score, tasks, n_workers),
        total=len(tasks),
        description="forecasting",
    ):
        if isinstance(outcome, pd.DataFrame):
            yield outcome
            continue
        log_event(logger, "version_cannot_forecast", reason=outcome)
        errors.append(outcome)


def _load_and_score(
    settings: Settings, version: Version, examples: pd.DataFrame
) -> pd.DataFrame | VersionError:
    try:
        return score(load_version(settings, version), examples)
    except (ArtifactError, FeatureMismatchError) as error:
        return error
