"""Series so much of which is rejected for its times that nothing is stored.

What was kept of a wrongly read file is worse than nothing: it looks like bars.
"""

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd

from python_ml.ingestion.calendars.grid import SessionGrid
from python_ml.ingestion.screening.causes import likely_cause
from python_ml.ingestion.screening.values import clean_text
from python_ml.ingestion.summary import RefusedSeries

KEY = ["ticker", "timeframe"]

# More rejected rows than both refuse the series.
SHARE_REJECTED = 0.1
ROWS_REJECTED = 5

# Reasons that put the reading of the other rows in doubt. A time that cannot be
# read, or names no zone, does not, nor one that is merely too early to store.
DOUBTS = frozenset(
    {
        "in_the_future",
        "wrong_zone",
        "stamped_at_close",
        "wrong_day",
        "unclear_day",
        "off_grid",
        "outside_session",
        "no_session",
    }
)


def rejected_series(
    bars: pd.DataFrame,
    good: pd.DataFrame,
    reasons: "pd.Series[str]",
    grid: SessionGrid,
    *,
    calendar: str,
    time_zone: str | None,
) -> list[RefusedSeries]:
    """Series that are to be refused, and those of which no row was good.

    Parameters
    ----------
    bars : DataFrame
        `Load.bars`, or all rows of some tickers.
    good, reasons : DataFrame, Series of str
        What `screen_bars` made of them.
    grid : SessionGrid
    calendar : str
        Name of the grid's calendar.
    time_zone : str or None
        As it was given to `screen_bars`.
    """
    is_of_time = reasons.isin(DOUBTS)
    if not is_of_time.any():
        return []
    rejected = pd.DataFrame(
        {name: clean_text(bars[name]).loc[reasons.index] for name in KEY}
    ).assign(reason=reasons, is_of_time=is_of_time)
    n_good = good.groupby(KEY, observed=True).size().to_dict()
    found = []
    for series, rows in rejected.groupby(KEY, observed=True):
        ticker, timeframe = cast("tuple[str, str]", series)
        n_withheld = n_good.get(series, 0)
        n_rows = len(rows) + n_withheld
        n_rejected = int(rows["is_of_time"].sum())
        if not n_rejected or (
            n_withheld and not is_refused(n_rejected, n_rows)
        ):
            continue
        of_time = rows.loc[rows["is_of_time"]]
        found.append(
            RefusedSeries(
                ticker=ticker,
                timeframe=timeframe,
                n_rows=n_rows,
                n_rejected=n_rejected,
                n_withheld=n_withheld,
                reasons=Counter(rows["reason"].tolist()),
                cause=likely_cause(
                    timeframe,
                    bars.loc[of_time.index, "opened_at"],
                    of_time["reason"],
                    grid,
                    calendar=calendar,
                    time_zone=time_zone,
                ),
            )
        )
    return found


def is_refused(n_rejected: int, n_rows: int) -> bool:
    """Whether so many rows rejected for their times refuse a series.

    Examples
    --------
    >>> is_refused(6, 59), is_refused(6, 60), is_refused(5, 5)
    (True, False, False)
    """
    return n_rejected > max(ROWS_REJECTED, SHARE_REJECTED * n_rows)


def without_refused(
    good: pd.DataFrame, refused: Sequence[RefusedSeries]
) -> pd.DataFrame:
    """Bars of the series that are not refused."""
    if not refused:
        return good
    series = pd.MultiIndex.from_frame(good[KEY].astype("str"))
    is_kept = ~series.isin([(row.ticker, row.timeframe) for row in refused])
    return good.loc[np.asarray(is_kept)]
