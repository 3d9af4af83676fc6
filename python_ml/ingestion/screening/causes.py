"""What is likely wrong with a series whose times name no bars.

The order is that of certainty: what whole series show, then what most rejected
rows have in common.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.calendars.custom import WEEKDAYS
from python_ml.ingestion.calendars.grid import (
    DAILY,
    DAY,
    NO_TIME,
    WEEKLY,
    Microseconds,
    SessionGrid,
    to_local,
    to_utc,
)
from python_ml.ingestion.calendars.times import read_times
from python_ml.ingestion.explanations import REMEDIES

MOST = 0.5
# Of the hours of a currency's week these few are on Sunday.
SOME = 0.03
SATURDAY, SUNDAY = 5, 6

# Reasons that name their cause, the most certain first.
REASONS_OF_SERIES = (
    "wrong_zone",
    "stamped_at_close",
    "wrong_day",
    "unclear_day",
    "in_the_future",
)


def likely_cause(
    timeframe: str,
    times: "pd.Series[Any]",
    reasons: "pd.Series[str]",
    grid: SessionGrid,
    *,
    calendar: str,
    time_zone: str | None,
) -> str:
    """Say why the rows of one series were likely rejected and what mends it.

    Parameters
    ----------
    timeframe : str
    times : Series
        `opened_at` of the rejected rows, as it came.
    reasons : Series of str
        Their reasons.
    grid : SessionGrid
    calendar : str
        Name of the grid's calendar.
    time_zone : str or None
        Zone of the times that name none.
    """
    counts = reasons.value_counts()
    for reason in REASONS_OF_SERIES:
        if counts.get(reason, 0) >= MOST * len(reasons):
            return REMEDIES[reason]
    moments = read_times(
        times,
        time_zone=time_zone,
        may_be_date=np.full(len(times), timeframe in (DAILY, WEEKLY)),
    ).moments
    moments = moments[moments != NO_TIME]
    clock = to_local(moments, grid.time_zone)
    if timeframe == WEEKLY:
        return _cause_of_weeks(moments)
    is_name = (moments % DAY == 0) | (clock % DAY == 0)
    if timeframe == DAILY and np.mean(~is_name) >= MOST:
        return _cause_of_days(moments, clock, calendar, grid)
    # A midnight in UTC is the name of a day.
    days = _weekdays(np.where(moments % DAY == 0, moments, clock))
    if np.mean(days >= SATURDAY) >= SOME:
        return _cause_of_weekends(days, calendar)
    if timeframe == DAILY or counts.get("no_session", 0) >= MOST * len(reasons):
        return (
            f"Most of them are on days without a session of {calendar}: say "
            "the calendar of its exchange with --calendar."
        )
    return _cause_of_hours(timeframe, moments, clock, grid)


def _cause_of_weeks(moments: Microseconds) -> str:
    weekday = WEEKDAYS[_most_frequent(_weekdays(moments))]
    return (
        f"Most of them are {weekday}s, but a week is named by its Monday or by "
        "the date of its first session. Write that, or load the daily bars, "
        "which are rolled up."
    )


def _cause_of_weekends(days: NDArray[np.int64], calendar: str) -> str:
    is_saturday, is_sunday = days == SATURDAY, days == SUNDAY
    if is_saturday.any() and is_sunday.any():
        return (
            "There are bars on Saturdays and Sundays: it trades around the "
            "clock, so load it with --calendar 24/7."
        )
    day = WEEKDAYS[SATURDAY if is_saturday.any() else SUNDAY]
    other = "" if is_saturday.any() else " A currency has --calendar fx."
    return (
        f"There are bars on {day}s, when {calendar} has no session: say the "
        f"right calendar with --calendar, or the right zone.{other}"
    )


def _cause_of_days(
    moments: Microseconds,
    clock: Microseconds,
    calendar: str,
    grid: SessionGrid,
) -> str:
    if np.mean(grid.is_session_close(moments)) >= MOST:
        return (
            "Days are named by the close of their sessions. Load them with "
            "--stamp close, or write the date of each session, without a time."
        )
    return (
        f"Most of them are at {_clock_text(clock)} of {grid.time_zone}, which "
        "is neither midnight there or in UTC nor an open. Write the date of "
        f"each session of {calendar}, without a time."
    )


def _cause_of_hours(
    timeframe: str,
    moments: Microseconds,
    clock: Microseconds,
    grid: SessionGrid,
) -> str:
    if np.mean(~grid.is_in_step(timeframe, moments)) >= MOST:
        return (
            f"A bar of {timeframe} begins at the open of its session or a "
            f"whole number of bars later, but most of these are at "
            f"{_clock_text(clock)} of {grid.time_zone} or the like. Load the "
            "finer bars, of which coarser ones are rolled up; or they are in "
            "another zone, which --timezone names."
        )
    return (
        "They are before the open or after the close. If all are in one other "
        "zone, name it with --timezone; if they are of the hours around the "
        "session, which are not used, load the others with --accept-rejected."
    )


def _weekdays(days: Microseconds) -> NDArray[np.int64]:
    """Days of the week, Monday being 0."""
    weekdays: NDArray[np.int64] = to_utc(days).day_of_week.to_numpy(np.int64)
    return weekdays


def _most_frequent(values: NDArray[np.int64]) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[np.argmax(counts)])


def _clock_text(clock: Microseconds) -> str:
    minutes = _most_frequent(clock % DAY // 60_000_000)
    return f"{minutes // 60:02}:{minutes % 60:02}"
