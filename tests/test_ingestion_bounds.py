import numpy as np
import pandas as pd
import pytest

from python_ml.ingestion.screening.bounds import (
    MOST_PIECES,
    clamp_range,
    is_jump_between,
)


def bars_at(*levels):
    """Bars that never move from their level."""
    prices = np.array(levels, float)
    return pd.DataFrame(
        {"open": prices, "high": prices, "low": prices, "close": prices}
    )


def strays(*levels, series=None):
    values = bars_at(*levels)
    numbers = np.zeros(len(values), int) if series is None else series
    found = is_jump_between(numbers, np.arange(len(values)), values)
    return np.flatnonzero(found).tolist()


@pytest.mark.parametrize(
    ("high", "low", "repaired_to"),
    [
        (12.0, 9.0, (12.0, 9.0)),
        (11.0 - 1e-15, 9.0, (11.0, 9.0)),
        (11.0 * (1 - 9e-10), 9.0, (11.0, 9.0)),
        (12.0, 10.0 * (1 + 9e-10), (12.0, 10.0)),
        # A real breach is left as it is.
        (11.0 * (1 - 2e-9), 9.0, (11.0 * (1 - 2e-9), 9.0)),
        (12.0, 10.0 * (1 + 2e-9), (12.0, 10.0 * (1 + 2e-9))),
    ],
)
def test_what_rounding_took_of_the_range_is_given_back(high, low, repaired_to):
    values = pd.DataFrame(
        [{"open": 10.0, "high": high, "low": low, "close": 11.0, "volume": 1.0}]
    )

    clamped, is_repaired = clamp_range(values)

    assert tuple(clamped.loc[0, ["high", "low"]]) == repaired_to
    assert is_repaired.tolist() == [(high, low) != repaired_to]
    assert clamped.loc[0, "volume"] == 1.0


def test_a_bar_whose_four_prices_are_one_but_for_rounding_is_repaired():
    values = pd.DataFrame(
        [{"open": 0.3, "high": 0.3 - 6e-17, "low": 0.1 + 0.2, "close": 0.3}]
    )

    clamped, is_repaired = clamp_range(values)

    assert clamped.loc[0].tolist() == [0.3, 0.3, 0.3, 0.3]
    assert is_repaired.all()


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((1, 2, 9_999), []),
        ((1, 1, 10_000), [2]),
        ((1, 1, 1e-4), [2]),
        ((5, 6, 6e4, 5, 7), [2]),  # one bar in another unit
        ((6e4, 5, 6, 5), [0]),
        ((5, 6, 6e4, 6e4, 5, 7, 7), [2, 3]),
        ((5, 5, 5, 5e5, 5e5), [3, 4]),  # the shorter side
        ((5, 5, 5e5, 5e5), [2, 3]),  # of equals the later
        ((5, 5e5, 5e10), [1, 2]),
    ],
)
def test_as_few_bars_go_as_leave_no_jump(levels, expected):
    assert strays(*levels) == expected


def test_every_series_has_a_scale_of_its_own():
    assert not strays(1, 1e5, 1, 1e5, series=np.array([0, 1, 0, 1]))


def test_the_order_of_times_counts_and_not_that_of_rows():
    values = bars_at(1, 1e8, 3e3)
    assert not is_jump_between(
        np.zeros(3, int), np.array([1, 3, 2]), bars_at(1, 2e7, 3e3)
    ).any()
    assert is_jump_between(
        np.zeros(3, int), np.array([1, 3, 2]), values
    ).tolist() == [False, True, False]


def test_of_a_series_without_a_scale_nothing_is_kept():
    levels = [1, 1e6] * (MOST_PIECES // 2 + 1)

    assert len(strays(*levels)) == len(levels)
