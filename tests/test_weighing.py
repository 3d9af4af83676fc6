from dataclasses import replace

import numpy as np
import pytest

from python_ml.examples.arrays import (
    FIT,
    VALIDATION,
)
from python_ml.members import PER_SERIES, ROSTER, RosterEntry
from python_ml.members.base import Member
from python_ml.scoring.metrics import (
    accuracy,
    log_losses,
    skill,
    skill_standard_error,
)
from python_ml.scoring.recipe import learned_members
from python_ml.scoring.time_order import (
    Weighing,
    score_in_time_order,
)
from python_ml.scoring.weights import WeightSettings
from python_ml.training.fitting import fit_horizon
from python_ml.training.weighing import (
    ALL_SERIES,
    WEIGHED,
    weigh_horizon,
)
from tests.training_arrays import FEATURES, make_rows


def fit(**keywords):
    return fit_horizon(make_rows(**keywords), feature_names=FEATURES)


def weighing(horizon_bars):
    return Weighing(horizon_bars, learned_members(PER_SERIES.names))


@pytest.fixture(scope="module")
def informed():
    return fit(seed=1, horizon_bars=1, strength=1.0)


@pytest.fixture(scope="module")
def ignorant():
    return fit(seed=13, horizon_bars=1, strength=0.0)


def test_members_that_know_something_are_deployed(informed):
    [made] = weigh_horizon([informed], weighing(1))
    assert made.record["skill"] > 0.03
    assert made.ensemble.weights["climatology"] < 0.3
    assert sum(made.ensemble.weights.values()) == pytest.approx(1)
    assert made.record["weights"] == made.ensemble.weights


def test_members_that_know_nothing_leave_climatology_alone(ignorant):
    [made] = weigh_horizon([ignorant], weighing(1))
    assert made.record["skill"] <= 0
    assert made.ensemble.weights == {
        "climatology": 1.0,
        "random_forest": 0.0,
        "gradient_boosting": 0.0,
    }
    assert "not above 0" in made.weights.reason
    X = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(
        made.ensemble.predict_proba(X), np.tile(ignorant.climatology, (4, 1))
    )
    # What is deployed is what the drift of its accuracy is measured from.
    assert (
        made.record["ensemble_validation_accuracy"]
        == made.record["baseline_accuracy"]
    )
    assert made.record["model_performances"][WEIGHED]["skill"] <= 0


def test_figures_are_those_of_the_score_in_time_order(informed):
    [made] = weigh_horizon([informed], weighing(1))
    [score] = score_in_time_order([informed.validation], weighing(1))
    y = informed.validation.y[score.rows]
    climatology = np.tile(informed.validation.climatology, (len(y), 1))
    assert made.record["skill"] == skill(
        log_losses(score.probabilities, y), log_losses(climatology, y)
    )
    assert made.record["ensemble_validation_accuracy"] == accuracy(
        score.probabilities, y
    )
    assert made.record["baseline_accuracy"] == accuracy(climatology, y)
    assert made.record["majority_share"] == np.bincount(y).max() / len(y)
    # Only parts after the first are scored.
    assert len(score.rows) == 135
    assert made.record["n_validation"] == 180


def test_counts_and_margins_are_told(informed):
    record = weigh_horizon([informed], weighing(1))[0].record
    parts = informed.examples.split_parts
    assert record["n_fit"] == (parts == FIT).sum()
    assert record["n_purged"] == len(parts) - record["n_fit"] - 180
    assert record["n_validation_effective"] == 180
    assert record["overfit_margin"] == pytest.approx(
        record["train_accuracy"] - record["ensemble_validation_accuracy"]
    )
    assert record["is_overfit"] == (record["overfit_margin"] > 0.2)
    assert record["is_in_expected_band"] == (
        0.5 <= record["ensemble_validation_accuracy"] <= 0.65
    )


def test_long_horizons_have_fewer_effective_labels():
    fitted = fit(horizon_bars=20, horizon="20d")
    record = weigh_horizon([fitted], weighing(20))[0].record
    assert record["n_validation_effective"] == 9
    assert fitted.examples.count(VALIDATION) == 180


def test_every_member_is_measured_alone(informed):
    performances = weigh_horizon([informed], weighing(1))[0].record[
        "model_performances"
    ]
    assert set(performances) == {
        *PER_SERIES.names,
        WEIGHED,
        ALL_SERIES,
    }
    assert performances["climatology"]["skill"] == 0
    for name in ("random_forest", "gradient_boosting"):
        assert performances[name]["skill"] > 0
        assert 0 < performances[name]["train_accuracy"] < 1


class Rote(Member):
    """Knows its fit rows by heart and is sure of the first class elsewhere."""

    def _fit(self, X, y, sample_weight):
        self.known_ = {row.tobytes(): code for row, code in zip(X, y)}  # noqa: B905

    def _predict_proba(self, X):
        codes = [self.known_.get(row.tobytes(), 0) for row in X]
        return 0.97 * np.eye(3)[codes] + 0.01


def test_a_member_that_knows_its_rows_by_heart_shows_as_overfit(monkeypatch):
    monkeypatch.setitem(
        ROSTER, "random_forest", RosterEntry(Rote, is_learned=True)
    )
    fitted = fit(horizon_bars=1)
    [made] = weigh_horizon([fitted], weighing(1))
    rote = made.record["model_performances"]["random_forest"]
    assert rote["train_accuracy"] == 1
    assert rote["skill"] < -0.5
    assert made.ensemble.weights["random_forest"] < 0.05


class Raising(Member):
    def _fit(self, X, y, sample_weight):
        raise ValueError("cannot")


def test_a_failed_member_has_no_weight_and_no_place(monkeypatch):
    monkeypatch.setitem(
        ROSTER, "random_forest", RosterEntry(Raising, is_learned=True)
    )
    fitted = fit(seed=1, horizon_bars=1, strength=0.4)
    [made] = weigh_horizon([fitted], weighing(1))
    assert set(made.ensemble.weights) == {"climatology", "gradient_boosting"}
    assert made.ensemble.weights["gradient_boosting"] > 0
    assert sum(made.ensemble.weights.values()) == pytest.approx(1)
    assert "left out, its weight to climatology: random_forest" in (
        made.weights.reason
    )
    assert made.record["model_performances"]["random_forest"] == {
        "error": "ValueError: cannot"
    }
    assert made.ensemble.predict_proba(np.zeros((1, 3))).shape == (1, 3)


def test_series_done_before_count_in_the_weights_of_the_timeframe(informed):
    ignorant = [fit(seed=seed, horizon_bars=1, strength=0.0) for seed in (5, 6)]
    alone = weigh_horizon(ignorant[:1], weighing(1))[0]
    together = weigh_horizon([ignorant[0], informed], weighing(1))[0]
    [resumed] = weigh_horizon([ignorant[0], informed.validation], weighing(1))
    assert resumed.record["skill"] == together.record["skill"]
    assert resumed.record["skill"] != pytest.approx(alone.record["skill"])


def test_a_series_that_stopped_in_the_first_part_is_not_scored(informed):
    # 42 rows of validation, of 45 that its first part has.
    stopped = fit(n_bars=462, fit_share=420 / 462, horizon_bars=1)
    scored, unscored = weigh_horizon([informed, stopped], weighing(1))
    assert unscored is None
    assert scored.record["n_validation"] == 180


def test_errors_of_all_series_know_how_long_a_session_is(informed):
    by_session = replace(
        informed, examples=replace(informed.examples, session_bars=7)
    )
    [made] = weigh_horizon([by_session], weighing(1))
    [score] = score_in_time_order([informed.validation], weighing(1))
    y = informed.validation.y[score.rows]
    climatology = np.tile(informed.validation.climatology, (len(y), 1))
    assert made.record["model_performances"][ALL_SERIES][
        "skill_se"
    ] == skill_standard_error(
        log_losses(score.probabilities, y),
        log_losses(climatology, y),
        np.arange(len(y)) // (5 * 7),
    )


def test_the_order_of_series_does_not_matter(informed, ignorant):
    one, other = weigh_horizon([informed, ignorant], weighing(1))
    other_first, one_last = weigh_horizon([ignorant, informed], weighing(1))
    assert one.record["skill"] == pytest.approx(one_last.record["skill"])
    assert other.record["skill"] == pytest.approx(other_first.record["skill"])
    np.testing.assert_allclose(one.weights.values, one_last.weights.values)


def test_a_member_that_sees_the_future_label_is_caught_by_the_purge():
    """Rows that overlap the part they are weighed for would tell on it.

    The leaking member is right only where a label ends inside the next part,
    as one would be that was fitted on rows not yet settled.
    """
    fitted = fit(horizon_bars=20, horizon="20d", strength=0.0)
    validation = fitted.validation
    position = np.arange(len(validation.y))
    leaks = (position % 45) + 20 >= 45
    P = validation.probabilities.copy()
    P[leaks, 1] = 0.97 * np.eye(3)[validation.y[leaks]] + 0.01
    wrong = (validation.y + 1) % 3
    P[~leaks, 1] = 0.9 * np.eye(3)[wrong[~leaks]] + 0.1 / 3
    leaking = replace(validation, probabilities=P)
    scheme = Weighing(
        20, (False, False, False), WeightSettings("least_squares")
    )
    [score] = score_in_time_order([leaking], scheme)
    for weights in score.weights[:1]:
        assert weights.values[1] == 0
