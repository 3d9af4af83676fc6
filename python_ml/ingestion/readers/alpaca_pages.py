"""What Alpaca's pages hold, as frames: bars, splits, dividends, spin-offs."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from python_ml.ingestion.base import BAR_VALUES
from python_ml.ingestion.calendars.grid import (
    DAY,
    SessionGrid,
    place_bars,
    to_local,
)
from python_ml.ingestion.calendars.times import read_times
from python_ml.ingestion.readers.corporate_actions import EVENT_COLUMNS

Rows = Sequence[Mapping[str, Any]]

BAR_FIELDS = {
    "t": "opened_at",
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
}
SPLITS = ("forward_splits", "reverse_splits")


def bars_of_page(page: Mapping[str, Rows], timeframe: str) -> pd.DataFrame:
    """Rows of one page, values as they came; what is no number is missing.

    Examples
    --------
    >>> day = {"t": "2024-01-02T05:00:00Z", "o": 1, "h": 2, "l": 1, "c": 2}
    >>> bars_of_page({"AAPL": [day]}, "d1")[["ticker", "close", "volume"]]
      ticker  close  volume
    0   AAPL      2     NaN
    """
    frames = [
        pd.DataFrame(list(rows), columns=list(BAR_FIELDS))
        .rename(columns=BAR_FIELDS)
        .assign(ticker=ticker, timeframe=timeframe)
        for ticker, rows in page.items()
    ]
    bars = pd.concat(frames, ignore_index=True)
    for name in BAR_VALUES:
        if bars[name].dtype in (object, bool):
            bars[name] = bars[name].map(_plain_number)
    return bars.astype({"opened_at": "str", "ticker": "str"})


def _plain_number(value: Any) -> float | str | None:
    """A number, or text that may be one; None for anything else."""
    if isinstance(value, float | str):
        return value
    if type(value) is not int:
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def keep_closed_bars(
    bars: pd.DataFrame, grid: SessionGrid, *, until: datetime
) -> tuple[pd.DataFrame, Counter[str]]:
    """Leave out what is outside of sessions or had not closed.

    A d1 or w1 bar that is stamped at midnight of the exchange is renamed to
    that date. What has no place on the grid for another reason stays, to be
    rejected for it.

    Parameters
    ----------
    bars : DataFrame
        From `bars_of_page`.
    grid : SessionGrid
    until : datetime
        Bars that close later are left out; with a time zone.

    Returns
    -------
    kept : DataFrame
    left_out : Counter
        How many were left out: `outside_session`, `not_closed_yet`.
    """
    times = read_times(
        bars["opened_at"],
        time_zone=None,
        may_be_date=np.full(len(bars), False),
    )
    is_intraday = bars["timeframe"].isin(grid.intraday_timeframes).to_numpy()
    local = to_local(times.moments, grid.time_zone)
    is_date = (
        (times.reason == None)  # noqa: E711
        & ~is_intraday
        & (local % DAY == 0)
    )
    moments = np.where(is_date, local, times.moments)
    places = place_bars(bars["timeframe"].astype("category"), moments, grid)
    is_outside = is_intraday & (
        (places.reason == "outside_session") | (places.reason == "no_session")
    )
    # What has no place closes at the smallest number, before any time.
    is_open = places.closed_at > pd.Timestamp(until).value // 1000
    dates = pd.Series(
        np.datetime_as_string(moments.view("datetime64[us]"), unit="D"),
        index=bars.index,
    )
    kept = bars.assign(opened_at=bars["opened_at"].where(~is_date, dates))
    return kept.loc[~is_outside & ~is_open], Counter(
        outside_session=int(is_outside.sum()),
        not_closed_yet=int(is_open.sum()),
    )


@dataclass
class Actions:
    """What corporate actions say.

    Parameters
    ----------
    events : DataFrame
        Splits and dividends with the columns `EVENT_COLUMNS`.
    spin_offs : list of (str, date)
        Symbol and ex-date.
    unreadable : list of str
        Actions that lack what makes them one, as they came.
    """

    events: pd.DataFrame
    spin_offs: list[tuple[str, date]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def actions_of_pages(pages: Iterable[Mapping[str, Rows]]) -> Actions:
    """Splits, dividends and spin-offs of pages of corporate actions.

    Examples
    --------
    >>> split = {"symbol": "NVDA", "ex_date": "2024-06-10"}
    >>> split |= {"new_rate": 10, "old_rate": 1}
    >>> actions = actions_of_pages([{"forward_splits": [split]}])
    >>> actions.events[["ticker", "price_ratio"]]
      ticker  price_ratio
    0   NVDA          0.1
    """
    rows: list[tuple[str, date, float | None, float | None]] = []
    spin_offs: list[tuple[str, date]] = []
    unreadable: list[str] = []
    for page in pages:
        for kind, actions in page.items():
            for action in actions:
                try:
                    if kind == "spin_offs":
                        spin_offs.append(_named(action, "source_symbol"))
                    elif event := _event(kind, action):
                        rows.append(event)
                except (KeyError, TypeError, ValueError):
                    unreadable.append(f"{kind}: {dict(action)}")
    events = pd.DataFrame(rows, columns=EVENT_COLUMNS).astype(
        {
            "ticker": "str",
            "session_date": "datetime64[us]",
            "price_ratio": float,
            "cash": float,
        }
    )
    return Actions(events, spin_offs, unreadable)


def _event(
    kind: str, action: Mapping[str, Any]
) -> tuple[str, date, float | None, float | None] | None:
    """Symbol, ex-date, new price in old ones, and cash; None of other kinds."""
    if kind not in (*SPLITS, "stock_dividends", "cash_dividends"):
        return None
    named = _named(action, "symbol")
    if kind == "cash_dividends":
        return *named, None, _amount(action["rate"])
    if kind == "stock_dividends":
        return *named, 1 / (1 + _amount(action["rate"])), None
    return (
        *named,
        _amount(action["old_rate"]) / _amount(action["new_rate"]),
        None,
    )


def _named(action: Mapping[str, Any], key: str) -> tuple[str, date]:
    """Symbol and ex-date of an action."""
    symbol = action[key]
    if not isinstance(symbol, str):
        raise TypeError
    return symbol, date.fromisoformat(action["ex_date"])


def _amount(value: Any) -> float:
    """A number that is positive and finite, or an error."""
    amount = float(value)
    if not 0 < amount < math.inf:
        raise ValueError
    return amount
