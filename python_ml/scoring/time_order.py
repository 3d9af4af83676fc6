"""Weights and scores in the order of time: what is scored came after."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from python_ml.ensemble import FloatArray, MemberPredictions
from python_ml.exceptions import NotEnoughDataError
from python_ml.scoring.metrics import IntArray, mix
from python_ml.scoring.weights import (
    DEFAULT_WEIGHTS,
    MemberWeights,
    WeightSettings,
    fit_weights,
    one_hot,
)

BoolArray = npt.NDArray[np.bool_]
TimeArray = npt.NDArray[np.datetime64]

VALIDATION_PARTS = 4


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
    horizon_bars : int
        Overlap of the labels: n rows count as n / horizon_bars.
    learned : tuple of bool
        Which members are learned, in member order.
    settings : WeightSettings, optional
        Method and penalty.
    prior : tuple of float, optional
        What the timeframe's weights are pulled towards, by default equal ones.
    """

    horizon_bars: int
    learned: tuple[bool, ...]
    settings: WeightSettings = DEFAULT_WEIGHTS
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
            method=self.settings.method,
            alpha=self.settings.alpha,
            cautious_alpha=self.settings.cautious_alpha,
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
