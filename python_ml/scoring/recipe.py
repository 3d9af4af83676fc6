"""What the recipe of an ensemble is, apart from its fitted members."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from python_ml.ensemble import FloatArray, HorizonEnsemble, MemberPredictions
from python_ml.members import CLIMATOLOGY, ROSTER
from python_ml.scoring.time_order import TimeOrderedScore, Weighing
from python_ml.scoring.weights import (
    DEFAULT_WEIGHTS,
    MemberWeights,
    WeightSettings,
)


def weighing_of(
    validation: MemberPredictions,
    horizon_bars: int,
    settings: WeightSettings = DEFAULT_WEIGHTS,
) -> Weighing:
    """How the members that predicted are weighed.

    Parameters
    ----------
    validation : MemberPredictions
        Of any series of the timeframe and horizon.
    horizon_bars : int
        Overlap of the labels.
    settings : WeightSettings, optional
        Of the timeframe, by default ridge.
    """
    return Weighing(
        horizon_bars=horizon_bars,
        learned=learned_members(validation.member_names),
        settings=settings,
        prior=validation.prior_weights,
    )


def learned_members(member_names: Sequence[str]) -> tuple[bool, ...]:
    """Which members are learned, in order."""
    return tuple(ROSTER[name].is_learned for name in member_names)


def climatology_alone(
    weights: MemberWeights, member_names: Sequence[str], finding: str
) -> MemberWeights:
    """Weights that leave the members out for not beating climatology.

    That is decided for a whole timeframe: one series has too few labels to
    tell skill from luck, and judged alone every third would be given up by
    chance.

    Parameters
    ----------
    weights : MemberWeights
        As they were fitted.
    member_names : sequence of str
        In their order.
    finding : str
        Whose members scored which skill.
    """
    return replace(
        weights,
        values=np.array([float(name == CLIMATOLOGY) for name in member_names]),
        reason=f"climatology alone: weighed ({weights.reason}) the members of "
        f"{finding} in time order, not above 0",
    )


def is_climatology_alone(ensemble: HorizonEnsemble) -> bool:
    """Whether its members were left out for not beating climatology."""
    return ensemble.weights.get(CLIMATOLOGY) == 1.0


def recipe_probabilities(
    ensemble: HorizonEnsemble, score: TimeOrderedScore
) -> FloatArray:
    """What the recipe of an ensemble predicted for the scored validation rows.

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
