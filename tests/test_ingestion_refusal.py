from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from python_ml.ingestion.calendars.grid import SessionGrid
from python_ml.ingestion.calendars.sessions import calendar_sessions
from python_ml.ingestion.screening.bars import screen_bars
from python_ml.ingestion.screening.refusal import (
    is_refused,
    rejected_series,
    without_refused,
)

NEW_YORK = "America/New_York"
MINUTES = {"m15": 15, "h1": 60, "h4": 240}
NOW = datetime(2024, 12, 1, tzinfo=UTC)


def grid_of(calendar, time_zone):
    sessions = calendar_sessions(calendar, through=date(2024, 12, 31))
    return SessionGrid(sessions, MINUTES, time_zone)


@pytest.fixture(scope="module")
def new_york():
    return grid_of("XNYS", NEW_YORK)


@pytest.fixture(scope="module")
def around_the_clock():
    return grid_of("24/7", "UTC")


def bars_at(timeframe, times, **changes):
    return pd.DataFrame(
        {
            "ticker": "ACME",
            "timeframe": timeframe,
            "opened_at": list(times),
            "open": 10.0,
            "high": 12.0,
            "low": 9.0,
            "close": 11.0,
            "volume": 1000.0,
        }
        | changes
    )


def judge(bars, grid, *, time_zone=None, now=NOW):
    """Bars that are kept, and the refused series."""
    good, reasons = screen_bars(bars, grid, now=now, time_zone=time_zone)
    refused = [
        series
        for series in rejected_series(
            bars, good, reasons, grid, calendar="XNYS", time_zone=time_zone
        )
        if is_refused(series.n_rejected, series.n_rows)
    ]
    return without_refused(good, refused), refused


def sessions_of(day, n_sessions):
    return pd.bdate_range(day, periods=n_sessions)


def intraday(start, frequency, n_bars, days, time_zone=NEW_YORK):
    """Bars of each day from a time of day on, as moments."""
    offsets = pd.Timedelta(f"{start}:00") + pd.to_timedelta(
        np.arange(n_bars) * pd.Timedelta(frequency)
    )
    return [
        (day + offset).tz_localize(time_zone)
        for day in days
        for offset in offsets
    ]


JULY = sessions_of("2024-07-08", 15)


@pytest.mark.parametrize(
    ("timeframe", "times", "says"),
    [
        # A whole series read by another clock.
        (
            "m15",
            [time.tz_localize(None).tz_localize("UTC")
             for time in intraday("09:30", "15min", 26, JULY)],
            "--timezone",
        ),
        # Each bar named by its close.
        ("m15", intraday("09:45", "15min", 26, JULY), "--stamp close"),
        ("h1", [*intraday("10:30", "1h", 6, JULY),
                *intraday("16:00", "1h", 1, JULY)], "--stamp close"),
        ("d1", [(day + pd.Timedelta("16h")).tz_localize(NEW_YORK)
                for day in JULY], "--stamp close"),
        # Hours of the clock, where sessions open at half past.
        ("h1", intraday("10:00", "1h", 6, JULY), "Load the finer bars"),
        ("h4", intraday("08:00", "4h", 3, JULY), "Load the finer bars"),
        # Hours around the session.
        ("m15", intraday("04:00", "15min", 64, JULY), "--accept-rejected"),
        # Weeks by their Sunday, by their Friday.
        ("w1", pd.date_range("2024-01-07", periods=20, freq="7D"), "Sundays"),
        ("w1", pd.date_range("2024-01-05", periods=20, freq="7D"), "Fridays"),
        # Days by the evening before and by the midnight that ends them.
        ("d1", [f"{day - pd.Timedelta('2h')}+00:00" for day in JULY],
         "Write the date"),
        ("d1", [f"{day - pd.Timedelta('1D')}" for day in JULY],
         "only if moved by one"),
        ("d1", [f"{day + pd.Timedelta('1D')}" for day in JULY],
         "only if moved by one"),
        # One offset all year: wrong in summer.
        ("d1", [f"{day:%Y-%m-%d} 00:00:00-05:00"
                for day in sessions_of("2024-01-02", 200)], "01:00"),
        # Another market.
        ("d1", pd.date_range("2024-01-01", periods=100).strftime("%Y-%m-%d"),
         "--calendar 24/7"),
        ("d1", [day for day in pd.date_range("2024-01-01", periods=100)
                if day.day_of_week != 5], "--calendar fx"),
        ("m15", intraday("09:30", "15min", 26, JULY[:1]) + intraday(
            "09:30", "15min", 26, pd.date_range("2024-07-13", periods=2)),
         "--calendar 24/7"),
        ("h1", pd.date_range("2024-07-01", periods=500, freq="h", tz="UTC"),
         "--calendar 24/7"),
        ("h1", [time for time in pd.date_range(
            "2024-06-30 17:00", periods=500, freq="h", tz=NEW_YORK)
            if (time - pd.Timedelta("17h")).day_of_week in (0, 1, 2, 3, 6)],
         "--calendar fx"),
        ("m15", pd.date_range("2024-12-02 14:30Z", periods=9, freq="15min"),
         "later than now"),
    ],
)  # fmt: skip
def test_a_series_most_of_whose_times_name_no_bar_is_refused_with_its_cause(
    new_york, timeframe, times, says
):
    bars = bars_at(timeframe, times)

    kept, (series,) = judge(bars, new_york)

    assert kept.empty
    assert says in series.to_text()
    assert (series.ticker, series.timeframe) == ("ACME", timeframe)
    assert series.n_rows == len(bars)


@pytest.mark.parametrize(
    ("days", "reasons"),
    [
        # Sunday to Thursday, Tuesday to Saturday: all one day off.
        ((7, 8, 9, 10, 11), ["wrong_day"] * 5),
        ((9, 10, 11, 12, 13), ["wrong_day"] * 5),
        # A bar on a Saturday beside a whole week is that bar's own fault.
        ((8, 9, 10, 11, 12, 13), ["no_session"]),
        ((7, 8, 9, 10, 11, 12), ["no_session"]),
        # Too few to tell.
        ((11, 12, 13), ["no_session"]),
    ],
)
def test_a_week_of_days_one_off_is_rejected_whole(new_york, days, reasons):
    bars = bars_at("d1", [f"2024-07-{day:02} 00:00:00+00:00" for day in days])

    _, found = screen_bars(bars, new_york, now=NOW)

    assert found.tolist() == reasons


@pytest.mark.parametrize(
    ("n_bad", "n_good", "is_kept"),
    [(5, 5, True), (6, 54, True), (6, 53, False), (7, 63, True)],
)
def test_more_than_a_tenth_and_more_than_five_refuse(
    new_york, n_bad, n_good, is_kept
):
    days = new_york_days(n_good)
    holidays = pd.to_datetime(
        ["2023-12-25", "2024-01-01", "2024-01-15", "2024-02-19", "2024-03-29",
         "2024-05-27", "2024-06-19"]
    )[:n_bad]  # fmt: skip
    bars = bars_at("d1", sorted([*days, *holidays]))
    other = bars_at("d1", days[:2], ticker="OTHER")

    kept, refused = judge(pd.concat([bars, other], ignore_index=True), new_york)

    assert kept["ticker"].astype("str").value_counts().to_dict() == (
        {"ACME": n_good, "OTHER": 2} if is_kept else {"OTHER": 2}
    )
    assert [row.n_withheld for row in refused] == [n_good] * (not is_kept)


def new_york_days(n_days):
    sessions = calendar_sessions("XNYS", through=date(2024, 6, 30))
    return list(sessions["session_date"].iloc[-n_days:])


def test_each_timeframe_of_a_symbol_is_judged_alone(new_york):
    bars = pd.concat(
        [
            bars_at("d1", new_york_days(20)),
            bars_at("h1", intraday("10:00", "1h", 6, JULY)),
        ],
        ignore_index=True,
    )

    kept, (series,) = judge(bars, new_york)

    assert set(kept["timeframe"]) == {"d1"}
    assert series.timeframe == "h1"


@pytest.mark.parametrize(
    "damage", [{"close": -1.0}, {"opened_at": "yesterday"}]
)
def test_rows_that_say_nothing_about_the_others_refuse_nothing(
    new_york, damage
):
    bars = bars_at("d1", new_york_days(40)).astype({"opened_at": object})
    for name, value in damage.items():
        bars.loc[:19, name] = value

    kept, refused = judge(bars, new_york)

    assert len(kept) == 20
    assert refused == []


@pytest.mark.parametrize(
    ("times", "is_refused"),
    [
        # One session by its closes, one by its opens.
        (intraday("09:45", "15min", 26, JULY[:1]), True),
        (intraday("09:30", "15min", 26, JULY[:1]), False),
        # An afternoon with the bar after the close is too short to tell.
        (intraday("13:00", "15min", 13, JULY[:1]), False),
        # Two of them have an open between, which is missing.
        (intraday("13:00", "15min", 13, JULY[:2]), True),
        (intraday("13:00", "15min", 12, JULY[:2]), False),
    ],
)
def test_bars_by_their_close_are_told_by_the_opens_that_lack(
    new_york, times, is_refused
):
    _, reasons = screen_bars(bars_at("m15", times), new_york, now=NOW)

    assert ("stamped_at_close" in set(reasons)) == is_refused


def test_bars_at_opens_and_closes_are_no_sign_of_names_by_the_close(
    new_york, around_the_clock
):
    # With the bar after the close, as some sources have it.
    extended = bars_at("m15", intraday("09:30", "15min", 27, JULY))
    kept, refused = judge(extended, new_york)
    assert len(kept) == 26 * len(JULY)
    assert refused == []
    # Where sessions follow each other without a break, none is a sign.
    hours = pd.date_range("2024-07-01", periods=240, freq="h", tz="UTC")
    kept, refused = judge(bars_at("h1", hours), around_the_clock)
    assert len(kept) == 240


def test_days_at_midnight_there_are_those_sessions(new_york):
    days = new_york_days(200)
    midnights = [day.tz_localize(NEW_YORK) for day in days]

    for times in (midnights, [time.tz_convert("UTC") for time in midnights]):
        kept, refused = judge(bars_at("d1", times), new_york)
        assert list(kept["session_date"]) == days
        assert refused == []
