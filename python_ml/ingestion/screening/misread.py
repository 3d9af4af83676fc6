"""Series whose times name other bars than their vendor meant.

Such times are partly on the grid, so what of them could be stored would stand
beside its place: a series is judged as a whole, by all its rows in a load.
"""

from collections.abc import Callable, Iterable
from functools import partial
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
    place_bars,
    to_local,
)
from python_ml.ingestion.calendars.times import from_local

# A series is taken to be read wrongly if nearly all its bars are where bars can
# be when it is read otherwise, and clearly fewer as they are.
SHARE_WITHIN_SESSIONS = 0.95
SHARE_GAINED = 0.03
ROWS_THAT_SHOW_A_ZONE = 10
# A week of days one early or late has one of five off the sessions, and all on
# them when moved: so few days must be without a Monday or without a Friday.
ROWS_THAT_SHOW_A_DAY = 4

# Between two closes there is an open: bars at both closes and none at it show a
# series to be named by its closes. So does one session nearly all of whose
# closes are there. Of many sessions a few opens may be there by mistake.
CLOSES_THAT_SHOW_A_STAMP = 2
SHARE_OF_SESSION = 0.9
SHARE_AT_OPEN = 0.05


def is_in_wrong_zone(
    series: NDArray[np.intp],
    timeframe: "pd.Series[Any]",
    moments: Microseconds,
    places: Places,
    grid: SessionGrid,
    now: int,
) -> NDArray[np.bool_]:
    """Mark series that fit the sessions only if their clock is another one.

    The clock of the exchange taken for UTC, or UTC for the exchange's. Such
    bars are partly on the grid, hours from where they belong.
    """
    is_intraday = (moments != NO_TIME) & timeframe.isin(
        grid.intraday_timeframes
    ).to_numpy(bool)

    def is_within(places: Places) -> NDArray[np.bool_]:
        is_off_grid: NDArray[np.bool_] = places.reason == "off_grid"
        return places.is_found | is_off_grid

    def read_by(
        clock: Callable[[Microseconds, str], Microseconds],
        rows: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        other = np.full(len(moments), NO_TIME)
        other[rows] = clock(moments[rows], grid.time_zone)
        return is_within(place_bars(timeframe, other, grid))

    is_wrong = _fits_only_otherwise(
        series,
        # Today's are no evidence: a morning is too short to tell.
        is_intraday & (moments < now - DAY),
        is_within(places),
        [partial(read_by, clock) for clock in (from_local, to_local)],
        least_rows=ROWS_THAT_SHOW_A_ZONE,
    )
    is_wrong_row: NDArray[np.bool_] = is_intraday & is_wrong[series]
    return is_wrong_row


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

    def moved_by(days: int, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
        is_found = np.full(len(moments), False)
        is_found[rows] = grid.place(DAILY, moments[rows] + days * DAY).is_found
        return is_found

    is_wrong = _fits_only_otherwise(
        series,
        is_daily,
        places.is_found,
        [partial(moved_by, days) for days in (-1, 1)],
        least_rows=ROWS_THAT_SHOW_A_DAY,
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


def _fits_only_otherwise(
    series: NDArray[np.intp],
    is_evidence: NDArray[np.bool_],
    is_found: NDArray[np.bool_],
    readings: Iterable[Callable[[NDArray[np.bool_]], NDArray[np.bool_]]],
    *,
    least_rows: int,
) -> NDArray[np.bool_]:
    """Mark series nearly all of whose bars have a place if read otherwise.

    Parameters
    ----------
    series : ndarray of shape (n_bars,)
        Number of each bar's series.
    is_evidence : ndarray of shape (n_bars,)
        Bars by which a series is judged.
    is_found : ndarray of shape (n_bars,)
        Bars that have a place as they are read.
    readings : iterable of callable
        Each says which of the bars that it is given have a place if read in
        another way.
    least_rows : int
        Bars that a series must have to be judged.

    Returns
    -------
    ndarray of shape (n_series,)
    """
    n_series = series.max(initial=-1) + 1
    n_rows = np.bincount(series[is_evidence], minlength=n_series)

    def share(is_placed: NDArray[np.bool_]) -> NDArray[np.float64]:
        n_placed = np.bincount(series[is_placed], minlength=n_series)
        of_series: NDArray[np.float64] = n_placed / np.maximum(n_rows, 1)
        return of_series

    as_given = share(is_evidence & is_found)
    is_suspect = (n_rows >= least_rows) & (as_given <= 1 - SHARE_GAINED)
    is_wrong = np.zeros(n_series, bool)
    rows = is_evidence & is_suspect[series]
    if rows.any():
        for read_otherwise in readings:
            otherwise = share(rows & read_otherwise(rows))
            is_wrong |= (
                is_suspect
                & (otherwise >= SHARE_WITHIN_SESSIONS)
                & (otherwise >= as_given + SHARE_GAINED)
            )
    return is_wrong
