"""Which version is live, at any time, and the writing of who is next.

`ml.deployments` is only ever added to. A row is about some horizons of one
series; at a time t the live version of a horizon is that of the row with the
greatest `effective_at` not after t whose horizons hold it, the last written
among equals. `ml.deployment_spans` says from when until when that is.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.registry.versions import narrow_to_recorded
from python_ml.warehouse.backtest_run import BacktestRun
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse


def live_versions(
    warehouse: Warehouse, *, at: datetime | None = None
) -> pd.DataFrame:
    """Which version is live for every series and horizon.

    Parameters
    ----------
    warehouse : Warehouse
    at : datetime, optional
        With time zone; by default now, in a backtest the time it is at.

    Returns
    -------
    DataFrame of shape (n_series_and_horizons, n_columns)
        `symbol_id`, `ticker`, `calendar`, `timeframe`, `horizon`,
        `version_id`, `as_of`, `effective_at`, `superseded_at`, `reason`,
        `created_at`, `deployment_id`; by ticker, timeframe and length of the
        horizon.
    """
    return read_frame(
        warehouse,
        """
        select
            spans.symbol_id,
            symbols.ticker,
            symbols.calendar,
            spans.timeframe,
            spans.horizon,
            spans.version_id,
            ensembles.as_of,
            spans.effective_at,
            spans.superseded_at,
            spans.reason,
            spans.created_at,
            spans.deployment_id
        from {deployment_spans} as spans
        inner join {raw}.symbols as symbols
            on spans.symbol_id = symbols.symbol_id
        inner join {ml}.ensembles as ensembles
            on spans.version_id = ensembles.version_id
        cross join
            lateral jsonb_array_elements_text(ensembles.horizons)
                with ordinality as places (horizon, place)
        where
            spans.effective_at <= :at
            and (spans.superseded_at is null or spans.superseded_at > :at)
            and places.horizon = spans.horizon
        order by symbols.ticker, spans.timeframe, places.place
        """,
        {"at": at or _now(warehouse)},
    )


def narrow_to_built(warehouse: Warehouse, live: pd.DataFrame) -> pd.DataFrame:
    """Rows of timeframes that are built: those of the seed `timeframes`.

    Parameters
    ----------
    warehouse : Warehouse
    live : DataFrame of shape (n_series_and_horizons, n_columns)
        From `live_versions`.
    """
    built = read_frame(warehouse, "select timeframe from {features}.timeframes")
    return live[live["timeframe"].isin(built["timeframe"])]


def _now(warehouse: Warehouse) -> datetime:
    run = warehouse.backtest
    return datetime.now(UTC) if run is None else run.at


def history(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    at: datetime | None = None,
) -> pd.DataFrame:
    """Which version was live when, by series and horizon.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str, optional
        By default all.
    at : datetime, optional
        With time zone: only those live then.

    Returns
    -------
    DataFrame of shape (n_deployments, n_columns)
        `ticker`, `timeframe`, `horizon`, `version_id`, `effective_at`,
        `superseded_at`, `reason`, `created_at`; in order of time.

    Raises
    ------
    UnknownSeriesError
        If a symbol, a timeframe or every pair of them has no bars.
    NoEnsembleError
        If nothing was ever deployed.
    """
    if at is not None:
        frame = live_versions(warehouse, at=at)
    else:
        frame = read_frame(
            warehouse,
            """
            select symbols.ticker, spans.*
            from {ml}.deployment_spans as spans
            inner join {raw}.symbols as symbols
                on spans.symbol_id = symbols.symbol_id
            order by
                symbols.ticker,
                spans.timeframe,
                spans.horizon,
                spans.effective_at,
                spans.deployment_id
            """,
        )
    columns = [
        *("ticker", "timeframe", "horizon", "version_id", "effective_at"),
        *("superseded_at", "reason", "created_at"),
    ]
    return narrow_to_recorded(warehouse, frame[columns], symbols, timeframes)


def lock_deployments(connection: sa.Connection, warehouse: Warehouse) -> None:
    """Let no one else decide what is live until the transaction ends.

    Whoever reads what is live to decide what comes next holds this first;
    readers are not held up.
    """
    table = (
        "deployments" if warehouse.backtest is None else "backtest_deployments"
    )
    connection.execute(
        sa.text(
            warehouse.sql(
                f"lock table {{ml}}.{table} in share row exclusive mode"
            )
        )
    )


def last_deployment_id(connection: sa.Connection) -> int:
    """Number of the live deployment written last, 0 if there is none.

    Who writes one holds `lock_deployments`, so numbers rise as they are
    committed: the same number before and after means that none was written.
    """
    table = schema.deployments
    largest: int | None = connection.execute(
        sa.select(sa.func.max(table.c.deployment_id))
    ).scalar_one()
    return largest or 0


def insert_deployments(
    connection: sa.Connection,
    rows: Sequence[Mapping[str, Any]],
    *,
    backtest: BacktestRun | None = None,
) -> None:
    """Write deployments, in the caller's transaction.

    Parameters
    ----------
    connection : Connection
    rows : sequence of mapping
        `symbol_id`, `timeframe`, `version_id`, `horizons`, `effective_at`,
        `reason`, `job_run_id`.
    backtest : BacktestRun, optional
        Whose they are; by default they are live.
    """
    if not rows:
        return
    if backtest is None:
        connection.execute(
            schema.deployments.insert(), [dict(row) for row in rows]
        )
    else:
        connection.execute(
            schema.backtest_deployments.insert(),
            [{**row, "run_name": backtest.name} for row in rows],
        )
