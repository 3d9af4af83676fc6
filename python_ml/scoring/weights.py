"""Weights of an ensemble's members: non-negative and summing to 1.

The data term is the mean squared error of the mixed probabilities against
one-hot labels (the Brier score of the mixture) times the *effective* sample
size n / h, because rows whose horizons overlap repeat each other: 180 rows at
h = 20 are nine labels. A penalty therefore counts for much on few independent
labels and for little on many.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from python_ml.ensemble import CLASSES, FloatArray
from python_ml.exceptions import ProbabilityError, SettingsError

WeightMethod = Literal["equal", "least_squares", "ridge", "lasso"]
METHODS: tuple[WeightMethod, ...] = get_args(WeightMethod)

DEFAULT_METHOD: WeightMethod = "ridge"
DEFAULT_ALPHA = 1.0
# A penalty of alpha 1 weighs as much as this many independent labels between a
# member that is always right and one that is always wrong. Members worth having
# differ by thousandths of that: a weaker pull lets the noise of a validation
# window decide among them.
LABELS_PER_ALPHA = 10.0
# One learned member that takes nearly all has usually been lucky.
MAX_LEARNED_WEIGHT = 0.8
CAUTIOUS_ALPHA = 10.0
# Supports are enumerated, 2 ** members - 1 of them.
MAX_MEMBERS = 12
# Makes the optimum unique when members agree: the nearest to the prior wins.
_TIE_BREAK = 1e-9
_NEGLIGIBLE_WEIGHT = 1e-12


def _check_settings(method: str, alpha: float) -> None:
    if method not in METHODS:
        raise SettingsError(
            f"Unknown weight method {method!r}; use one of "
            f"{', '.join(METHODS)}."
        )
    if not (math.isfinite(alpha) and alpha >= 0):
        raise SettingsError(
            f"alpha is {alpha}; a penalty is a finite number of at least 0."
        )


@dataclass(frozen=True)
class WeightSettings:
    """How the weights of a timeframe are fitted.

    Parameters
    ----------
    method : {"equal", "least_squares", "ridge", "lasso"}, default="ridge"
        See `fit_weights`.
    alpha : float, default=1.0
        Strength of its penalty, at least 0.
    cautious_alpha : float, default=10.0
        In place of a smaller alpha of ridge where one learned member would
        have more than `MAX_LEARNED_WEIGHT`.

    Raises
    ------
    SettingsError
        If the method is unknown or an alpha is negative or not finite.
    """

    method: WeightMethod = DEFAULT_METHOD
    alpha: float = DEFAULT_ALPHA
    cautious_alpha: float = CAUTIOUS_ALPHA

    def __post_init__(self) -> None:
        _check_settings(self.method, self.alpha)
        _check_settings(self.method, self.cautious_alpha)

    @classmethod
    def from_seed(cls, rows: pd.DataFrame) -> "dict[str, WeightSettings]":
        """Settings by timeframe, from the seed `weighting`."""
        return {
            str(row["timeframe"]): cls(
                row["method"], float(row["alpha"]), float(row["cautious_alpha"])
            )
            for row in rows.to_dict("records")
        }

    def identity(self) -> list[object]:
        """What tells versions apart that were weighed differently."""
        identity: list[object] = [self.method, self.alpha]
        # Versions of before it could be chosen keep their identity.
        if self.cautious_alpha != CAUTIOUS_ALPHA:
            identity.append(self.cautious_alpha)
        return identity


DEFAULT_WEIGHTS = WeightSettings()


@dataclass(frozen=True)
class MemberWeights:
    """Weights of members, and how they came about.

    Parameters
    ----------
    values : ndarray of shape (n_members,)
        Non-negative, summing to 1.
    method : {"equal", "least_squares", "ridge", "lasso"}
        How they were fitted.
    alpha : float or None
        Strength of the penalty used; None without one.
    reason : str
        One sentence for people.
    """

    values: FloatArray
    method: WeightMethod
    alpha: float | None
    reason: str


def fit_weights(
    P: FloatArray,
    Y: FloatArray,
    *,
    method: WeightMethod = DEFAULT_METHOD,
    alpha: float = DEFAULT_ALPHA,
    cautious_alpha: float = CAUTIOUS_ALPHA,
    prior: FloatArray | None = None,
    n_effective: float | None = None,
    learned: Sequence[bool] | None = None,
) -> MemberWeights:
    r"""Weights that minimise the Brier score of the mixture, penalised.

    With mixture :math:`\sum_m w_m P_m` and n_e the effective sample size,
    over :math:`w \ge 0, \sum w = 1`:

    - ``equal``: 1 / n_members;
    - ``least_squares``: n_e x mean squared error;
    - ``ridge``: n_e x mean squared error
      + `LABELS_PER_ALPHA` x alpha x ||w - prior||^2;
    - ``lasso``: n_e x mean squared error + alpha x sum(w) over w >= 0, scaled
      to sum to 1 afterwards (on the simplex itself the penalty is constant).

    Without rows, every method but ``equal`` returns the prior.

    Parameters
    ----------
    P : ndarray of shape (n_samples, n_members, 3)
        Members' probabilities, columns in the order of `CLASSES`; no NaN.
    Y : ndarray of shape (n_samples, 3)
        One-hot labels.
    method : {"equal", "least_squares", "ridge", "lasso"}, default="ridge"
        See above.
    alpha : float, default=1.0
        Strength of the penalty, at least 0.
    cautious_alpha : float, default=10.0
        See `learned`.
    prior : ndarray of shape (n_members,), optional
        Weights to pull towards; by default equal ones.
    n_effective : float, optional
        Independent labels among the rows, by default n_samples.
    learned : sequence of bool, optional
        Which members are learned (climatology is not). With ``ridge``, one
        of them above `MAX_LEARNED_WEIGHT` makes the fit repeat with alpha
        `cautious_alpha`, if that is larger. By default none is.

    Raises
    ------
    SettingsError
        If the method is unknown or alpha is negative or not finite.
    ProbabilityError
        If P, Y or the prior have wrong shapes, NaN or impossible values.

    References
    ----------
    Breiman, L. (1996). Stacked regressions. Machine Learning 24, 49-64.

    Examples
    --------
    The first member knows the answers, the second knows nothing:

    >>> Y = np.eye(3)[[0, 1, 2, 1, 0, 2, 2, 0] * 5]
    >>> P = np.stack([0.8 * Y + 0.2 / 3, np.full((40, 3), 1 / 3)], axis=1)
    >>> fit_weights(P, Y, alpha=1.0).values.round(3)
    array([0.845, 0.155])
    >>> fit_weights(P, Y, alpha=1.0, n_effective=1).values.round(3)
    array([0.516, 0.484])
    """
    P, Y = np.asarray(P, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    _check_settings(method, alpha)
    n_members = _check_probabilities(P, Y)
    prior = _check_prior(prior, n_members)
    n_samples = len(P)
    n_e = float(n_samples if n_effective is None else n_effective)
    if not (math.isfinite(n_e) and 0 <= n_e <= n_samples):
        raise ProbabilityError(
            f"n_effective is {n_e}; it counts independent labels among "
            f"{n_samples} rows, so it lies between 0 and {n_samples}."
        )

    if method == "equal":
        return MemberWeights(
            np.full(n_members, 1 / n_members),
            method,
            None,
            f"equal weights of {n_members} members",
        )
    if n_samples == 0 or n_e == 0:
        return MemberWeights(
            prior,
            method,
            None if method == "least_squares" else alpha,
            "no settled rows to fit on: the weights pulled towards, as they "
            "are",
        )
    Q, b = _moments(P, Y, n_e)
    if method == "lasso":
        values = _lasso(Q, b, alpha, prior)
    elif method == "least_squares":
        values = _ridge(Q, b, 0.0, prior)
    else:
        values = _ridge(Q, b, alpha, prior)
    fitted = (
        f"{method}{'' if method == 'least_squares' else f' alpha {alpha:g}'} "
        f"on {n_samples} rows ({n_e:.1f} effective)"
    )
    if method == "ridge" and learned is not None and alpha < cautious_alpha:
        largest = max(
            (w for w, is_learned in zip(values, learned, strict=True)
             if is_learned),
            default=0.0,
        )  # fmt: skip
        if largest > MAX_LEARNED_WEIGHT:
            return MemberWeights(
                _ridge(Q, b, cautious_alpha, prior),
                method,
                cautious_alpha,
                f"{fitted} gave a learned member {largest:.0%}, above "
                f"{MAX_LEARNED_WEIGHT:.0%}: fitted again with alpha "
                f"{cautious_alpha:g}",
            )
    return MemberWeights(
        values, method, None if method == "least_squares" else alpha, fitted
    )


def one_hot(y: npt.NDArray[np.int64]) -> FloatArray:
    """One-hot rows of class codes 0, 1, 2, shape (n_samples, 3)."""
    return np.eye(len(CLASSES))[y]


def _check_probabilities(P: FloatArray, Y: FloatArray) -> int:
    n_classes = len(CLASSES)
    if (
        P.ndim != 3
        or P.shape[1] == 0
        or P.shape[2] != n_classes
        or Y.shape != (len(P), n_classes)
    ):
        raise ProbabilityError(
            "P must be (n_samples, n_members, 3) and Y (n_samples, 3), got "
            f"{P.shape} and {Y.shape}."
        )
    n_members = P.shape[1]
    if n_members > MAX_MEMBERS:
        raise ProbabilityError(
            f"{n_members} members are more than the {MAX_MEMBERS} that can "
            "be weighed exactly."
        )
    bad = ~np.isfinite(P).all(axis=(0, 2)) | ((P < 0) | (P > 1)).any(
        axis=(0, 2)
    )
    if bad.any():
        raise ProbabilityError(
            "Members at positions "
            f"{', '.join(map(str, np.flatnonzero(bad)))} hold NaN or values "
            "outside 0..1 among their probabilities."
        )
    if not np.isfinite(Y).all():
        raise ProbabilityError("Labels hold NaN; drop rows without a label.")
    return int(n_members)


def _check_prior(prior: FloatArray | None, n_members: int) -> FloatArray:
    if prior is None:
        return np.full(n_members, 1 / n_members)
    prior = np.asarray(prior, dtype=np.float64)
    if (
        prior.shape != (n_members,)
        or not np.isfinite(prior).all()
        or (prior < 0).any()
        or abs(prior.sum() - 1) > 1e-6
    ):
        raise ProbabilityError(
            f"The weights to pull towards must be {n_members} non-negative "
            f"numbers summing to 1, got {prior.tolist()}."
        )
    return prior


def _moments(
    P: FloatArray, Y: FloatArray, n_effective: float
) -> tuple[FloatArray, FloatArray]:
    """Q and b of w'Qw - 2 b'w, n_effective x mean squared error."""
    scale = n_effective / len(P)
    by_member = P.transpose(1, 0, 2).reshape(P.shape[1], -1)
    Q: FloatArray = scale * (by_member @ by_member.T)
    b: FloatArray = scale * (by_member @ Y.ravel())
    return Q, b


def _ridge(
    Q: FloatArray, b: FloatArray, alpha: float, prior: FloatArray
) -> FloatArray:
    pull = LABELS_PER_ALPHA * alpha + _TIE_BREAK * max(1.0, float(np.trace(Q)))
    return solve_on_simplex(Q + pull * np.eye(len(b)), b + pull * prior)


def solve_on_simplex(Q: FloatArray, b: FloatArray) -> FloatArray:
    """The w >= 0 with sum 1 that minimises w'Qw - 2 b'w, exactly.

    The optimum minimises the same form on the plane of its own support, so
    the best feasible point over all supports is the optimum; few members make
    this cheap, and there is nothing to converge.

    Parameters
    ----------
    Q : ndarray of shape (n_members, n_members)
        Symmetric, positive definite.
    b : ndarray of shape (n_members,)
        Linear part.
    """
    n = len(b)
    supports = _supports(n)
    system = np.zeros((len(supports), n + 1, n + 1))
    both = supports[:, :, None] & supports[:, None, :]
    system[:, :n, :n] = np.where(both, Q, 0.0)
    index = np.arange(n)
    system[:, index, index] = np.where(supports, np.diag(Q), 1.0)
    system[:, :n, n] = system[:, n, :n] = supports
    right = np.zeros((len(supports), n + 1))
    right[:, :n] = np.where(supports, b, 0.0)
    right[:, n] = 1.0
    w = np.linalg.solve(system, right[:, :, None])[:, :n, 0]
    value = np.einsum("ki,ij,kj->k", w, Q, w) - 2 * w @ b
    value[(w < -_NEGLIGIBLE_WEIGHT).any(axis=1)] = np.inf
    return _normalised(w[np.argmin(value)])


def _lasso(
    Q: FloatArray, b: FloatArray, alpha: float, prior: FloatArray
) -> FloatArray:
    """Non-negative lasso by supports, scaled; the prior when all are 0."""
    n = len(b)
    Q = Q + _TIE_BREAK * max(1.0, float(np.trace(Q))) * np.eye(n)
    supports = _supports(n)
    both = supports[:, :, None] & supports[:, None, :]
    system = np.where(both, Q, 0.0)
    index = np.arange(n)
    system[:, index, index] = np.where(supports, np.diag(Q), 1.0)
    right = np.where(supports, b - alpha / 2, 0.0)
    w = np.linalg.solve(system, right[:, :, None])[:, :, 0]
    value = np.einsum("ki,ij,kj->k", w, Q, w) - 2 * w @ (b - alpha / 2)
    value[(w < -_NEGLIGIBLE_WEIGHT).any(axis=1)] = np.inf
    best = int(np.argmin(value))
    if value[best] >= 0:
        return prior
    return _normalised(w[best])


def _normalised(w: FloatArray) -> FloatArray:
    w = np.where(w < _NEGLIGIBLE_WEIGHT, 0.0, w)
    normalised: FloatArray = w / w.sum()
    return normalised


@lru_cache(maxsize=MAX_MEMBERS)
def _supports(n: int) -> npt.NDArray[np.bool_]:
    """Every non-empty subset of n members, one boolean row each."""
    codes = np.arange(1, 2**n)
    return (codes[:, None] >> np.arange(n) & 1).astype(bool)
