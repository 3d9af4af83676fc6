"""Forecasts: each bar scored by the version that was deployed at its close.

Rows go to `ml.forecasts`, a ledger that is only ever added to. What is there
already is left out by the query that reads the bars, so a second run neither
predicts nor writes.
"""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from python_ml import schema
from python_ml.bands import price_bands, price_target
from python_ml.deployments import (
    SPANS_QUERY,
    last_deployment_id,
    lock_deployments,
)
from python_ml.ensemble import CLASSES, Ensemble, FloatArray, HorizonEnsemble
from python_ml.exceptions import (
    FeatureMismatchError,
    NoEnsembleError,
    UnknownSeriesError,
)
from python_ml.jobs import job_run
from python_ml.logs import get_logger, log_event
from python_ml.progress import progress
from python_ml.tables import to_text
from python_ml.versions import load_version, read_versions
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

LIVE = "live"
REPLAY = "replay"

SERIES_QUERY = """
    select
        symbols.symbol_id,
        symbols.ticker,
        timeframes.timeframe,
        timeframes.late_after_minutes,
        (
            select min(deployments.effective_at)
            from {ml}.deployments as deployments
            where
                deployments.symbol_id = symbols.symbol_id
                and deployments.timeframe = timeframes.timeframe
        ) as deployed_from,
        (
            select feature_rows.closed_at
            from {features}.feature_rows as feature_rows
            where
                feature_rows.symbol_id = symbols.symbol_id
                and feature_rows.timeframe = timeframes.timeframe
                and feature_rows.is_usable
            order by feature_rows.bar_number desc
            limit 1
        ) as last_closed_at
    from {raw}.symbols as symbols
    cross join {features}.timeframes as timeframes
    where
        exists (
            select 1
            from {features}.bars as bars
            where
                bars.symbol_id = symbols.symbol_id
                and bars.timeframe = timeframes.timeframe
        )
    order by symbols.ticker, timeframes.sort_order
"""

# Where each series starts: live at the bar last forecast, or the first time at
# the latest bar there is; a replay at the date asked for.
LIVE_STARTS = """
    issued as (
        select symbol_id, max(closed_at) as closed_at
        from {ml}.forecasts
        where
            run_kind = :run_kind
            and run_name = :run_name
            and timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
        group by symbol_id
    ),

    latest as (
        select symbol_id, max(closed_at) as closed_at
        from {features}.scoring_examples
        where
            timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
            and symbol_id not in (select symbol_id from issued)
        group by symbol_id
    ),

    starts as (
        select symbol_id, closed_at as starts_at from issued
        union all
        select symbol_id, closed_at as starts_at from latest
    )
"""

REPLAY_STARTS = """
    starts as (
        select symbol_id, cast(:replay_from as timestamptz) as starts_at
        from {raw}.symbols
        where symbol_id = any(:symbol_ids)
    )
"""

EXAMPLES_QUERY = """
    with

    deployed as (
        SPANS
    ),

    STARTS

    select
        deployed.version_id,
        examples.*
    from {features}.scoring_examples as examples
    inner join starts on examples.symbol_id = starts.symbol_id
    inner join deployed
        on
            examples.symbol_id = deployed.symbol_id
            and examples.timeframe = deployed.timeframe
            and examples.horizon = deployed.horizon
            and examples.closed_at >= deployed.effective_at
            and (
                deployed.superseded_at is null
                or examples.closed_at < deployed.superseded_at
            )
    inner join {ml}.ensembles as ensembles
        on
            deployed.version_id = ensembles.version_id
            and examples.closed_at >= ensembles.as_of
            and jsonb_exists(ensembles.horizons, examples.horizon)
    where
        examples.timeframe = :timeframe
        and examples.symbol_id = any(:symbol_ids)
        and examples.closed_at >= starts.starts_at
        and not exists (
            select 1
            from {ml}.forecasts as issued
            where
                issued.symbol_id = examples.symbol_id
                and issued.timeframe = examples.timeframe
                and issued.horizon = examples.horizon
                and issued.closed_at = examples.closed_at
                and issued.run_kind = :run_kind
                and issued.run_name = :run_name
        )
"""

LATEST_QUERY = """
    select *
    from {forecasting}.latest_forecasts
    where ticker = any(:tickers) and timeframe = any(:timeframes)
    order by ticker, timeframe, horizon_bars
"""

# What a forecast takes over from its scoring example as it is.
COPIED_COLUMNS = [
    "symbol_id",
    "timeframe",
    "horizon",
    "horizon_bars",
    "bar_number",
    "closed_at",
    "target_bar_number",
    "target_at",
    "reference_close",
    "expected_volatility",
    "label_threshold",
    "version_id",
]

Series = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ForecastSummary:
    """What one run issued.

    Parameters
    ----------
    run_kind : str
        `live` or `replay`.
    n_forecasts : int
        Rows added to the ledger.
    n_late : int
        Of these, issued later than the grace period; always 0 for a replay.
    n_series : int
        Series that got one or more.
    n_versions : int
        Versions that issued them.
    first_closed_at, last_closed_at : datetime or None
        Of the bars forecast; None if there were none.
    series_without_ensemble : tuple of (ticker, timeframe)
        Nothing was ever deployed for these.
    series_awaiting_deployment : tuple of (ticker, timeframe)
        Their first deployment takes effect after their last bar.
    """

    run_kind: str
    n_forecasts: int
    n_late: int
    n_series: int
    n_versions: int
    first_closed_at: datetime.datetime | None
    last_closed_at: datetime.datetime | None
    series_without_ensemble: tuple[Series, ...]
    series_awaiting_deployment: tuple[Series, ...]

    def to_dict(self) -> dict[str, Any]:
        """Fields ready for JSON."""
        return {
            name: value.isoformat()
            if isinstance(value, datetime.datetime)
            else value
            for name, value in asdict(self).items()
        }

    def to_text(self) -> str:
        """What a person wants to know, in a few lines."""
        if self.first_closed_at and self.last_closed_at:
            lines = [
                f"{self.n_forecasts} {self.run_kind} forecasts of "
                f"{self.n_series} series by {self.n_versions} versions, for "
                f"bars closed from {self.first_closed_at:%Y-%m-%d %H:%M} to "
                f"{self.last_closed_at:%Y-%m-%d %H:%M} UTC."
            ]
        else:
            lines = [f"0 {self.run_kind} forecasts: none were due."]
        if self.n_late:
            lines.append(
                f"{self.n_late} were issued late and count in no accuracy."
            )
        if self.series_without_ensemble:
            lines.append(
                "No ensemble is deployed for "
                f"{_some(_names(self.series_without_ensemble))}. Train them: "
                "swiftbolt train --all"
            )
        if self.series_awaiting_deployment:
            lines.append(
                "Deployed only after their last bar, so forecast from the next "
                f"one on: {_some(_names(self.series_awaiting_deployment))}."
            )
        return "\n".join(lines)


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
    ArtifactError
        If an artifact is missing or is not the one that was recorded.
    FeatureMismatchError
        If a feature that a version was trained on is gone.
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
        series = _read_series(warehouse, symbols, timeframes)
        deployed = _deployed_series(series, symbols, timeframes)
        rows, n_inserted = _issue(
            warehouse, deployed, run_kind, replay_from, job.job_run_id
        )
        summary = _summarise(run_kind, n_inserted, rows, series)
        job.counts["forecasts"] = n_inserted
        job.counts["late_forecasts"] = summary.n_late
        job.counts["series"] = summary.n_series
        log_event(
            logger,
            "forecasts_issued",
            run_kind=run_kind,
            rows=n_inserted,
            first=summary.first_closed_at,
            last=summary.last_closed_at,
        )
    return summary


def latest_forecasts(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Rows of `forecasting.latest_forecasts`, by ticker, timeframe, horizon.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str, optional
        By default all.

    Raises
    ------
    UnknownSeriesError
        If the warehouse has no bars of a symbol or timeframe asked for.
    """
    series = _read_series(warehouse, symbols, timeframes)
    return read_frame(
        warehouse,
        LATEST_QUERY,
        {
            "tickers": series["ticker"].unique().tolist(),
            "timeframes": series["timeframe"].unique().tolist(),
        },
    )


def forecast_table(latest: pd.DataFrame) -> str:
    """Text of what `latest_forecasts` returned."""
    return to_text(
        latest,
        columns={
            "ticker": "ticker",
            "timeframe": "timeframe",
            "horizon": "horizon",
            "closed_at": "closed (UTC)",
            "target_at": "target (UTC)",
            "direction": "direction",
            "probability_bearish": "bearish",
            "probability_neutral": "neutral",
            "probability_bullish": "bullish",
            "confidence": "confidence",
            "reference_close": "close",
            "price_target": "target",
            "lower_80": "80% from",
            "upper_80": "to",
            "run_kind": "kind",
        },
    )


def score(ensemble: Ensemble, examples: pd.DataFrame) -> pd.DataFrame:
    """Forecast every example with one version; pure, no database.

    Parameters
    ----------
    ensemble : Ensemble
    examples : DataFrame of shape (n_examples, n_columns)
        Rows of `features.scoring_examples` of the ensemble's series, for
        horizons that it has, with `version_id`.

    Returns
    -------
    DataFrame of shape (n_examples, n_forecast_columns)
        Columns of `ml.forecasts` that do not depend on when it is issued.

    Raises
    ------
    FeatureMismatchError
        If a feature is gone or not finite, or a horizon has another length.
    """
    ensemble.check_features(
        [name for name in ensemble.feature_names if name in examples]
    )
    # For so few rows threads only wait for each other.
    with threadpool_limits(limits=1):
        scored = [
            _score_horizon(ensemble, ensemble.horizons[str(horizon)], rows)
            for horizon, rows in examples.groupby("horizon", sort=False)
        ]
    return pd.concat(scored, ignore_index=True)


def _score_horizon(
    ensemble: Ensemble, horizon: HorizonEnsemble, examples: pd.DataFrame
) -> pd.DataFrame:
    X = examples[list(ensemble.feature_names)].to_numpy(dtype=np.float64)
    _check_examples(ensemble, horizon, examples, X)
    by_member = horizon.member_probabilities(X)
    probabilities = horizon.combine(by_member)
    largest = probabilities.argmax(axis=1)
    close, sigma = examples["reference_close"], examples["expected_volatility"]

    # A column added to a frame costs more than a forecast.
    rows: dict[str, Any] = {name: examples[name] for name in COPIED_COLUMNS}
    for position, name in enumerate(CLASSES):
        column = name.lower()
        rows[f"probability_{column}"] = probabilities[:, position]
        rows[f"climatology_{column}"] = horizon.climatology[position]
    rows["direction"] = np.array(CLASSES, dtype=object)[largest]
    rows["confidence"] = np.maximum(
        probabilities.max(axis=1) - horizon.climatology[largest], 0.0
    )
    members: list[Any] = [
        {name: by_member[name][row].tolist() for name in by_member}
        for row in range(len(examples))
    ]
    rows["member_probabilities"] = members
    rows["price_target"] = price_target(
        close,
        sigma,
        probabilities=probabilities,
        class_mean_moves=horizon.class_mean_moves,
    )
    for level, band in price_bands(
        close, sigma, move_quantiles=horizon.move_quantiles
    ).items():
        rows[f"lower_{level:.0%}".rstrip("%")] = band.lower
        rows[f"upper_{level:.0%}".rstrip("%")] = band.upper
    return pd.DataFrame(rows)


def _check_examples(
    ensemble: Ensemble,
    horizon: HorizonEnsemble,
    examples: pd.DataFrame,
    X: FloatArray,
) -> None:
    lengths = set(examples["horizon_bars"].unique().tolist())
    if lengths != {horizon.horizon_bars}:
        raise FeatureMismatchError(
            f"Ensemble {ensemble.version_id} was trained for "
            f"{horizon.horizon} of {horizon.horizon_bars} bars, but now "
            f"{horizon.horizon} has "
            f"{', '.join(map(str, sorted(lengths)))}. Train again: "
            f"{_train_command(ensemble.ticker, ensemble.timeframe)}"
        )
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        raise FeatureMismatchError(
            f"Feature {ensemble.feature_names[column]} of {ensemble.ticker} "
            f"{ensemble.timeframe} is not a number at "
            f"{examples['closed_at'].iloc[row]}, though the row is usable. "
            "See which rows and why: swiftbolt validate"
        )


def _issue(
    warehouse: Warehouse,
    series: pd.DataFrame,
    run_kind: str,
    replay_from: datetime.date | None,
    job_run_id: int,
) -> tuple[pd.DataFrame, int]:
    """Score what is due and write it down; the rows, and how many were new.

    Scoring takes its time. If someone deploys meanwhile, what was scored may
    be by a version that is live no more, so it is scored again.
    """
    while True:
        with warehouse.begin() as connection:
            read_by = last_deployment_id(connection)
        rows = _score_due(warehouse, series, run_kind, replay_from)
        if rows.empty:
            return rows, 0
        with warehouse.begin() as connection:
            lock_deployments(connection, warehouse)
            if last_deployment_id(connection) != read_by:
                log_event(logger, "deployed_meanwhile", rows=len(rows))
                continue
            rows["issued_at"] = issued_at = pd.Timestamp.now("UTC")
            rows["is_late"] = (run_kind == LIVE) & (
                issued_at > rows["closed_at"] + rows.pop("late_after")
            )
            rows["job_run_id"] = job_run_id
            return rows, insert_frame(
                connection, schema.forecasts, rows, skip_existing=True
            )


def _score_due(
    warehouse: Warehouse,
    series: pd.DataFrame,
    run_kind: str,
    replay_from: datetime.date | None,
) -> pd.DataFrame:
    """All forecasts that are due, not yet issued."""
    frames = []
    for timeframe, of_timeframe in series.groupby("timeframe", sort=False):
        examples = read_frame(
            warehouse,
            EXAMPLES_QUERY.replace(
                "STARTS", LIVE_STARTS if run_kind == LIVE else REPLAY_STARTS
            ).replace("SPANS", SPANS_QUERY),
            {
                "timeframe": timeframe,
                "symbol_ids": of_timeframe["symbol_id"].tolist(),
                "run_kind": run_kind,
                "run_name": run_kind,
                "replay_from": replay_from,
            },
        )
        log_event(
            logger,
            "rows_read",
            table="features.scoring_examples",
            timeframe=timeframe,
            rows=len(examples),
            first=None if examples.empty else examples["closed_at"].min(),
            last=None if examples.empty else examples["closed_at"].max(),
        )
        for rows in _score_versions(warehouse, examples):
            rows["late_after"] = pd.Timedelta(
                minutes=int(of_timeframe["late_after_minutes"].iloc[0])
            )
            frames.append(rows)
    if not frames:
        return pd.DataFrame()
    issued = pd.concat(frames, ignore_index=True).sort_values(
        ["closed_at", "symbol_id", "timeframe", "horizon_bars"],
        ignore_index=True,
    )
    issued["run_kind"] = run_kind
    issued["run_name"] = run_kind
    return issued


def _score_versions(
    warehouse: Warehouse, examples: pd.DataFrame
) -> Iterator[pd.DataFrame]:
    if examples.empty:
        return
    groups = examples.groupby("version_id", sort=True)
    versions = read_versions(
        warehouse, examples["version_id"].unique().tolist()
    )
    for version_id, rows in progress(
        groups, total=groups.ngroups, description="forecasting"
    ):
        version = versions[str(version_id)]
        yield score(load_version(warehouse, version), rows)


def _read_series(
    warehouse: Warehouse,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> pd.DataFrame:
    """Series with bars among those asked for, with their deployment."""
    series = read_frame(warehouse, SERIES_QUERY)
    if series.empty:
        raise UnknownSeriesError(
            "The warehouse has no bars. Load and build some: swiftbolt ingest "
            "sample && swiftbolt run"
        )
    for what, column, asked in (
        ("symbol", "ticker", symbols),
        ("timeframe", "timeframe", timeframes),
    ):
        known = series[column].unique().tolist()
        unknown = [name for name in asked or () if name not in known]
        if unknown:
            raise UnknownSeriesError(
                f"The warehouse has no bars of {what} {', '.join(unknown)}; "
                f"it has {_some(known)}."
            )
        if asked is not None:
            series = series[series[column].isin(list(asked))]
    return series.reset_index(drop=True)


def _deployed_series(
    series: pd.DataFrame,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> pd.DataFrame:
    deployed = series[series["deployed_from"].notna()]
    if deployed.empty:
        pairs = _names(_pairs(series))
        symbols_asked = None if symbols is None else ",".join(symbols)
        raise NoEnsembleError(
            f"No trained ensemble is deployed for {_some(pairs)}. Train first: "
            + _train_command(
                symbols_asked,
                None if timeframes is None else ",".join(timeframes),
            )
        )
    for ticker, timeframe in _pairs(series[series["deployed_from"].isna()]):
        log_event(
            logger,
            "no_ensemble",
            ticker=ticker,
            timeframe=timeframe,
            train=_train_command(ticker, timeframe),
        )
    return deployed


def _train_command(ticker: str | None, timeframe: str | None) -> str:
    command = "swiftbolt train " + (
        "--all" if ticker is None else f"--symbols {ticker}"
    )
    return (
        command if timeframe is None else f"{command} --timeframes {timeframe}"
    )


def _summarise(
    run_kind: str,
    n_inserted: int,
    rows: pd.DataFrame,
    series: pd.DataFrame,
) -> ForecastSummary:
    is_awaiting = series["deployed_from"] > series["last_closed_at"]
    first = last = None
    if not rows.empty:
        first = rows["closed_at"].min().to_pydatetime()
        last = rows["closed_at"].max().to_pydatetime()
    return ForecastSummary(
        run_kind=run_kind,
        n_forecasts=n_inserted,
        n_late=0 if rows.empty else int(rows["is_late"].sum()),
        n_series=(
            0
            if rows.empty
            else rows[["symbol_id", "timeframe"]].drop_duplicates().shape[0]
        ),
        n_versions=0 if rows.empty else rows["version_id"].nunique(),
        first_closed_at=first,
        last_closed_at=last,
        series_without_ensemble=_pairs(series[series["deployed_from"].isna()]),
        series_awaiting_deployment=_pairs(series[is_awaiting]),
    )


def _pairs(series: pd.DataFrame) -> tuple[Series, ...]:
    return tuple(zip(series["ticker"], series["timeframe"], strict=True))


def _names(pairs: Sequence[Series]) -> list[str]:
    return [f"{ticker} {timeframe}" for ticker, timeframe in pairs]


def _some(names: Sequence[str], *, at_most: int = 8) -> str:
    shown = ", ".join(names[:at_most])
    hidden = len(names) - at_most
    return f"{shown} and {hidden} more" if hidden > 0 else shown
