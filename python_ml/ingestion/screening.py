"""Which rows of a load cannot be stored, and why."""

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from python_ml.ingestion.base import BAR_KEY, BAR_VALUES
from python_ml.ingestion.grid import (
    DAILY,
    DAY,
    NO_TIME,
    WEEKLY,
    Microseconds,
    Places,
    SessionGrid,
    to_utc,
)
from python_ml.ingestion.order import out_of_order
from python_ml.ingestion.times import from_local, read_times, to_local

ADJUSTMENT_KINDS = ("split", "dividend")
PRICES = ["open", "high", "low", "close"]

# A series is taken to be in another zone if nearly all its bars are within
# sessions when read so, and clearly fewer as they are. Today's are no evidence:
# a morning is too short to tell.
ROWS_THAT_SHOW_A_ZONE = 10
SHARE_WITHIN_SESSIONS = 0.95
SHARE_GAINED = 0.03

# Name of a reason, or one for each row, and which rows it holds for.
Check = tuple[str | NDArray[np.object_], Any]


def screen_bars(
    bars: pd.DataFrame,
    grid: SessionGrid,
    *,
    now: datetime,
    time_zone: str | None = None,
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Part bars that can be stored from those that cannot.

    A row has one reason: the first that holds, in the order of this function.
    Of several good rows for one bar the first is kept, unless it stands out
    of the order of its series.

    Parameters
    ----------
    bars : DataFrame
        `Load.bars`, on a unique index, with all rows of its tickers.
    grid : SessionGrid
        Bars that can exist.
    now : datetime
        Bars that close later are rejected; with a time zone.
    time_zone : str, optional
        Zone of the times that name none.

    Returns
    -------
    accepted : DataFrame
        ticker, timeframe, session_date (of a week: the first), opened_at,
        closed_at and values as floats, on the index of `bars`.
    reasons : Series of str
        Reason of every other row, on the index of `bars`.
    """
    values = _numbers(bars[BAR_VALUES])
    prices = values[PRICES]
    ticker = clean_text(bars["ticker"])
    timeframe = clean_text(bars["timeframe"])
    times = read_times(
        bars["opened_at"],
        time_zone=time_zone,
        may_be_date=timeframe.isin([DAILY, WEEKLY]).to_numpy(bool),
    )
    places = _place(timeframe, times.moments, grid)
    moment_now = pd.Timestamp(now).value // 1000
    series = _numbered(ticker, timeframe)
    reasons = _first_reasons(
        [
            ("malformed_row", is_malformed(bars)),
            ("missing_ticker", ticker.isna()),
            ("unknown_timeframe", ~timeframe.isin(grid.timeframes)),
            (times.reason, times.reason != None),  # noqa: E711
            ("in_the_future", times.moments > moment_now),
            (
                "wrong_zone",
                _is_in_wrong_zone(
                    series, timeframe, times.moments, places, grid, moment_now
                ),
            ),
            (places.reason, places.reason != None),  # noqa: E711
            ("not_closed_yet", places.closed_at > moment_now),
            ("unreadable_price", prices.isna().any(axis="columns")),
            (
                "infinite_price",
                prices.isin([np.inf, -np.inf]).any(axis="columns"),
            ),
            ("price_not_positive", (prices <= 0).any(axis="columns")),
            ("high_below_low", values["high"] < values["low"]),
            ("open_outside_range", _is_outside(values, "open")),
            ("close_outside_range", _is_outside(values, "close")),
            ("unreadable_volume", values["volume"].isna()),
            ("infinite_volume", values["volume"].isin([np.inf, -np.inf])),
            ("negative_volume", values["volume"] < 0),
        ],
        bars.index,
    )
    screened = pd.DataFrame(
        {
            "ticker": ticker,
            "timeframe": timeframe,
            "session_date": to_utc(places.session_date).tz_localize(None),
            "opened_at": to_utc(places.opened_at),
            "closed_at": to_utc(places.closed_at),
            **values,
        },
        index=bars.index,
    )
    is_good = reasons.isna().to_numpy()
    is_out = np.zeros(len(bars), bool)
    is_out[is_good] = out_of_order(
        _numbered_by_file(series, bars)[is_good], places.opened_at[is_good]
    )
    return _without_repeated(
        screened, reasons, is_out=is_out, key=BAR_KEY, values=BAR_VALUES
    )


def screen_adjustments(
    adjustments: pd.DataFrame,
    sessions: pd.DataFrame,
    *,
    now: datetime,
    calendar: str,
    calendars: Mapping[str, str],
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Part splits and dividends that can be stored from those that cannot.

    Parameters
    ----------
    adjustments : DataFrame
        `Load.adjustments`, on a unique index.
    sessions : DataFrame
        session_date, opened_at and closed_at of `calendar`.
    now : datetime
        Announced ones, effective later, are rejected until they are; with a
        time zone.
    calendar : str
        Of the load. An event is dated by the open of its session, so one of a
        symbol on another calendar would be stored a second time.
    calendars : mapping of str to str
        Calendar of every symbol that has bars.

    Returns
    -------
    accepted : DataFrame
        ticker, kind, factor, session_date and effective_at, on the index of
        `adjustments`.
    reasons : Series of str
        Reason of every other row, on the index of `adjustments`.
    """
    factor = _numbers(adjustments[["factor"]])["factor"]
    screened = pd.concat(
        [
            clean_text(adjustments["ticker"]).rename("ticker"),
            clean_text(adjustments["kind"]).rename("kind"),
            factor,
            _at_sessions(adjustments["session_date"], sessions),
        ],
        axis="columns",
    ).rename(columns={"opened_at": "effective_at"})
    session_date = screened["session_date"]
    calendar_of_ticker = screened["ticker"].map(dict(calendars))
    reasons = _first_reasons(
        [
            ("missing_ticker", screened["ticker"].isna()),
            ("adjustment_without_bars", calendar_of_ticker.isna()),
            ("adjustment_of_other_calendar", calendar_of_ticker != calendar),
            (
                "unknown_adjustment_kind",
                ~screened["kind"].isin(ADJUSTMENT_KINDS),
            ),
            ("unreadable_date", session_date.isna()),
            (
                "not_effective_yet",
                (screened["effective_at"] > now)
                | (session_date > pd.Timestamp(now.date())),
            ),
            ("no_session", screened["effective_at"].isna()),
            ("unreadable_factor", factor.isna() | np.isinf(factor)),
            ("factor_not_positive", factor <= 0),
        ],
        adjustments.index,
    )
    return _without_repeated(
        screened.drop(columns="closed_at"),
        reasons,
        is_out=np.zeros(len(adjustments), bool),
        key=["ticker", "session_date", "kind"],
        values=["factor"],
    )


def rejected_rows(
    rows: pd.DataFrame,
    reasons: "pd.Series[str]",
    *,
    source: str,
    rejected_at: datetime,
    source_names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Rows for `raw.rejected_bars`.

    The hash is over source, reason and row, and counts equal rows of a load
    apart: loading them again adds nothing, and none hides another.

    Parameters
    ----------
    rows : DataFrame
        `Load.bars` or `Load.adjustments`.
    reasons : Series of str
        On the index of the rows of `rows` that are rejected.
    source : str
        Name of the source.
    rejected_at : datetime
        With a time zone.
    source_names : mapping of str to str, optional
        What the source calls the columns.
    """
    rejected = rows.loc[reasons.index]
    numbers: list[int | None] = [None] * len(rejected)
    if "source_row_number" in rejected:
        numbers = [int(number) for number in rejected["source_row_number"]]
        rejected = rejected.drop(columns="source_row_number")
    source_rows = _as_records(rejected.rename(columns=dict(source_names or {})))
    frame = pd.DataFrame(
        {
            "batch_source": source,
            "ticker": clean_text(rejected["ticker"]),
            "timeframe": (
                clean_text(rejected["timeframe"])
                if "timeframe" in rejected
                else None
            ),
            "reason": reasons,
            "source_row": source_rows,
            "source_row_number": pd.array(numbers, dtype="Int64"),
            "text": [json.dumps(row, sort_keys=True) for row in source_rows],
            "rejected_at": rejected_at,
        },
        index=rejected.index,
    )
    occurrence = frame.groupby(["reason", "text"]).cumcount()
    frame["row_hash"] = [
        hashlib.sha256(
            json.dumps([source, reason, text, int(number)]).encode()
        ).hexdigest()
        for reason, text, number in zip(
            frame["reason"], frame["text"], occurrence, strict=True
        )
    ]
    return frame.drop(columns="text")


def clean_text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Text without surrounding space as categories, missing if nothing is left.

    Examples
    --------
    >>> clean_text(pd.Series([" IBM", "IBM", "", None])).tolist()
    ['IBM', 'IBM', nan, nan]
    """
    codes, found = pd.factorize(values)
    text = pd.Series(found).astype("str").str.strip()
    text_codes, names = pd.factorize(text.where(text != ""))
    # A further code for what was missing.
    clean_codes = np.append(text_codes, -1)[codes]
    return pd.Series(
        pd.Categorical.from_codes(clean_codes, pd.Index(names, dtype="str")),
        index=values.index,
        name=values.name,
    )


def is_malformed(bars: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark rows that the source could not tell into columns."""
    if "malformed_row" not in bars:
        return np.zeros(len(bars), bool)
    return bars["malformed_row"].notna().to_numpy(bool)


def _place(
    timeframe: "pd.Series[Any]", moments: Microseconds, grid: SessionGrid
) -> Places:
    """Places of bars of several timeframes."""
    n_rows = len(moments)
    places = Places(
        np.full(n_rows, NO_TIME),
        np.full(n_rows, NO_TIME),
        np.full(n_rows, NO_TIME),
        np.full(n_rows, None, dtype=object),
    )
    for name in grid.timeframes & {*timeframe.cat.categories}:
        rows = np.flatnonzero(timeframe == name)
        own = grid.place(name, moments[rows])
        places.session_date[rows] = own.session_date
        places.opened_at[rows] = own.opened_at
        places.closed_at[rows] = own.closed_at
        places.reason[rows] = own.reason
    return places


def _is_in_wrong_zone(
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
            share = share_within(_place(timeframe, other, grid), rows)
            is_wrong |= (
                is_suspect
                & (share >= SHARE_WITHIN_SESSIONS)
                & (share >= as_given + SHARE_GAINED)
            )
    is_wrong_row: NDArray[np.bool_] = is_intraday & is_wrong[series]
    return is_wrong_row


def _numbered(*labels: "pd.Series[Any]") -> NDArray[np.intp]:
    """Number of each row's combination of categories."""
    numbers = np.zeros(len(labels[0]), np.int64)
    for label in labels:
        numbers = numbers * (len(label.cat.categories) + 1) + (
            label.cat.codes.to_numpy(np.int64) + 1
        )
    return pd.factorize(numbers)[0]


def _numbered_by_file(
    series: NDArray[np.intp], bars: pd.DataFrame
) -> NDArray[np.intp]:
    """Tell a series of one file from the same of another."""
    if "file" not in bars:
        return series
    return _numbered(
        pd.Series(pd.Categorical(series)), clean_text(bars["file"])
    )


def _first_reasons(
    checks: Sequence[Check], index: pd.Index
) -> "pd.Series[str]":
    """Reason of the first check that each row fails, missing where none."""
    reasons = np.full(len(index), None, dtype=object)
    is_open = np.full(len(index), True)
    for reason, failed in checks:
        found = is_open & np.asarray(failed, dtype=bool)
        if found.any():
            reasons[found] = (
                reason if isinstance(reason, str) else reason[found]
            )
            is_open &= ~found
    return pd.Series(reasons, index=index, dtype=object)


def _without_repeated(
    screened: pd.DataFrame,
    reasons: "pd.Series[str]",
    *,
    is_out: NDArray[np.bool_],
    key: list[str],
    values: list[str],
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Keep one row of each key, the first in order; say why not the others."""
    is_good = reasons.isna().to_numpy()
    rows = np.flatnonzero(is_good)
    rows = rows[np.argsort(is_out[rows], kind="stable")]
    good = screened.iloc[rows]
    is_repeated = good.duplicated(key).to_numpy()
    if is_repeated.any():
        is_shared = good.duplicated(key, keep=False)
        shared = good.loc[is_shared]
        first = shared.groupby(key, sort=False, observed=True)[
            values
        ].transform("first")
        is_identical = (shared[values] == first).all(axis="columns")
        reasons.loc[good.index[is_repeated]] = np.where(
            is_identical.reindex(good.index[is_repeated]),
            "identical_duplicate",
            "conflicting_duplicate",
        )
    reasons.loc[good.index[~is_repeated & is_out[rows]]] = "out_of_order"
    return screened.loc[reasons.isna()], reasons.dropna()


def _is_outside(values: pd.DataFrame, price: str) -> "pd.Series[bool]":
    return (values[price] < values["low"]) | (values[price] > values["high"])


def _at_sessions(
    session_date: "pd.Series[Any]", sessions: pd.DataFrame
) -> pd.DataFrame:
    """session_date, opened_at, closed_at; missing where there is no session."""
    dates = _dates(session_date)
    place = pd.Index(sessions["session_date"]).get_indexer(pd.Index(dates))
    times = sessions[["opened_at", "closed_at"]].reset_index(drop=True)
    at_place = times.reindex(np.where(place < 0, len(times), place))
    return at_place.set_axis(session_date.index).assign(session_date=dates)


def _dates(values: "pd.Series[Any]") -> "pd.Series[pd.Timestamp]":
    """Dates from ISO text, dates or midnights; missing if anything else."""
    if values.dtype == object:
        values = values.where(~values.map(pd.api.types.is_number))
    dates = pd.to_datetime(
        values.astype("string").str.strip().str.removesuffix(" 00:00:00"),
        format="%Y-%m-%d",
        errors="coerce",
    )
    return dates.astype("datetime64[us]").rename("session_date")


def _numbers(values: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {name: _floats(values[name]) for name in values}, index=values.index
    )


def _floats(values: "pd.Series[Any]") -> NDArray[np.float64]:
    """Numbers, NaN for what is none."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(np.float64, na_value=np.nan)
    if values.dtype == "str":
        # Text of numbers alone is read ten times as fast.
        with contextlib.suppress(pa.ArrowInvalid):
            numbers: NDArray[np.float64] = (
                pa.array(values).cast(pa.float64()).to_numpy(False)
            )
            return numbers
    return pd.to_numeric(values, errors="coerce").to_numpy(np.float64)


def _as_records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON objects; missing text and times are null."""
    plain = {
        str(name): values
        if pd.api.types.is_numeric_dtype(values.dtype) or values.dtype == object
        else values.astype(object).where(values.notna(), None)
        for name, values in rows.items()
    }
    return [
        {name: _as_json(value) for name, value in zip(plain, row, strict=True)}
        for row in zip(*plain.values(), strict=True)
    ]


def _as_json(value: Any) -> Any:
    """A value that JSON can hold: what it cannot is kept as text."""
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
