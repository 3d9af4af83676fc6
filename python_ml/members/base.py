"""What every member is, and the part that learned members share."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from python_ml.ensemble import (
    BULLISH,
    CLASSES,
    NEUTRAL,
    FloatArray,
    divide_moves,
)
from python_ml.exceptions import NotEnoughDataError
from python_ml.members.settings import (
    CLIMATOLOGY_SHRINKAGE,
    MOVE_SHRINKAGE,
    POOLED_MOVE_SHRINKAGE,
    RANDOM_STATE,
)

IntArray = npt.NDArray[np.int64]

_SMALLEST_SHARE = 1e-3


class Member(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn classifier over positions 0, 1, 2 in `CLASSES`.

    `predict_proba` always has three columns in that order, also when a class
    was never seen.

    Parameters
    ----------
    horizon_bars : int, default=1
        Grid bars a label looks ahead: n rows count as n / horizon_bars.
    prior_shares : array-like of shape (3,), optional
        Class shares over all series, towards which a series' own are shrunk;
        by default thirds.
    climatology : array-like of shape (3,), optional
        Class shares known from a longer history, taken as they are instead of
        those of the rows it is fitted on.

    Attributes
    ----------
    n_path_bars : int
        Last bars that it wants to see of each row beside its features, the
        row's own included; 0 for none.
    """

    n_path_bars = 0

    def __init__(
        self,
        *,
        horizon_bars: int = 1,
        prior_shares: Any = None,
        climatology: Any = None,
    ) -> None:
        self.horizon_bars = horizon_bars
        self.prior_shares = prior_shares
        self.climatology = climatology

    def fit(
        self,
        X: npt.NDArray[np.floating[Any]],
        y: IntArray,
        sample_weight: FloatArray | None = None,
    ) -> Self:
        """Learn from rows whose labels are known.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Features, finite.
        y : ndarray of int of shape (n_samples,)
            Positions in `CLASSES`.
        sample_weight : ndarray of shape (n_samples,), optional
            Non-negative; by default 1.

        Raises
        ------
        NotEnoughDataError
            If there is no row, a NaN or an infinity.
        """
        X, y = np.asarray(X), np.asarray(y, dtype=np.int64)
        if len(X) == 0 or X.ndim != 2 or len(X) != len(y):
            raise NotEnoughDataError(
                f"A member needs rows of features and as many labels, got "
                f"{X.shape} and {y.shape}."
            )
        if not np.isfinite(X).all():
            raise NotEnoughDataError(
                f"{int((~np.isfinite(X)).any(axis=1).sum())} of {len(X)} rows "
                "hold NaN or infinities; only usable rows can be trained on. "
                "Run: swiftbolt validate"
            )
        self.classes_ = np.arange(len(CLASSES))
        self.n_features_in_ = X.shape[1]
        self.n_effective_ = self._effective_sample_size(len(y), sample_weight)
        if self.climatology is None:
            self.climatology_ = shrunken_shares(
                y,
                n_effective=self.n_effective_,
                prior_shares=self.prior_shares,
                sample_weight=sample_weight,
            )
        else:
            self.climatology_ = _above_zero(self.climatology)
        self._fit(X, y, sample_weight)
        return self

    def _effective_sample_size(
        self, n_samples: int, sample_weight: FloatArray | None
    ) -> float:
        return effective_sample_size(
            n_samples, self.horizon_bars, sample_weight
        )

    @abstractmethod
    def _fit(
        self,
        X: npt.NDArray[np.floating[Any]],
        y: IntArray,
        sample_weight: FloatArray | None,
    ) -> None:
        """Learn more than climatology."""

    def predict_proba(self, X: FloatArray) -> FloatArray:
        """Probabilities of `CLASSES`, shape (n_samples, 3)."""
        check_is_fitted(self, "climatology_")
        return self._predict_proba(np.asarray(X))

    @abstractmethod
    def _predict_proba(self, X: FloatArray) -> FloatArray:
        """Probabilities for checked rows."""

    def predict(self, X: FloatArray) -> IntArray:
        """Position of the most probable class of each row."""
        predicted: IntArray = self.predict_proba(X).argmax(axis=1)
        return predicted


class MoveMember(Member):
    r"""Learns whether price will move; where to is left to climatology.

    With p(x) the estimator's probability of a move, b the share of moves it
    saw and c that of climatology,

    .. math:: \mathrm{logit} P = \mathrm{logit}\, c
              + \frac{n_e}{n_e + k} (\mathrm{logit}\, p(x) - \mathrm{logit}\, b)

    and P is divided between BEARISH and BULLISH as climatology divides c. A
    sample without moves, or with nothing else, makes the member climatology.
    """

    @abstractmethod
    def _estimator(self, n_samples: int) -> Any:
        """Unfitted binary scikit-learn classifier of move or no move."""

    shrinkage = MOVE_SHRINKAGE

    def _fit(
        self,
        X: npt.NDArray[np.floating[Any]],
        y: IntArray,
        sample_weight: FloatArray | None,
    ) -> None:
        moved = (y != NEUTRAL).astype(np.int64)
        self.move_share_ = float(np.average(moved, weights=sample_weight))
        self.trust_ = self.n_effective_ / (self.n_effective_ + self.shrinkage)
        self.estimator_ = None
        if 0 < self.move_share_ < 1:
            self.estimator_ = self._estimator(len(X)).fit(
                X, moved, sample_weight=sample_weight
            )

    def _predict_proba(self, X: FloatArray) -> FloatArray:
        log_odds = np.full(len(X), _logit(1 - self.climatology_[NEUTRAL]))
        if self.estimator_ is not None:
            p = self._move_probability(self.estimator_, X)
            log_odds += self.trust_ * (_logit(p) - _logit(self.move_share_))
        move = 1 / (1 + np.exp(-log_odds))
        zero = np.zeros(len(X))
        return divide_moves(
            np.column_stack([zero, 1 - move, zero]), self.climatology_
        )

    def _move_probability(self, estimator: Any, X: FloatArray) -> FloatArray:
        """The estimator's probability of a move, shape (n_samples,)."""
        p: FloatArray = estimator.predict_proba(X)[:, 1]
        return p


class PooledMoveMember(MoveMember):
    """A `MoveMember` fitted once on the rows of many series.

    Rows are weighed by 1 / (series with a row at that time), so that their
    weights add up to the number of times and n_e is that over the horizon:
    series that share their days repeat each other.

    Its own climatology is that of all series; `PooledMember` divides its moves
    as one series' climatology does.
    """

    shrinkage = POOLED_MOVE_SHRINKAGE

    def _effective_sample_size(
        self, n_samples: int, sample_weight: FloatArray | None
    ) -> float:
        n_times = n_samples if sample_weight is None else sample_weight.sum()
        return float(n_times) / self.horizon_bars


def effective_sample_size(
    n_samples: int,
    horizon_bars: int,
    sample_weight: FloatArray | None = None,
) -> float:
    """Independent labels among rows whose horizons overlap.

    Parameters
    ----------
    n_samples : int
        Rows, one per grid bar.
    horizon_bars : int
        Grid bars a label looks ahead.
    sample_weight : ndarray of shape (n_samples,), optional
        Unequal weights count as Kish's (sum w)^2 / sum w^2 rows.

    References
    ----------
    Kish, L. (1965). Survey Sampling. Wiley.

    Examples
    --------
    >>> effective_sample_size(420, 20)
    21.0
    """
    if sample_weight is None:
        return n_samples / horizon_bars
    kish = np.sum(sample_weight) ** 2 / np.sum(np.square(sample_weight))
    return float(kish / horizon_bars)


def shrunken_shares(
    y: IntArray,
    *,
    n_effective: float,
    prior_shares: Any = None,
    sample_weight: FloatArray | None = None,
) -> FloatArray:
    """Class shares shrunk towards those of all series; never 0.

    Parameters
    ----------
    y : ndarray of int of shape (n_samples,)
        Positions in `CLASSES`.
    n_effective : float
        Independent labels among them.
    prior_shares : array-like of shape (3,), optional
        Shares over all series, by default thirds; any sum above 0.
    sample_weight : ndarray of shape (n_samples,), optional
        By default 1.

    Examples
    --------
    >>> y = np.array([0] * 10 + [1] * 10 + [2] * 20)
    >>> shrunken_shares(y, n_effective=40.0).round(3).tolist()
    [0.292, 0.292, 0.417]
    """
    n_classes = len(CLASSES)
    counts = np.bincount(y, weights=sample_weight, minlength=n_classes)
    own = counts / counts.sum()
    prior = np.full(n_classes, 1 / n_classes)
    if prior_shares is not None:
        prior = _above_zero(prior_shares)
    trust = n_effective / (n_effective + CLIMATOLOGY_SHRINKAGE)
    shares: FloatArray = trust * own + (1 - trust) * prior
    return shares


def _above_zero(shares: Any) -> FloatArray:
    floored = np.maximum(np.asarray(shares, float), _SMALLEST_SHARE)
    of_all: FloatArray = floored / floored.sum()
    return of_all


def _logit(p: Any) -> Any:
    p = np.clip(p, _SMALLEST_SHARE, 1 - _SMALLEST_SHARE)
    return np.log(p / (1 - p))


__all__ = [
    "BULLISH",
    "NEUTRAL",
    "RANDOM_STATE",
    "Member",
    "MoveMember",
    "PooledMoveMember",
    "effective_sample_size",
    "shrunken_shares",
]
