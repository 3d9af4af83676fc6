import pickle
from datetime import UTC, datetime

import numpy as np
import pytest

from python_ml.ensemble import Ensemble, HorizonEnsemble
from python_ml.exceptions import FeatureMismatchError


class Fixed:
    def __init__(self, *probabilities):
        self.probabilities = np.array(probabilities)

    def predict_proba(self, X):
        return np.tile(self.probabilities, (len(X), 1))


class Unusable:
    def predict_proba(self, X):
        raise AssertionError("a member of weight 0 was asked")


def horizon(weights, **members):
    return HorizonEnsemble(
        horizon="5d",
        horizon_bars=5,
        members=members,
        weights=weights,
        climatology=np.full(3, 1 / 3),
        baseline_accuracy=0.4,
    )


def ensemble(*feature_names):
    return Ensemble(
        version_id="AAPL_d1_20250121T153000Z",
        symbol_id=1,
        ticker="AAPL",
        timeframe="d1",
        as_of=datetime(2025, 1, 21, tzinfo=UTC),
        feature_names=feature_names,
        horizons={},
    )


def test_probabilities_are_the_weighted_mean_of_the_members():
    mixed = horizon(
        {"a": 0.25, "b": 0.75}, a=Fixed(0.2, 0.2, 0.6), b=Fixed(0.6, 0.2, 0.2)
    )
    np.testing.assert_allclose(
        mixed.predict_proba(np.zeros((2, 1))), [[0.5, 0.2, 0.3]] * 2
    )


def test_combining_stored_member_probabilities_gives_the_same():
    mixed = horizon(
        {"a": 0.25, "b": 0.75}, a=Fixed(0.2, 0.2, 0.6), b=Fixed(0.6, 0.2, 0.2)
    )
    X = np.zeros((3, 1))
    np.testing.assert_array_equal(
        mixed.combine(mixed.member_probabilities(X)), mixed.predict_proba(X)
    )


def test_a_member_of_weight_zero_is_not_asked():
    mixed = horizon({"a": 1.0, "b": 0.0}, a=Fixed(0.1, 0.8, 0.1), b=Unusable())
    assert mixed.predict_proba(np.zeros((1, 1)))[0, 1] == pytest.approx(0.8)


def test_the_same_features_in_the_same_order_pass():
    ensemble("a", "b").check_features(["a", "b"])


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (["a"], "missing: b"),
        (["a", "b", "c"], "new: c"),
        (["a", "c"], "missing: b; new: c"),
        (["b", "a"], "the order differs"),
    ],
)
def test_changed_features_are_named_with_the_command(found, says):
    with pytest.raises(FeatureMismatchError, match=says) as raised:
        ensemble("a", "b").check_features(found)
    assert "swiftbolt train --symbols AAPL --timeframes d1" in str(raised.value)


def test_an_ensemble_survives_pickling():
    before = ensemble("a", "b")
    assert pickle.loads(pickle.dumps(before)) == before
