"""Boosted histogram trees, few and small."""

from sklearn.ensemble import HistGradientBoostingClassifier

from python_ml.members.base import MoveMember
from python_ml.members.settings import (
    BOOSTING_L2,
    BOOSTING_LEAF_ROWS,
    BOOSTING_LEARNING_RATE,
    BOOSTING_LEAVES,
    BOOSTING_ROUNDS,
    RANDOM_STATE,
    leaf_rows,
)


class GradientBoosting(MoveMember):
    """Gradient boosting on move or no move; see `MoveMember`.

    No early stopping: its held-out rows would overlap the others.

    References
    ----------
    Friedman, J. (2001). Greedy function approximation: a gradient boosting
    machine. Annals of Statistics 29, 1189-1232.
    """

    def _estimator(self, n_samples: int) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            max_iter=BOOSTING_ROUNDS,
            learning_rate=BOOSTING_LEARNING_RATE,
            max_leaf_nodes=BOOSTING_LEAVES,
            min_samples_leaf=leaf_rows(
                n_samples, self.horizon_bars, BOOSTING_LEAF_ROWS
            ),
            l2_regularization=BOOSTING_L2,
            early_stopping=False,
            random_state=RANDOM_STATE,
        )
