"""What is due: series with an ensemble, and their bars not yet forecast."""

import datetime
from collections.abc import Sequence

import pandas as pd

from python_ml.console.logs import get_logger, log_event
from python_ml.console.text_tables import some_names
from python_ml.examples.series import (
    SERIES_QUERY,
    Series,
    narrow_to_series,
    to_series,
)
from python_ml.exceptions import NoEnsembleError, UnknownSeriesError
from python_ml.forecasting.starts import group_starts, read_starts
from python_ml.registry.artifacts import TRAIN_COMMAND
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

LIVE = "live"
REPLAY = "replay"

DEPLOYED_SERIES_QUERY = f"""
    with

    series as (
        {SERIES_QUERY}
    )

    select
        series.*,
        (
            select min(deployments.effective_at)
            from {{deployments}} as deployments
            where
                deployments.symbol_id = series.symbol_id
                and deployments.timeframe = series.timeframe
        ) as deployed_from,
        exists (
            select 1
            from {{ml}}.quarantined_series as quarantined
            where
                quarantined.symbol_id = series.symbol_id
                and quarantined.timeframe = series.timeframe
                and quarantined.released_at is null
        ) as is_set_aside,
        (
            select feature_rows.closed_at
            from {{features}}.feature_rows as feature_rows
            where
                feature_rows.symbol_id = series.symbol_id
                and feature_rows.timeframe = series.timeframe
                and feature_rows.is_usable
            order by feature_rows.bar_number desc
            limit 1
        ) as last_closed_at
    from series
    order by series.ticker, series.sort_order
"""

EXAMPLES_QUERY = """
    with

    starts as (
        select symbol_id, bar_number
        from
            unnest(cast(:symbol_ids as integer []), cast(:starts as integer []))
                as starts (symbol_id, bar_number)
    )

    select
        deployed.version_id,
        coalesce(trained.as_of, ensembles.as_of) as trained_as_of,
        -- What comes later could know how the forecast begins to turn out.
        case
            when timeframes.minutes is not null then next_bars.closed_at
            when next_bars.opened_at > examples.closed_at
                then next_bars.opened_at
            else
                next_bars.opened_at
                + (next_bars.closed_at - next_bars.opened_at) / 4
        end as late_after,
        examples.*
    from {features}.scoring_examples as examples
    inner join {features}.timeframes as timeframes
        on examples.timeframe = timeframes.timeframe
    left join {features}.bar_grid as next_bars
        on
            examples.calendar = next_bars.calendar
            and examples.timeframe = next_bars.timeframe
            and examples.bar_number + 1 = next_bars.bar_number
    inner join starts on examples.symbol_id = starts.symbol_id
    inner join {raw}.symbols as symbols
        on examples.symbol_id = symbols.symbol_id
    inner join {deployment_spans} as deployed
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
    -- Its members, where its weights alone are newer.
    left join {ml}.ensembles as trained
        on ensembles.members_version_id = trained.version_id
    where
        examples.timeframe = :timeframe
        and examples.symbol_id = any(:symbol_ids)
        -- The second says to the planner how little that is.
        and examples.bar_number >= starts.bar_number
        and examples.bar_number >= :first_bar_number
        and (
            cast(:until as timestamptz) is null
            or examples.closed_at <= cast(:until as timestamptz)
        )
        -- Nothing is forecast of a symbol that has ceased to trade.
        and (
            symbols.delisted_at is null
            or (
                :run_kind <> 'live'
                and examples.closed_at < symbols.delisted_at
            )
        )
        -- Nor of a series that is set aside; a replay goes on to the bar that
        -- is at fault.
        and not exists (
            select 1
            from {ml}.quarantined_series as quarantined
            where
                quarantined.symbol_id = examples.symbol_id
                and quarantined.timeframe = examples.timeframe
                and quarantined.released_at is null
                and (
                    :run_kind = 'live'
                    or quarantined.fault_at is null
                    or quarantined.fault_at <= examples.closed_at
                )
        )
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


def read_series(
    warehouse: Warehouse,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> pd.DataFrame:
    """Read the series that have bars, with their first deployment.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str or None
        Which series, None for all.

    Returns
    -------
    DataFrame of shape (n_series, n_columns)
        The fields of `Series`, `deployed_from` (when the first deployment
        took effect), `is_set_aside` and `last_closed_at` (of the last bar with
        usable features); by ticker and timeframe.

    Raises
    ------
    UnknownSeriesError
        If there are no bars, or none of a symbol or timeframe named.
    """
    series = read_frame(warehouse, DEPLOYED_SERIES_QUERY)
    if series.empty:
        raise UnknownSeriesError(
            "The warehouse has no bars. Load and build some: swiftbolt ingest "
            "sample && swiftbolt run"
        )
    return narrow_to_series(series, symbols, timeframes).reset_index(drop=True)


def without_ensemble(series: pd.DataFrame) -> list[Series]:
    """Series that can be trained and for which nothing was ever deployed."""
    is_missing = series["deployed_from"].isna() & ~series["is_set_aside"]
    return to_series(series[is_missing])


def awaiting_deployment(series: pd.DataFrame) -> list[Series]:
    """Series whose first deployment takes effect after their last bar."""
    return to_series(series[series["deployed_from"] > series["last_closed_at"]])


def narrow_to_deployed(
    series: pd.DataFrame,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> pd.DataFrame:
    """Rows of series that have an ensemble; the others are logged.

    Raises
    ------
    NoEnsembleError
        If no series has one; names the command that trains `symbols` and
        `timeframes`.
    """
    deployed = series[series["deployed_from"].notna()]
    if deployed.empty:
        chosen = (
            "--all" if symbols is None else f"--symbols {','.join(symbols)}"
        )
        if timeframes is not None:
            chosen += f" --timeframes {','.join(timeframes)}"
        raise NoEnsembleError(
            "No trained ensemble is deployed for "
            f"{some_names(to_series(series))}. Train "
            f"first: swiftbolt train {chosen}"
        )
    for missing in without_ensemble(series):
        log_event(
            logger,
            "no_ensemble",
            ticker=missing.ticker,
            timeframe=missing.timeframe,
            train=TRAIN_COMMAND.format(
                ticker=missing.ticker, timeframe=missing.timeframe
            ),
        )
    return deployed


def name_of_run(warehouse: Warehouse, run_kind: str) -> str:
    """`run_name` of forecasts: a backtest's own, else the kind of the run."""
    backtest = warehouse.backtest
    return run_kind if backtest is None else backtest.name


def read_due_examples(
    warehouse: Warehouse,
    timeframe: str,
    symbol_ids: Sequence[int],
    *,
    run_kind: str,
    replay_from: datetime.date | None,
    until: datetime.datetime | None = None,
) -> pd.DataFrame:
    """Read the bars of a timeframe that are due and not yet in the ledger.

    Parameters
    ----------
    warehouse : Warehouse
    timeframe : str
    symbol_ids : sequence of int
    run_kind : {"live", "replay", "backtest"}
    replay_from : date or None
        First day, UTC, of a replay, or first time of a backtest.
    until : datetime, optional
        Last close that is due; by default there is none.

    Returns
    -------
    DataFrame of shape (n_examples, n_columns)
        Rows of `features.scoring_examples`, one per bar and horizon, with the
        `version_id` that was deployed at the bar's close, `trained_as_of` of
        its members, `last_forecast_at`, the last bar that the series has been
        forecast of, and `late_after`: the
        open of the next session, intraday the close of the next bar; where
        sessions follow each other without a break, a quarter of the next bar
        later.
    """
    run_name = name_of_run(warehouse, run_kind)
    starts = read_starts(
        warehouse,
        timeframe,
        symbol_ids,
        run_kind=run_kind,
        run_name=run_name,
        replay_from=replay_from,
    )
    frames = [
        read_frame(
            warehouse,
            EXAMPLES_QUERY,
            {
                "timeframe": timeframe,
                "symbol_ids": group["symbol_id"].tolist(),
                "starts": group["bar_number"].tolist(),
                "first_bar_number": int(group["bar_number"].min()),
                "run_kind": run_kind,
                "run_name": run_name,
                "until": until,
            },
        )
        for group in group_starts(starts)
    ]
    found = [frame for frame in frames if len(frame)]
    if not found:
        return pd.DataFrame()
    examples = pd.concat(found, ignore_index=True)
    last_forecast_at = starts.set_index("symbol_id")["last_forecast_at"]
    examples["last_forecast_at"] = examples["symbol_id"].map(last_forecast_at)
    log_event(
        logger,
        "rows_read",
        table="features.scoring_examples",
        timeframe=timeframe,
        rows=len(examples),
        first=examples["closed_at"].min(),
        last=examples["closed_at"].max(),
    )
    return examples


def days_since_forecast(examples: pd.DataFrame) -> "pd.Series[float]":
    """Days from the bar that a series was forecast of before, by example.

    NaN for the first forecast of a series.

    Parameters
    ----------
    examples : DataFrame of shape (n_examples, n_columns)
        From `read_due_examples`.

    Examples
    --------
    >>> times = pd.to_datetime(["2024-03-01", "2024-03-04", "2024-03-05"])
    >>> days_since_forecast(
    ...     pd.DataFrame(
    ...         {
    ...             "symbol_id": 1,
    ...             "horizon": "1d",
    ...             "closed_at": times[[2, 1]],
    ...             "last_forecast_at": times[0],
    ...         }
    ...     )
    ... ).tolist()
    [1.0, 3.0]
    """
    in_order = examples.sort_values("closed_at")
    closed_at = in_order["closed_at"]
    last = in_order["last_forecast_at"].where(
        in_order["last_forecast_at"] < closed_at
    )
    before = (
        in_order.groupby(["symbol_id", "horizon"])["closed_at"]
        .shift()
        .fillna(last)
    )
    spans = (closed_at - before).dt.total_seconds() / 86400
    return spans.loc[examples.index]
