"""Bagged trees with wide leaves."""

from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.utils.validation import check_array

from python_ml.ensemble import FloatArray
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

    def _move_probability(self, estimator: Any, X: FloatArray) -> FloatArray:
        """Mean over the trees, to the bit that of the forest itself.

        Which hands each tree out as a job of its own; for the one row of a day
        that takes ten times as long as the trees.
        """
        X = check_array(X, dtype=np.float32)
        trees = estimator.estimators_
        p: FloatArray = np.zeros(len(X))
        for tree in trees:
            p += tree.tree_.predict(X)[:, 1]
        return p / len(trees)
