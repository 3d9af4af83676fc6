"""Where each series goes on: the bar that it was last forecast of.

A ledger grows without end and so do features, so neither is read whole: the
newest forecast of a series is looked up by the key of the ledger, and rows of
features are read from the bar on at which the series of a group go on.
"""

import datetime
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

# Series that go on within so many bars of each other are read together; one
# that has been away for long is not waited for.
GROUP_BARS = 10

# Live at the bar last forecast, or the first time at the latest bar there is; a
# replay at the date asked for.
STARTS_QUERY = """
    with

    series as (
        select
            symbol_id,
            calendar
        from {raw}.symbols
        where symbol_id = any(:symbol_ids)
    ),

    -- Nothing was ever forecast but what was deployed.
    deployed as (
        select distinct
            symbol_id,
            horizon
        from {deployment_spans} as deployment_spans
        where
            timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
    ),

    issued as (
        select
            deployed.symbol_id,
            max(newest.closed_at) as closed_at
        from deployed
        cross join lateral (
            select forecasts.closed_at
            from {ml}.forecasts as forecasts
            where
                forecasts.symbol_id = deployed.symbol_id
                and forecasts.timeframe = :timeframe
                and forecasts.horizon = deployed.horizon
                and forecasts.run_kind = :run_kind
                and forecasts.run_name = :run_name
            order by forecasts.closed_at desc
            limit 1
        ) as newest
        group by deployed.symbol_id
    ),

    starts as (
        select
            series.symbol_id,
            series.calendar,
            issued.closed_at as last_forecast_at,
            case
                when :run_kind <> 'live'
                    then cast(:replay_from as timestamptz)
                when issued.closed_at is not null then issued.closed_at
                else (
                    select feature_rows.closed_at
                    from {features}.feature_rows as feature_rows
                    where
                        feature_rows.symbol_id = series.symbol_id
                        and feature_rows.timeframe = :timeframe
                        and feature_rows.is_usable
                    order by feature_rows.bar_number desc
                    limit 1
                )
            end as starts_at
        from series
        left join issued on series.symbol_id = issued.symbol_id
    ),

    -- As bars are numbered now, whatever they were numbered when forecast.
    numbered as (
        select
            at_once.calendar,
            at_once.starts_at,
            min(grid.bar_number) as bar_number
        from (select distinct calendar, starts_at from starts) as at_once
        inner join {features}.bar_grid as grid
            on
                at_once.calendar = grid.calendar
                and grid.timeframe = :timeframe
                and at_once.starts_at <= grid.closed_at
        group by at_once.calendar, at_once.starts_at
    )

    select
        starts.symbol_id,
        starts.calendar,
        starts.last_forecast_at,
        numbered.bar_number
    from starts
    inner join numbered
        on
            starts.calendar = numbered.calendar
            and starts.starts_at = numbered.starts_at
    order by starts.calendar, numbered.bar_number, starts.symbol_id
"""


def read_starts(
    warehouse: Warehouse,
    timeframe: str,
    symbol_ids: Sequence[int],
    *,
    run_kind: str,
    run_name: str,
    replay_from: datetime.date | None,
) -> pd.DataFrame:
    """Read where each series goes on.

    Returns
    -------
    DataFrame of shape (n_series, 4)
        `symbol_id`, `calendar`, `last_forecast_at` (missing before the first
        forecast) and `bar_number`, the first that may be due; by calendar and
        bar. Series without a usable bar are absent.
    """
    return read_frame(
        warehouse,
        STARTS_QUERY,
        {
            "timeframe": timeframe,
            "symbol_ids": list(symbol_ids),
            "run_kind": run_kind,
            "run_name": run_name,
            "replay_from": replay_from,
        },
    )


def group_starts(starts: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Part series by calendar and by how far apart they go on.

    Parameters
    ----------
    starts : DataFrame of shape (n_series, n_columns)
        From `read_starts`.

    Yields
    ------
    DataFrame of shape (n_series_of_group, n_columns)

    Examples
    --------
    >>> starts = pd.DataFrame(
    ...     {
    ...         "symbol_id": [1, 2, 3],
    ...         "calendar": "XNYS",
    ...         "bar_number": [10, 500, 501],
    ...     }
    ... )
    >>> [group["symbol_id"].tolist() for group in group_starts(starts)]
    [[1], [2, 3]]
    """
    for _, of_calendar in starts.groupby("calendar", sort=False):
        in_order = of_calendar.sort_values("bar_number", kind="stable")
        numbers = in_order["bar_number"].to_numpy()
        first = 0
        while first < len(numbers):
            last = int(
                np.searchsorted(numbers, numbers[first] + GROUP_BARS, "right")
            )
            yield in_order.iloc[first:last]
            first = last
