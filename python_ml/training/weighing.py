"""From fitted members to what is deployed: weights, scores and the decision.

Works on one timeframe and horizon, over all series trained together, because
weights of a series are pulled towards those of the timeframe. Arrays alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from python_ml.ensemble import FloatArray, HorizonEnsemble, MemberPredictions
from python_ml.examples.arrays import (
    PURGED,
    VALIDATION,
)
from python_ml.members import CLIMATOLOGY
from python_ml.scoring.metrics import (
    IntArray,
    accuracy,
    block_standard_error,
    brier_score,
    calendar_blocks,
    hits,
    log_losses,
    mix,
    skill,
    skill_standard_error,
)
from python_ml.scoring.recipe import climatology_alone
from python_ml.scoring.requirements import (
    EXPECTED_BAND,
    OVERFIT_MARGIN,
)
from python_ml.scoring.time_order import (
    VALIDATION_PARTS,
    TimeOrderedScore,
    Weighing,
    score_in_time_order,
)
from python_ml.scoring.weights import MemberWeights
from python_ml.training.fitting import FittedHorizon

WEIGHED = "weighed_ensemble"
ALL_SERIES = "weighed_ensembles_of_all_series"


@dataclass(frozen=True)
class WeighedHorizon:
    """One horizon of one series, ready to be saved and recorded.

    Parameters
    ----------
    ensemble : HorizonEnsemble
        Members and weights as deployed.
    weights : MemberWeights
        As deployed, in member order, with the reason.
    record : mapping of str to object
        Columns of `ml.training_runs` that are known here.
    """

    ensemble: HorizonEnsemble
    weights: MemberWeights
    record: Mapping[str, Any]


def weigh_horizon(
    series: Sequence[FittedHorizon | MemberPredictions], weighing: Weighing
) -> list[WeighedHorizon | None]:
    """Weigh, score and decide one horizon of every series of a timeframe.

    Parameters
    ----------
    series : sequence of FittedHorizon or MemberPredictions
        Every series trained together, always in the same order, since sums
        depend on it in the last digit. Of those that are up to date only the
        predictions of validation are needed.
    weighing : Weighing
        How weights are fitted.

    Returns
    -------
    list of WeighedHorizon or None
        Of the fitted ones, in order; None where a series has no validation row
        after the first part, and so nothing to be scored on.

    Raises
    ------
    NotEnoughDataError
        If validation has fewer times than parts.
    """
    validation = [
        each.validation if isinstance(each, FittedHorizon) else each
        for each in series
    ]
    fitted = [each for each in series if isinstance(each, FittedHorizon)]
    scores = score_in_time_order(validation, weighing, n_parts=VALIDATION_PARTS)
    _, weights = weighing.fit(
        validation, [np.ones(len(p.y), dtype=bool) for p in validation]
    )
    all_series = _score_all(
        validation,
        scores,
        weighing.horizon_bars,
        max((each.examples.session_bars for each in fitted), default=1),
    )
    return [
        _decide(each, score, fitted_weights, all_series)
        if len(score.rows)
        else None
        for each, score, fitted_weights in zip(
            series, scores, weights, strict=True
        )
        if isinstance(each, FittedHorizon)
    ]


def losses_of_all(
    predictions: Sequence[MemberPredictions],
    scores: Sequence[TimeOrderedScore],
    climatologies: Sequence[FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Log losses of the scored rows of all series, and climatology's.

    Parameters
    ----------
    predictions : sequence of MemberPredictions
        One per series.
    scores : sequence of TimeOrderedScore
        Of each.
    climatologies : sequence of ndarray of shape (n_samples, 3)
        What was known at each of its rows.
    """
    losses, climatology_losses = [], []
    for each, score, P_climatology in zip(
        predictions, scores, climatologies, strict=True
    ):
        y = each.y[score.rows]
        losses.append(log_losses(score.probabilities, y))
        climatology_losses.append(log_losses(P_climatology[score.rows], y))
    return np.concatenate(losses), np.concatenate(climatology_losses)


def _score_all(
    validation: Sequence[MemberPredictions],
    scores: Sequence[TimeOrderedScore],
    horizon_bars: int,
    session_bars: int,
) -> dict[str, Any]:
    """Skill of the weighed members over the scored rows of all series."""
    losses, climatology_losses = losses_of_all(
        validation,
        scores,
        [np.tile(p.climatology, (len(p.y), 1)) for p in validation],
    )
    _, time_numbers = np.unique(
        np.concatenate(
            [
                p.closed_at[score.rows]
                for p, score in zip(validation, scores, strict=True)
            ]
        ),
        return_inverse=True,
    )
    return {
        "n_series": len(validation),
        "n_rows": len(losses),
        "skill": skill(losses, climatology_losses),
        "skill_se": _or_none(
            skill_standard_error(
                losses,
                climatology_losses,
                calendar_blocks(time_numbers, horizon_bars, session_bars),
            )
        ),
    }


def _decide(
    fitted: FittedHorizon,
    score: TimeOrderedScore,
    weights: MemberWeights,
    all_series: Mapping[str, Any],
) -> WeighedHorizon:
    validation = fitted.validation
    rows = score.rows
    y = validation.y[rows]
    P_climatology = np.tile(validation.climatology, (len(rows), 1))
    climatology_losses = log_losses(P_climatology, y)
    bar_numbers = fitted.examples.bar_numbers[
        fitted.examples.split_parts == VALIDATION
    ][rows]
    blocks = calendar_blocks(
        bar_numbers, fitted.examples.horizon_bars, fitted.examples.session_bars
    )

    weighed = measure(score.probabilities, y, climatology_losses, blocks)
    weights = _without_failed(weights, validation, fitted.failures)
    if all_series["skill"] > 0:
        P_deployed = score.probabilities
    else:
        error = all_series["skill_se"]
        within = "" if error is None else f" +- {error:.1%}"
        weights = climatology_alone(
            weights,
            validation.member_names,
            f"{all_series['n_series']} series scored skill "
            f"{all_series['skill']:+.1%}{within}",
        )
        P_deployed = P_climatology
    deployed = measure(P_deployed, y, climatology_losses, blocks)
    train_accuracy = accuracy(
        mix(fitted.fit_probabilities, weights.values), fitted.fit_y
    )
    overfit_margin = train_accuracy - deployed["validation_accuracy"]
    baseline_accuracy = accuracy(P_climatology, y)
    by_name = {
        name: float(weight)
        for name, weight in zip(
            validation.member_names, weights.values, strict=True
        )
        if name not in fitted.failures
    }
    performances = _performances(
        fitted, rows, y, climatology_losses, blocks
    ) | {WEIGHED: weighed, ALL_SERIES: dict(all_series)}
    n_validation = fitted.examples.count(VALIDATION)
    return WeighedHorizon(
        ensemble=HorizonEnsemble(
            horizon=fitted.examples.horizon,
            horizon_bars=fitted.examples.horizon_bars,
            members=fitted.members,
            weights=by_name,
            climatology=fitted.climatology,
            baseline_accuracy=baseline_accuracy,
            validation=validation,
            feature_ranges=fitted.feature_ranges,
        ),
        weights=weights,
        record={
            "n_fit": len(fitted.fit_y),
            "n_validation": n_validation,
            "n_purged": fitted.examples.count(PURGED),
            "n_validation_effective": n_validation
            / fitted.examples.horizon_bars,
            "train_accuracy": train_accuracy,
            "ensemble_validation_accuracy": deployed["validation_accuracy"],
            "ensemble_validation_accuracy_se": deployed[
                "validation_accuracy_se"
            ],
            "baseline_accuracy": baseline_accuracy,
            "majority_share": float(np.bincount(y).max() / len(y)),
            "skill": weighed["skill"],
            "skill_se": weighed["skill_se"],
            "overfit_margin": overfit_margin,
            "is_overfit": bool(overfit_margin > OVERFIT_MARGIN),
            "is_in_expected_band": is_in_expected_band(
                deployed["validation_accuracy"]
            ),
            "model_performances": performances,
            "weights": by_name,
            "weight_method": weights.method,
            "weight_alpha": weights.alpha,
            "weight_reason": weights.reason,
            "duration_seconds": fitted.seconds,
        },
    )


def measure(
    P: FloatArray,
    y: IntArray,
    climatology_losses: FloatArray,
    blocks: IntArray,
) -> dict[str, Any]:
    """Figures of forecasts as `ml.training_runs` keeps them.

    Parameters
    ----------
    P : ndarray of shape (n_samples, 3)
        Probabilities of `CLASSES`.
    y : ndarray of int of shape (n_samples,)
        Positions in `CLASSES`.
    climatology_losses : ndarray of shape (n_samples,)
        Log loss of the climatology known at each forecast.
    blocks : ndarray of int of shape (n_samples,)
        As `calendar_blocks` gives them, for standard errors.
    """
    losses = log_losses(P, y)
    right = hits(P, y)
    return {
        "validation_accuracy": float(right.mean()),
        "validation_accuracy_se": _or_none(block_standard_error(right, blocks)),
        "skill": skill(losses, climatology_losses),
        "skill_se": _or_none(
            skill_standard_error(losses, climatology_losses, blocks)
        ),
        "log_loss": float(losses.mean()),
        "brier_score": brier_score(P, y),
    }


def is_in_expected_band(validation_accuracy: float) -> bool:
    """Whether an accuracy is one that markets are known to allow."""
    return EXPECTED_BAND[0] <= validation_accuracy <= EXPECTED_BAND[1]


def _performances(
    fitted: FittedHorizon,
    rows: IntArray,
    y: IntArray,
    climatology_losses: FloatArray,
    blocks: IntArray,
) -> dict[str, Any]:
    """Every member alone, on the rows that the ensemble is scored on."""
    performances: dict[str, Any] = {}
    for position, name in enumerate(fitted.validation.member_names):
        if name in fitted.failures:
            performances[name] = {"error": fitted.failures[name]}
            continue
        performances[name] = {
            "train_accuracy": accuracy(
                fitted.fit_probabilities[:, position], fitted.fit_y
            ),
            **measure(
                fitted.validation.probabilities[rows, position],
                y,
                climatology_losses,
                blocks,
            ),
        }
    return performances


def _without_failed(
    weights: MemberWeights,
    validation: MemberPredictions,
    failures: Mapping[str, str],
) -> MemberWeights:
    """Give a failed member's weight to climatology, which stood in for it."""
    if not failures:
        return weights
    values = weights.values.copy()
    to = validation.member_names.index(CLIMATOLOGY)
    for name in failures:
        position = validation.member_names.index(name)
        values[to] += values[position]
        values[position] = 0.0
    return replace(
        weights,
        values=values,
        reason=f"{weights.reason}; left out, its weight to climatology: "
        f"{', '.join(failures)}",
    )


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
