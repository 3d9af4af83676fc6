"""Which splits and dividends of a load cannot be stored, and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from python_ml.ingestion.screening.factors import read_factors
from python_ml.ingestion.screening.reasons import (
    first_reasons,
    without_repeated,
)
from python_ml.ingestion.screening.values import (
    clean_text,
    read_dates,
)

ADJUSTMENT_KINDS = ("split", "dividend")
# No company has split or merged its shares by more at once.
LARGEST_FACTOR = 1e6
FLAGS = ["is_beside_bars", "has_adjusted_close"]


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
        `Load.adjustments`, with `events_beside_bars`, on a unique index.
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
        ticker, kind, factor (0 where there is an amount), amount (0 where
        there is a factor), session_date, effective_at, is_beside_bars and
        has_adjusted_close, on the index of `adjustments`.
    reasons : Series of str
        Reason of every other row, on the index of `adjustments`.
    """
    values = read_factors(adjustments)
    factor, amount = values["factor"], values["amount"]
    kind = clean_text(values["kind"]).rename("kind")
    screened = pd.concat(
        [
            clean_text(adjustments["ticker"]).rename("ticker"),
            kind,
            # Nothing is compared with a missing value, nor equal to it.
            factor.fillna(0.0),
            amount.fillna(0.0),
            _flags(adjustments),
            _at_sessions(adjustments["session_date"], sessions),
        ],
        axis="columns",
    ).rename(columns={"opened_at": "effective_at"})
    session_date = screened["session_date"]
    calendar_of_ticker = screened["ticker"].map(dict(calendars))
    reasons = first_reasons(
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
            (
                "unreadable_factor",
                (factor.isna() & amount.isna())
                | np.isinf(factor)
                | np.isinf(amount)
                | (amount.notna() & (kind == "split")),
            ),
            ("factor_not_positive", (factor <= 0) | (amount <= 0)),
            (
                "factor_out_of_bounds",
                (factor > LARGEST_FACTOR) | (factor < 1 / LARGEST_FACTOR),
            ),
        ],
        adjustments.index,
    )
    return without_repeated(
        screened.drop(columns="closed_at"),
        reasons,
        is_out=np.zeros(len(adjustments), bool),
        key=["ticker", "session_date", "kind"],
        values=["factor", "amount"],
    )


def _flags(adjustments: pd.DataFrame) -> pd.DataFrame:
    """What only events beside bars say, false of others."""
    return pd.DataFrame(
        {
            name: adjustments[name].eq(True)
            if name in adjustments
            else pd.Series(False, index=adjustments.index)
            for name in FLAGS
        }
    )


def _at_sessions(
    session_date: "pd.Series[Any]", sessions: pd.DataFrame
) -> pd.DataFrame:
    """session_date, opened_at, closed_at; missing where there is no session."""
    dates = read_dates(session_date)
    place = pd.Index(sessions["session_date"]).get_indexer(pd.Index(dates))
    times = sessions[["opened_at", "closed_at"]].reset_index(drop=True)
    at_place = times.reindex(np.where(place < 0, len(times), place))
    return at_place.set_axis(session_date.index).assign(session_date=dates)
