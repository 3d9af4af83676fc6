"""Which rows of a load cannot be stored, and why."""

import hashlib
import json
import math
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from python_ml.ingestion.base import BAR_VALUES

# Other timeframes are built from these.
TIMEFRAMES = ("d1",)
ADJUSTMENT_KINDS = ("split", "dividend")
PRICES = ["open", "high", "low", "close"]


def screen_bars(
    bars: pd.DataFrame, sessions: pd.DataFrame, *, now: datetime
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Part bars that can be stored from those that cannot.

    A row has one reason: the first that holds, in the order of this function.
    Of several good rows for one bar the first is kept.

    Parameters
    ----------
    bars : DataFrame
        `Load.bars`, on a unique index.
    sessions : DataFrame
        session_date, opened_at and closed_at of the calendar.
    now : datetime
        Bars that close later are rejected; with a time zone.

    Returns
    -------
    accepted : DataFrame
        ticker, timeframe, session_date, opened_at, closed_at and values as
        floats, on the index of `bars`.
    reasons : Series of str
        Reason of every other row, on the index of `bars`.
    """
    values = _numbers(bars[BAR_VALUES])
    prices = values[PRICES]
    screened = pd.concat(
        [
            _text(bars["ticker"]).rename("ticker"),
            _text(bars["timeframe"]).rename("timeframe"),
            _at_sessions(bars["session_date"], sessions),
            values,
        ],
        axis="columns",
    )
    session_date = screened["session_date"]
    reasons = _first_reasons(
        {
            "missing_ticker": screened["ticker"].isna(),
            "unknown_timeframe": ~screened["timeframe"].isin(TIMEFRAMES),
            "unreadable_date": session_date.isna(),
            "not_closed_yet": (screened["closed_at"] > now)
            | (session_date > pd.Timestamp(now.date())),
            "no_session": screened["closed_at"].isna(),
            "unreadable_price": prices.isna().any(axis="columns"),
            "infinite_price": prices.isin([np.inf, -np.inf]).any(
                axis="columns"
            ),
            "price_not_positive": (prices <= 0).any(axis="columns"),
            "high_below_low": values["high"] < values["low"],
            "open_outside_range": _is_outside(values, "open"),
            "close_outside_range": _is_outside(values, "close"),
            "unreadable_volume": values["volume"].isna(),
            "infinite_volume": values["volume"].isin([np.inf, -np.inf]),
            "negative_volume": values["volume"] < 0,
        }
    )
    return _without_duplicates(
        screened,
        reasons,
        key=["ticker", "timeframe", "session_date"],
        values=BAR_VALUES,
    )


def screen_adjustments(
    adjustments: pd.DataFrame,
    sessions: pd.DataFrame,
    *,
    now: datetime,
    tickers: set[str],
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Part splits and dividends that can be stored from those that cannot.

    Parameters
    ----------
    adjustments : DataFrame
        `Load.adjustments`, on a unique index.
    sessions : DataFrame
        session_date, opened_at and closed_at of the calendar.
    now : datetime
        Announced ones, effective later, are rejected until they are; with a
        time zone.
    tickers : set of str
        Symbols that have bars.

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
            _text(adjustments["ticker"]).rename("ticker"),
            _text(adjustments["kind"]).rename("kind"),
            factor,
            _at_sessions(adjustments["session_date"], sessions),
        ],
        axis="columns",
    ).rename(columns={"opened_at": "effective_at"})
    session_date = screened["session_date"]
    reasons = _first_reasons(
        {
            "missing_ticker": screened["ticker"].isna(),
            "adjustment_without_bars": ~screened["ticker"].isin(tickers),
            "unknown_adjustment_kind": ~screened["kind"].isin(ADJUSTMENT_KINDS),
            "unreadable_date": session_date.isna(),
            "not_effective_yet": (screened["effective_at"] > now)
            | (session_date > pd.Timestamp(now.date())),
            "no_session": screened["effective_at"].isna(),
            "unreadable_factor": factor.isna() | np.isinf(factor),
            "factor_not_positive": factor <= 0,
        }
    )
    return _without_duplicates(
        screened.drop(columns="closed_at"),
        reasons,
        key=["ticker", "session_date", "kind"],
        values=["factor"],
    )


def rejected_rows(
    rows: pd.DataFrame,
    reasons: "pd.Series[str]",
    *,
    source: str,
    rejected_at: datetime,
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
    """
    rejected = rows.loc[reasons.index]
    numbers: list[int | None] = [None] * len(rejected)
    if "source_row_number" in rejected:
        numbers = [int(number) for number in rejected["source_row_number"]]
        rejected = rejected.drop(columns="source_row_number")
    source_rows = [
        {str(name): _as_json(value) for name, value in row.items()}
        for row in rejected.to_dict(orient="records")
    ]
    frame = pd.DataFrame(
        {
            "batch_source": source,
            "ticker": _text(rejected["ticker"]),
            "timeframe": (
                _text(rejected["timeframe"])
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


def _first_reasons(checks: "dict[str, pd.Series[bool]]") -> "pd.Series[str]":
    """Name of the first check that each row fails, missing where none."""
    index = next(iter(checks.values())).index
    failed = np.column_stack(
        [check.to_numpy(bool) for check in checks.values()]
    )
    names = np.array([*checks, None], dtype=object)
    first = np.where(failed.any(axis=1), failed.argmax(axis=1), len(checks))
    return pd.Series(names[first], index=index, dtype=object)


def _without_duplicates(
    screened: pd.DataFrame,
    reasons: "pd.Series[str]",
    *,
    key: list[str],
    values: list[str],
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Keep the first row of each key; say how the others differ from it."""
    good = screened.loc[reasons.isna()]
    first_values = good.groupby(key, sort=False)[values].transform("first")
    is_identical = (good[values] == first_values).all(axis="columns")
    is_repeated = good.duplicated(key)
    repeated = pd.Series(
        np.where(is_identical, "identical_duplicate", "conflicting_duplicate"),
        index=good.index,
        dtype=object,
    ).loc[is_repeated]
    return (
        good.loc[~is_repeated],
        pd.concat([reasons.dropna(), repeated]).sort_index(),
    )


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
    numbers: pd.DataFrame = values.apply(pd.to_numeric, errors="coerce")
    return numbers.astype("float64")


def _text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Text without surrounding space, missing where nothing is left."""
    text = values.astype("string").str.strip()
    return text.mask(text == "").astype(object).where(text.notna(), None)


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
