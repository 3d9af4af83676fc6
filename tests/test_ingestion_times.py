from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_ml.exceptions import IngestionError
from python_ml.ingestion.calendars.grid import NO_TIME, to_local, to_utc
from python_ml.ingestion.calendars.times import (
    checked_time_zone,
    from_local,
    has_zone,
    read_times,
)

NEW_YORK = "America/New_York"


def read(values, time_zone=None, *, may_be_date=False):
    if not isinstance(values, pd.Series):
        values = pd.Series(values, dtype=object)
    times = read_times(
        values,
        time_zone=time_zone,
        may_be_date=np.full(len(values), may_be_date),
    )
    return [
        reason or f"{moment:%Y-%m-%d %H:%M}"
        for moment, reason in zip(
            to_utc(times.moments), times.reason, strict=True
        )
    ]


@pytest.mark.parametrize(
    "written",
    [
        "2024-07-02T13:30:00Z",
        "2024-07-02 13:30:00+00:00",
        "2024-07-02 13:30+00",
        "2024-07-02 09:30:00-04:00",
        "2024-07-02 09:30-0400",
        "2024-07-02 13:30:00 UTC",
        "2024-07-02 13:30:00.000000000Z",
        "  2024-07-02 13:30:00Z ",
        pd.Timestamp("2024-07-02 09:30", tz=NEW_YORK),
        datetime(2024, 7, 2, 13, 30, tzinfo=UTC),
    ],
)
def test_one_moment_is_read_however_it_is_written(written):
    # Its own zone counts, whatever the zone of those that have none.
    for time_zone in (None, "Asia/Tokyo"):
        assert read([written], time_zone) == ["2024-07-02 13:30"]
    assert has_zone(pd.Series([written], dtype=object)).tolist() == [True]


@pytest.mark.parametrize(
    "written",
    [
        *("", "now", "02/07/2024 13:30", "2024-07-02 25:00Z", "2024-07"),
        *("20240702", "1719927000", "2024-07-02 9:30Z", "2024-02-30"),
        *(1719927000, 1.5, None, float("nan"), pd.NaT, True),
    ],
)
def test_what_is_no_iso_time_is_unreadable(written):
    assert read([written], NEW_YORK, may_be_date=True) == ["unreadable_time"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(["2024-07-02 09:30", "2024-12-02 09:30:00"], dtype="str"),
        pd.Series(pd.to_datetime(["2024-07-02 09:30", "2024-12-02 09:30"])),
    ],
)
def test_a_time_without_a_zone_needs_one_and_its_summer(values):
    assert read(values) == ["time_without_zone"] * 2
    assert read(values, NEW_YORK) == ["2024-07-02 13:30", "2024-12-02 14:30"]
    assert not has_zone(values).any()


@pytest.mark.parametrize(
    "written",
    ["2024-07-02", "2024-07-02 00:00:00", date(2024, 7, 2), "2024-07-02T00:00"],
)
def test_a_midnight_is_the_name_of_a_day_only_where_it_may_be(written):
    for time_zone in (None, NEW_YORK):
        assert read([written], time_zone, may_be_date=True) == [
            "2024-07-02 00:00"
        ]
    assert read([written], NEW_YORK) == ["2024-07-02 04:00"]
    assert read([written]) == ["time_without_zone"]


def test_hours_that_the_clock_skips_or_shows_twice_are_not_guessed():
    assert read(
        [
            "2024-03-10 01:45",
            "2024-03-10 02:30",
            "2024-03-10 03:00",
            "2024-11-03 00:45",
            "2024-11-03 01:30",
            "2024-11-03 02:00",
        ],
        NEW_YORK,
    ) == [
        "2024-03-10 06:45",
        "unclear_local_time",
        "2024-03-10 07:00",
        "2024-11-03 04:45",
        "unclear_local_time",
        "2024-11-03 07:00",
    ]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_of_a_column_of_times_changes_nothing(unit):
    values = pd.Series(
        pd.to_datetime(["2024-07-02 13:30", None], utc=True)
    ).dt.as_unit(unit)

    assert read(values) == ["2024-07-02 13:30", "unreadable_time"]
    assert read(values.dt.tz_convert(NEW_YORK)) == read(values)


def test_a_time_in_nanoseconds_does_not_narrow_the_years_of_others():
    assert read(["2999-01-01T00:00Z", "2024-07-02 13:30:00.123456789Z"]) == [
        "2999-01-01 00:00",
        "2024-07-02 13:30",
    ]


def test_reading_does_not_change_what_was_given():
    values = pd.Series(pd.to_datetime(["2024-07-02 09:30"])).astype(
        "datetime64[us]"
    )
    read(values, NEW_YORK)

    assert values[0] == pd.Timestamp("2024-07-02 09:30")


@settings(deadline=None)
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)),
    st.sampled_from([NEW_YORK, "Europe/London", "Asia/Kolkata", "UTC"]),
)
def test_what_a_clock_shows_leads_back_to_its_moment(moment, time_zone):
    moments = np.array([moment], dtype="datetime64[us]").astype(np.int64)

    back = from_local(to_local(moments, time_zone), time_zone)

    assert back[0] in (moments[0], NO_TIME)
    expected = pd.Timestamp(moment, tz="UTC").tz_convert(time_zone)
    assert (
        to_utc(to_local(moments, time_zone))[0].isoformat()[:19]
        == (expected.isoformat()[:19])
    )


def test_an_unknown_zone_is_named():
    assert checked_time_zone(NEW_YORK) == NEW_YORK
    for name in ("New York", "", "../etc/passwd", "America"):
        with pytest.raises(IngestionError, match="There is no time zone"):
            checked_time_zone(name)
