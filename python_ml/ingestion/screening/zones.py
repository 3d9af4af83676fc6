"""Series whose times were written by another clock."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.calendars.grid import (
    DAY,
    NO_TIME,
    Microseconds,
    Places,
    SessionGrid,
    place_bars,
    to_local,
)
from python_ml.ingestion.calendars.times import from_local

# A series is taken to be in another zone if nearly all its bars are within
# sessions when read so, and clearly fewer as they are. Today's are no evidence:
# a morning is too short to tell.
ROWS_THAT_SHOW_A_ZONE = 10
SHARE_WITHIN_SESSIONS = 0.95
SHARE_GAINED = 0.03


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
    is_evidence = is_intraday & (moments < now - DAY)
    n_series = series.max(initial=-1) + 1
    n_rows = np.bincount(series[is_evidence], minlength=n_series)

    def share_within(places: Places, rows: NDArray[np.bool_]) -> Any:
        is_within = (places.opened_at != NO_TIME) | (
            places.reason == "off_grid"
        )
        n_within = np.bincount(
            series[rows][is_within[rows]], minlength=n_series
        )
        return n_within / np.maximum(n_rows, 1)

    as_given = share_within(places, is_evidence)
    is_suspect = (n_rows >= ROWS_THAT_SHOW_A_ZONE) & (
        as_given <= 1 - SHARE_GAINED
    )
    is_wrong = np.zeros(n_series, bool)
    rows = is_evidence & is_suspect[series]
    if rows.any():
        for read_otherwise in (from_local, to_local):
            other = np.full(len(moments), NO_TIME)
            other[rows] = read_otherwise(moments[rows], grid.time_zone)
            share = share_within(place_bars(timeframe, other, grid), rows)
            is_wrong |= (
                is_suspect
                & (share >= SHARE_WITHIN_SESSIONS)
                & (share >= as_given + SHARE_GAINED)
            )
    is_wrong_row: NDArray[np.bool_] = is_intraday & is_wrong[series]
    return is_wrong_row
