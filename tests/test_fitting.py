import pickle
from dataclasses import replace

import numpy as np
import pytest

from python_ml.ensemble import PackedMember
from python_ml.examples.arrays import (
    FIT,
    VALIDATION,
)
from python_ml.exceptions import NotEnoughDataError
from python_ml.members import PER_SERIES, ROSTER, RosterEntry
from python_ml.members.base import Member
from python_ml.training.fitting import (
    FitFailure,
    fit_horizon,
    fit_series,
)
from tests.training_arrays import FEATURES, make_rows, make_series


def fit(rows):
    return fit_horizon(rows, feature_names=FEATURES, what="AAA d1 5d")


def test_members_are_judged_on_validation_and_deployed_on_the_window():
    rows = make_rows()
    fitted = fit(rows)
    n_validation = rows.count(VALIDATION)
    assert fitted.validation.probabilities.shape == (
        n_validation,
        len(PER_SERIES.names),
        3,
    )
    assert len(fitted.fit_y) == rows.count(FIT)
    assert list(fitted.members) == list(PER_SERIES.names)
    refitted = fitted.members["random_forest"].predict_proba(rows.X)
    judged = fitted.validation.probabilities[:, 1]
    assert not np.allclose(refitted[rows.split_parts == VALIDATION], judged)
    np.testing.assert_allclose(
        fitted.climatology, fitted.members["climatology"].climatology_
    )


@pytest.mark.parametrize("altered", ["labels", "features", "moves"])
def test_nothing_after_fit_reaches_the_members_that_are_judged(altered):
    rows = make_rows()
    later = rows.split_parts != FIT
    other = make_rows(seed=77)
    changed = {
        "labels": {"y": np.where(later, other.y, rows.y)},
        "features": {"X": np.where(later[:, None], other.X, rows.X)},
        "moves": {"moves": np.where(later, other.moves, rows.moves)},
    }[altered]
    before, after = fit(rows), fit(replace(rows, **changed))
    np.testing.assert_array_equal(
        before.fit_probabilities, after.fit_probabilities
    )
    np.testing.assert_array_equal(
        before.validation.climatology, after.validation.climatology
    )
    if altered != "features":
        np.testing.assert_array_equal(
            before.validation.probabilities, after.validation.probabilities
        )


def test_features_do_not_travel_back():
    assert fit(make_rows()).examples.X.size == 0


def few(rows, n_fit=None, n_validation=None):
    keep = np.ones(len(rows.y), bool)
    for part, n in ((FIT, n_fit), (VALIDATION, n_validation)):
        if n is not None:
            keep[np.flatnonzero(rows.split_parts == part)[n:]] = False
    arrays = {
        name: value[keep]
        for name, value in vars(rows).items()
        if isinstance(value, np.ndarray) and len(value) == len(keep)
    }
    return replace(rows, **arrays)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: few(r, n_fit=30), "30 rows to fit on and needs 100"),
        (lambda r: few(r, n_validation=7), "7 rows to validate on .* 40"),
        (
            lambda r: replace(r, y=np.where(r.y == 2, 1, r.y)),
            "0 BULLISH among its rows to fit on; every class is needed",
        ),
        (
            lambda r: replace(r, X=np.ones_like(r.X)),
            "every feature is constant",
        ),
        (
            lambda r: replace(r, X=np.where(r.X > 2, np.nan, r.X)),
            "feature turbulence is NaN or infinite in .* swiftbolt validate",
        ),
        (
            lambda r: replace(r, moves=np.where(r.y == 0, np.inf, r.moves)),
            "label_return / expected_volatility is not finite",
        ),
    ],
)
def test_rows_that_teach_nothing_are_refused_by_name(change, says):
    with pytest.raises(NotEnoughDataError, match=says) as raised:
        fit(change(make_rows()))
    assert str(raised.value).startswith("AAA d1 5d")


class Stubborn(Member):
    def _fit(self, X, y, sample_weight):
        raise FloatingPointError("did not converge")


class Boastful(Member):
    def _fit(self, X, y, sample_weight):
        pass

    def _predict_proba(self, X):
        return np.full((len(X), 3), np.nan)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (Stubborn, "FloatingPointError: did not converge"),
        (Boastful, "ValueError: its probabilities are no probabilities"),
    ],
)
def test_a_member_that_fails_is_left_out_on_record(monkeypatch, member, reason):
    monkeypatch.setitem(
        ROSTER, "random_forest", RosterEntry(member, is_learned=True)
    )
    fitted = fit(make_rows())
    assert fitted.failures == {"random_forest": reason}
    assert list(fitted.members) == ["climatology", "gradient_boosting"]
    np.testing.assert_array_equal(
        fitted.validation.probabilities[:, 1],
        np.tile(fitted.validation.climatology, (180, 1)),
    )


def test_a_series_that_fails_is_returned_not_raised():
    bad = make_series()
    bad.horizons[0].X[5] = np.nan
    outcome = fit_series(bad)
    assert isinstance(outcome, FitFailure)
    assert outcome.message.startswith("AAA d1 5d: feature turbulence")


def test_the_fingerprint_changes_with_any_value_and_only_then():
    before = make_series()
    assert before.fingerprint() == make_series().fingerprint()
    for change in ("X", "y", "moves", "label_end_at", "split_parts"):
        after = make_series()
        array = getattr(after.horizons[0], change)
        array[:] = array[::-1].copy()
        assert after.fingerprint() != before.fingerprint(), change


def test_a_packed_member_says_what_it_said_before():
    rows = make_rows()
    [fitted] = fit_series(make_series())
    plain = fit_horizon(rows, feature_names=FEATURES)
    for name, member in pickle.loads(pickle.dumps(fitted)).members.items():
        assert isinstance(member, PackedMember)
        np.testing.assert_array_equal(
            member.predict_proba(rows.X),
            plain.members[name].predict_proba(rows.X),
        )
    # Asked or not, it is handed on packed.
    asked = fitted.members["random_forest"]
    size = len(pickle.dumps(asked))
    asked.predict_proba(rows.X)
    assert len(pickle.dumps(asked)) == size
