"""Penalised logistic regression over all series of a timeframe."""

from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from python_ml.ensemble import FloatArray
from python_ml.members.base import PooledMoveMember
from python_ml.members.scaling import RobustClipper
from python_ml.members.settings import POOLED_CLIP, POOLED_PENALTY_LABELS

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
