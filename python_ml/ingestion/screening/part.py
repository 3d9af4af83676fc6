"""What of a part of a load can be stored, and which series are refused."""

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from python_ml.ingestion.base import Load
from python_ml.ingestion.calendars.grid import SessionGrid
from python_ml.ingestion.screening.bars import screen_bars
from python_ml.ingestion.screening.refusal import (
    is_refused,
    rejected_series,
    without_refused,
)
from python_ml.ingestion.summary import RefusedSeries


@dataclass(frozen=True)
class ScreenedPart:
    """What screening leaves of a part.

    Parameters
    ----------
    good : DataFrame
        Bars to store, as `screen_bars` returns them.
    reasons : Series of str
        Why other rows are rejected, on the index of the part.
    refused : tuple of RefusedSeries
        Series of which nothing is stored; none of their bars is in `good`.
    doubtful : tuple of RefusedSeries
        Series with rows rejected for their times that are stored all the same.
    """

    good: pd.DataFrame
    reasons: "pd.Series[str]"
    refused: tuple[RefusedSeries, ...]
    doubtful: tuple[RefusedSeries, ...]


def screen_part(
    bars: pd.DataFrame,
    load: Load,
    grid: SessionGrid,
    *,
    now: datetime,
    calendar: str,
    accept_rejected: bool,
) -> ScreenedPart:
    """Screen rows of a load, and refuse series that are mostly misread.

    Parameters
    ----------
    bars : DataFrame
        Of `load.bars`, with all rows of its tickers.
    load : Load
    grid : SessionGrid
        Bars that can exist.
    now : datetime
        Of the load, with a time zone.
    calendar : str
        Of the source.
    accept_rejected : bool
        Refuse no series.
    """
    good, reasons = screen_bars(
        bars, grid, now=now, time_zone=load.time_zone, stamp=load.stamp
    )
    refused: list[RefusedSeries] = []
    doubtful: list[RefusedSeries] = []
    for series in rejected_series(
        bars,
        good,
        reasons,
        grid,
        calendar=calendar,
        time_zone=load.time_zone,
    ):
        is_stored = accept_rejected or not is_refused(
            series.n_rejected, series.n_rows
        )
        (doubtful if is_stored else refused).append(series)
    return ScreenedPart(
        without_refused(good, refused),
        reasons,
        tuple(refused),
        tuple(doubtful),
    )
