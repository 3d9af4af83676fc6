import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, nnls
from sklearn.linear_model import Lasso

from python_ml.exceptions import (
    ProbabilityError,
    SettingsError,
    SwiftBoltError,
)
from python_ml.scoring.weights import (
    LABELS_PER_ALPHA,
    METHODS,
    WeightSettings,
    fit_weights,
    one_hot,
    solve_on_simplex,
)


def draw(seed, *, n=60, n_members=3):
    random = np.random.default_rng(seed)
    P = random.dirichlet(np.ones(3), size=(n, n_members))
    Y = one_hot(random.integers(0, 3, n))
    # One member knows something, or every optimum would be a corner.
    P[:, 0] = 0.7 * P[:, 0] + 0.3 * Y
    return P, Y


def penalised_error(w, P, Y, *, alpha, prior, n_effective):
    mixed = np.einsum("nmc,m->nc", P, w)
    error = np.square(mixed - Y).sum(axis=1).mean()
    pull = LABELS_PER_ALPHA * alpha
    return n_effective * error + pull * np.square(w - prior).sum()


seeds = st.integers(0, 10_000)
members = st.integers(1, 6)


@given(seeds, members, st.sampled_from(METHODS), st.floats(0, 50))
def test_weights_are_non_negative_and_sum_to_one(seed, m, method, alpha):
    P, Y = draw(seed, n_members=m)
    weights = fit_weights(P, Y, method=method, alpha=alpha).values
    assert weights.shape == (m,)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)


@given(seeds, members, st.floats(0.01, 20), st.floats(1, 60))
def test_ridge_is_the_optimum_that_scipy_finds(seed, m, alpha, n_effective):
    P, Y = draw(seed, n_members=m)
    prior = np.random.default_rng(seed + 1).dirichlet(np.ones(m))
    terms = {
        "P": P,
        "Y": Y,
        "alpha": alpha,
        "prior": prior,
        "n_effective": n_effective,
    }
    ours = fit_weights(
        P, Y, alpha=alpha, prior=prior, n_effective=n_effective
    ).values
    theirs = minimize(
        lambda w: penalised_error(w, **terms),
        np.full(m, 1 / m),
        method="SLSQP",
        bounds=[(0, 1)] * m,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert penalised_error(ours, **terms) <= theirs.fun + 1e-8
    np.testing.assert_allclose(ours, theirs.x, atol=2e-4)


@given(seeds)
def test_least_squares_is_ridge_without_a_penalty(seed):
    P, Y = draw(seed)
    np.testing.assert_allclose(
        fit_weights(P, Y, method="least_squares").values,
        fit_weights(P, Y, method="ridge", alpha=0.0).values,
    )


def test_least_squares_agrees_with_non_negative_least_squares():
    P, Y = draw(3)
    A = P.transpose(0, 2, 1).reshape(-1, P.shape[1])
    # A heavy row makes the weights sum to one.
    heavy = 1e5
    solution, _ = nnls(
        np.vstack([A, np.full((1, A.shape[1]), heavy)]),
        np.append(Y.ravel(), heavy),
    )
    np.testing.assert_allclose(
        fit_weights(P, Y, method="least_squares").values, solution, atol=1e-6
    )


@given(seeds, st.floats(0.1, 30))
def test_lasso_is_that_of_scikit_learn_scaled_to_one(seed, alpha):
    P, Y = draw(seed)
    A = P.transpose(0, 2, 1).reshape(-1, P.shape[1])
    # scikit-learn: 1 / (2 N) ||y - Aw||^2 + a |w|; ours: ||.||^2 + alpha |w|.
    theirs = (
        Lasso(
            alpha=alpha / (2 * len(A)),
            positive=True,
            fit_intercept=False,
            tol=1e-10,
            max_iter=100_000,
        )
        .fit(A, Y.ravel())
        .coef_
    )
    ours = fit_weights(P, Y, method="lasso", alpha=alpha).values
    np.testing.assert_allclose(ours, theirs / theirs.sum(), atol=1e-4)


def test_lasso_that_drops_every_member_returns_the_prior():
    P, Y = draw(0)
    prior = np.array([0.2, 0.3, 0.5])
    weights = fit_weights(P, Y, method="lasso", alpha=1e6, prior=prior)
    np.testing.assert_allclose(weights.values, prior)


@given(seeds)
def test_the_order_of_members_does_not_matter(seed):
    P, Y = draw(seed, n_members=4)
    order = np.random.default_rng(seed).permutation(4)
    np.testing.assert_allclose(
        fit_weights(P[:, order], Y).values,
        fit_weights(P, Y).values[order],
        atol=1e-9,
    )


def test_a_huge_penalty_leaves_the_prior():
    P, Y = draw(1)
    prior = np.array([0.1, 0.6, 0.3])
    weights = fit_weights(P, Y, alpha=1e9, prior=prior).values
    np.testing.assert_allclose(weights, prior, atol=1e-5)


def test_few_effective_labels_stay_near_the_prior():
    P, Y = draw(1, n=180)
    prior = np.full(3, 1 / 3)
    far = np.abs(fit_weights(P, Y, n_effective=180).values - prior).sum()
    near = np.abs(fit_weights(P, Y, n_effective=2).values - prior).sum()
    assert near < far / 2


def test_members_that_agree_share_as_the_prior_does():
    P, Y = draw(2)
    twins = np.stack([P[:, 0], P[:, 0]], axis=1)
    weights = fit_weights(
        twins, Y, method="least_squares", prior=np.array([0.25, 0.75])
    )
    np.testing.assert_allclose(weights.values, [0.25, 0.75], atol=1e-5)


@pytest.mark.parametrize("method", ["least_squares", "ridge", "lasso"])
def test_without_rows_the_weights_are_the_prior(method):
    prior = np.array([0.5, 0.2, 0.3])
    weights = fit_weights(
        np.empty((0, 3, 3)), np.empty((0, 3)), method=method, prior=prior
    )
    np.testing.assert_array_equal(weights.values, prior)
    assert "no settled rows" in weights.reason


def certain_and_vague():
    Y = one_hot(np.arange(300) % 3)
    P = np.stack([np.full_like(Y, 1 / 3), 0.9 * Y + 0.1 / 3], axis=1)
    return P, Y


def test_a_learned_member_above_80_percent_is_fitted_again_with_alpha_10():
    P, Y = certain_and_vague()
    assert fit_weights(P, Y).values[1] > 0.8
    weights = fit_weights(P, Y, learned=[False, True])
    assert weights.alpha == 10
    assert "above 80%: fitted again with alpha 10" in weights.reason
    np.testing.assert_allclose(
        weights.values, fit_weights(P, Y, alpha=10).values
    )


def test_climatology_may_have_all_the_weight():
    P, Y = certain_and_vague()
    weights = fit_weights(P[:, ::-1], Y, learned=[False, True])
    assert weights.alpha == 1
    assert weights.values[0] > 0.95


def test_how_cautious_a_refit_is_can_be_chosen():
    P, Y = certain_and_vague()
    weights = fit_weights(P, Y, learned=[False, True], cautious_alpha=3)
    assert weights.alpha == 3
    assert weights.reason.endswith("fitted again with alpha 3")
    np.testing.assert_array_equal(
        weights.values, fit_weights(P, Y, alpha=3).values
    )


def test_settings_of_weights_are_read_by_timeframe():
    rows = pd.DataFrame(
        {
            "timeframe": ["d1", "w1"],
            "method": ["ridge", "lasso"],
            "alpha": [1, 0.5],
            "cautious_alpha": [10, 4],
        }
    )
    assert WeightSettings.from_seed(rows) == {
        "d1": WeightSettings(),
        "w1": WeightSettings("lasso", 0.5, 4.0),
    }
    with pytest.raises(SettingsError, match="'best'; use one of equal"):
        WeightSettings.from_seed(rows.assign(method="best"))


def test_settings_of_weights_tell_versions_apart_as_before_there_were_any():
    assert WeightSettings().identity() == ["ridge", 1.0]
    assert WeightSettings("lasso", 0.5).identity() == ["lasso", 0.5]
    assert WeightSettings(cautious_alpha=3.0).identity() == ["ridge", 1.0, 3.0]


@pytest.mark.parametrize("method", ["equal", "least_squares", "lasso"])
def test_only_ridge_is_fitted_again(method):
    P, Y = certain_and_vague()
    weights = fit_weights(P, Y, method=method, learned=[False, True])
    assert weights.alpha in (None, 1)


def test_solving_is_exact_on_a_problem_done_by_hand():
    # min (w1 - 1)^2 + 4 (w2 - 1)^2 on w1 + w2 = 1: w = (1 - 4/5, 4/5).
    w = solve_on_simplex(np.diag([1.0, 4.0]), np.array([1.0, 4.0]))
    np.testing.assert_allclose(w, [0.2, 0.8])


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"method": "best"}, SettingsError, "'best'; use one of equal"),
        ({"alpha": -1.0}, SettingsError, r"alpha is -1.0"),
        ({"alpha": float("nan")}, SettingsError, "alpha is nan"),
        ({"n_effective": -1}, ProbabilityError, "between 0 and 60"),
        ({"n_effective": 61}, ProbabilityError, "between 0 and 60"),
        ({"prior": np.array([1.0, 1.0, -1.0])}, ProbabilityError, "pull"),
        ({"prior": np.array([0.5, 0.5])}, ProbabilityError, "3 non-neg"),
    ],
)
def test_impossible_arguments_are_named(change, error, says):
    P, Y = draw(0)
    with pytest.raises(error, match=says) as raised:
        fit_weights(P, Y, **change)
    assert isinstance(raised.value, SwiftBoltError)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1])
def test_impossible_probabilities_name_the_member(bad):
    P, Y = draw(0)
    P[7, 1, 2] = bad
    with pytest.raises(ProbabilityError, match="positions 1 hold NaN"):
        fit_weights(P, Y)


def test_labels_that_are_missing_are_refused():
    P, Y = draw(0)
    Y[3] = np.nan
    with pytest.raises(ProbabilityError, match="Labels hold NaN"):
        fit_weights(P, Y)


def test_shapes_that_do_not_fit_are_told():
    P, Y = draw(0)
    with pytest.raises(ProbabilityError, match=r"got \(60, 3, 3\) and \(59"):
        fit_weights(P, Y[1:])
