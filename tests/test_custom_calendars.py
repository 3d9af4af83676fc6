from datetime import UTC, date, datetime

import pandas as pd
import pytest

from python_ml.exceptions import IngestionError, SettingsError
from python_ml.ingestion.calendars.custom import CustomHours
from python_ml.ingestion.calendars.grid import SessionGrid, microseconds, to_utc
from python_ml.ingestion.calendars.horizons import default_horizons
from python_ml.ingestion.calendars.sessions import (
    calendar_sessions,
    calendar_time_zone,
    fill_sessions,
    stored_sessions,
)
from python_ml.settings import load_settings
from python_ml.warehouse.seeds import intraday_minutes, read_seed

SETTINGS = load_settings({})
HOURS = CustomHours.from_seeds(SETTINGS)
WEEKS = ["calendar", "time_zone", "weekday", "opens", "closes"]
EXCEPTIONS = ["calendar", "session_date", "opens", "closes", "is_open"]


def hours(weeks=(), exceptions=()):
    return CustomHours(
        weeks=pd.DataFrame(list(weeks), columns=WEEKS),
        exceptions=pd.DataFrame(list(exceptions), columns=EXCEPTIONS),
    )


def times_of(sessions, day):
    session = sessions.set_index("session_date").loc[day]
    return [f"{session[name]:%d %H:%M}" for name in ("opened_at", "closed_at")]


def test_currencies_trade_from_sunday_to_friday_at_17_in_new_york():
    sessions = calendar_sessions("fx", through=date(2024, 12, 31), hours=HOURS)
    year = sessions[sessions["session_date"] >= "2024-01-01"]

    assert set(year["session_date"].dt.day_name()) == {
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
    }
    assert times_of(year, "2024-07-01") == ["30 21:00", "01 21:00"]  # summer
    assert times_of(year, "2024-01-08") == ["07 22:00", "08 22:00"]
    # One follows the other, but over the weekend; the clocks change in one.
    gaps = (year["opened_at"] - year["closed_at"].shift()).dropna()
    hours_closed = set(gaps.dt.total_seconds() / 3600)
    assert hours_closed == {0.0, 47.0, 48.0, 49.0}
    assert calendar_time_zone("fx", hours=HOURS) == "America/New_York"


@pytest.mark.parametrize(
    ("timeframe", "time", "expected"),
    [
        ("h1", "2024-06-30 21:00Z", "2024-07-01 30 21:00 30 22:00"),
        ("h4", "2024-07-05 17:00Z", "2024-07-05 05 17:00 05 21:00"),
        # A day by its date, by midnight there, by its open on the evening.
        ("d1", "2024-07-01", "2024-07-01 30 21:00 01 21:00"),
        ("d1", "2024-07-01 04:00Z", "2024-07-01 30 21:00 01 21:00"),
        ("d1", "2024-06-30 21:00Z", "2024-07-01 30 21:00 01 21:00"),
        ("w1", "2024-06-30 21:00Z", "2024-07-01 30 21:00 05 21:00"),
        # Not by the Sunday, whose evening belongs to Monday.
        ("d1", "2024-06-30", "no_session"),
        ("h1", "2024-07-06 12:00Z", "no_session"),
    ],
)
def test_bars_of_currencies_have_their_places(timeframe, time, expected):
    grid = SessionGrid(
        calendar_sessions("fx", through=date(2024, 12, 31), hours=HOURS),
        intraday_minutes(SETTINGS),
        "America/New_York",
    )
    found = grid.place(
        timeframe, microseconds(pd.Series(pd.to_datetime([time], utc=True)))
    )
    shown = found.reason[0] or (
        f"{to_utc(found.session_date)[0]:%Y-%m-%d} "
        f"{to_utc(found.opened_at)[0]:%d %H:%M} "
        f"{to_utc(found.closed_at)[0]:%d %H:%M}"
    )

    assert shown == expected


def test_hours_of_ones_own_make_a_calendar():
    own = hours(
        [
            ("mine", "Asia/Kolkata", "Saturday", "9:15", "15:30"),
            ("mine", "Asia/Kolkata", "Sunday", "00:00", "24:00"),
        ]
    )
    sessions = calendar_sessions("mine", through=date(2024, 7, 7), hours=own)

    assert times_of(sessions, "2024-07-06") == ["06 03:45", "06 10:00"]
    assert times_of(sessions, "2024-07-07") == ["06 18:30", "07 18:30"]
    assert sessions["session_date"].iloc[0] == pd.Timestamp("1990-01-06")


def test_exceptions_add_change_and_remove_sessions_of_any_calendar():
    own = hours(
        exceptions=[
            ("XNYS", "2024-07-06", "10:00", "13:00", True),  # a Saturday
            ("XNYS", "2024-07-05", "9:30", "12:00", True),
            ("XNYS", "2024-07-08", None, None, False),
            ("XLON", "2024-07-09", None, None, False),
        ]
    )
    plain = calendar_sessions("XNYS", through=date(2024, 7, 31))
    sessions = calendar_sessions("XNYS", through=date(2024, 7, 31), hours=own)

    assert times_of(sessions, "2024-07-06") == ["06 14:00", "06 17:00"]
    assert times_of(sessions, "2024-07-05") == ["05 13:30", "05 16:00"]
    changed = set(plain["session_date"]) ^ set(sessions["session_date"])
    assert {f"{day:%d}" for day in changed} == {"06", "08"}
    assert sessions["session_date"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("weeks", "exceptions", "message"),
    [
        ([("mine", "UTC", "Monday", "9am", "17:00")], [], "9am is no time"),
        ([("mine", "UTC", "Monday", "09:00", "24:30")], [], "24:30 is no time"),
        ([("mine", "UTC", "Mon", "09:00", "17:00")], [], "no such weekday"),
        ([("mine", "Mars", "Monday", "09:00", "17:00")], [], "no time zone"),
        ([("mine", "UTC", "Monday", "09:00", "17:00")] * 2, [], "twice"),
        (
            [
                ("mine", "UTC", "Monday", "09:00", "17:00"),
                ("mine", "Asia/Tokyo", "Friday", "09:00", "17:00"),
            ],
            [],
            "two time zones",
        ),
        ([], [("XNYS", "soon", "09:00", "17:00", True)], "write the date"),
        ([], [("XNYS", "2024-07-06", None, None, True)], "no time of day"),
        ([], [("XNYS", "2024-07-06", None, None, False)] * 2, "twice"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(weeks, exceptions, message):
    with pytest.raises(SettingsError, match=message) as raised:
        hours(weeks, exceptions)
    assert str(raised.value).startswith("Seed '")


def test_an_unknown_calendar_is_told_which_there_are():
    with pytest.raises(IngestionError, match="custom_calendars: fx"):
        calendar_sessions("FX", through=date(2024, 7, 31), hours=HOURS)


def test_an_exception_ahead_joins_what_is_stored(warehouse):
    now = datetime(2013, 3, 4, 22, tzinfo=UTC)
    own = hours(
        exceptions=[
            ("XNYS", "2013-06-01", "10:00", "13:00", True),
            ("XNYS", "2013-01-05", "10:00", "13:00", True),
        ]
    )
    with warehouse.begin() as connection:
        fill_sessions(connection, "XNYS", now=now)
        fill = fill_sessions(connection, "XNYS", now=now, hours=own)
        stored = stored_sessions(connection, "XNYS")

    # What has passed stays, since bars are numbered by it, and is named.
    days = set(stored["session_date"])
    assert pd.Timestamp("2013-06-01") in days
    assert pd.Timestamp("2013-01-05") not in days
    assert fill.differing == (date(2013, 1, 5),)


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XETR", "24/7"])
def test_the_default_horizons_are_those_that_the_seed_has(calendar):
    seed = read_seed(SETTINGS, "horizons")
    expected = seed.loc[seed["calendar"] == calendar].drop(columns="calendar")
    sessions = calendar_sessions(calendar, through=date(2026, 12, 31))

    found = default_horizons(sessions, intraday_minutes(SETTINGS))

    key = ["timeframe", "horizon_bars"]
    pd.testing.assert_frame_equal(
        found.sort_values(key, ignore_index=True),
        expected.sort_values(key, ignore_index=True),
    )


@pytest.mark.parametrize(
    ("calendar", "expected"),
    [
        ("fx", "m15 1h=4* 4h=16 1d=96, h1 4h=4* 1d=24 5d=120, "
               "h4 1d=6* 5d=30 20d=120, d1 1d=1* 5d=5 20d=20, "
               "w1 20d=4* 60d=12 120d=24"),
        # Six days a week.
        ("XSAU", None),
        # Sessions of three hours.
        ("short", "m15 1h=4* 1d=12 6d=72, h1 1d=3* 6d=18 24d=72, "
                  "h4 1d=1* 6d=6 24d=24, d1 1d=1* 6d=6 24d=24, "
                  "w1 24d=4* 72d=12 144d=24"),
    ],
)  # fmt: skip
def test_every_calendar_has_horizons_by_rule(calendar, expected):
    six_days = pd.DataFrame({"weekday": pd.date_range(
        "2024-07-01", periods=6).day_name()}).assign(
            calendar="short", time_zone="UTC", opens="09:00", closes="12:00"
        )  # fmt: skip
    own = CustomHours(
        pd.concat([HOURS.weeks, six_days], ignore_index=True), HOURS.exceptions
    )
    sessions = calendar_sessions(
        calendar, through=date(2024, 12, 31), hours=own
    )

    found = default_horizons(sessions, intraday_minutes(SETTINGS))

    assert found.groupby("timeframe").size().eq(3).all()
    assert found.groupby("timeframe")["is_base"].sum().eq(1).all()
    assert not found.duplicated(["timeframe", "horizon_bars"]).any()
    if expected:
        for text in expected.split(", "):
            timeframe, *spans = text.split()
            rows = found.loc[found["timeframe"] == timeframe]
            assert spans == [
                f"{row.horizon}={row.horizon_bars}{'*' * row.is_base}"
                for row in rows.itertuples()
            ]
