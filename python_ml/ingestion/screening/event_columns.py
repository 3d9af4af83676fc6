"""Splits and dividends that stand in columns beside the bars, as yfinance's.

Its file names the events whatever it did to the prices: they are adjusted for
splits always, for dividends unless there is an adjusted close beside the close.
So a split counts only where the price jumps by it, and dividends only where
there is an adjusted close, or a split was traded through.
"""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.base import ADJUSTMENT_KEY
from python_ml.ingestion.calendars.grid import DAILY
from python_ml.ingestion.screening.values import read_numbers

# By their letters alone, in lower case.
DIVIDENDS, SPLITS, ADJUSTED_CLOSE = "dividends", "stocksplits", "adjclose"
EVENT_COLUMNS = [
    *ADJUSTMENT_KEY,
    "ratio",
    "amount",
    "is_beside_bars",
    "has_adjusted_close",
]


def events_beside_bars(bars: pd.DataFrame, good: pd.DataFrame) -> pd.DataFrame:
    """Splits and dividends that good daily bars name.

    Parameters
    ----------
    bars : DataFrame
        `Load.bars`; without columns of events there are none.
    good : DataFrame
        What `screen_bars` accepted of them.

    Returns
    -------
    DataFrame
        `EVENT_COLUMNS`: a ratio or an amount, and whether the file has an
        adjusted close.
    """
    names = {
        re.sub("[^a-z]", "", name.lower()): name
        for name in bars.columns.astype("str")
    }
    wanted = {
        "split": ("ratio", names.get(SPLITS)),
        "dividend": ("amount", names.get(DIVIDENDS)),
    }
    daily = good.loc[good["timeframe"] == DAILY]
    found = []
    for kind, (value, column) in wanted.items():
        if column is None:
            continue
        numbers = read_numbers(bars.loc[daily.index, [column]])[column]
        # Nothing happened: 0 of either, and a split of 1 for 1.
        is_event = (numbers > 0) & ~((numbers == 1) & (kind == "split"))
        found.append(
            daily.loc[is_event, ["ticker", "session_date"]].assign(
                kind=kind, **{value: numbers[is_event]}
            )
        )
    if not found:
        return pd.DataFrame(columns=EVENT_COLUMNS)
    events: pd.DataFrame = pd.concat(found, ignore_index=True).reindex(
        columns=EVENT_COLUMNS
    )
    events["is_beside_bars"] = True
    events["has_adjusted_close"] = ADJUSTED_CLOSE in names
    return events


def is_in_prices(
    events: pd.DataFrame,
    is_jump: NDArray[np.bool_],
    *,
    has_split: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Mark events beside bars that the prices are adjusted for already.

    Parameters
    ----------
    events : DataFrame
        ticker, kind, is_beside_bars and has_adjusted_close.
    is_jump : ndarray of shape (n_events,)
        Whether it is a split by whose factor the price jumps.
    has_split : ndarray of shape (n_events,)
        Whether splits of the symbol are on record.
    """
    ticker = events["ticker"].astype("str")
    is_traded = has_split | ticker.isin({*ticker[is_jump]}).to_numpy(bool)
    counts = np.where(
        (events["kind"] == "split").to_numpy(bool),
        is_jump,
        is_traded | events["has_adjusted_close"].to_numpy(bool),
    )
    is_adjusted: NDArray[np.bool_] = (
        events["is_beside_bars"].to_numpy(bool) & ~counts
    )
    return is_adjusted
