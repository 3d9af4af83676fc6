"""Scores of class probabilities, and the order of time they are taken in.

Labels are positions in `CLASSES`. A mean over rows that share days or overlap
is less certain than its row count says, so every standard error here comes
from whole blocks of calendar time that hold the rows of all series.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from python_ml.ensemble import FloatArray, MemberPredictions
from python_ml.exceptions import NotEnoughDataError
from python_ml.scoring.weights import (
    DEFAULT_ALPHA,
    DEFAULT_METHOD,
    MemberWeights,
    WeightMethod,
    fit_weights,
    one_hot,
)

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
TimeArray = npt.NDArray[np.datetime64]

# A probability below this counts as this, so that one row cannot be infinite.
SMALLEST_PROBABILITY = 1e-6
VALIDATION_PARTS = 4
MIN_BLOCK_SESSIONS = 5
# Below these nothing learnt would be worth deploying.
MIN_FIT_ROWS = 100
MIN_VALIDATION_ROWS = 40
OVERFIT_MARGIN = 0.20
EXPECTED_BAND = (0.50, 0.65)


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


def part_starts(
    closed_at: TimeArray, n_parts: int = VALIDATION_PARTS
) -> TimeArray:
    """First `closed_at` of each of `n_parts` parts of validation, in order.

    Parts hold equally many *times*, not rows, and are the same for all
    series that are passed together.

    Parameters
    ----------
    closed_at : ndarray of datetime64
        Of the validation rows of all series, in any order.
    n_parts : int, default=4
        Number of parts.

    Raises
    ------
    NotEnoughDataError
        If there are fewer times than parts.
    """
    times = np.unique(closed_at)
    if len(times) < n_parts:
        raise NotEnoughDataError(
            f"Validation has {len(times)} different times, too few for "
            f"{n_parts} parts in time order. Train with an earlier window, "
            "a larger window_bars in the seed timeframes, or more bars."
        )
    positions = np.arange(n_parts) * len(times) // n_parts
    starts: TimeArray = times[positions]
    return starts


def known_before(
    predictions: MemberPredictions, starts_at: np.datetime64
) -> BoolArray:
    """Rows whose label had ended before a part started (purge by label end).

    A label that ends at the very close that opens the part is dropped.
    """
    known: BoolArray = predictions.label_end_at < starts_at
    return known


@dataclass(frozen=True)
class TimeOrderedScore:
    """One series scored on parts after the first, by weights from before.

    Parameters
    ----------
    rows : ndarray of int of shape (n_scored,)
        Positions of the scored rows among the validation rows.
    probabilities : ndarray of shape (n_scored, 3)
        Mixture issued for each of them.
    weights : tuple of MemberWeights
        Used for each part after the first.
    """

    rows: IntArray
    probabilities: FloatArray
    weights: tuple[MemberWeights, ...]


@dataclass(frozen=True)
class Weighing:
    """How weights are fitted: one choice for scoring and for deployment.

    Parameters
    ----------
    method : {"equal", "least_squares", "ridge", "lasso"}
        See `fit_weights`.
    alpha : float
        Its penalty.
    learned : tuple of bool
        Which members are learned, in member order.
    horizon_bars : int
        Overlap of the labels: n rows count as n / horizon_bars.
    prior : tuple of float, optional
        What the timeframe's weights are pulled towards, by default equal ones.
    """

    horizon_bars: int
    learned: tuple[bool, ...]
    method: WeightMethod = DEFAULT_METHOD
    alpha: float = DEFAULT_ALPHA
    prior: tuple[float, ...] | None = None

    def fit(
        self,
        series: Sequence[MemberPredictions],
        known: Sequence[BoolArray],
    ) -> tuple[MemberWeights, list[MemberWeights]]:
        """Weights of all series together, and of each pulled towards them.

        Parameters
        ----------
        series : sequence of MemberPredictions
            Validation of every series, members in the same order.
        known : sequence of ndarray of bool
            For each series, the rows that may be used.

        Returns
        -------
        MemberWeights, list of MemberWeights
            Of the timeframe, pulled towards the prior; of each series, pulled
            towards the timeframe's.
        """
        P = [
            p.probabilities[rows] for p, rows in zip(series, known, strict=True)
        ]
        Y = [one_hot(p.y[rows]) for p, rows in zip(series, known, strict=True)]
        # Series share their days: all rows of one time count once.
        n_times = len(
            np.unique(
                np.concatenate(
                    [
                        p.closed_at[rows]
                        for p, rows in zip(series, known, strict=True)
                    ]
                )
            )
        )
        together = self._fit(
            np.concatenate(P),
            np.concatenate(Y),
            n_times,
            None if self.prior is None else np.array(self.prior),
        )
        return together, [
            self._fit(p, y, len(p), together.values)
            for p, y in zip(P, Y, strict=True)
        ]

    def _fit(
        self,
        P: FloatArray,
        Y: FloatArray,
        n_times: int,
        prior: FloatArray | None,
    ) -> MemberWeights:
        return fit_weights(
            P,
            Y,
            method=self.method,
            alpha=self.alpha,
            prior=prior,
            n_effective=n_times / self.horizon_bars,
            learned=self.learned,
        )


def score_in_time_order(
    series: Sequence[MemberPredictions],
    weighing: Weighing,
    *,
    n_parts: int = VALIDATION_PARTS,
) -> list[TimeOrderedScore]:
    """Score every part of validation after the first, by weights from before.

    For each part the weights (of the timeframe and of each series) are
    fitted anew on rows of earlier parts whose labels had ended before it
    started. Nothing at or after a part can change its score.

    Parameters
    ----------
    series : sequence of MemberPredictions
        Validation of every series of a timeframe and horizon.
    weighing : Weighing
        How weights are fitted.
    n_parts : int, default=4
        Number of parts.

    Returns
    -------
    list of TimeOrderedScore
        One per series, in the order given.

    Raises
    ------
    NotEnoughDataError
        If validation has fewer different times than parts.
    """
    starts = part_starts(np.concatenate([p.closed_at for p in series]), n_parts)
    rows: list[list[IntArray]] = [[] for _ in series]
    mixed: list[list[FloatArray]] = [[] for _ in series]
    used: list[list[MemberWeights]] = [[] for _ in series]
    for number in range(1, n_parts):
        start = starts[number]
        known = [known_before(predictions, start) for predictions in series]
        _, weights = weighing.fit(series, known)
        for i, predictions in enumerate(series):
            in_part = predictions.closed_at >= start
            if number + 1 < n_parts:
                in_part &= predictions.closed_at < starts[number + 1]
            positions = np.flatnonzero(in_part)
            rows[i].append(positions)
            mixed[i].append(
                mix(predictions.probabilities[positions], weights[i].values)
            )
            used[i].append(weights[i])
    return [
        TimeOrderedScore(
            np.concatenate(rows[i]), np.concatenate(mixed[i]), tuple(used[i])
        )
        for i in range(len(series))
    ]


def mix(P: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean of members, (n, n_members, 3) to (n, 3)."""
    mixed: FloatArray = np.einsum("nmc,m->nc", P, weights)
    return mixed
