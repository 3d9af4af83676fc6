"""Scores of class probabilities, and how sure they are.

Labels are positions in `CLASSES`. A mean over rows that share days or overlap
is less certain than its row count says, so every standard error here comes
from whole blocks of calendar time that hold the rows of all series.
"""

import numpy as np
import numpy.typing as npt

from python_ml.ensemble import FloatArray
from python_ml.scoring.weights import one_hot

IntArray = npt.NDArray[np.int64]


# A probability below this counts as this, so that one row cannot be infinite.
SMALLEST_PROBABILITY = 1e-6


MIN_BLOCK_SESSIONS = 5


def log_losses(P: FloatArray, y: IntArray) -> FloatArray:
    """Negative log probability of each row's label in nats; lower is better.

    Parameters
    ----------
    P : ndarray of shape (n_samples, 3)
        Probabilities.
    y : ndarray of int of shape (n_samples,)
        Positions of the labels.

    Examples
    --------
    >>> P = np.array([[0.5, 0.25, 0.25], [0.2, 0.6, 0.2]])
    >>> log_losses(P, np.array([0, 2])).round(4).tolist()
    [0.6931, 1.6094]
    """
    of_label = P[np.arange(len(y)), y]
    losses: FloatArray = -np.log(np.clip(of_label, SMALLEST_PROBABILITY, 1.0))
    return losses


def log_loss(P: FloatArray, y: IntArray) -> float:
    """Mean of `log_losses`; lower is better."""
    return float(log_losses(P, y).mean())


def brier_score(P: FloatArray, y: IntArray) -> float:
    """Mean squared distance to the one-hot labels, 0 to 2; lower is better.

    References
    ----------
    Brier, G. W. (1950). Verification of forecasts expressed in terms of
    probability. Monthly Weather Review 78, 1-3.
    """
    return float(np.square(P - one_hot(y)).sum(axis=1).mean())


def hits(P: FloatArray, y: IntArray) -> FloatArray:
    """1.0 where the most probable class is the label, else 0.0."""
    found: FloatArray = (P.argmax(axis=1) == y).astype(np.float64)
    return found


def accuracy(P: FloatArray, y: IntArray) -> float:
    """Share of rows whose most probable class is the label."""
    return float(hits(P, y).mean())


def skill(losses: FloatArray, climatology_losses: FloatArray) -> float:
    """1 - log loss / log loss of climatology; above 0 beats climatology."""
    return float(1 - losses.mean() / climatology_losses.mean())


def block_standard_error(
    values: FloatArray, blocks: npt.NDArray[np.int64]
) -> float:
    """Standard error of a mean whose rows depend on each other in blocks.

    Rows of one block may be dependent in any way, blocks are taken as
    independent. NaN with fewer than two blocks: nothing can be said.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Whose mean is judged.
    blocks : ndarray of int of shape (n_samples,)
        Block of each row; see `calendar_blocks`.

    References
    ----------
    Liang, K.-Y. and Zeger, S. (1986). Longitudinal data analysis using
    generalized linear models. Biometrika 73, 13-22.

    Examples
    --------
    Four rows that are really two:

    >>> values = np.array([0.0, 0.0, 1.0, 1.0])
    >>> block_standard_error(values, np.array([0, 0, 1, 1]))
    0.5
    """
    _, position = np.unique(blocks, return_inverse=True)
    sums = np.bincount(position, weights=values - values.mean())
    n_blocks = len(sums)
    if n_blocks < 2:
        return float("nan")
    return float(
        np.sqrt(n_blocks / (n_blocks - 1) * np.square(sums).sum()) / len(values)
    )


def skill_standard_error(
    losses: FloatArray, climatology_losses: FloatArray, blocks: IntArray
) -> float:
    """Standard error of `skill` from blocks, by the delta method."""
    ratio = losses.mean() / climatology_losses.mean()
    influence = (
        losses - ratio * climatology_losses
    ) / climatology_losses.mean()
    return block_standard_error(influence, blocks)


def block_bars(horizon_bars: int, session_bars: int = 1) -> int:
    """Grid bars in a block: a horizon, but never less than 5 sessions."""
    return max(MIN_BLOCK_SESSIONS * session_bars, horizon_bars)


def calendar_blocks(
    bar_numbers: IntArray, horizon_bars: int, session_bars: int = 1
) -> IntArray:
    """Block of each row: the same for every series at the same time.

    Parameters
    ----------
    bar_numbers : ndarray of int of shape (n_samples,)
        On the grid.
    horizon_bars : int
        Grid bars a label looks ahead.
    session_bars : int, default=1
        Grid bars of a full session; 1 where a bar is a session or longer.

    Examples
    --------
    >>> calendar_blocks(np.array([100, 104, 105, 100]), 1).tolist()
    [20, 20, 21, 20]
    >>> calendar_blocks(np.array([0, 34, 35]), 4, 7).tolist()
    [0, 0, 1]
    """
    return bar_numbers // block_bars(horizon_bars, session_bars)


def mix(P: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean of members, (n, n_members, 3) to (n, 3)."""
    mixed: FloatArray = np.einsum("nmc,m->nc", P, weights)
    return mixed
