"""Bars that are named by their close."""

from typing import Any

import numpy as np
import pandas as pd

from python_ml.ingestion.calendars.grid import Microseconds, SessionGrid


def opens_from_closes(
    timeframe: "pd.Series[Any]", closes: Microseconds, grid: SessionGrid
) -> Microseconds:
    """When bars opened, from when they closed.

    Where no bar of the timeframe closes, the result is no open either.

    Parameters
    ----------
    timeframe : Series of shape (n_bars,)
        Categories.
    closes : ndarray of shape (n_bars,)
        Microseconds since 1970 UTC, or `NO_TIME`.
    grid : SessionGrid
    """
    opens = closes.copy()
    for name in grid.timeframes & {*timeframe.cat.categories}:
        rows = np.flatnonzero(timeframe == name)
        opens[rows] = grid.open_of_close(name, closes[rows])
    return opens
