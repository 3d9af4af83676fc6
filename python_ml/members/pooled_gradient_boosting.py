"""Boosted histogram trees over all series of a timeframe."""

from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier

from python_ml.ensemble import FloatArray
from python_ml.members.base import PooledMoveMember
from python_ml.members.scaling import QuantileBinner
from python_ml.members.settings import (
    POOLED_BINS,
    POOLED_LARGEST_LEAF_SHARE,
    POOLED_LEAF_ROWS,
    POOLED_LEARNING_RATE,
    POOLED_LEAVES,
    POOLED_MAX_FEATURES,
    POOLED_ROUNDS,
    RANDOM_STATE,
)


class PooledGradientBoosting(PooledMoveMember):
    """Gradient boosting on move or no move; see `PooledMoveMember`.

    References
    ----------
    Friedman, J. (2001). Greedy function approximation: a gradient boosting
    machine. Annals of Statistics 29, 1189-1232.
    """

    def _estimator(self, n_samples: int) -> Any:
        return _Binned(
            min_samples_leaf=max(
                1,
                min(
                    POOLED_LEAF_ROWS,
                    int(n_samples * POOLED_LARGEST_LEAF_SHARE),
                ),
            )
        )


class _Binned(BaseEstimator):  # type: ignore[misc]
    """Binned features into a booster."""

    def __init__(self, *, min_samples_leaf: int) -> None:
        self.min_samples_leaf = min_samples_leaf

    def fit(
        self, X: FloatArray, y: Any, sample_weight: FloatArray | None = None
    ) -> Self:
        self.binner_ = QuantileBinner(n_bins=POOLED_BINS)
        self.booster_ = HistGradientBoostingClassifier(
            max_iter=POOLED_ROUNDS,
            learning_rate=POOLED_LEARNING_RATE,
            max_leaf_nodes=POOLED_LEAVES,
            min_samples_leaf=self.min_samples_leaf,
            max_features=POOLED_MAX_FEATURES,
            max_bins=POOLED_BINS,
            early_stopping=False,
            random_state=RANDOM_STATE,
        ).fit(self.binner_.fit_transform(X), y, sample_weight=sample_weight)
        return self

    def predict_proba(self, X: FloatArray) -> FloatArray:
        P: FloatArray = self.booster_.predict_proba(self.binner_.transform(X))
        return P
