import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
)

from python_ml.examples.arrays import (
    FIT,
    VALIDATION,
)
from python_ml.exceptions import NotEnoughDataError, SettingsError
from python_ml.members import ROSTER, Roster, make_member, roster_settings
from python_ml.members.base import effective_sample_size, shrunken_shares
from python_ml.members.settings import FOREST_LEAF_ROWS, leaf_rows
from python_ml.scoring.metrics import log_loss
from python_ml.settings import load_settings
from python_ml.warehouse.seeds import read_seed
from tests.training_arrays import make_rows

NAMES = list(ROSTER)
LEARNED = [name for name in NAMES if ROSTER[name].is_learned]
PRIOR = np.array([0.3, 0.3, 0.4])


def fitted(name, rows, *, used=None, **keywords):
    used = rows.split_parts == FIT if used is None else used
    return make_member(
        name, horizon_bars=rows.horizon_bars, prior_shares=PRIOR
    ).fit(rows.X[used], rows.y[used], **keywords)


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_have_three_columns_and_sum_to_one(name):
    rows = make_rows()
    P = fitted(name, rows).predict_proba(rows.X)
    assert P.shape == (len(rows.X), 3)
    assert (P > 0).all()
    np.testing.assert_allclose(P.sum(axis=1), 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_class_that_was_never_seen_keeps_its_column(name, missing):
    rows = make_rows()
    member = fitted(name, rows, used=rows.y != missing)
    P = member.predict_proba(rows.X)
    assert P.shape == (len(rows.X), 3)
    # Other series had it, so it is rare rather than impossible.
    assert (P[:, missing] > 0).all()
    assert (P[:, missing] < PRIOR[missing]).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_of_one_class_gives_probabilities(name):
    rows = make_rows()
    P = fitted(name, rows, used=rows.y == 1).predict_proba(rows.X)
    assert (P.argmax(axis=1) == 1).all()
    np.testing.assert_allclose(P.sum(axis=1), 1)


@pytest.mark.parametrize("name", NAMES)
def test_fitting_twice_gives_the_same_probabilities(name):
    rows = make_rows()
    np.testing.assert_array_equal(
        fitted(name, rows).predict_proba(rows.X),
        fitted(name, rows).predict_proba(rows.X),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_clone_has_the_same_parameters_and_is_not_fitted(name):
    copied = clone(fitted(name, make_rows(horizon_bars=20)))
    assert copied.horizon_bars == 20
    np.testing.assert_array_equal(copied.prior_shares, PRIOR)
    assert not hasattr(copied, "climatology_")


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_weight_zero_do_not_count(name):
    rows = make_rows(n_bars=300)
    weight = np.ones(300)
    weight[::2] = 0
    member = fitted(name, rows, used=np.ones(300, bool), sample_weight=weight)
    assert member.n_effective_ == pytest.approx(150 / rows.horizon_bars)
    assert member.climatology_ == pytest.approx(
        fitted(name, rows, used=weight > 0).climatology_
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_feature_that_is_no_number_is_refused(name, bad):
    rows = make_rows()
    rows.X[3, 1] = bad
    with pytest.raises(NotEnoughDataError, match="NaN or infinities"):
        fitted(name, rows)


@pytest.mark.parametrize("name", LEARNED)
def test_constant_features_leave_climatology(name):
    rows = make_rows()
    rows.X[:] = 1.0
    member = fitted(name, rows)
    np.testing.assert_allclose(
        member.predict_proba(rows.X[:1])[0], member.climatology_, atol=0.01
    )


@pytest.mark.parametrize("name", LEARNED)
def test_a_learned_member_finds_when_price_will_move(name):
    rows = make_rows(horizon_bars=1, strength=1.0)
    judged = rows.split_parts == VALIDATION
    P = fitted(name, rows).predict_proba(rows.X[judged])
    climatology = fitted("climatology", rows).predict_proba(rows.X[judged])
    gain = 1 - log_loss(P, rows.y[judged]) / log_loss(
        climatology, rows.y[judged]
    )
    assert gain > 0.03


@pytest.mark.parametrize("name", LEARNED)
def test_up_against_down_is_left_to_climatology(name):
    rows = make_rows()
    member = fitted(name, rows)
    P = member.predict_proba(rows.X)
    np.testing.assert_allclose(
        P[:, 2] / P[:, 0], member.climatology_[2] / member.climatology_[0]
    )


def log_odds(p):
    return np.log(p / (1 - p))


def test_a_forest_asked_tree_by_tree_answers_to_the_bit_as_a_whole():
    rows = make_rows()
    member = fitted("random_forest", rows)
    for X in (rows.X, rows.X[:1], rows.X[::-2]):
        np.testing.assert_array_equal(
            member._move_probability(member.estimator_, X),
            member.estimator_.predict_proba(X)[:, 1],
        )


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize(("horizon_bars", "n_effective"), [(1, 419), (20, 20)])
def test_few_independent_labels_shrink_a_learned_member(
    name, horizon_bars, n_effective
):
    k = 2 if name.startswith("pooled") else 20
    trust = n_effective / (n_effective + k)
    rows = make_rows(horizon_bars=horizon_bars)
    member = fitted(name, rows)
    learnt = member.estimator_.predict_proba(rows.X)[:, 1]
    share = (rows.y[rows.split_parts == FIT] != 1).mean()
    move = 1 - member.predict_proba(rows.X)[:, 1]
    np.testing.assert_allclose(
        log_odds(move) - log_odds(1 - member.climatology_[1]),
        trust * (log_odds(learnt) - log_odds(share)),
    )


def noise_gain(P, rows, judged):
    climatology = fitted("climatology", rows).predict_proba(rows.X[judged])
    return 1 - log_loss(P, rows.y[judged]) / log_loss(
        climatology, rows.y[judged]
    )


@pytest.mark.parametrize("horizon_bars", [1, 20])
@pytest.mark.parametrize("name", LEARNED)
def test_noise_costs_little_where_the_plain_recipe_pays_dearly(
    name, horizon_bars
):
    gains, plain = [], []
    for seed in range(4):
        rows = make_rows(seed=seed, horizon_bars=horizon_bars, strength=0.0)
        judged = rows.split_parts == VALIDATION
        is_fit = rows.split_parts == FIT
        gains.append(
            noise_gain(
                fitted(name, rows).predict_proba(rows.X[judged]), rows, judged
            )
        )
        recipe = (
            RandomForestClassifier(50, max_depth=15, random_state=0)
            if name == "random_forest"
            else GradientBoostingClassifier(
                n_estimators=40, max_depth=5, random_state=0
            )
        )
        recipe.fit(rows.X[is_fit], rows.y[is_fit])
        plain.append(
            noise_gain(recipe.predict_proba(rows.X[judged]), rows, judged)
        )
    assert np.mean(gains) > -0.01
    assert np.mean(plain) < -0.05


def test_climatology_trusts_independent_labels_only():
    y = np.array([0] * 300 + [1] * 60 + [2] * 60)
    near = shrunken_shares(y, n_effective=420.0, prior_shares=PRIOR)
    far = shrunken_shares(y, n_effective=21.0, prior_shares=PRIOR)
    own = np.bincount(y) / len(y)
    assert np.abs(near - own).sum() < 0.1 * np.abs(PRIOR - own).sum()
    # 21 labels against k = 40: a third of the way.
    np.testing.assert_allclose(far, own * 21 / 61 + PRIOR * 40 / 61)


def test_shares_are_never_zero_though_no_series_had_the_class():
    shares = shrunken_shares(
        np.zeros(10, dtype=int), n_effective=10.0, prior_shares=[1.0, 0.0, 0.0]
    )
    assert (shares > 0).all()
    assert shares.sum() == pytest.approx(1)


def test_overlapping_rows_count_as_fewer():
    assert effective_sample_size(420, 20) == 21
    assert effective_sample_size(4, 1, np.array([1.0, 1, 0, 0])) == 2


def test_leaves_grow_with_the_horizon_but_leave_room_to_split():
    sizes = [leaf_rows(420, h, FOREST_LEAF_ROWS) for h in (1, 5, 20, 60)]
    assert sizes == [60, 60, 100, 140]


def test_an_unknown_member_is_told_with_the_roster():
    with pytest.raises(SettingsError, match="'lstm'; the roster has clim"):
        make_member("lstm", horizon_bars=1, prior_shares=PRIOR)


def test_every_setting_is_part_of_the_fingerprint():
    settings = roster_settings()
    assert set(settings["roster"]) == set(ROSTER)
    assert {"RANDOM_STATE", "BOOSTING_ROUNDS", "FOREST_TREES"} <= set(settings)


ROWS_OF_ROSTER = {
    "member": ["climatology", "random_forest"],
    "is_active": [True, True],
    "prior_weight": [0.25, 0.75],
}


def roster_of(**changes):
    return Roster.from_seed(pd.DataFrame({**ROWS_OF_ROSTER, **changes}))


def test_the_roster_is_the_active_rows_of_its_seed():
    roster = roster_of()
    assert roster.names == ("climatology", "random_forest")
    assert roster.weights.tolist() == [0.25, 0.75]
    assert (roster.learned, roster.pooled) == ((False, True), ())
    alone = roster_of(is_active=[True, False], prior_weight=[1.0, 0.0])
    assert alone.names == ("climatology",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"member": ["climatology", "oracle"]}, "names oracle, which is no"),
        ({"is_active": [False, True]}, "leaves climatology out"),
        ({"prior_weight": [0.5, 0.75]}, "sum to 1"),
        ({"prior_weight": [-0.5, 1.5]}, "non-negative"),
        ({"prior_weight": [0.5, float("nan")]}, "non-negative"),
    ],
)
def test_a_roster_that_cannot_be_used_says_what_to_mend(changes, told):
    with pytest.raises(SettingsError, match=told):
        roster_of(**changes)


def test_the_roster_of_the_project_is_usable():
    roster = Roster.from_seed(read_seed(load_settings({}), "roster"))
    assert set(roster.names) <= set(ROSTER)
