import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from python_ml.ensemble import BAND_LEVELS
from python_ml.scoring.bands import (
    MEDIAN,
    PROBABILITIES,
    band_ends,
    count_place_groups,
    place_groups,
    pooled_quantiles,
    price_bands,
    price_target,
    scale_factors,
    track,
)

closes = arrays(np.float64, 5, elements=st.floats(0.01, 1e5))
sigmas = arrays(np.float64, 5, elements=st.floats(0, 1))
quantiles = arrays(np.float64, (5, 7), elements=st.floats(-8, 8))
offsets = arrays(np.float64, 7, elements=st.floats(-1, 1))


def one_group(n_times):
    return np.zeros(n_times, dtype=np.int64)


@given(closes, sigmas, quantiles, offsets)
def test_bands_are_nested_and_hold_the_target_whatever_the_ends(
    close, sigma, quantiles, offsets
):
    ends = band_ends(quantiles, offsets)
    bands = price_bands(close, sigma, ends)
    target = price_target(close, sigma, ends)
    assert list(bands) == sorted(BAND_LEVELS)
    for narrow, wide in itertools.pairwise(BAND_LEVELS):
        assert (bands[wide].lower <= bands[narrow].lower).all()
        assert (bands[narrow].upper <= bands[wide].upper).all()
    assert (bands[0.5].lower <= target).all()
    assert (target <= bands[0.5].upper).all()
    assert all((band.lower > 0).all() for band in bands.values())


@given(closes, sigmas)
def test_a_move_on_an_end_lies_on_the_band(close, sigma):
    ends = np.tile([-2.0, -1.5, -0.7, 0.2, 0.8, 1.9, 2.5], (5, 1))
    band = price_bands(close, sigma, ends)[0.8]
    np.testing.assert_allclose(
        np.log(band.upper / close), 1.9 * sigma, atol=1e-9
    )
    np.testing.assert_allclose(
        np.log(band.lower / close), -1.5 * sigma, atol=1e-9
    )
    np.testing.assert_allclose(
        np.log(price_target(close, sigma, ends) / close),
        0.1 * sigma,
        atol=1e-9,
    )


def test_many_moves_are_their_own_quantiles():
    moves = np.random.default_rng(3).standard_t(3, size=(4000, 5))
    found = pooled_quantiles(
        moves, one_group(4000), horizon_bars=1, n_groups=1
    )[0]
    np.testing.assert_allclose(
        found, np.quantile(moves, PROBABILITIES), atol=0.02
    )


def test_a_time_counts_once_however_many_series_it_has():
    """One series at most times, fifty at a few that were all alike."""
    random = np.random.default_rng(4)
    moves = np.full((2000, 50), np.nan)
    moves[:, 0] = random.normal(size=2000)
    moves[::100] = 9.0
    found = pooled_quantiles(
        moves, one_group(2000), horizon_bars=1, n_groups=1
    )[0]
    # A hundredth of the times, not a third of the moves.
    np.testing.assert_allclose(
        found[1:-1], [-1.28, -0.67, 0.01, 0.7, 1.32], atol=0.07
    )


def test_a_long_horizon_needs_more_times_against_the_prior():
    moves = np.full((100, 3), 5.0)
    medians = [
        pooled_quantiles(moves, one_group(100), horizon_bars=bars, n_groups=1)[
            0, MEDIAN
        ]
        for bars in (1, 30)
    ]
    assert medians[0] == pytest.approx(5.0)
    assert medians[1] < 1.0


def test_places_have_quantiles_of_their_own_where_there_are_enough_times():
    random = np.random.default_rng(5)
    groups = np.tile([0, 1], 1000).astype(np.int64)
    moves = (
        random.normal(size=(2000, 3)) * np.where(groups == 0, 1.0, 3.0)[:, None]
    )
    found = pooled_quantiles(moves, groups, horizon_bars=1, n_groups=3)
    assert found[0, 5] == pytest.approx(1.28, abs=0.1)
    assert found[1, 5] == pytest.approx(3.84, abs=0.2)
    # A group without moves is as all are.
    everything = pooled_quantiles(
        moves, one_group(2000), horizon_bars=1, n_groups=1
    )
    np.testing.assert_array_equal(found[2], everything[0])


def test_a_series_own_scale_needs_periods():
    random = np.random.default_rng(6)
    moves = random.normal(size=(400, 3)) * np.array([1.0, 1.0, 2.0])
    factors = scale_factors(moves, horizon_bars=1)
    assert factors[2] / factors[0] == pytest.approx(2 ** (400 / 500), rel=0.05)
    long = scale_factors(moves, horizon_bars=40)
    assert long[2] / long[0] == pytest.approx(2 ** (10 / 110), rel=0.02)


def test_every_place_of_a_full_session_has_a_group():
    for session_bars in (1, 2, 7, 12, 13, 24, 26, 96):
        groups = place_groups(np.arange(1, session_bars + 1), session_bars)
        assert (np.diff(groups) >= 0).all()
        assert set(groups) == set(range(count_place_groups(session_bars)))


def test_tracking_reaches_the_share_that_is_asked_for():
    """Moves half as wide again as the distribution: the ends follow."""
    random = np.random.default_rng(7)
    quantiles = np.quantile(random.normal(size=100_000), PROBABILITIES)
    moved = np.zeros(7)
    below = []
    for _ in range(4000):
        moves = 1.5 * random.normal(size=40)
        ends = band_ends(quantiles, moved)
        shares = (moves[:, None] < ends).mean(axis=0)
        moved = track(moved, shares, horizon_bars=1, session_bars=1)
        below.append(shares)
    np.testing.assert_allclose(
        np.mean(below[2000:], axis=0), PROBABILITIES, atol=0.006
    )
