"""New weights for the members of live versions, horizon by horizon.

Fitted as training fits them: pulled towards those of all series, climatology
alone where the mixture, scored in time order, does not beat it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from python_ml.ensemble import Ensemble, FloatArray, MemberPredictions
from python_ml.members import CLIMATOLOGY
from python_ml.registry.versions import Version
from python_ml.scoring.metrics import (
    IntArray,
    accuracy,
    calendar_blocks,
    log_losses,
    skill,
)
from python_ml.scoring.recipe import climatology_alone, weighing_of
from python_ml.scoring.time_order import TimeOrderedScore, score_in_time_order
from python_ml.scoring.weights import MemberWeights, WeightSettings
from python_ml.training.settled import (
    climatology_of,
    predictions_of,
    rows_with_members,
)
from python_ml.training.weighing import (
    WEIGHED,
    is_in_expected_band,
    losses_of_all,
    measure,
)

# Independent labels (different closes / horizon) among the settled forecasts
# under which validation knows more.
MIN_EFFECTIVE = 20.0


@dataclass(frozen=True)
class LiveVersion:
    """A live version, and the horizons that it is live for.

    Parameters
    ----------
    version : Version
    ensemble : Ensemble
    horizons : list of str
    """

    version: Version
    ensemble: Ensemble
    horizons: list[str]


@dataclass(frozen=True)
class NewWeights:
    """New weights of one series and horizon.

    Parameters
    ----------
    values : dict of str to float
        By member.
    weights : MemberWeights
        The same, with how they came about.
    source : {"ledger", "validation"}
        What they were fitted on.
    n_effective : float
        Independent labels among it.
    known_at : datetime or None
        When the last of it was known, of the ledger.
    record : dict
        Columns of `ml.training_runs`, of the ledger.
    """

    values: dict[str, float]
    weights: MemberWeights
    source: str
    n_effective: float
    known_at: datetime | None
    record: dict[str, Any]


@dataclass(frozen=True)
class _Evidence:
    """What the members of some series predicted, and what came true."""

    source: str
    n_effective: float
    predictions: dict[int, MemberPredictions]
    climatologies: dict[int, FloatArray]
    bar_numbers: dict[int, IntArray] = field(default_factory=dict)
    known_at: datetime | None = None


def reweigh(
    live: Sequence[LiveVersion],
    settled: pd.DataFrame,
    member_names: Sequence[str],
    *,
    session_bars: int,
    settings: WeightSettings,
) -> dict[tuple[int, str], NewWeights]:
    """Weights of every live series and horizon of one timeframe.

    Parameters
    ----------
    live : sequence of LiveVersion
        All of the timeframe, by ticker.
    settled : DataFrame
        As `read_settled` returns it.
    member_names : sequence of str
        The members that its columns are numbered by.
    session_bars : int
        Grid bars of a full session.
    settings : WeightSettings
        Of the timeframe.

    Returns
    -------
    dict of (int, str) to NewWeights
        By symbol_id and horizon; absent where nothing was predicted.
    """
    found: dict[tuple[int, str], NewWeights] = {}
    horizons = dict.fromkeys(name for base in live for name in base.horizons)
    for horizon in horizons:
        rows = settled[settled["horizon"] == horizon]
        for names, bases in _by_members(live, horizon).items():
            horizon_bars = bases[0].ensemble.horizons[horizon].horizon_bars
            evidence = _gather(
                bases,
                horizon,
                names,
                rows_with_members(rows, names, member_names),
                member_names,
            )
            if evidence.predictions:
                weights = _fit(
                    evidence, names, horizon_bars, session_bars, settings
                )
                found |= {
                    (symbol_id, horizon): new
                    for symbol_id, new in weights.items()
                }
    return found


def _by_members(
    live: Sequence[LiveVersion], horizon: str
) -> dict[tuple[str, ...], list[LiveVersion]]:
    """Series whose ensembles have the same members are weighed together."""
    groups: dict[tuple[str, ...], list[LiveVersion]] = {}
    for base in live:
        if horizon in base.horizons:
            names = tuple(base.ensemble.horizons[horizon].weights)
            groups.setdefault(names, []).append(base)
    return groups


def _gather(
    bases: Sequence[LiveVersion],
    horizon: str,
    names: tuple[str, ...],
    rows: pd.DataFrame,
    member_names: Sequence[str],
) -> _Evidence:
    """Settled forecasts where there are enough, else validation."""
    horizon_bars = bases[0].ensemble.horizons[horizon].horizon_bars
    n_effective = rows["closed_at"].nunique() / horizon_bars
    if n_effective < MIN_EFFECTIVE:
        return _gather_validation(bases, horizon, names, horizon_bars)
    by_series = dict(iter(rows.groupby("symbol_id")))
    predictions = {}
    for base in bases:
        symbol_id = base.version.symbol_id
        if symbol_id in by_series:
            ensemble = base.ensemble.horizons[horizon]
            validation = ensemble.validation
            predictions[symbol_id] = predictions_of(
                by_series[symbol_id],
                names,
                member_names,
                climatology=ensemble.climatology,
                prior_weights=validation.prior_weights
                if validation is not None and validation.member_names == names
                else None,
            )
    return _Evidence(
        "ledger",
        float(n_effective),
        predictions,
        {key: climatology_of(by_series[key]) for key in predictions},
        {key: by_series[key]["bar_number"].to_numpy() for key in predictions},
        rows["settled_at"].max().to_pydatetime(),
    )


def _gather_validation(
    bases: Sequence[LiveVersion],
    horizon: str,
    names: tuple[str, ...],
    horizon_bars: int,
) -> _Evidence:
    predictions = {
        base.version.symbol_id: validation
        for base in bases
        if (validation := base.ensemble.horizons[horizon].validation)
        is not None
        and validation.member_names == names
    }
    times = [validation.closed_at for validation in predictions.values()]
    return _Evidence(
        "validation",
        len(np.unique(np.concatenate(times))) / horizon_bars if times else 0.0,
        predictions,
        {
            symbol_id: np.tile(validation.climatology, (len(validation.y), 1))
            for symbol_id, validation in predictions.items()
        },
    )


def _fit(
    evidence: _Evidence,
    names: tuple[str, ...],
    horizon_bars: int,
    session_bars: int,
    settings: WeightSettings,
) -> dict[int, NewWeights]:
    """Weights by symbol_id of series with the same members."""
    predictions = list(evidence.predictions.values())
    weighing = weighing_of(predictions[0], horizon_bars, settings)
    scores = score_in_time_order(predictions, weighing)
    _, fitted = weighing.fit(
        predictions, [np.ones(len(p.y), dtype=bool) for p in predictions]
    )
    overall = skill(
        *losses_of_all(
            predictions, scores, list(evidence.climatologies.values())
        )
    )
    found = {}
    for (symbol_id, prediction), score, weights in zip(
        evidence.predictions.items(), scores, fitted, strict=True
    ):
        if overall <= 0 and CLIMATOLOGY in names:
            weights = climatology_alone(
                weights, names, f"all series scored skill {overall:+.2%}"
            )
        record: dict[str, Any] = {}
        # A series without bars for long has no row after the first part.
        if evidence.source == "ledger" and len(score.rows):
            bar_numbers = evidence.bar_numbers[symbol_id][score.rows]
            record = _measure(
                prediction,
                score,
                evidence.climatologies[symbol_id][score.rows],
                calendar_blocks(bar_numbers, horizon_bars, session_bars),
                horizon_bars,
                is_climatology_alone=overall <= 0,
            )
        found[symbol_id] = NewWeights(
            {
                name: float(weight)
                for name, weight in zip(names, weights.values, strict=True)
            },
            weights,
            evidence.source,
            evidence.n_effective,
            evidence.known_at,
            record,
        )
    return found


def _measure(
    predictions: MemberPredictions,
    score: TimeOrderedScore,
    P_climatology: FloatArray,
    blocks: IntArray,
    horizon_bars: int,
    *,
    is_climatology_alone: bool,
) -> dict[str, Any]:
    """Columns of `ml.training_runs` that settled forecasts give.

    What compares them with rows that members were fitted on is empty: those
    members were the forecasts' own, of one version after another.
    """
    y = predictions.y[score.rows]
    climatology_losses = log_losses(P_climatology, y)

    def measured(P: FloatArray) -> dict[str, Any]:
        return measure(P, y, climatology_losses, blocks)

    weighed = measured(score.probabilities)
    deployed = measured(P_climatology) if is_climatology_alone else weighed
    return {
        "n_validation": len(predictions.y),
        "n_validation_effective": len(predictions.y) / horizon_bars,
        "train_accuracy": None,
        "ensemble_validation_accuracy": deployed["validation_accuracy"],
        "ensemble_validation_accuracy_se": deployed["validation_accuracy_se"],
        "baseline_accuracy": accuracy(P_climatology, y),
        "majority_share": float(np.bincount(y).max() / len(y)),
        "skill": weighed["skill"],
        "skill_se": weighed["skill_se"],
        "overfit_margin": None,
        "is_overfit": None,
        "is_in_expected_band": is_in_expected_band(
            deployed["validation_accuracy"]
        ),
        "model_performances": {
            name: measured(predictions.probabilities[score.rows, position])
            for position, name in enumerate(predictions.member_names)
        }
        | {WEIGHED: weighed},
    }
