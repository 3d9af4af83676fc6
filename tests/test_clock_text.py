import numpy as np
import pandas as pd
import pytest

from python_ml.ingestion.calendars.grid import NO_TIME
from python_ml.ingestion.readers.clock_text import (
    ClockForm,
    asked_clock_form,
    find_clock_form,
)
from python_ml.ingestion.readers.epochs import (
    AmbiguousTimesError,
    epoch_moments,
)


def series(*texts):
    return pd.Series(texts, dtype="str")


HALF_PAST_NINE = pd.Timestamp("2024-01-02 09:30")
NEW_YORK_OPEN = pd.Timestamp("2024-01-02 14:30", tz="UTC")


@pytest.mark.parametrize(
    ("text", "form", "time"),
    [
        ("20240102 09:30:00", "yearmonthday", HALF_PAST_NINE),
        ("20240102 093000", "yearmonthday", HALF_PAST_NINE),
        ("20240102093000", "yearmonthdayhourminute", HALF_PAST_NINE),
        ("2024.01.02 09:30", "year.month.day", HALF_PAST_NINE),
        ("2024/1/2 9:30", "year/month/day", HALF_PAST_NINE),
        ("2024-1-2 9:30", "year-month-day", HALF_PAST_NINE),
        ("02.01.2024 09:30:00", "day.month.year", HALF_PAST_NINE),
        ("2-Jan-2024 9:30 AM", "day month-name year", HALF_PAST_NINE),
        ("January 2, 2024 09:30", "month-name day year", HALF_PAST_NINE),
        ("20240102 09:30:00 US/Eastern", "yearmonthday", NEW_YORK_OPEN),
        ("20240102  09:30:00 EST", "yearmonthday", NEW_YORK_OPEN),
        ("2024/01/02 09:30-05:00", "year/month/day", NEW_YORK_OPEN),
        ("1704205800", "epoch s", NEW_YORK_OPEN),
        ("1704205800000", "epoch ms", NEW_YORK_OPEN),
        ("1704205800000000", "epoch us", NEW_YORK_OPEN),
        ("1704205800000000000", "epoch ns", NEW_YORK_OPEN),
        ("1704205800.0", "epoch s", NEW_YORK_OPEN),
    ],
)
def test_times_of_any_vendor_are_read(text, form, time):
    found = find_clock_form(series(text))

    assert found.name == form
    assert found.read(series(text)).tolist() == [time]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["01/02/2024", "03/02/2024"], "day/month/year or month/day/year"),
        (["01-02-2024"], "day-month-year or month-day-year"),
        (["202401020930"], "yearmonthdayhourminute or epoch ms"),
        (["45293", "45294"], "count from 1970 in no unit"),
    ],
)
def test_times_that_can_be_read_in_two_ways_are_refused(texts, message):
    with pytest.raises(AmbiguousTimesError, match=message):
        find_clock_form(series(*texts))


def test_a_day_above_twelve_tells_days_from_months():
    first = find_clock_form(series("01/02/2024", "13/02/2024"))
    second = find_clock_form(series("01/02/2024", "02/13/2024"))

    assert first.name == "day/month/year"
    assert second.name == "month/day/year"


def test_dates_that_read_alike_either_way_are_not_refused():
    found = find_clock_form(series("01/01/2024", "02/02/2024"))

    assert found.read(series("03/03/2024")).tolist() == [
        pd.Timestamp("2024-03-03")
    ]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("yearmonthday", "20240230"),
        ("yearmonthday", "20240102 24:00"),
        ("yearmonthday", "20240102 09:30:00 Nowhere/Land"),
        ("year/month/day", "2024/13/01"),
        ("month/day/year", "13/02/2024"),
        ("epoch ms", "1704205800"),
        ("epoch s", "1.7042058E+9"),
        # The clocks went from 01:59 to 03:00.
        ("year-month-day", "2024-03-10 02:30 America/New_York"),
    ],
)
def test_what_is_no_time_of_the_form_stays_as_it_is(form, text):
    good = {
        "epoch ms": "1704205800000",
        "epoch s": "1704205800",
    }.get(form, "20240102")

    read = ClockForm(form).read(series(text, good))

    assert read[0] == text


def test_a_faulty_time_leaves_the_others_as_they_are():
    read = find_clock_form(series("20240102", "20240103", "soon")).read(
        series("20240102 09:30", "soon")
    )

    assert read.tolist() == ["2024-01-02 09:30:00.000000", "soon"]


def test_a_format_that_was_asked_for_is_used():
    form = asked_clock_form("%d/%m/%Y %H:%M")

    assert form.read(series("01/02/2024 09:30")).tolist() == [
        pd.Timestamp("2024-02-01 09:30")
    ]
    assert asked_clock_form("ms").name == "epoch ms"
    with pytest.raises(ValueError, match="minutes"):
        asked_clock_form("minutes")


def test_numbers_keep_their_last_digit():
    moments = epoch_moments(np.array([1704205800123456789, 5]))

    assert moments.tolist() == [1704205800123456, NO_TIME]
