from datetime import UTC, date, datetime

import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import IngestionError
from python_ml.ingestion.calendars.sessions import (
    calendar_sessions,
    fill_sessions,
    last_session_date,
    stored_sessions,
)

NOW = datetime(2013, 3, 4, 22, tzinfo=UTC)


def hours_of(sessions, day):
    session = sessions.set_index("session_date").loc[day]
    return [f"{session[name]:%H:%M}" for name in ("opened_at", "closed_at")]


@pytest.fixture(scope="module")
def new_york():
    return calendar_sessions("XNYS", through=date(2013, 12, 31))


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        ("2012-03-09", ["14:30", "21:00"]),  # winter
        ("2012-03-12", ["13:30", "20:00"]),  # clocks went forward on the 11th
        ("2012-11-02", ["13:30", "20:00"]),
        ("2012-11-05", ["14:30", "21:00"]),  # and back on the 4th
        ("2012-07-03", ["13:30", "17:00"]),  # eve of Independence Day
        ("2012-11-23", ["14:30", "18:00"]),  # day after Thanksgiving
        ("2006-04-03", ["13:30", "20:00"]),  # until 2006 clocks changed later,
        ("2006-03-31", ["14:30", "21:00"]),  # on the first Sunday of April
    ],
)
def test_hours_are_the_real_ones_in_utc(new_york, day, hours):
    assert hours_of(new_york, day) == hours


@pytest.mark.parametrize(
    "day",
    [
        "2001-09-11",  # closed until the 17th
        "2001-09-14",
        "2004-06-11",  # mourning for a president
        "2007-01-02",
        "2012-10-29",  # hurricane
        "2012-10-30",
        "2012-12-25",
        "2012-12-29",  # a Saturday
    ],
)
def test_closed_days_are_no_sessions(new_york, day):
    assert pd.Timestamp(day) not in set(new_york["session_date"])


def test_sessions_of_a_year_are_as_many_as_the_exchange_counts(new_york):
    by_year = new_york.groupby(new_york["session_date"].dt.year).size()

    assert by_year.loc[[2000, 2001, 2012]].tolist() == [252, 248, 250]


def test_sessions_are_ordered_and_do_not_overlap(new_york):
    assert new_york["session_date"].is_monotonic_increasing
    assert new_york["session_date"].is_unique
    assert (new_york["opened_at"] < new_york["closed_at"]).all()
    assert (
        new_york["closed_at"].shift().dropna() < new_york["opened_at"].iloc[1:]
    ).all()


@pytest.mark.parametrize("through", [date(1990, 12, 31), date(2030, 12, 31)])
def test_the_first_session_never_moves(through):
    sessions = calendar_sessions("XNYS", through=through)

    assert sessions["session_date"].iloc[0] == pd.Timestamp("1990-01-02")


def test_a_calendar_known_for_fewer_years_begins_with_them():
    sessions = calendar_sessions("XBOM", through=date(2000, 12, 31))

    assert sessions["session_date"].iloc[0] == pd.Timestamp("1997-01-01")


def test_days_without_end_follow_one_another():
    sessions = calendar_sessions("24/7", through=date(1990, 1, 3))

    assert list(sessions["closed_at"].iloc[:-1]) == list(
        sessions["opened_at"].iloc[1:]
    )


@pytest.mark.parametrize("name", ["NOPE", "", "xnys"])
def test_an_unknown_calendar_is_named_with_where_to_look(name):
    with pytest.raises(IngestionError, match=rf"{name}'.*get_calendar_names"):
        calendar_sessions(name, through=date(2013, 1, 1))


def test_an_alias_is_refused_with_the_name_to_use():
    with pytest.raises(IngestionError, match="alias of 'XNYS'"):
        calendar_sessions("NYSE", through=date(2013, 1, 1))


def test_sessions_reach_two_years_ahead_and_change_once_a_year():
    assert last_session_date(date(2013, 1, 1)) == date(2015, 12, 31)
    assert last_session_date(date(2013, 12, 31)) == date(2015, 12, 31)


def fill(warehouse, calendar="XNYS", *, now=NOW):
    with warehouse.begin() as connection:
        return fill_sessions(connection, calendar, now=now)


def stored(warehouse, calendar="XNYS"):
    with warehouse.begin() as connection:
        return stored_sessions(connection, calendar)


def change_session(warehouse, day, **values):
    with warehouse.begin() as connection:
        connection.execute(
            sa.update(schema.sessions)
            .where(
                schema.sessions.c.calendar == "XNYS",
                schema.sessions.c.session_date == day,
            )
            .values(values)
        )


def remove_session(warehouse, day):
    with warehouse.begin() as connection:
        connection.execute(
            sa.delete(schema.sessions).where(
                schema.sessions.c.calendar == "XNYS",
                schema.sessions.c.session_date == day,
            )
        )


def test_filling_stores_what_the_calendar_says(warehouse):
    filled = fill(warehouse)

    expected = calendar_sessions("XNYS", through=date(2015, 12, 31))
    assert filled.n_added == len(expected)
    pd.testing.assert_frame_equal(stored(warehouse), expected)
    pd.testing.assert_frame_equal(filled.sessions, expected)


def test_filling_again_adds_nothing(warehouse):
    fill(warehouse)
    before = stored(warehouse)

    again = fill(warehouse)

    assert (again.n_added, again.n_followed, again.differing) == (0, 0, ())
    pd.testing.assert_frame_equal(stored(warehouse), before)
    pd.testing.assert_frame_equal(again.sessions, before)


def test_a_later_year_adds_its_sessions_behind_the_others(warehouse):
    fill(warehouse)
    before = stored(warehouse)

    later = fill(warehouse, now=datetime(2014, 1, 2, tzinfo=UTC))

    assert later.n_added == 252  # those of 2016
    pd.testing.assert_frame_equal(stored(warehouse).head(len(before)), before)


def test_an_earlier_clock_takes_nothing_away(warehouse):
    fill(warehouse)
    before = stored(warehouse)

    fill(warehouse, now=datetime(2001, 1, 2, tzinfo=UTC))

    pd.testing.assert_frame_equal(stored(warehouse), before)


def test_calendars_are_kept_apart(warehouse):
    fill(warehouse)
    before = stored(warehouse)

    fill(warehouse, "24/7")

    pd.testing.assert_frame_equal(stored(warehouse), before)
    assert len(stored(warehouse, "24/7")) == 9496


def test_sessions_ahead_follow_the_calendar(warehouse):
    expected = fill(warehouse).sessions
    change_session(
        warehouse,
        date(2013, 7, 3),
        closed_at=datetime(2013, 7, 3, 20, tzinfo=UTC),
    )
    remove_session(warehouse, date(2013, 12, 24))
    with warehouse.begin() as connection:
        connection.execute(
            sa.insert(schema.sessions).values(
                calendar="XNYS",
                session_date=date(2013, 12, 25),
                opened_at=datetime(2013, 12, 25, 14, 30, tzinfo=UTC),
                closed_at=datetime(2013, 12, 25, 21, tzinfo=UTC),
            )
        )

    filled = fill(warehouse)

    assert (filled.n_added, filled.n_followed) == (1, 2)
    assert filled.differing == ()
    pd.testing.assert_frame_equal(stored(warehouse), expected)
    pd.testing.assert_frame_equal(filled.sessions, expected)


def test_sessions_that_have_opened_stay_and_the_difference_is_told(warehouse):
    fill(warehouse)
    change_session(
        warehouse,
        date(2012, 7, 3),
        closed_at=datetime(2012, 7, 3, 20, tzinfo=UTC),
    )
    remove_session(warehouse, date(2012, 7, 5))
    before = stored(warehouse)

    filled = fill(warehouse)

    assert filled.differing == (date(2012, 7, 3), date(2012, 7, 5))
    assert (filled.n_added, filled.n_followed) == (0, 0)
    pd.testing.assert_frame_equal(stored(warehouse), before)
    pd.testing.assert_frame_equal(filled.sessions, before)
