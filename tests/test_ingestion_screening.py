import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_ml.ingestion.calendars.grid import SessionGrid
from python_ml.ingestion.screening.adjustments import screen_adjustments
from python_ml.ingestion.screening.bars import screen_bars
from python_ml.ingestion.screening.rejected import rejected_rows

SESSIONS = pd.DataFrame(
    {
        "session_date": pd.to_datetime(
            ["2012-07-02", "2012-07-03", "2012-07-05"]
        ).as_unit("us"),
        "opened_at": pd.to_datetime(
            ["2012-07-02 13:30", "2012-07-03 13:30", "2012-07-05 13:30"],
            utc=True,
        ).as_unit("us"),
        "closed_at": pd.to_datetime(
            ["2012-07-02 20:00", "2012-07-03 17:00", "2012-07-05 20:00"],
            utc=True,
        ).as_unit("us"),
    }
)
GRID = SessionGrid(
    SESSIONS, {"m15": 15, "h1": 60, "h4": 240}, "America/New_York"
)
GOOD = {
    "ticker": "ACME",
    "timeframe": "d1",
    "opened_at": "2012-07-03",
    "open": 10.0,
    "high": 12.0,
    "low": 9.0,
    "close": 11.0,
    "volume": 1000.0,
}
NOON_ON_THE_FIFTH = datetime(2012, 7, 5, 16, tzinfo=UTC)
NAN, INFINITY = float("nan"), float("inf")


def screen(*changes, now=NOON_ON_THE_FIFTH, **options):
    bars = pd.DataFrame([GOOD | change for change in changes])
    return screen_bars(bars, GRID, now=now, **options)


def reasons_of(*changes, **options):
    return list(screen(*changes, **options)[1])


def test_a_good_bar_takes_its_times_from_its_session():
    accepted, reasons = screen({})

    assert reasons.empty
    bar = accepted.iloc[0]
    assert bar["opened_at"] == pd.Timestamp("2012-07-03 13:30", tz="UTC")
    assert bar["closed_at"] == pd.Timestamp("2012-07-03 17:00", tz="UTC")
    assert bar["close"] == 11.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ticker": None}, "missing_ticker"),
        ({"ticker": "  "}, "missing_ticker"),
        ({"ticker": NAN}, "missing_ticker"),
        ({"timeframe": "d2"}, "unknown_timeframe"),
        ({"timeframe": None}, "unknown_timeframe"),
        ({"opened_at": "03/07/2012"}, "unreadable_time"),
        ({"opened_at": "2012-13-01"}, "unreadable_time"),
        ({"opened_at": 20120703}, "unreadable_time"),
        ({"opened_at": None}, "unreadable_time"),
        ({"opened_at": "2012-07-03 16:00:00"}, "time_without_zone"),
        ({"opened_at": "2012-07-03 05:00:00+00:00"}, "outside_session"),
        ({"opened_at": "2012-07-03 14:00:00+00:00"}, "off_grid"),
        ({"opened_at": "2012-07-04"}, "no_session"),
        ({"opened_at": "1887-07-05"}, "no_session"),
        ({"opened_at": "2012-07-05"}, "not_closed_yet"),
        ({"opened_at": "2012-07-06"}, "in_the_future"),
        ({"opened_at": "2999-01-01"}, "in_the_future"),
        ({"malformed_row": "ACME,d1"}, "malformed_row"),
        ({"open": None}, "unreadable_price"),
        ({"close": NAN}, "unreadable_price"),
        ({"close": "eleven"}, "unreadable_price"),
        ({"high": INFINITY}, "infinite_price"),
        ({"low": -INFINITY}, "infinite_price"),
        ({"low": 0.0}, "price_not_positive"),
        ({"low": -1.0}, "price_not_positive"),
        ({"low": 9e-13}, "price_out_of_bounds"),
        ({"high": 1.1e12}, "price_out_of_bounds"),
        ({"high": 90_000.0}, "price_jump"),
        ({"ticker": "AC\0ME"}, "unreadable_ticker"),
        ({"high": 8.0}, "high_below_low"),
        ({"open": 12.01}, "open_outside_range"),
        ({"open": 8.99}, "open_outside_range"),
        ({"close": 12.01}, "close_outside_range"),
        ({"close": 8.99}, "close_outside_range"),
        ({"volume": NAN}, "unreadable_volume"),
        ({"volume": "many"}, "unreadable_volume"),
        ({"volume": INFINITY}, "infinite_volume"),
        ({"volume": -1.0}, "negative_volume"),
        ({"volume": 1.1e15}, "volume_out_of_bounds"),
        ({"volume": 1e308}, "volume_out_of_bounds"),
    ],
)
def test_a_bad_bar_is_rejected_for_its_reason(change, reason):
    accepted, reasons = screen({}, change)

    assert list(reasons.items()) == [(1, reason)]
    assert list(accepted.index) == [0]


@pytest.mark.parametrize(
    "change",
    [
        {"volume": 0.0},
        {"open": 12.0, "close": 9.0},
        {"high": 11.0, "low": 11.0, "open": 11.0},
        {"open": "10.0", "volume": "1000"},
        {"opened_at": date(2012, 7, 3)},
        {"opened_at": pd.Timestamp("2012-07-03")},
        {"opened_at": "2012-07-03T13:30:00Z"},
        {"opened_at": pd.Timestamp("2012-07-03 09:30", tz="America/New_York")},
        {"ticker": " ACME "},
        {"volume": 1e15},
        {"low": 1e-2, "high": 99.0},
        {"close": 12.0 + 2e-15},
        {"open": 9.0 - 2e-15},
    ],
)
def test_the_edges_of_what_is_good_are_good(change):
    accepted, reasons = screen(change)

    assert reasons.empty
    assert accepted.iloc[0]["ticker"] == "ACME"


def test_a_bar_in_another_unit_is_rejected_and_its_neighbours_are_not():
    cents = {name: 1e6 for name in ("open", "high", "low", "close")}

    assert screen(
        m15("2012-07-03 13:30:00Z"),
        m15("2012-07-03 13:45:00Z", **cents),
        m15("2012-07-03 14:00:00Z"),
    )[1].to_dict() == {1: "price_jump"}


@pytest.mark.parametrize("missing", [None, NAN, " "])
def test_a_series_without_any_volume_has_0(missing):
    accepted, reasons = screen(
        {"volume": missing},
        {"volume": missing, "opened_at": "2012-07-02"},
        {"ticker": "OTHER"},
        {"ticker": "OTHER", "opened_at": "2012-07-02", "volume": missing},
    )

    assert accepted["volume"].tolist() == [0.0, 0.0, 1000.0]
    assert reasons.to_dict() == {3: "unreadable_volume"}


def test_a_session_is_closed_at_its_close_and_not_before():
    close = datetime(2012, 7, 3, 17, tzinfo=UTC)
    earlier = datetime(2012, 7, 3, 16, 59, 59, tzinfo=UTC)

    assert reasons_of({}, now=close) == []
    assert reasons_of({}, now=earlier) == ["not_closed_yet"]


def test_of_two_rows_for_one_bar_the_later_is_rejected():
    accepted, reasons = screen({}, {}, {"close": 10.5}, {"ticker": "OTHER"})

    assert list(accepted.index) == [0, 3]
    assert reasons.to_dict() == {
        1: "identical_duplicate",
        2: "conflicting_duplicate",
    }


def test_a_bad_row_does_not_crowd_out_a_good_one_for_the_same_bar():
    accepted, reasons = screen({"close": -1.0}, {})

    assert list(accepted.index) == [1]
    assert reasons.to_dict() == {0: "price_not_positive"}


def m15(opened_at, **changes):
    return {"timeframe": "m15", "opened_at": opened_at} | changes


@pytest.mark.parametrize(
    ("opened_at", "reason"),
    [
        ("2012-07-03 13:40:00Z", "off_grid"),
        ("2012-07-03 13:15:00Z", "outside_session"),
        ("2012-07-03 17:00:00Z", "outside_session"),  # the day closed early
        ("2012-07-04 13:30:00Z", "no_session"),
        ("2012-07-05 16:00:00Z", "not_closed_yet"),
        ("2012-07-05 16:15:00Z", "in_the_future"),
        ("2012-07-03 09:30:00", "time_without_zone"),
        ("2012-07-03", "time_without_zone"),
        ("half past nine", "unreadable_time"),
    ],
)
def test_an_intraday_bar_must_open_on_the_grid(opened_at, reason):
    accepted, reasons = screen(m15("2012-07-03 13:30:00Z"), m15(opened_at))

    assert reasons.to_dict() == {1: reason}
    bar = accepted.loc[0]
    assert bar["closed_at"] == pd.Timestamp("2012-07-03 13:45", tz="UTC")
    assert bar["session_date"] == pd.Timestamp("2012-07-03")


def test_a_bar_is_there_from_its_close_on_and_not_before():
    close = datetime(2012, 7, 3, 13, 45, tzinfo=UTC)
    bar = m15("2012-07-03 13:30:00Z")

    assert reasons_of(bar, now=close) == []
    assert reasons_of(bar, now=close - timedelta(microseconds=1)) == [
        "not_closed_yet"
    ]


def test_a_zone_places_the_times_that_have_none():
    accepted, reasons = screen(
        m15("2012-07-03 09:30:00"),
        m15("2012-07-03 13:45:00Z"),
        {"opened_at": "2012-07-02"},
        time_zone="America/New_York",
    )

    assert reasons.empty
    assert [f"{opened:%d %H:%M}" for opened in accepted["opened_at"]] == [
        "03 13:30",
        "03 13:45",
        "02 13:30",
    ]


def test_the_same_bar_by_its_date_and_by_its_open_is_one():
    assert screen(
        {}, {"opened_at": "2012-07-03 13:30:00Z"}, {"timeframe": "h4"}
    )[1].to_dict() == {1: "identical_duplicate", 2: "time_without_zone"}


def test_a_row_out_of_order_is_rejected_and_its_neighbours_are_not():
    accepted, reasons = screen(
        *(
            m15(f"2012-07-03 {time}:00Z")
            for time in ("13:30", "13:45", "15:00", "14:00", "14:15")
        ),
        m15("2012-07-02 13:30:00Z", ticker="OTHER"),
    )

    assert reasons.to_dict() == {2: "out_of_order"}
    assert list(accepted.index) == [0, 1, 3, 4, 5]


def test_newest_first_is_an_order_too():
    assert (
        reasons_of(
            *({"opened_at": f"2012-07-0{day}"} for day in (3, 2)),
            *(
                m15(f"2012-07-03 {time}:00Z")
                for time in ("15:00", "14:15", "14:00")
            ),
        )
        == []
    )


def test_each_file_has_an_order_of_its_own():
    days = [{"opened_at": "2012-07-03"}, {"opened_at": "2012-07-02"}]
    later = [m15(f"2012-07-03 {time}:00Z") for time in ("13:30", "13:45")]
    earlier = [m15(f"2012-07-02 {time}:00Z") for time in ("13:30", "13:45")]

    assert "out_of_order" in reasons_of(*later, *earlier)
    assert not reasons_of(
        *days,
        *(row | {"file": "a.csv"} for row in later),
        *(row | {"file": "b.csv"} for row in earlier),
    )


def test_of_two_rows_for_one_bar_the_one_in_order_is_kept():
    # The first is the stray one: it stands three bars too early.
    accepted, reasons = screen(
        m15("2012-07-03 13:30:00Z"),
        m15("2012-07-03 14:30:00Z", close=10.5),
        m15("2012-07-03 13:45:00Z"),
        m15("2012-07-03 14:00:00Z"),
        m15("2012-07-03 14:30:00Z"),
    )

    assert reasons.to_dict() == {1: "conflicting_duplicate"}
    assert accepted.loc[4, "close"] == 11.0


def test_a_bad_row_says_nothing_about_the_order():
    assert reasons_of(
        m15("2012-07-03 13:30:00Z"),
        m15("2012-07-03 15:00:00Z", close=-1.0),
        m15("2012-07-03 13:45:00Z"),
    ) == ["price_not_positive"]


def session_of_m15(*, shift="0h", day="2012-07-02", n_bars=26):
    times = pd.date_range(f"{day} 13:30Z", periods=n_bars, freq="15min")
    return [m15(f"{time}") for time in times + pd.Timedelta(shift)]


@pytest.mark.parametrize(
    "shift",
    [
        "-4h",  # the clock of New York, taken for UTC
        "4h",  # UTC, taken for the clock of New York
    ],
)
def test_a_series_in_another_zone_is_rejected_whole(shift):
    # Some of its bars lie on the grid, hours from where they belong.
    shifted = session_of_m15(shift=shift)
    other = [
        row | {"ticker": "OTHER"} for row in session_of_m15(day="2012-07-02")
    ]
    daily = {"opened_at": "2012-07-02"}

    accepted, reasons = screen(*shifted, *other, daily)

    assert reasons.to_dict() == dict.fromkeys(range(26), "wrong_zone")
    assert list(accepted.index) == list(range(26, 53))


def test_bars_before_the_open_do_not_put_a_series_in_another_zone():
    # From 04:00 to 20:00 in New York, as many sources have them.
    extended = session_of_m15(shift="-330min", n_bars=64)

    assert set(reasons_of(*extended)) == {"outside_session"}
    assert len(screen(*extended)[0]) == 26


def test_a_series_that_no_zone_explains_is_judged_bar_by_bar():
    # From 06:30 to 13:00 in New York: read as its clock more would be within
    # sessions, but not nearly all.
    early = session_of_m15(shift="-3h")

    assert reasons_of(*early) == ["outside_session"] * 12


def test_a_morning_is_too_short_to_tell_the_zone():
    # Four bars before the open and nine after it, all from today: read as New
    # York's clock they would be a morning, too.
    morning = session_of_m15(shift="-1h", day="2012-07-05", n_bars=13)
    now = datetime(2012, 7, 5, 15, 45, tzinfo=UTC)

    assert reasons_of(*morning, now=now) == ["outside_session"] * 4
    yesterday = session_of_m15(shift="-1h", day="2012-07-02", n_bars=13)
    assert set(reasons_of(*yesterday, now=now)) == {"wrong_zone"}


anything = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(-5, 5),
    st.floats(),
    st.sampled_from([9.0, 10.0, 11.0, 12.0]),
)


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "ticker": anything,
                "timeframe": st.one_of(
                    anything, st.sampled_from(["m15", "h1", "h4", "d1", "w1"])
                ),
                "opened_at": st.one_of(
                    anything,
                    st.dates(date(2012, 7, 1), date(2012, 7, 6)),
                    st.datetimes(
                        datetime(2012, 7, 1),
                        datetime(2012, 7, 6),
                        timezones=st.just(UTC),
                    ),
                ),
                "open": anything,
                "high": anything,
                "low": anything,
                "close": anything,
                "volume": anything,
            },
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_row_is_stored_or_has_a_reason_and_what_is_stored_is_sound(
    changes,
):
    accepted, reasons = screen(*changes)

    assert sorted([*accepted.index, *reasons.index]) == list(
        range(len(changes))
    )
    values = accepted[["open", "high", "low", "close", "volume"]]
    assert np.isfinite(values.to_numpy()).all()
    assert (accepted["low"] > 0).all()
    for price in ("open", "close"):
        assert accepted[price].between(accepted["low"], accepted["high"]).all()
    assert not accepted.duplicated(["ticker", "timeframe", "opened_at"]).any()
    assert (accepted["opened_at"] < accepted["closed_at"]).all()
    assert (accepted["closed_at"] <= NOON_ON_THE_FIFTH).all()
    rows = rejected_rows(
        pd.DataFrame([GOOD | change for change in changes]),
        reasons,
        source="test",
        rejected_at=NOON_ON_THE_FIFTH,
    )
    assert rows["row_hash"].is_unique
    for row in rows["source_row"]:
        json.dumps(row, allow_nan=False)


def test_a_rejected_row_is_kept_as_it_came():
    bars = pd.DataFrame(
        [
            GOOD
            | {
                "close": NAN,
                "high": INFINITY,
                "low": "ni\0ne",
                "note": "late print",
                "source_row_number": 7,
            }
        ]
    )
    _, reasons = screen_bars(bars, GRID, now=NOON_ON_THE_FIFTH)
    row = rejected_rows(
        bars,
        reasons,
        source="test",
        rejected_at=NOON_ON_THE_FIFTH,
        source_names={"ticker": "symbol", "opened_at": "ts"},
    ).iloc[0]

    assert row["source_row_number"] == 7
    assert row["ticker"] == "ACME"
    assert row["source_row"] == {
        "symbol": "ACME",
        "timeframe": "d1",
        "ts": "2012-07-03",
        "open": 10.0,
        "high": "inf",
        "low": "ni\\x00ne",
        "close": "nan",
        "volume": 1000.0,
        "note": "late print",
    }


def test_equal_bad_rows_have_hashes_of_their_own_that_come_back_again():
    bars = pd.DataFrame([GOOD | {"close": -1.0}] * 2)
    _, reasons = screen_bars(bars, GRID, now=NOON_ON_THE_FIFTH)

    hashes = [
        list(
            rejected_rows(
                bars, reasons, source=source, rejected_at=NOON_ON_THE_FIFTH
            )["row_hash"]
        )
        for source in ("test", "test", "other")
    ]

    assert len({*hashes[0]}) == 2
    assert hashes[0] == hashes[1]
    assert not {*hashes[0]} & {*hashes[2]}


SPLIT = {
    "ticker": "ACME",
    "session_date": "2012-07-03",
    "kind": "split",
    "factor": 0.5,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ticker": None}, "missing_ticker"),
        ({"ticker": "OTHER"}, "adjustment_without_bars"),
        ({"ticker": "LONDON"}, "adjustment_of_other_calendar"),
        ({"kind": "merger"}, "unknown_adjustment_kind"),
        ({"session_date": "soon"}, "unreadable_date"),
        ({"session_date": "2012-07-04"}, "no_session"),
        ({"session_date": "2012-07-06"}, "not_effective_yet"),
        ({"factor": NAN}, "unreadable_factor"),
        ({"factor": INFINITY}, "unreadable_factor"),
        ({"factor": 0.0}, "factor_not_positive"),
        ({"factor": None, "ratio": "two"}, "unreadable_factor"),
        ({"factor": None, "ratio": 0.0}, "unreadable_factor"),
        ({"factor": None, "ratio": -4.0}, "factor_not_positive"),
        ({"factor": None, "amount": 1.0}, "unreadable_factor"),
        ({"factor": 1e-7}, "factor_out_of_bounds"),
        ({"factor": None, "ratio": 1e-7}, "factor_out_of_bounds"),
        ({"factor": None, "ratio": "2:1"}, "identical_duplicate"),
        ({"factor": 0.5}, "identical_duplicate"),
        ({"factor": 0.4}, "conflicting_duplicate"),
    ],
)
def test_a_bad_adjustment_is_rejected_for_its_reason(change, reason):
    accepted, reasons = screen_adjustments(
        pd.DataFrame([SPLIT, SPLIT | change]),
        SESSIONS,
        now=NOON_ON_THE_FIFTH,
        calendar="XNYS",
        calendars={"ACME": "XNYS", "LONDON": "XLON"},
    )

    assert list(reasons.items()) == [(1, reason)]
    assert list(accepted.index) == [0]
    assert accepted.iloc[0]["effective_at"] == pd.Timestamp(
        "2012-07-03 13:30", tz="UTC"
    )


@pytest.mark.parametrize(
    ("written", "factor", "amount"),
    [
        ({"kind": "split", "factor": 0.25}, 0.25, 0.0),
        ({"kind": "split", "ratio": 4.0}, 0.25, 0.0),
        ({"kind": "split", "ratio": "4:1"}, 0.25, 0.0),
        ({"kind": "split", "ratio": "4-for-1"}, 0.25, 0.0),
        ({"ratio": "1:10"}, 10.0, 0.0),
        ({"ratio": " ", "factor": "0.5", "kind": "split"}, 0.5, 0.0),
        ({"amount": 0.42}, 0.0, 0.42),
        ({"kind": "dividend", "amount": "0.42"}, 0.0, 0.42),
        # What says it directly counts first.
        ({"kind": "split", "factor": 0.25, "ratio": 9.0}, 0.25, 0.0),
    ],
)
def test_a_split_or_dividend_is_read_in_each_of_its_forms(
    written, factor, amount
):
    row = {"ticker": "ACME", "session_date": "2012-07-03"} | written
    accepted, reasons = screen_adjustments(
        pd.DataFrame([row]),
        SESSIONS,
        now=NOON_ON_THE_FIFTH,
        calendar="XNYS",
        calendars={"ACME": "XNYS"},
    )

    assert reasons.empty
    assert accepted[["factor", "amount"]].values.tolist() == [[factor, amount]]
    assert accepted["kind"].tolist() == ["dividend" if amount else "split"]
