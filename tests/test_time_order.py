from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_ml.exceptions import NotEnoughDataError
from python_ml.scoring.metrics import (
    accuracy,
    block_bars,
    block_standard_error,
    brier_score,
    calendar_blocks,
    log_loss,
    log_losses,
    skill,
    skill_standard_error,
)
from python_ml.scoring.time_order import (
    Weighing,
    known_before,
    part_starts,
    score_in_time_order,
)
from python_ml.scoring.weights import WeightSettings
from tests.training_arrays import closes, make_predictions

P_WORKED = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
Y_WORKED = np.array([1, 2])


def test_scores_of_two_forecasts_done_by_hand():
    assert log_loss(P_WORKED, Y_WORKED) == pytest.approx(
        -(np.log(0.5) + np.log(0.1)) / 2
    )
    # 0.04 + 0.25 + 0.09 and 0.36 + 0.09 + 0.81
    assert brier_score(P_WORKED, Y_WORKED) == pytest.approx((0.38 + 1.26) / 2)
    assert accuracy(P_WORKED, Y_WORKED) == 0.5


def test_a_forecast_of_zero_for_what_happened_is_dear_but_finite():
    losses = log_losses(np.array([[0.0, 0.5, 0.5]]), np.array([0]))
    assert np.isfinite(losses).all()
    assert losses[0] > 10


def test_skill_of_climatology_is_zero_and_a_better_forecast_is_above():
    climatology = np.array([1.0, 1.2])
    assert skill(climatology, climatology) == 0
    assert skill(climatology / 2, climatology) == pytest.approx(0.5)


def test_the_standard_error_of_single_rows_is_that_of_the_textbook():
    values = np.random.default_rng(0).normal(size=50)
    assert block_standard_error(values, np.arange(50)) == pytest.approx(
        values.std(ddof=1) / np.sqrt(50)
    )


def test_repeating_each_row_does_not_make_a_mean_more_certain():
    values = np.random.default_rng(0).normal(size=50)
    once = block_standard_error(values, np.arange(50))
    repeated = block_standard_error(
        np.repeat(values, 20), np.repeat(np.arange(50), 20)
    )
    assert repeated == pytest.approx(once)


def test_one_block_says_nothing():
    assert np.isnan(block_standard_error(np.ones(5), np.zeros(5, dtype=int)))


def test_the_standard_error_of_skill_agrees_with_resampled_blocks():
    random = np.random.default_rng(1)
    blocks = np.repeat(np.arange(120), 5)
    shared = np.repeat(random.normal(size=120), 5)
    climatology = 1.1 + 0.1 * random.normal(size=600)
    losses = climatology - 0.02 + 0.05 * shared
    stated = skill_standard_error(losses, climatology, blocks)
    sums = np.stack([losses, climatology]).reshape(2, 120, 5).sum(axis=2)
    draws = sums[:, random.integers(0, 120, size=(2000, 120))].sum(axis=2)
    assert stated == pytest.approx((1 - draws[0] / draws[1]).std(), rel=0.1)


@pytest.mark.parametrize(("horizon_bars", "bars"), [(1, 5), (5, 5), (20, 20)])
def test_a_block_is_at_least_five_bars_and_a_horizon(horizon_bars, bars):
    assert block_bars(horizon_bars) == bars
    assert len(set(calendar_blocks(np.arange(bars), horizon_bars))) == 1
    assert len(set(calendar_blocks(np.arange(bars + 1), horizon_bars))) == 2


def test_rows_of_all_series_at_one_time_are_in_one_block():
    bars = np.array([100, 101, 100, 101])
    assert len(set(calendar_blocks(bars, 1))) == 1


def test_parts_hold_equally_many_times_whatever_the_series():
    times = np.concatenate([closes(np.arange(20)), closes(np.arange(10, 20))])
    np.testing.assert_array_equal(part_starts(times, 4), closes([0, 5, 10, 15]))


def test_too_few_times_for_the_parts_are_told():
    with pytest.raises(NotEnoughDataError, match="3 different times"):
        part_starts(closes([1, 2, 3]), 4)


@pytest.mark.parametrize("horizon_bars", [1, 5, 20])
def test_purge_between_parts_drops_exactly_the_overlapping_labels(horizon_bars):
    predictions = make_predictions(n=120, horizon_bars=horizon_bars)
    start = closes(30)
    known = known_before(predictions, start)
    # Bar n ends at n + h; the last known one ends at bar 29.
    np.testing.assert_array_equal(
        np.flatnonzero(known), np.arange(30 - horizon_bars)
    )


def weighing(horizon_bars=1, n_members=3):
    return Weighing(
        horizon_bars=horizon_bars,
        learned=(False,) + (True,) * (n_members - 1),
    )


def split_memory(horizon_bars):
    """Member 1 is right where labels end before part 2, member 2 after.

    Weights for part 2 that use a label from inside it show it by trusting
    member 2.
    """
    n = 120
    predictions = make_predictions(n=n, n_members=2, horizon_bars=horizon_bars)
    truth = np.eye(3)[predictions.y]
    wrong = np.eye(3)[(predictions.y + 1) % 3]
    known = np.arange(n) + horizon_bars < 30
    P = np.stack(
        [
            np.where(known[:, None], truth, wrong),
            np.where(known[:, None], wrong, truth),
        ],
        axis=1,
    )
    return replace(predictions, probabilities=0.8 * P + 0.2 / 3)


@pytest.mark.parametrize("horizon_bars", [5, 12, 20])
def test_weights_of_a_part_never_saw_a_label_from_inside_it(horizon_bars):
    predictions = split_memory(horizon_bars)
    [score] = score_in_time_order(
        [predictions],
        Weighing(
            horizon_bars,
            learned=(False, False),
            settings=WeightSettings("least_squares"),
        ),
    )
    np.testing.assert_allclose(score.weights[0].values, [1.0, 0.0], atol=1e-6)


def test_every_row_after_the_first_part_is_scored_once():
    series = [
        make_predictions(seed=1, n=120),
        make_predictions(seed=2, n=50, first_bar=70),
    ]
    scores = score_in_time_order(series, weighing())
    np.testing.assert_array_equal(scores[0].rows, np.arange(30, 120))
    np.testing.assert_array_equal(scores[1].rows, np.arange(50))
    for one in scores:
        assert one.probabilities.shape == (len(one.rows), 3)
        np.testing.assert_allclose(one.probabilities.sum(axis=1), 1)


def cut_off(predictions, n):
    return replace(
        predictions,
        probabilities=predictions.probabilities[:n],
        y=predictions.y[:n],
        closed_at=predictions.closed_at[:n],
        label_end_at=predictions.label_end_at[:n],
    )


def alter_after(predictions, bar, seed):
    """Other labels and probabilities from a row on."""
    other = make_predictions(seed=seed, n=len(predictions.y))
    later = np.arange(len(predictions.y)) >= bar
    return replace(
        predictions,
        probabilities=np.where(
            later[:, None, None],
            other.probabilities,
            predictions.probabilities,
        ),
        y=np.where(later, other.y, predictions.y),
    )


@given(
    st.integers(0, 1000),
    st.sampled_from([1, 5, 20]),
    st.sampled_from([1, 2, 3]),
)
def test_altering_later_parts_never_changes_an_earlier_one(seed, horizon, part):
    series = [
        make_predictions(seed=seed + i, n=120, horizon_bars=horizon)
        for i in range(2)
    ]
    ends_at = 30 * (part + 1)
    altered = [alter_after(one, ends_at, seed + 50) for one in series]
    # Labels that end after the part are no knowledge of its time either.
    for i, one in enumerate(altered):
        y = one.y.copy()
        unknown = np.arange(120) + horizon >= 30 * part
        outside = unknown & (np.arange(120) < 30 * part)
        y[outside] = (y[outside] + 1) % 3
        altered[i] = replace(one, y=y)
    before = score_in_time_order(series, weighing(horizon))
    after = score_in_time_order(altered, weighing(horizon))
    for one, other in zip(before, after, strict=True):
        in_part = (one.rows >= 30 * part) & (one.rows < ends_at)
        np.testing.assert_array_equal(
            one.probabilities[in_part], other.probabilities[in_part]
        )
        np.testing.assert_array_equal(
            one.weights[part - 1].values, other.weights[part - 1].values
        )


def test_a_series_with_few_rows_follows_the_timeframe():
    market = [make_predictions(seed=i, n=400) for i in range(8)]
    market = [
        replace(
            one,
            probabilities=np.stack(
                [
                    one.probabilities[:, 0],
                    0.6 * np.eye(3)[one.y] + 0.4 / 3,
                    one.probabilities[:, 2],
                ],
                axis=1,
            ),
        )
        for one in market
    ]
    newcomer = cut_off(make_predictions(seed=99, n=400), 1)
    everything = [np.ones(len(one.y), bool) for one in [*market, newcomer]]
    together, weights = weighing().fit([*market, newcomer], everything)
    assert together.values[1] > 0.6
    assert weights[-1].values[1] > 0.5


def test_twice_the_series_do_not_pass_for_twice_the_evidence():
    one = make_predictions(n=60)
    once, _ = weighing().fit([one], [np.ones(60, bool)])
    twice, _ = weighing().fit([one, one], [np.ones(60, bool)] * 2)
    np.testing.assert_allclose(once.values, twice.values)
