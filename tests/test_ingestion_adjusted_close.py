import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python_ml.ingestion.readers.adjusted_close import (
    derive_adjustments,
    rounding_error,
    split_and_dividend,
)


def prices_with(
    events,
    *,
    n_sessions=60,
    decimals=None,
    close=40.0,
    close_decimals=2,
    scale=1.0,
):
    """A drifting share with `events` (session number: factor) applied back."""
    session = np.arange(n_sessions)
    as_traded = close * np.exp(0.01 * np.sin(session)) + session * 0.01
    level = np.full(n_sessions, scale)
    for number, factor in events.items():
        level[:number] *= factor
        as_traded[number:] *= factor
    as_traded = np.round(as_traded, close_decimals)
    adjusted = as_traded * level
    if decimals is not None:
        adjusted = np.round(adjusted, decimals)
    return pd.DataFrame(
        {
            "ticker": "ACME",
            "session_date": pd.bdate_range("2012-01-03", periods=n_sessions),
            "close": as_traded,
            "adjusted_close": adjusted,
        }
    )


def test_without_events_there_are_no_adjustments():
    assert derive_adjustments(prices_with({}, scale=0.731)).empty


@pytest.mark.parametrize("decimals", [None, 6, 4])
def test_events_are_found_on_their_day_whatever_the_rounding(decimals):
    prices = prices_with({20: 0.5, 21: 0.98, 40: 3.0}, decimals=decimals)

    found = derive_adjustments(prices)

    assert list(found["kind"]) == ["split", "dividend", "split"]
    assert list(found["session_date"]) == list(
        prices["session_date"].iloc[[20, 21, 40]]
    )
    assert found["factor"].to_numpy() == pytest.approx(
        [0.5, 0.98, 3.0], rel=1e-4
    )


def test_rounding_alone_is_never_an_event():
    # At 1.20 adjusted, half a cent is 0.4%: larger than many a dividend.
    assert derive_adjustments(prices_with({}, decimals=2, scale=0.03)).empty


def test_a_split_and_a_dividend_on_one_day_are_two_records():
    found = derive_adjustments(prices_with({30: 0.5 * 0.985}))

    assert list(found["kind"]) == ["split", "dividend"]
    assert found["session_date"].nunique() == 1
    assert found["factor"].to_numpy() == pytest.approx([0.5, 0.985])


def test_symbols_are_told_apart_and_unusable_rows_passed_over():
    first = prices_with({30: 0.5})
    second = prices_with({}).assign(ticker="OTHER")
    first.loc[29, "close"] = np.nan
    second.loc[10, "adjusted_close"] = 0.0

    found = derive_adjustments(pd.concat([second, first], ignore_index=True))

    assert found[["ticker", "kind", "factor"]].values.tolist() == [
        ["ACME", "split", 0.5]
    ]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.integers(1, 59),
        st.one_of(
            st.sampled_from([0.5, 1 / 3, 2 / 3, 0.1, 2.0, 10.0]),
            st.floats(0.9, 0.9985),
        ),
        max_size=3,
    )
)
def test_applied_backwards_the_factors_restore_the_adjusted_close(events):
    prices = prices_with(
        events, decimals=8, close=4000.0, close_decimals=4, scale=0.37
    )

    found = derive_adjustments(prices)

    restored = prices["close"].to_numpy(copy=True)
    for event in found.itertuples():
        restored[prices["session_date"] < event.session_date] *= event.factor
    constant = prices["adjusted_close"] / restored
    rounding = (
        rounding_error(prices["close"].to_numpy()) / prices["close"]
    ).max()
    assert constant.to_numpy() == pytest.approx(
        constant.iloc[-1], rel=(1 + 2 * len(found)) * rounding + 1e-7
    )


def test_the_error_of_rounding_follows_from_the_digits_shown():
    assert rounding_error(np.array([100.0, 131.07, 0.5])) == pytest.approx(
        0.005
    )
    fourteen_digits = rounding_error(np.array([1.2345678901234, 60.0]))
    assert fourteen_digits == pytest.approx([5e-14, 5e-13])


@pytest.mark.parametrize(
    ("factor", "events"),
    [
        (1 / 7, [("split", 1 / 7)]),
        (10.0, [("split", 10.0)]),
        (10 / 11, [("split", 10 / 11)]),
        (0.05, [("split", 0.05)]),
        (0.8989, [("dividend", 0.8989)]),
        (0.66, [("split", 2 / 3), ("dividend", 0.99)]),
        (1.98, [("split", 2.0), ("dividend", 0.99)]),
    ],
)
def test_kinds_are_told_by_the_factor(factor, events):
    found = split_and_dividend(factor, 1e-7)

    assert [kind for kind, _ in found] == [kind for kind, _ in events]
    assert [value for _, value in found] == pytest.approx(
        [value for _, value in events]
    )
