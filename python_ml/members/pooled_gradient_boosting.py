"""Boosted histogram trees over all series of a timeframe."""

from sklearn.ensemble import HistGradientBoostingClassifier

from python_ml.members.base import PooledMoveMember
from python_ml.members.settings import (
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

    def _estimator(self, n_samples: int) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            max_iter=POOLED_ROUNDS,
            learning_rate=POOLED_LEARNING_RATE,
            max_leaf_nodes=POOLED_LEAVES,
            min_samples_leaf=max(
                1,
                min(
                    POOLED_LEAF_ROWS,
                    int(n_samples * POOLED_LARGEST_LEAF_SHARE),
                ),
            ),
            max_features=POOLED_MAX_FEATURES,
            early_stopping=False,
            random_state=RANDOM_STATE,
        )
