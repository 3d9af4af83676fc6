"""Which series there are, and how far their bars reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from python_ml.exceptions import (
    NotEnoughDataError,
    UnknownSeriesError,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

MAX_NAMES_IN_MESSAGE = 20
LOAD_COMMANDS = "`swiftbolt ingest sample`, then `swiftbolt run`"


@dataclass(frozen=True, slots=True)
class Series:
    """One symbol on one timeframe, and how far its bars reach.

    Parameters
    ----------
    symbol_id : int
        Key of `raw.symbols`.
    ticker, calendar, timeframe : str
        For example AAPL, XNYS, d1.
    last_closed_at : datetime
        Last bar by the as-of time.
    """

    symbol_id: int
    ticker: str
    calendar: str
    timeframe: str
    last_closed_at: datetime

    def __str__(self) -> str:
        return f"{self.ticker} {self.timeframe}"


def resolve_series(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    as_of: datetime | None,
) -> tuple[list[Series], dict[str, datetime], dict[Series, str]]:
    """Find the series asked for and how far their bars reach.

    Parameters
    ----------
    warehouse : Warehouse
        Open warehouse with built features.
    symbols, timeframes : sequence of str or None
        Which, None for all.
    as_of : datetime or None
        None for the last close of each calendar.

    Returns
    -------
    list of Series, dict of str to datetime, dict of Series to str
        The series by timeframe and ticker; the as-of time by calendar; those
        left out because their bars end too early, with the reason.

    Raises
    ------
    UnknownSeriesError
        If a symbol, a timeframe or a pair of them has no bars.
    NotEnoughDataError
        If there are no bars at all, or none by the as-of time.
    """
    spans = read_frame(
        warehouse,
        """
        select
            bars.symbol_id,
            bars.ticker,
            bars.calendar,
            bars.timeframe,
            timeframes.sort_order,
            timeframes.stale_after_sessions,
            min(bars.closed_at) as first_closed_at,
            max(bars.closed_at) as last_closed_at,
            max(case when bars.closed_at <= :as_of then bars.closed_at end)
                as known_closed_at
        from {features}.bars as bars
        inner join {features}.timeframes as timeframes
            on bars.timeframe = timeframes.timeframe
        group by
            bars.symbol_id,
            bars.ticker,
            bars.calendar,
            bars.timeframe,
            timeframes.sort_order,
            timeframes.stale_after_sessions
        order by timeframes.sort_order, bars.ticker
        """,
        {"as_of": as_of or datetime.max.replace(tzinfo=UTC)},
    )
    if spans.empty:
        raise NotEnoughDataError(
            f"features.bars is empty: load bars and build with {LOAD_COMMANDS}."
        )
    chosen = _choose(spans, symbols, timeframes)
    if as_of is None:
        as_ofs = {
            str(calendar): last.to_pydatetime()
            for calendar, last in spans.groupby("calendar")["last_closed_at"]
            .max()
            .items()
        }
    else:
        as_ofs = {str(name): as_of for name in spans["calendar"].unique()}
    known = chosen.dropna(subset=["known_closed_at"])
    if known.empty:
        raise NotEnoughDataError(
            f"No bar of the series asked for had closed by {as_of:%Y-%m-%d}; "
            f"the first closed on {chosen['first_closed_at'].min():%Y-%m-%d}. "
            "Use a later --as-of."
        )
    sessions = read_frame(
        warehouse, "select calendar, closed_at from {raw}.sessions"
    )
    series, stale = [], {}
    for row in chosen.to_dict("records"):
        end = as_ofs[row["calendar"]]
        is_known = not pd.isna(row["known_closed_at"])
        last = row["known_closed_at" if is_known else "first_closed_at"]
        one = Series(
            int(row["symbol_id"]),
            row["ticker"],
            row["calendar"],
            row["timeframe"],
            last.to_pydatetime(),
        )
        series.append(one)
        closes = sessions.loc[
            sessions["calendar"] == row["calendar"], "closed_at"
        ]
        missed = int(((closes > last) & (closes <= pd.Timestamp(end))).sum())
        if not is_known:
            stale[one] = (
                f"{one}: left out, its first bar closed on {last:%Y-%m-%d}, "
                f"after the as-of date {end:%Y-%m-%d}."
            )
        elif missed > row["stale_after_sessions"]:
            stale[one] = (
                f"{one}: left out, its last bar by {end:%Y-%m-%d} closed on "
                f"{last:%Y-%m-%d}, {missed} sessions earlier, more than "
                f"stale_after_sessions ({row['stale_after_sessions']}). Load "
                "newer bars or use an earlier --as-of."
            )
    return series, as_ofs, stale


def _choose(
    spans: pd.DataFrame,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> pd.DataFrame:
    for column, what, asked in (
        ("ticker", "symbol", symbols),
        ("timeframe", "timeframe", timeframes),
    ):
        if asked is None:
            continue
        there = list(dict.fromkeys(spans[column]))
        if unknown := [name for name in asked if name not in there]:
            raise UnknownSeriesError(
                f"Unknown {what} {', '.join(unknown)}; the warehouse has "
                f"{_some(there)}. Load others with: swiftbolt ingest --help"
            )
        spans = spans[spans[column].isin(list(asked))]
    if spans.empty:
        raise UnknownSeriesError(
            f"None of {_some(symbols or [])} has bars on "
            f"{_some(timeframes or [])}."
        )
    return spans


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_NAMES_IN_MESSAGE])
    more = len(names) - MAX_NAMES_IN_MESSAGE
    return f"{shown} and {more} more" if more > 0 else shown
