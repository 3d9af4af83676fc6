import json
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_ml.ingestion.screening import (
    rejected_rows,
    screen_adjustments,
    screen_bars,
)

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
GOOD = {
    "ticker": "ACME",
    "timeframe": "d1",
    "session_date": "2012-07-03",
    "open": 10.0,
    "high": 12.0,
    "low": 9.0,
    "close": 11.0,
    "volume": 1000.0,
}
NOON_ON_THE_FIFTH = datetime(2012, 7, 5, 16, tzinfo=UTC)
NAN, INFINITY = float("nan"), float("inf")


def screen(*changes, now=NOON_ON_THE_FIFTH):
    bars = pd.DataFrame([GOOD | change for change in changes])
    return screen_bars(bars, SESSIONS, now=now)


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
        ({"session_date": "03/07/2012"}, "unreadable_date"),
        ({"session_date": "2012-13-01"}, "unreadable_date"),
        ({"session_date": "2012-07-03 16:00:00"}, "unreadable_date"),
        ({"session_date": 20120703}, "unreadable_date"),
        ({"session_date": None}, "unreadable_date"),
        ({"session_date": "2012-07-04"}, "no_session"),
        ({"session_date": "1887-07-05"}, "no_session"),
        ({"session_date": "2012-07-05"}, "not_closed_yet"),
        ({"session_date": "2999-01-01"}, "not_closed_yet"),
        ({"open": None}, "unreadable_price"),
        ({"close": NAN}, "unreadable_price"),
        ({"close": "eleven"}, "unreadable_price"),
        ({"high": INFINITY}, "infinite_price"),
        ({"low": -INFINITY}, "infinite_price"),
        ({"low": 0.0}, "price_not_positive"),
        ({"low": -1.0}, "price_not_positive"),
        ({"high": 8.0}, "high_below_low"),
        ({"open": 12.01}, "open_outside_range"),
        ({"open": 8.99}, "open_outside_range"),
        ({"close": 12.01}, "close_outside_range"),
        ({"close": 8.99}, "close_outside_range"),
        ({"volume": NAN}, "unreadable_volume"),
        ({"volume": "many"}, "unreadable_volume"),
        ({"volume": INFINITY}, "infinite_volume"),
        ({"volume": -1.0}, "negative_volume"),
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
        {"session_date": date(2012, 7, 3)},
        {"session_date": pd.Timestamp("2012-07-03")},
        {"ticker": " ACME "},
    ],
)
def test_the_edges_of_what_is_good_are_good(change):
    accepted, reasons = screen(change)

    assert reasons.empty
    assert accepted.iloc[0]["ticker"] == "ACME"


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
                "timeframe": anything,
                "session_date": st.one_of(
                    anything, st.dates(date(2012, 7, 1), date(2012, 7, 6))
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
    assert not accepted.duplicated(
        ["ticker", "timeframe", "session_date"]
    ).any()
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
                "low": "nine",
                "note": "late print",
                "source_row_number": 7,
            }
        ]
    )
    _, reasons = screen_bars(bars, SESSIONS, now=NOON_ON_THE_FIFTH)
    row = rejected_rows(
        bars, reasons, source="test", rejected_at=NOON_ON_THE_FIFTH
    ).iloc[0]

    assert row["source_row_number"] == 7
    assert row["source_row"] == GOOD | {
        "close": "nan",
        "high": "inf",
        "low": "nine",
        "note": "late print",
    }


def test_equal_bad_rows_have_hashes_of_their_own_that_come_back_again():
    bars = pd.DataFrame([GOOD | {"close": -1.0}] * 2)
    _, reasons = screen_bars(bars, SESSIONS, now=NOON_ON_THE_FIFTH)

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
        ({"kind": "merger"}, "unknown_adjustment_kind"),
        ({"session_date": "soon"}, "unreadable_date"),
        ({"session_date": "2012-07-04"}, "no_session"),
        ({"session_date": "2012-07-06"}, "not_effective_yet"),
        ({"factor": NAN}, "unreadable_factor"),
        ({"factor": INFINITY}, "unreadable_factor"),
        ({"factor": 0.0}, "factor_not_positive"),
        ({"factor": 0.5}, "identical_duplicate"),
        ({"factor": 0.4}, "conflicting_duplicate"),
    ],
)
def test_a_bad_adjustment_is_rejected_for_its_reason(change, reason):
    accepted, reasons = screen_adjustments(
        pd.DataFrame([SPLIT, SPLIT | change]),
        SESSIONS,
        now=NOON_ON_THE_FIFTH,
        tickers={"ACME"},
    )

    assert list(reasons.items()) == [(1, reason)]
    assert list(accepted.index) == [0]
    assert accepted.iloc[0]["effective_at"] == pd.Timestamp(
        "2012-07-03 13:30", tz="UTC"
    )
