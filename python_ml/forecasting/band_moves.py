"""Moves that bands are made from, and how far back bands look."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from python_ml.scoring.band_walk import BandWindows, Moves
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

WINDOWS_QUERY = """
    select
        grid.calendar,
        grid.timeframe,
        max(grid.full_session_bars) as session_bars,
        max(windows.pool_sessions) as pool_sessions,
        max(windows.factor_sessions) as factor_sessions,
        max(windows.refresh_sessions) as refresh_sessions,
        max(windows.warm_up_sessions) as warm_up_sessions
    from {features}.bar_grid as grid
    inner join {features}.band_windows as windows
        on grid.timeframe = windows.timeframe
    where grid.timeframe = :timeframe
    group by grid.calendar, grid.timeframe
"""

# A bar at fault says nothing about other series, nor does what comes after it;
# what a series lacks is no fault of the bars that it has.
MOVES_QUERY = """
    select
        labels.symbol_id,
        labels.bar_number,
        labels.label_return / labels.forecast_volatility as move,
        labels.batch_id
    from {features}.labels as labels
    where
        labels.symbol_id in (
            select symbols.symbol_id
            from {raw}.symbols as symbols
            where symbols.calendar = :calendar
        )
        and labels.timeframe = :timeframe
        and labels.horizon = :horizon
        and labels.bar_number between :first_bar_number and :last_bar_number
        and labels.label is not null
        and not exists (
            select 1
            from {ml}.quarantined_series as quarantined
            where
                quarantined.symbol_id = labels.symbol_id
                and quarantined.timeframe = labels.timeframe
                and quarantined.released_at is null
                and quarantined.fault_at <= labels.label_end_at
        )
"""

GRID_QUERY = """
    select
        bar_number,
        place_in_session,
        closed_at
    from {features}.bar_grid
    where
        calendar = :calendar
        and timeframe = :timeframe
        and bar_number between :first_bar_number and :last_bar_number
    order by bar_number
"""


@dataclass(frozen=True, slots=True)
class SeriesWindows:
    """How far back the bands of a calendar and timeframe look.

    Parameters
    ----------
    bars : BandWindows
    session_bars : int
        Bars in a full session; 1 where a bar takes whole sessions.
    """

    bars: BandWindows
    session_bars: int


def read_windows(
    warehouse: Warehouse, timeframe: str
) -> dict[str, SeriesWindows]:
    """Windows of a timeframe by calendar, from the seed `band_windows`."""
    rows = read_frame(warehouse, WINDOWS_QUERY, {"timeframe": timeframe})
    windows: dict[str, SeriesWindows] = {}
    spans = rows.set_index("calendar").drop(columns="timeframe")
    for calendar, (session_bars, *sessions) in zip(
        spans.index, spans.to_numpy(np.int64).tolist(), strict=True
    ):
        pool, factor, refresh, warm_up = (
            session_bars * number for number in sessions
        )
        windows[str(calendar)] = SeriesWindows(
            BandWindows(pool, factor, refresh, warm_up), session_bars
        )
    return windows


def read_moves(
    warehouse: Warehouse,
    key: Mapping[str, str],
    bars: range,
    horizon_bars: int,
    session_bars: int,
) -> tuple[Moves, pd.DataFrame, int]:
    """Read the moves that settle at some bars of the grid.

    Parameters
    ----------
    warehouse : Warehouse
    key : mapping of str to str
        `calendar`, `timeframe` and `horizon`; others are not looked at.
    bars : range
        Consecutive grid bars.
    horizon_bars, session_bars : int

    Returns
    -------
    moves : Moves
        From the first bar that has any on.
    grid : DataFrame of shape (n_bars, 2)
        `place_in_session` and `closed_at` by bar number, from the bar of the
        first move to the last of `bars`.
    batch_id : int
        The newest that any of the moves rests on, 0 without any.
    """
    parameters = {
        **{name: key[name] for name in ("calendar", "timeframe", "horizon")},
        "first_bar_number": bars.start - horizon_bars,
        "last_bar_number": bars.stop - 1,
    }
    grid = read_frame(warehouse, GRID_QUERY, parameters).set_index("bar_number")
    rows = read_frame(
        warehouse,
        MOVES_QUERY,
        {**parameters, "last_bar_number": bars.stop - 1 - horizon_bars},
    )
    numbers = rows["bar_number"].to_numpy(np.int64)
    first = int(numbers.min()) if len(rows) else bars.stop - horizon_bars
    symbol_ids, columns = np.unique(
        rows["symbol_id"].to_numpy(np.int64), return_inverse=True
    )
    n_bars = max(bars.stop - horizon_bars - first, 0)
    values = np.full((n_bars, len(symbol_ids)), np.nan)
    values[numbers - first, columns] = rows["move"].to_numpy(np.float64)
    places = grid["place_in_session"].loc[first : first + n_bars - 1]
    moves = Moves(
        tuple(symbol_ids.tolist()),
        first,
        values,
        places.to_numpy(np.int64),
        session_bars,
        horizon_bars,
    )
    return moves, grid, int(rows["batch_id"].max()) if len(rows) else 0
