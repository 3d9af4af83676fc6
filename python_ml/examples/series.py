"""Which series there are, and how far their bars reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from python_ml.console.text_tables import some_names
from python_ml.exceptions import NotEnoughDataError, UnknownSeriesError
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

# Every series that has bars, but for those of deactivated symbols.
SERIES_QUERY = """
    select
        symbols.symbol_id,
        symbols.ticker,
        symbols.calendar,
        timeframes.timeframe,
        timeframes.sort_order
    from {raw}.symbols as symbols
    cross join {features}.timeframes as timeframes
    where
        symbols.deactivated_at is null
        and exists (
            select 1
            from {features}.bars as bars
            where
                bars.symbol_id = symbols.symbol_id
                and bars.timeframe = timeframes.timeframe
        )
"""

BAR_SPANS_QUERY = """
    select
        bars.symbol_id,
        symbols.ticker,
        bars.calendar,
        bars.timeframe,
        timeframes.sort_order,
        symbols.delisted_at,
        timeframes.stale_after_sessions,
        min(bars.closed_at) as first_closed_at,
        max(bars.closed_at) as last_closed_at,
        max(case when bars.closed_at <= :as_of then bars.closed_at end)
            as known_closed_at
    from {features}.bars as bars
    inner join {raw}.symbols as symbols
        on bars.symbol_id = symbols.symbol_id
    inner join {features}.timeframes as timeframes
        on bars.timeframe = timeframes.timeframe
    where symbols.deactivated_at is null
    group by
        bars.symbol_id,
        symbols.ticker,
        bars.calendar,
        bars.timeframe,
        symbols.delisted_at,
        timeframes.sort_order,
        timeframes.stale_after_sessions
    order by timeframes.sort_order, symbols.ticker
"""

# What is set aside, unless by the examples of an earlier cut: a training judges
# its own.
SET_ASIDE_QUERY = """
    select
        quarantined.symbol_id,
        quarantined.timeframe,
        quarantined.reason,
        quarantined.details,
        quarantined.fault_at,
        quarantined.quarantined_at
    from {ml}.quarantined_series as quarantined
    where
        quarantined.released_at is null
        and quarantined.source not like 'expectation training_examples %'
    order by quarantined.quarantine_id
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One symbol on one timeframe.

    Parameters
    ----------
    symbol_id : int
        Key of `raw.symbols`.
    ticker, calendar, timeframe : str
        For example AAPL, XNYS, d1.
    """

    symbol_id: int
    ticker: str
    calendar: str
    timeframe: str

    def __str__(self) -> str:
        return f"{self.ticker} {self.timeframe}"


def to_series(frame: pd.DataFrame) -> list[Series]:
    """One series a row, of the columns that are its fields."""
    return [
        Series(int(symbol_id), ticker, calendar, timeframe)
        for symbol_id, ticker, calendar, timeframe in zip(
            frame["symbol_id"],
            frame["ticker"],
            frame["calendar"],
            frame["timeframe"],
            strict=True,
        )
    ]


def narrow_to_series(
    frame: pd.DataFrame,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    *,
    warehouse: Warehouse | None = None,
) -> pd.DataFrame:
    """Rows of some series; names that are unknown are refused.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        With `ticker` and `timeframe`.
    symbols, timeframes : sequence of str or None
        Which series, None for all.
    warehouse : Warehouse, optional
        Says which series there are; by default those of `frame`.

    Raises
    ------
    UnknownSeriesError
        If a symbol, a timeframe or every pair of them has no bars.
    """
    if symbols is None and timeframes is None:
        return frame
    known = frame
    if warehouse is not None:
        known = read_frame(
            warehouse, f"{SERIES_QUERY} order by ticker, sort_order"
        )
    for what, column, names in (
        ("symbol", "ticker", symbols),
        ("timeframe", "timeframe", timeframes),
    ):
        known_names = list(dict.fromkeys(known[column]))
        unknown = [name for name in names or () if name not in known_names]
        if unknown:
            raise _unknown(what, unknown, known_names)
    if symbols is not None and timeframes is not None:
        pairs = [
            f"{ticker} {timeframe}"
            for ticker in symbols
            for timeframe in timeframes
        ]
        known_pairs = list(
            dict.fromkeys(known["ticker"] + " " + known["timeframe"])
        )
        if not set(pairs).intersection(known_pairs):
            raise _unknown("series", pairs, known_pairs)
    is_chosen = pd.Series(True, index=frame.index)
    if symbols is not None:
        is_chosen &= frame["ticker"].isin(list(symbols))
    if timeframes is not None:
        is_chosen &= frame["timeframe"].isin(list(timeframes))
    return frame[is_chosen]


def _unknown(
    what: str, unknown: Sequence[str], known: Sequence[str]
) -> UnknownSeriesError:
    return UnknownSeriesError(
        f"Unknown {what} {some_names(unknown)}; the warehouse has "
        f"{some_names(known) or 'none'}. Load others with: swiftbolt ingest "
        "--help; which are deactivated or renamed, says: swiftbolt symbols list"
    )


def resolve_series(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    as_of: datetime | None,
) -> tuple[list[Series], dict[str, datetime], dict[Series, str]]:
    """Find the series to train and how far their bars reach.

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
        left out because their bars end too early, because they are delisted
        or set aside, with the reason.

    Raises
    ------
    UnknownSeriesError
        If a symbol, a timeframe or every pair of them has no bars.
    NotEnoughDataError
        If there are no bars at all, or none by the as-of time.
    """
    spans = read_frame(
        warehouse,
        BAR_SPANS_QUERY,
        {"as_of": as_of or datetime.max.replace(tzinfo=UTC)},
    )
    if spans.empty:
        raise NotEnoughDataError(
            "features.bars is empty: load bars and build with `swiftbolt "
            "ingest sample`, then `swiftbolt run`."
        )
    chosen = narrow_to_series(spans, symbols, timeframes)
    last_closes = spans.groupby("calendar")["last_closed_at"].max()
    as_ofs = {
        str(calendar): as_of or last.to_pydatetime()
        for calendar, last in last_closes.items()
    }
    if as_of is not None and chosen["known_closed_at"].isna().all():
        raise NotEnoughDataError(
            f"No bar of the series asked for had closed by {as_of:%Y-%m-%d}; "
            f"the first closed on {chosen['first_closed_at'].min():%Y-%m-%d}. "
            "Use a later --as-of."
        )
    left_out = _set_aside_series(warehouse, chosen, as_ofs)
    return (
        to_series(chosen),
        as_ofs,
        _stale_series(warehouse, chosen, as_ofs)
        | _delisted_series(chosen, as_ofs)
        | left_out,
    )


def _set_aside_series(
    warehouse: Warehouse, spans: pd.DataFrame, as_ofs: Mapping[str, datetime]
) -> dict[Series, str]:
    """Series at fault by their as-of time, with the reason."""
    quarantines = read_frame(warehouse, SET_ASIDE_QUERY)
    by_key = {
        (series.symbol_id, series.timeframe): series
        for series in to_series(spans)
    }
    set_aside: dict[Series, str] = {}
    for row in quarantines.to_dict("records"):
        series = by_key.get((row["symbol_id"], row["timeframe"]))
        # What an earlier as-of time cannot know sets nothing aside then.
        if series is None or row["fault_at"] > as_ofs[series.calendar]:
            continue
        set_aside.setdefault(
            series,
            f"{series}: set aside since {row['quarantined_at']:%Y-%m-%d} as "
            f"{row['reason']}: {row['details']}. See "
            "monitoring.series_health; it is back once it passes: swiftbolt "
            "build",
        )
    return set_aside


def _delisted_series(
    spans: pd.DataFrame, as_ofs: Mapping[str, datetime]
) -> dict[Series, str]:
    """Series that were traded no more at their as-of time."""
    return {
        series: (
            f"{series}: left out, delisted on {delisted_at:%Y-%m-%d}. Use an "
            "earlier --as-of."
        )
        for series, delisted_at in zip(
            to_series(spans), spans["delisted_at"], strict=True
        )
        if delisted_at <= as_ofs[series.calendar]
    }


def _stale_series(
    warehouse: Warehouse, spans: pd.DataFrame, as_ofs: Mapping[str, datetime]
) -> dict[Series, str]:
    """Series whose bars end too early, with the reason."""
    sessions = read_frame(
        warehouse, "select calendar, closed_at from {raw}.sessions"
    )
    closes = dict(iter(sessions.groupby("calendar")["closed_at"]))
    stale = {}
    for series, row in zip(
        to_series(spans), spans.to_dict("records"), strict=True
    ):
        end = as_ofs[series.calendar]
        last = row["known_closed_at"]
        if pd.isna(last):
            stale[series] = (
                f"{series}: left out, its first bar closed on "
                f"{row['first_closed_at']:%Y-%m-%d}, after the as-of date "
                f"{end:%Y-%m-%d}."
            )
            continue
        is_missed = closes[series.calendar].between(
            last, pd.Timestamp(end), inclusive="right"
        )
        n_missed = int(is_missed.sum())
        if n_missed > row["stale_after_sessions"]:
            stale[series] = (
                f"{series}: left out, its last bar by {end:%Y-%m-%d} closed on "
                f"{last:%Y-%m-%d}, {n_missed} sessions earlier, more than "
                f"stale_after_sessions ({row['stale_after_sessions']}). Load "
                "newer bars or use an earlier --as-of."
            )
    return stale
