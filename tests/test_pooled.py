from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from python_ml.examples.arrays import (
    FIT,
    PURGED,
    VALIDATION,
)
from python_ml.examples.leakage import check_cut
from python_ml.examples.pooled import (
    PooledExamples,
    thinning,
)
from python_ml.exceptions import LeakageError
from python_ml.members import ROSTER, Roster
from python_ml.members.settings import (
    POOLED_BOOSTER_HALF_WEIGHT_LABELS as HALF_WEIGHT,
)
from python_ml.training.fitting import (
    PooledPrediction,
    fit_horizon,
    with_pooled,
)
from python_ml.training.pooled_fitting import (
    PooledFailure,
    PooledFit,
    fit_pooled,
    time_weights,
)
from python_ml.training.workers import fit_all_pooled
from tests.training_arrays import FEATURES, make_rows

POOLED = ("pooled_gradient_boosting", "pooled_logistic_regression")
CUT = {
    "fit_labels_end_before": datetime(2020, 1, 11, tzinfo=UTC),
    "as_of": datetime(2020, 1, 21, tzinfo=UTC),
    "what": "Pooled members of d1 5d",
}


def make_pool(*, n_series=8, strength=1.0, horizon_bars=1):
    """Series of one market under one cut."""
    series = [
        make_rows(seed=seed, strength=strength, horizon_bars=horizon_bars)
        for seed in range(n_series)
    ]

    def stacked(name):
        return np.concatenate([getattr(rows, name) for rows in series])

    return PooledExamples(
        horizon="5d",
        horizon_bars=horizon_bars,
        X=stacked("X").astype(np.float32),
        y=stacked("y"),
        symbol_ids=np.repeat(np.arange(n_series), len(series[0].y)),
        bar_numbers=stacked("bar_numbers"),
        label_end_at=stacked("label_end_at"),
        split_parts=stacked("split_parts"),
    )


def log_loss(P, y):
    return -np.log(P[np.arange(len(y)), y]).mean()


@pytest.mark.parametrize("name", POOLED)
def test_a_pooled_member_knows_more_than_the_shares_of_classes(name):
    pool = make_pool()
    fitted = fit_pooled(name, pool)
    assert isinstance(fitted, PooledFit)
    judged = pool.split_parts == VALIDATION
    P = fitted.validated.predict_proba(pool.X[judged])
    shares = (
        np.bincount(pool.y[pool.split_parts == FIT])
        / (pool.split_parts == FIT).sum()
    )
    no_skill = -np.log(shares)[pool.y[judged]].mean()
    assert 1 - log_loss(P, pool.y[judged]) / no_skill > 0.05


@pytest.mark.parametrize("name", POOLED)
@pytest.mark.parametrize("altered", ["y", "X"])
def test_nothing_after_fit_reaches_the_pooled_member_that_is_judged(
    name, altered
):
    """Truncation: labels and features after the cut change nothing."""
    pool = make_pool(n_series=4)
    later = pool.split_parts != FIT
    changed = getattr(pool, altered).copy()
    changed[later] = changed[later][::-1]
    before = fit_pooled(name, pool)
    after = fit_pooled(name, replace(pool, **{altered: changed}))
    X = pool.X[:50]
    np.testing.assert_array_equal(
        before.validated.predict_proba(X), after.validated.predict_proba(X)
    )
    assert not np.array_equal(
        before.deployed.predict_proba(X), after.deployed.predict_proba(X)
    )


def test_every_time_counts_once_however_many_series_it_has():
    assert time_weights(np.array([3, 3, 3, 4])).tolist() == [1 / 3] * 3 + [1.0]
    pool = make_pool(n_series=4)
    fitted = fit_pooled("pooled_logistic_regression", pool)
    # 600 times, not 2,400 rows.
    assert fitted.n_effective == pytest.approx(600)
    assert (fitted.n_rows, fitted.n_series) == (2400, 4)


def test_rows_that_repeat_each_other_are_thinned_out_where_there_are_many():
    assert thinning(10_000, 20) == 1
    assert thinning(200_000, 20) == 4
    assert thinning(200_000, 1) == 1
    assert thinning(900_000, 1) == 3


def test_the_same_rows_give_the_same_bits_in_one_process_and_in_several():
    pool = make_pool(n_series=2)
    tasks = [(name, pool) for name in POOLED]
    alone = list(fit_all_pooled(tasks, n_jobs=1))
    together = list(fit_all_pooled(tasks, n_jobs=2))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(
            one.deployed.predict_proba(pool.X),
            other.deployed.predict_proba(pool.X),
        )


def test_a_pooled_member_that_cannot_be_fitted_is_told_and_left_out():
    pool = make_pool(n_series=1)
    nothing = replace(pool, split_parts=np.full(len(pool.y), PURGED))
    failed = fit_pooled("pooled_logistic_regression", nothing)
    assert isinstance(failed, PooledFailure)
    assert "no row to fit on" in failed.message

    rows = make_rows(horizon_bars=1)
    roster = Roster({"climatology": 0.5, "pooled_logistic_regression": 0.5})
    fitted = with_pooled(
        fit_horizon(rows, feature_names=FEATURES, roster=roster),
        roster,
        {"pooled_logistic_regression": failed.message},
    )
    assert "no row to fit on" in fitted.failures["pooled_logistic_regression"]
    assert list(fitted.members) == ["climatology"]
    np.testing.assert_array_equal(
        fitted.validation.probabilities[:, 1],
        fitted.validation.probabilities[:, 0],
    )


def test_a_series_divides_pooled_moves_as_its_climatology_does():
    rows = make_rows(horizon_bars=1)
    said = np.tile([0.5, 0.2, 0.3], (len(rows.y), 1))
    roster = Roster({"climatology": 0.0, "pooled_gradient_boosting": 1.0})
    alone = fit_horizon(rows, feature_names=FEATURES, roster=roster)
    assert alone.validation.member_names == ("climatology",)
    fitted = with_pooled(
        alone,
        roster,
        {"pooled_gradient_boosting": PooledPrediction(said, "pooled", "abc")},
    )
    assert fitted.failures == {}
    P = fitted.validation.probabilities[:, 1]
    climatology = fitted.validation.climatology
    np.testing.assert_allclose(P[:, 1], 0.2)
    np.testing.assert_allclose(
        P[:, 2] / P[:, 0], climatology[2] / climatology[0]
    )
    reference = fitted.members["pooled_gradient_boosting"]
    assert (reference.pooled_member_id, reference.sha256) == ("pooled", "abc")


def test_a_booster_starts_with_less_weight_where_the_pool_is_small():
    rows = make_rows(horizon_bars=1)
    names = ("climatology", *POOLED)
    roster = Roster(dict(zip(names, (0.0, 0.5, 0.5), strict=True)))
    alone = fit_horizon(rows, feature_names=FEATURES, roster=roster)
    said = np.tile([0.3, 0.4, 0.3], (len(rows.y), 1))
    of_booster = {}
    for n_series, horizon_bars in ((1, 1), (8, 1), (8, 4)):
        n_labels = 600 * n_series / horizon_bars
        predictions = {
            name: PooledPrediction(
                said, name, "abc", ROSTER[name].prior_share(n_labels)
            )
            for name in POOLED
        }
        prior = with_pooled(alone, roster, predictions).validation.prior_weights
        assert sum(prior) == pytest.approx(1)
        assert prior[0] == 0
        of_booster[n_series, horizon_bars] = prior[1]
        assert prior[1] == pytest.approx(
            n_labels / (2 * n_labels + HALF_WEIGHT)
        )
    assert of_booster[8, 4] < of_booster[8, 1] < 0.5


def times(*days):
    return np.array([f"2020-01-{day:02d}" for day in days], "datetime64[us]")


def test_rows_that_keep_to_the_cut_are_accepted():
    check_cut(times(10, 20, 21), np.array([FIT, VALIDATION, PURGED]), **CUT)


@pytest.mark.parametrize(
    ("ends", "parts", "told"),
    [
        ((11, 20), (FIT, VALIDATION), "1 rows to fit on"),
        ((10, 22), (FIT, VALIDATION), "1 rows have labels"),
        ((10, 22), (FIT, PURGED), "1 rows have labels"),
    ],
)
def test_a_planted_leak_past_the_cut_is_refused_by_name(ends, parts, told):
    with pytest.raises(
        LeakageError, match=f"Pooled members of d1 5d: .*{told}"
    ):
        check_cut(times(*ends), np.array(parts), **CUT)
