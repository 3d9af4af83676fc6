"""Penalised logistic regression over all series of a timeframe."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from python_ml.ensemble import FloatArray
from python_ml.members.base import PooledMoveMember
from python_ml.members.settings import POOLED_CLIP, POOLED_PENALTY_LABELS

# Shares of a normal distribution within one deviation of its middle.
_LOWER, _MIDDLE, _UPPER = 16, 50, 84
_MAX_STEPS = 300


class PooledLogisticRegression(PooledMoveMember):
    """Logistic regression on move or no move; see `PooledMoveMember`.

    The penalty is that of `POOLED_PENALTY_LABELS` independent labels, so it
    fades as these grow in number, not as rows do.

    References
    ----------
    Hoerl, A. and Kennard, R. (1970). Ridge regression. Technometrics 12, 55-67.
    """

    def _estimator(self, n_samples: int) -> Any:
        return _Weighted(
            C=self.n_effective_ / (POOLED_PENALTY_LABELS * n_samples)
        )


class _Weighted(BaseEstimator):  # type: ignore[misc]
    """Clipped features into a regression, rows weighed to a mean of 1."""

    def __init__(self, *, C: float) -> None:
        self.C = C

    def fit(
        self, X: FloatArray, y: Any, sample_weight: FloatArray | None = None
    ) -> Self:
        weights = None
        if sample_weight is not None:
            weights = sample_weight / sample_weight.mean()
        self.pipeline_ = make_pipeline(
            RobustClipper(clip=POOLED_CLIP),
            LogisticRegression(C=self.C, max_iter=_MAX_STEPS),
        ).fit(X, y, logisticregression__sample_weight=weights)
        return self

    def predict_proba(self, X: FloatArray) -> FloatArray:
        P: FloatArray = self.pipeline_.predict_proba(X)
        return P


class RobustClipper(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Centre by the median, scale by the 16% to 84% range, clip.

    Parameters
    ----------
    clip : float
        Robust deviations at which a feature is cut off.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [400.0]])
    >>> RobustClipper(clip=2).fit_transform(X).round(2).ravel().tolist()
    [-0.02, -0.01, 0.0, 0.01, 2.0]
    """

    def __init__(self, *, clip: float) -> None:
        self.clip = clip

    def fit(self, X: FloatArray, y: Any = None) -> Self:
        """Learn middle and width of every feature."""
        lower, middle, upper = np.percentile(
            X, [_LOWER, _MIDDLE, _UPPER], axis=0
        )
        width = (upper - lower) / 2
        self.middle_ = middle.astype(np.float64)
        # A feature that hardly ever varies says nothing.
        self.scale_ = np.where(width > 0, 1 / np.where(width > 0, width, 1), 0)
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: FloatArray) -> FloatArray:
        """Scaled and clipped features, float64, of the same shape."""
        Z: FloatArray = np.clip(
            (X - self.middle_) * self.scale_, -self.clip, self.clip
        )
        return Z
