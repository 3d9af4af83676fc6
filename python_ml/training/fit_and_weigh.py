"""Fit what is due of a group, and weigh it together with all others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import MemberPredictions
from python_ml.examples.arrays import SeriesExamples
from python_ml.examples.series import Series
from python_ml.exceptions import ArtifactError
from python_ml.processes import Outcomes
from python_ml.registry.deployments import live_versions
from python_ml.registry.versions import load_version, read_versions
from python_ml.scoring.recipe import weighing_of
from python_ml.scoring.time_order import VALIDATION_PARTS
from python_ml.training.fitting import (
    FitFailure,
    FittedHorizon,
    PooledPredictions,
    with_pooled,
)
from python_ml.training.identify import Identity
from python_ml.training.plan import Group
from python_ml.training.run import TrainingRun
from python_ml.training.weighing import WeighedHorizon, weigh_horizon
from python_ml.training.workers import Outcome

logger = get_logger(__name__)


@dataclass(frozen=True)
class GroupFits:
    """Series of a group after fitting.

    Parameters
    ----------
    fitted : mapping of int to tuple of FittedHorizon
        By symbol_id, pooled members in.
    failures : mapping of Series to str
        Those that could not be fitted, and why.
    """

    fitted: Mapping[int, tuple[FittedHorizon, ...]]
    failures: Mapping[Series, str]


def collect_fits(
    run: TrainingRun,
    due: Sequence[Series],
    outcomes: Outcomes[Outcome],
    pooled: Mapping[int, Mapping[str, PooledPredictions]],
    *,
    advance: Callable[[int], object],
) -> GroupFits:
    """Wait for the fits of series that are due, and put pooled members in.

    Parameters
    ----------
    run : TrainingRun
    due : sequence of Series
        In the order of `outcomes`.
    outcomes : Outcomes of tuple of FittedHorizon, or FitFailure
        As begun by `workers.fit_all`.
    pooled : mapping of int to mapping of str to PooledPredictions
        By symbol_id and horizon.
    advance : callable
        Called with the number of series done, for the progress bar.
    """
    fitted: dict[int, tuple[FittedHorizon, ...]] = {}
    failures: dict[Series, str] = {}
    for series, outcome in zip(due, outcomes, strict=True):
        advance(1)
        if isinstance(outcome, FitFailure):
            failures[series] = outcome.message
        else:
            predictions = pooled[series.symbol_id]
            fitted[series.symbol_id] = tuple(
                with_pooled(
                    horizon, run.roster, predictions[horizon.examples.horizon]
                )
                for horizon in outcome
            )
    return GroupFits(fitted, failures)


@dataclass(frozen=True)
class GroupWeights:
    """Series of a group after weighing.

    Parameters
    ----------
    weighed : mapping of int to list of WeighedHorizon
        By symbol_id.
    failures : mapping of Series to str
        Those that nothing tells the worth of, and why.
    """

    weighed: Mapping[int, list[WeighedHorizon]]
    failures: Mapping[Series, str]


def weigh_group(
    run: TrainingRun,
    group: Group,
    fitted: Mapping[int, tuple[FittedHorizon, ...]],
    identities: Mapping[int, Identity],
) -> GroupWeights:
    """Weigh what was fitted now together with what is up to date and live.

    Parameters
    ----------
    run : TrainingRun
    group : Group
    fitted : mapping of int to tuple of FittedHorizon
        By symbol_id.
    identities : mapping of int to Identity
        By symbol_id; those with a version on record are up to date.
    """
    if not fitted:
        return GroupWeights({}, {})
    by_horizon: dict[
        str, list[tuple[int, FittedHorizon | MemberPredictions]]
    ] = {}
    # In the order of the group, so that a resumed training sums alike.
    for series in group.series:
        key = series.symbol_id
        if key in fitted:
            for horizon in fitted[key]:
                name = horizon.examples.horizon
                by_horizon.setdefault(name, []).append((key, horizon))
        elif key in identities and (recorded := identities[key].recorded):
            for name, ensemble in recorded.load_horizons().items():
                if ensemble.validation is not None:
                    pair = (key, ensemble.validation)
                    by_horizon.setdefault(name, []).append(pair)
    for key, name, validation in _validation_of_others(run, group):
        by_horizon.setdefault(name, []).append((key, validation))
    weighed: dict[int, list[WeighedHorizon]] = {}
    unscored: dict[int, str] = {}
    for name, pairs in by_horizon.items():
        due = [key for key, each in pairs if isinstance(each, FittedHorizon)]
        results = _weigh_together(run, group, [each for _, each in pairs])
        for key, result in zip(due, results, strict=True):
            if result is None:
                unscored[key] = name
            else:
                weighed.setdefault(key, []).append(result)
    failures = {}
    for series in group.series:
        if series.symbol_id in unscored:
            weighed.pop(series.symbol_id, None)
            failures[series] = (
                f"{series} has no row for {unscored[series.symbol_id]} in the "
                f"last {VALIDATION_PARTS - 1} of {VALIDATION_PARTS} parts of "
                "validation, so nothing tells how good its forecasts are. See "
                "features.gaps, and features.feature_rows (unusable_reason)."
            )
    return GroupWeights(weighed, failures)


def _weigh_together(
    run: TrainingRun,
    group: Group,
    series: Sequence[FittedHorizon | MemberPredictions],
) -> list[WeighedHorizon | None]:
    """Weigh one horizon of all series that have the members fitted now."""
    first = next((s for s in series if isinstance(s, FittedHorizon)), None)
    if first is None:
        return []
    return weigh_horizon(
        [
            each
            for each in series
            if isinstance(each, FittedHorizon)
            or each.member_names == first.validation.member_names
        ],
        weighing_of(
            first.validation,
            first.examples.horizon_bars,
            run.weighting[group.cut.timeframe],
        ),
    )


def _validation_of_others(
    run: TrainingRun, group: Group
) -> Iterator[tuple[int, str, MemberPredictions]]:
    """Validation of series that are not trained now, by symbol_id and horizon.

    Of the versions that were live at the as-of time. Some series alone have
    too few labels to judge a recipe by, and their weights would be pulled
    towards themselves.
    """
    trained = {series.symbol_id for series in group.series}
    others = {series.symbol_id for series in group.pool} - trained
    if not others:
        return
    live = live_versions(run.warehouse, at=group.cut.as_of)
    live = live[
        (live["timeframe"] == group.cut.timeframe)
        & live["symbol_id"].isin(others)
        & (live["as_of"] <= group.cut.as_of)
    ]
    versions = read_versions(
        run.warehouse, live["version_id"].unique().tolist()
    )
    for version_id, rows in live.groupby("version_id", sort=True):
        version = versions[str(version_id)]
        try:
            ensemble = load_version(run.warehouse.settings, version)
        except ArtifactError as error:
            log_event(
                logger,
                "version_unusable",
                version_id=version_id,
                reason=str(error),
            )
            continue
        for name in rows["horizon"]:
            validation = ensemble.horizons[name].validation
            if validation is not None:
                yield version.symbol_id, name, validation


def horizons_of(examples: SeriesExamples) -> tuple[str, ...]:
    """Horizons that a series has rows of."""
    return tuple(rows.horizon for rows in examples.horizons)
