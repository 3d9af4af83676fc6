"""Which splits and dividends of a load cannot be stored, and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from python_ml.ingestion.screening.reasons import (
    first_reasons,
    without_repeated,
)
from python_ml.ingestion.screening.values import (
    clean_text,
    read_dates,
    read_numbers,
)

ADJUSTMENT_KINDS = ("split", "dividend")


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
    factor = read_numbers(adjustments[["factor"]])["factor"]
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
            ("unreadable_factor", factor.isna() | np.isinf(factor)),
            ("factor_not_positive", factor <= 0),
        ],
        adjustments.index,
    )
    return without_repeated(
        screened.drop(columns="closed_at"),
        reasons,
        is_out=np.zeros(len(adjustments), bool),
        key=["ticker", "session_date", "kind"],
        values=["factor"],
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
