"""Series whose times name other bars than their vendor meant.

Such times are partly on the grid, so what of them could be stored would stand
beside its place: a series is judged as a whole, by all its rows in a load.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.calendars.grid import (
    DAILY,
    DAY,
    NO_TIME,
    Microseconds,
    Places,
    SessionGrid,
)
from python_ml.ingestion.screening.zones import (
    SHARE_GAINED,
    SHARE_WITHIN_SESSIONS,
)

# A week of days one early or late has one of five off the sessions, and all on
# them when moved: so few days must be without a Monday or without a Friday.
ROWS_THAT_SHOW_A_DAY = 4

# Between two closes there is an open: bars at both closes and none at it show a
# series to be named by its closes. So does one session nearly all of whose
# closes are there. Of many sessions a few opens may be there by mistake.
CLOSES_THAT_SHOW_A_STAMP = 2
SHARE_OF_SESSION = 0.9
SHARE_AT_OPEN = 0.05


def is_on_wrong_day(
    series: NDArray[np.intp],
    timeframe: "pd.Series[Any]",
    moments: Microseconds,
    places: Places,
    grid: SessionGrid,
) -> NDArray[np.bool_]:
    """Mark daily series that fit the sessions only if moved by one day.

    Days named by the evening before, or by the midnight that ends them: four
    of five would be stored, each on its neighbour's place.
    """
    is_daily = (moments != NO_TIME) & (timeframe == DAILY).to_numpy(bool)
    n_series = series.max(initial=-1) + 1
    n_rows = np.bincount(series[is_daily], minlength=n_series)
    as_given = _share(series, is_daily, places.is_found, n_rows)
    is_suspect = (n_rows >= ROWS_THAT_SHOW_A_DAY) & (
        as_given <= 1 - SHARE_GAINED
    )
    is_wrong = np.zeros(n_series, bool)
    rows = is_daily & is_suspect[series]
    if rows.any():
        for days in (-1, 1):
            moved = np.full(len(moments), False)
            moved[rows] = grid.place(DAILY, moments[rows] + days * DAY).is_found
            share = _share(series, rows, moved, n_rows)
            is_wrong |= (
                is_suspect
                & (share >= SHARE_WITHIN_SESSIONS)
                & (share >= as_given + SHARE_GAINED)
            )
    is_wrong_row: NDArray[np.bool_] = is_daily & is_wrong[series]
    return is_wrong_row


def is_stamped_at_close(
    series: NDArray[np.intp],
    timeframe: "pd.Series[Any]",
    moments: Microseconds,
    grid: SessionGrid,
) -> NDArray[np.bool_]:
    """Mark intraday series whose bars are named by their close.

    Nearly all their times are closes of bars, those of sessions included, and
    none is an open. Where one session follows the other without a break,
    nothing shows it.
    """
    is_intraday = (moments != NO_TIME) & timeframe.isin(
        grid.intraday_timeframes
    ).to_numpy(bool)
    n_series = series.max(initial=-1) + 1

    def count(is_wanted: NDArray[np.bool_]) -> NDArray[np.intp]:
        return np.bincount(series[is_intraday & is_wanted], minlength=n_series)

    n_rows = count(is_intraday)
    at_close = count(grid.is_session_close(moments))
    at_open = count(grid.is_session_open(moments))
    is_suspect = (at_close > 0) & (at_open <= SHARE_AT_OPEN * at_close)
    is_wrong = np.zeros(n_series, bool)
    if is_suspect.any():
        for name in grid.intraday_timeframes:
            rows = is_suspect[series] & (timeframe == name).to_numpy(bool)
            is_close = np.full(len(moments), False)
            is_close[rows] = grid.is_bar_close(name, moments[rows])
            n_close = count(is_close)
            is_wrong |= (n_close >= SHARE_WITHIN_SESSIONS * n_rows) & (
                (at_close >= CLOSES_THAT_SHOW_A_STAMP)
                | (n_close >= SHARE_OF_SESSION * grid.full_session_bars(name))
            )
    is_wrong &= is_suspect
    is_wrong_row: NDArray[np.bool_] = is_intraday & is_wrong[series]
    return is_wrong_row


def _share(
    series: NDArray[np.intp],
    rows: NDArray[np.bool_],
    is_found: NDArray[np.bool_],
    n_rows: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Share of each series' rows that are found."""
    n_found = np.bincount(series[rows & is_found], minlength=len(n_rows))
    share: NDArray[np.float64] = n_found / np.maximum(n_rows, 1)
    return share
