"""What the recipe of an ensemble is, apart from its fitted members."""

from collections.abc import Sequence

import numpy as np

from python_ml.ensemble import FloatArray, HorizonEnsemble, MemberPredictions
from python_ml.members import CLIMATOLOGY, ROSTER
from python_ml.scoring.time_order import (
    TimeOrderedScore,
    Weighing,
)
from python_ml.scoring.weights import (
    DEFAULT_ALPHA,
    DEFAULT_METHOD,
    WeightMethod,
)


def is_climatology_alone(ensemble: HorizonEnsemble) -> bool:
    """Whether its members were left out for not beating climatology."""
    return ensemble.weights.get(CLIMATOLOGY) == 1.0


def recipe_probabilities(
    ensemble: HorizonEnsemble, score: TimeOrderedScore
) -> FloatArray:
    """Probabilities of an ensemble's recipe for the scored validation rows.

    Parameters
    ----------
    ensemble : HorizonEnsemble
        With `validation`.
    score : TimeOrderedScore
        Of its validation.

    Returns
    -------
    ndarray of shape (n_scored, 3)
        The mixture by weights from before each part, or climatology where that
        is what the recipe deploys.
    """
    if ensemble.validation is None or not is_climatology_alone(ensemble):
        return score.probabilities
    return np.tile(ensemble.validation.climatology, (len(score.rows), 1))


def weighing_of(
    validation: MemberPredictions,
    horizon_bars: int,
    *,
    method: WeightMethod = DEFAULT_METHOD,
    alpha: float = DEFAULT_ALPHA,
) -> Weighing:
    """How the members that predicted are weighed.

    Parameters
    ----------
    validation : MemberPredictions
        Of any series of the timeframe and horizon.
    horizon_bars : int
        Overlap of the labels.
    method : {"equal", "least_squares", "ridge", "lasso"}, default="ridge"
        See `fit_weights`.
    alpha : float, default=1.0
        Its penalty.
    """
    return Weighing(
        horizon_bars=horizon_bars,
        learned=learned_members(validation.member_names),
        method=method,
        alpha=alpha,
        prior=validation.prior_weights,
    )


def learned_members(member_names: Sequence[str]) -> tuple[bool, ...]:
    """Which members are learned, in order."""
    return tuple(ROSTER[name].is_learned for name in member_names)
