"""What members do to features before they learn from them."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from python_ml.ensemble import FloatArray

# Shares of a normal distribution within one deviation of its middle.
_LOWER, _MIDDLE, _UPPER = 16, 50, 84


class QuantileBinner(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Replace every feature by the number of its quantile bin.

    A histogram booster does the same before it grows trees, but with sample
    weights it sorts once for each edge, which takes ten times as long as the
    trees; of what is binned already it keeps every value.

    Parameters
    ----------
    n_bins : int
        Bins of each feature, at most.

    Examples
    --------
    >>> X = np.array([[0.1], [0.2], [0.3], [9.0]])
    >>> QuantileBinner(n_bins=2).fit_transform(X).ravel().tolist()
    [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(self, *, n_bins: int) -> None:
        self.n_bins = n_bins

    def fit(self, X: FloatArray, y: Any = None) -> Self:
        """Learn the edges between the bins of each feature."""
        inner = np.linspace(0, 1, self.n_bins + 1)[1:-1]
        self.edges_ = [
            np.unique(edges)
            for edges in np.quantile(
                X, inner, axis=0, method="averaged_inverted_cdf"
            ).T
        ]
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: FloatArray) -> FloatArray:
        """Bin of each value, as float64, of the same shape."""
        return np.column_stack(
            [
                np.searchsorted(edges, X[:, column]).astype(np.float64)
                for column, edges in enumerate(self.edges_)
            ]
        )


class RobustClipper(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Centre by the median, scale by the 16% to 84% range, clip.

    Parameters
    ----------
    clip : float
        Robust deviations at which a feature is cut off.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]])
    >>> RobustClipper(clip=2).fit_transform(X).round(2).ravel().tolist()
    [-0.11, -0.05, 0.0, 0.05, 2.0]
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
