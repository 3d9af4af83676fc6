from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_ml.ingestion.calendars.grid import (
    DAY,
    MINUTE,
    NO_TIME,
    SessionGrid,
    microseconds,
    to_utc,
)
from python_ml.ingestion.calendars.sessions import calendar_sessions

MINUTES = {"m15": 15, "h1": 60, "h4": 240}


def grid_of(calendar, time_zone):
    sessions = calendar_sessions(calendar, through=date(2024, 12, 31))
    return SessionGrid(sessions, MINUTES, time_zone)


@pytest.fixture(scope="module")
def new_york():
    return grid_of("XNYS", "America/New_York")


@pytest.fixture(scope="module")
def around_the_clock():
    return grid_of("24/7", "UTC")


def place(grid, timeframe, *times):
    moments = microseconds(pd.Series(pd.to_datetime(list(times), utc=True)))
    return grid.place(timeframe, moments)


def span(grid, timeframe, time):
    """Session, open and close of the bar that a time names, or why not."""
    found = place(grid, timeframe, time)
    if found.reason[0] is not None:
        return found.reason[0]
    session, opened, closed = (
        to_utc(times)[0]
        for times in (found.session_date, found.opened_at, found.closed_at)
    )
    return f"{session:%Y-%m-%d} {opened:%d %H:%M} {closed:%d %H:%M}"


@pytest.mark.parametrize(
    ("timeframe", "time", "expected"),
    [
        # Summer, 09:30 to 16:00 in New York.
        ("m15", "2024-07-02 13:30", "2024-07-02 02 13:30 02 13:45"),
        ("m15", "2024-07-02 19:45", "2024-07-02 02 19:45 02 20:00"),
        ("m15", "2024-07-02 13:15", "outside_session"),
        ("m15", "2024-07-02 20:00", "outside_session"),
        ("m15", "2024-07-02 13:40", "off_grid"),
        ("h1", "2024-07-02 18:30", "2024-07-02 02 18:30 02 19:30"),
        ("h1", "2024-07-02 19:30", "2024-07-02 02 19:30 02 20:00"),
        ("h1", "2024-07-02 14:00", "off_grid"),
        ("h4", "2024-07-02 13:30", "2024-07-02 02 13:30 02 17:30"),
        ("h4", "2024-07-02 17:30", "2024-07-02 02 17:30 02 20:00"),
        ("d1", "2024-07-02 00:00", "2024-07-02 02 13:30 02 20:00"),
        ("d1", "2024-07-02 13:30", "2024-07-02 02 13:30 02 20:00"),
        # Midnight of New York's clocks, in summer and in winter.
        ("d1", "2024-07-02 04:00", "2024-07-02 02 13:30 02 20:00"),
        ("d1", "2024-01-03 05:00", "2024-01-03 03 14:30 03 21:00"),
        ("d1", "2024-01-03 04:00", "outside_session"),  # 23:00 on the 2nd
        ("d1", "2024-07-02 05:00", "outside_session"),
        ("d1", "2024-07-02 20:00", "outside_session"),  # its close
        ("d1", "2024-07-04 04:00", "no_session"),
        ("w1", "2024-07-01 04:00", "2024-07-01 01 13:30 05 20:00"),
        ("w1", "2024-05-27 04:00", "2024-05-28 28 13:30 31 20:00"),
        ("w1", "2024-05-28 04:00", "2024-05-28 28 13:30 31 20:00"),
        ("w1", "2024-06-30 04:00", "off_grid"),
        ("d1", "2024-07-02 14:30", "off_grid"),
        # An early close at 13:00.
        ("m15", "2024-07-03 16:45", "2024-07-03 03 16:45 03 17:00"),
        ("m15", "2024-07-03 17:00", "outside_session"),
        ("h1", "2024-07-03 16:30", "2024-07-03 03 16:30 03 17:00"),
        ("h1", "2024-07-03 17:30", "outside_session"),
        ("h4", "2024-07-03 13:30", "2024-07-03 03 13:30 03 17:00"),
        ("h4", "2024-07-03 17:30", "outside_session"),
        ("d1", "2024-07-03 00:00", "2024-07-03 03 13:30 03 17:00"),
        # A holiday, a Saturday, years before the first session.
        ("m15", "2024-07-04 13:30", "no_session"),
        ("d1", "2024-07-04 00:00", "no_session"),
        ("h1", "2024-07-06 13:30", "no_session"),
        ("d1", "2024-07-06 00:00", "no_session"),
        ("h4", "1989-12-29 14:30", "no_session"),
        ("d1", "1989-12-29 00:00", "no_session"),
        ("w1", "1989-12-25 00:00", "no_session"),
        # Clocks went forward on Sunday, 10 March, and back on 3 November.
        ("m15", "2024-03-08 14:30", "2024-03-08 08 14:30 08 14:45"),
        ("m15", "2024-03-08 13:30", "outside_session"),
        ("m15", "2024-03-11 13:30", "2024-03-11 11 13:30 11 13:45"),
        ("m15", "2024-03-11 20:00", "outside_session"),
        ("h4", "2024-11-01 17:30", "2024-11-01 01 17:30 01 20:00"),
        ("h4", "2024-11-04 18:30", "2024-11-04 04 18:30 04 21:00"),
        ("h4", "2024-11-04 17:30", "off_grid"),
        ("w1", "2024-03-11 00:00", "2024-03-11 11 13:30 15 20:00"),
        # A week by its Monday, be it a holiday, or by its first session.
        ("w1", "2024-07-01 00:00", "2024-07-01 01 13:30 05 20:00"),
        ("w1", "2024-07-01 13:30", "2024-07-01 01 13:30 05 20:00"),
        ("w1", "2024-05-27 00:00", "2024-05-28 28 13:30 31 20:00"),
        ("w1", "2024-05-28 00:00", "2024-05-28 28 13:30 31 20:00"),
        ("w1", "2024-05-28 13:30", "2024-05-28 28 13:30 31 20:00"),
        # Not by the Sunday before, which would give it away a week early.
        ("w1", "2024-06-30 00:00", "off_grid"),
        ("w1", "2024-07-05 00:00", "off_grid"),
        ("w1", "2024-07-02 00:00", "off_grid"),
    ],
)
def test_a_time_names_the_bar_that_opens_then(
    new_york, timeframe, time, expected
):
    assert span(new_york, timeframe, time) == expected


@pytest.mark.parametrize(
    ("timeframe", "time", "expected"),
    [
        ("m15", "2024-03-10 00:00", "2024-03-10 10 00:00 10 00:15"),
        ("m15", "2024-03-10 07:15", "2024-03-10 10 07:15 10 07:30"),
        ("h1", "2024-03-10 23:00", "2024-03-10 10 23:00 11 00:00"),
        ("h4", "2024-03-10 20:00", "2024-03-10 10 20:00 11 00:00"),
        ("h4", "2024-03-10 21:00", "off_grid"),
        ("d1", "2024-03-10 00:00", "2024-03-10 10 00:00 11 00:00"),
        ("d1", "2024-03-10 05:00", "off_grid"),
        ("w1", "2024-03-04 00:00", "2024-03-04 04 00:00 11 00:00"),
        ("w1", "2024-03-10 00:00", "off_grid"),
    ],
)
def test_without_a_close_days_end_at_midnight_utc(
    around_the_clock, timeframe, time, expected
):
    assert span(around_the_clock, timeframe, time) == expected


def test_sessions_that_open_on_the_evening_before_are_found_by_their_date():
    chicago = grid_of("CMES", "America/Chicago")
    expected = "2024-01-04 03 23:00 04 23:00"

    assert span(chicago, "d1", "2024-01-04 00:00") == expected
    assert span(chicago, "d1", "2024-01-03 23:00") == expected
    assert span(chicago, "m15", "2024-01-03 23:00") == (
        "2024-01-04 03 23:00 03 23:15"
    )


def test_a_time_that_two_readings_give_to_two_sessions_is_not_guessed():
    # Sessions from one midnight UTC to the next, each named by its end.
    midnights = pd.date_range("2024-07-01", periods=4, tz="UTC")
    grid = SessionGrid(
        pd.DataFrame(
            {
                "session_date": midnights.tz_localize(None)[1:],
                "opened_at": midnights[:-1],
                "closed_at": midnights[1:],
            }
        ),
        MINUTES,
        "UTC",
    )

    assert span(grid, "d1", "2024-07-01") == "2024-07-02 01 00:00 02 00:00"
    assert span(grid, "d1", "2024-07-02") == "unclear_day"


@pytest.mark.parametrize(
    ("calendar", "time_zone"),
    [
        ("XLON", "Europe/London"),
        ("XTKS", "Asia/Tokyo"),
        ("XASX", "Australia/Sydney"),
        ("CMES", "America/Chicago"),
        ("BVMF", "America/Sao_Paulo"),  # its clocks went forward at midnight
        ("24/7", "UTC"),
    ],
)
def test_a_midnight_there_or_in_utc_names_the_day_in_every_season(
    calendar, time_zone
):
    sessions = calendar_sessions(calendar, through=date(2018, 12, 31))
    sessions = sessions[sessions["session_date"] >= "2016-01-01"]
    grid = SessionGrid(sessions, MINUTES, time_zone)
    dates = pd.DatetimeIndex(sessions["session_date"])
    there = dates.tz_localize(
        time_zone, ambiguous=[True] * len(dates), nonexistent="shift_forward"
    )

    for midnights in (there, dates.tz_localize("UTC")):
        found = place(grid, "d1", *midnights.tz_convert("UTC"))
        assert list(to_utc(found.session_date).tz_localize(None)) == list(dates)


def test_the_last_week_of_the_calendar_has_no_bar_since_it_may_grow(new_york):
    assert span(new_york, "w1", "2024-12-23") == "2024-12-23 23 14:30 27 21:00"
    assert span(new_york, "w1", "2024-12-30") == "off_grid"


def test_a_missing_time_names_no_bar_and_has_no_reason_here(new_york):
    for timeframe in new_york.timeframes:
        places = new_york.place(timeframe, np.array([NO_TIME]))
        assert places.opened_at.tolist() == [NO_TIME]
        assert places.closed_at.tolist() == [NO_TIME]
        assert places.reason.tolist() == [None]


def all_bars(sessions, minutes):
    """Every bar of a timeframe, laid out one after the other."""
    for session in sessions.itertuples():
        opened = session.opened_at
        while opened < session.closed_at:
            closed = min(
                opened + pd.Timedelta(minutes=minutes), session.closed_at
            )
            yield opened, closed
            opened = closed


@pytest.mark.parametrize("timeframe", ["m15", "h1", "h4"])
@pytest.mark.parametrize("calendar", ["XNYS", "24/7"])
def test_every_bar_of_a_year_is_found_by_its_open_and_fills_its_session(
    calendar, timeframe, new_york, around_the_clock
):
    sessions = calendar_sessions(calendar, through=date(2024, 12, 31))
    sessions = sessions[sessions["session_date"] >= "2024-01-01"]
    bars = list(all_bars(sessions, MINUTES[timeframe]))
    grid = new_york if calendar == "XNYS" else around_the_clock

    found = place(grid, timeframe, *(opened for opened, _ in bars))

    assert set(found.reason) == {None}
    assert list(to_utc(found.closed_at)) == [closed for _, closed in bars]


@settings(deadline=None)
@given(
    st.sampled_from(["m15", "h1", "h4", "d1", "w1"]),
    st.datetimes(
        pd.Timestamp("1985-01-01").to_pydatetime(),
        pd.Timestamp("2024-12-31").to_pydatetime(),
    ),
)
def test_any_time_names_a_bar_around_it_or_has_a_reason(
    new_york, timeframe, time
):
    # Mostly on the minute, or hardly any time would be on the grid.
    moments = microseconds(pd.Series([time]))
    moments = np.concatenate([moments, moments - moments % (15 * MINUTE)])
    places = new_york.place(timeframe, moments)

    has_place = places.opened_at != NO_TIME
    assert (has_place == np.equal(places.reason, None)).all()
    opened, closed = places.opened_at[has_place], places.closed_at[has_place]
    assert (opened < closed).all()
    if timeframe in MINUTES:
        assert (opened == moments[has_place]).all()
        assert (closed <= opened + MINUTES[timeframe] * MINUTE).all()
    else:
        # Named by its open or by a midnight before it, never one behind.
        assert (moments[has_place] <= opened).all()
        assert (opened - moments[has_place] < 5 * DAY).all()
