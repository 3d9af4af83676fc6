"""Bagged trees with wide leaves."""

from sklearn.ensemble import RandomForestClassifier

from python_ml.members.base import MoveMember
from python_ml.members.settings import (
    FOREST_LEAF_ROWS,
    FOREST_MAX_FEATURES,
    FOREST_TREES,
    RANDOM_STATE,
    leaf_rows,
)


class RandomForest(MoveMember):
    """Random forest on move or no move; see `MoveMember`.

    References
    ----------
    Breiman, L. (2001). Random forests. Machine Learning 45, 5-32.
    """

    def _estimator(self, n_samples: int) -> RandomForestClassifier:
        return RandomForestClassifier(
            n_estimators=FOREST_TREES,
            max_features=FOREST_MAX_FEATURES,
            min_samples_leaf=leaf_rows(
                n_samples, self.horizon_bars, FOREST_LEAF_ROWS
            ),
            random_state=RANDOM_STATE,
            n_jobs=1,
        )
