import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from python_ml.ensemble import BAND_LEVELS
from python_ml.exceptions import NotEnoughDataError
from python_ml.scoring.bands import (
    conformal_quantiles,
    price_bands,
    price_target,
)

moves = arrays(np.float64, st.integers(1, 80), elements=st.floats(-8, 8))
closes = arrays(np.float64, 5, elements=st.floats(0.01, 1e5))
sigmas = arrays(np.float64, 5, elements=st.floats(0, 1))
ends = st.tuples(st.floats(-8, 8), st.floats(-8, 8))
quantiles = st.fixed_dictionaries({level: ends for level in BAND_LEVELS})


def test_the_ranks_are_those_of_split_conformal_prediction():
    # n = 39: (n + 1) * 0.1 = 4 and (n + 1) * 0.9 = 36, counted from 1.
    moves = np.arange(1.0, 40.0)
    assert conformal_quantiles(moves, levels=(0.8,)) == {0.8: (4.0, 36.0)}


def test_a_rank_between_two_moves_goes_outwards():
    # n = 40: 4.1 and 36.9.
    moves = np.arange(1.0, 41.0)
    assert conformal_quantiles(moves, levels=(0.8,)) == {0.8: (4.0, 37.0)}


def test_few_moves_give_a_high_level_the_extremes():
    assert conformal_quantiles([3.0, 1.0, 2.0], levels=(0.95,)) == {
        0.95: (1.0, 3.0)
    }


@given(moves)
def test_quantiles_are_nested_in_level(moves):
    found = conformal_quantiles(moves)
    lowers = [found[level][0] for level in BAND_LEVELS]
    uppers = [found[level][1] for level in BAND_LEVELS]
    assert lowers == sorted(lowers, reverse=True)
    assert uppers == sorted(uppers)
    assert lowers[0] <= uppers[0]


@given(moves, st.sampled_from(BAND_LEVELS))
def test_a_band_holds_its_share_of_the_moves_it_was_made_from(moves, level):
    lower, upper = conformal_quantiles(moves)[level]
    inside = np.mean((lower <= moves) & (moves <= upper))
    assert inside >= min(level, 1 - 2 / (len(moves) + 1)) - 1e-12


def test_a_band_holds_its_share_of_moves_to_come():
    random = np.random.default_rng(5)
    inside = []
    for _ in range(2000):
        sample = random.standard_t(df=4, size=61)
        lower, upper = conformal_quantiles(sample[:-1], levels=(0.8,))[0.8]
        inside.append(lower <= sample[-1] <= upper)
    # The share to expect is 49 / 61 = 0.803, give or take 0.009.
    assert 0.775 < np.mean(inside) < 0.83


@pytest.mark.parametrize("moves", [[], [1.0, math.nan], [math.inf]])
def test_moves_that_are_none_or_not_finite_are_refused(moves):
    with pytest.raises(NotEnoughDataError, match=r"at least 1 move.* got"):
        conformal_quantiles(moves)


@given(closes, sigmas, quantiles)
def test_price_bands_are_nested_whatever_the_quantiles(close, sigma, ends):
    bands = price_bands(close, sigma, move_quantiles=ends)
    assert list(bands) == sorted(BAND_LEVELS)
    for narrow, wide in itertools.pairwise(BAND_LEVELS):
        assert (bands[wide].lower <= bands[narrow].lower).all()
        assert (bands[narrow].lower <= bands[narrow].upper).all()
        assert (bands[narrow].upper <= bands[wide].upper).all()
    assert all((band.lower > 0).all() for band in bands.values())


@given(closes, quantiles)
def test_without_volatility_a_band_is_the_close(close, ends):
    for band in price_bands(close, np.zeros(5), move_quantiles=ends).values():
        assert (band.lower == close).all()
        assert (band.upper == close).all()


@given(closes, sigmas)
def test_a_move_on_the_quantile_ends_on_the_band(close, sigma):
    band = price_bands(close, sigma, move_quantiles={0.8: (-1.5, 2.0)})[0.8]
    np.testing.assert_allclose(
        np.log(band.upper / close), 2.0 * sigma, atol=1e-9
    )
    np.testing.assert_allclose(
        np.log(band.lower / close), -1.5 * sigma, atol=1e-9
    )


@given(closes, sigmas)
def test_a_certain_class_moves_the_target_by_its_mean_move(close, sigma):
    target = price_target(
        close,
        sigma,
        probabilities=np.tile([0.0, 0.0, 1.0], (5, 1)),
        class_mean_moves=np.array([-1.0, 0.1, 1.3]),
    )
    np.testing.assert_allclose(target, close * np.exp(1.3 * sigma))
