"""Train ensembles on the features in the warehouse and record them.

A training is a row of stages, each of which takes and returns plain data:

1. resolve the series and cut their time (`plan.py`);
2. read rows (`read.py`) and begin to fit pooled members
   (`pooled_members.py`);
3. identify what is on record already (`identify.py`);
4. fit the rest and weigh it (`fit_and_weigh.py`);
5. record versions (`record.py`);
6. promote what is not worse than what is live (`registry/promotion`).

Whatever stops a training, the same command finishes it: a series whose rows,
settings and cut have a version already is up to date, and what was not decided
yet is.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from threading import Thread

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.progress import progress_bar
from python_ml.examples.arrays import SeriesExamples
from python_ml.examples.cuts import (
    DEFAULT_EMBARGO_BARS,
    DEFAULT_SPLIT,
    check_embargo,
    fit_share,
)
from python_ml.examples.series import Series
from python_ml.exceptions import (
    SettingsError,
    SwiftBoltError,
    TrainingError,
)
from python_ml.registry.promotion.cohort import Challenger, Cohort
from python_ml.registry.promotion.decisions import (
    MODES,
    Decision,
    PromotionMode,
)
from python_ml.registry.promotion.promote import promote
from python_ml.scoring.weights import WeightSettings
from python_ml.training.fit_and_weigh import (
    GroupFits,
    collect_fits,
    horizons_of,
    weigh_group,
)
from python_ml.training.identify import RecordedVersion, identify
from python_ml.training.outcomes import (
    ResultRow,
    read_up_to_date,
    record_failures,
    result_row,
)
from python_ml.training.plan import Group, Plan, make_plan
from python_ml.training.pooled_members import (
    PooledFits,
    begin_pooled_fits,
    predict_pooled,
)
from python_ml.training.read import read_group, read_pool
from python_ml.training.record import NotRecorded, record_group
from python_ml.training.run import TrainingRun, begin_run
from python_ml.training.summary import (
    COUNTS,
    TrainingSummary,
    decision_frame,
)
from python_ml.training.validation import BackgroundValidation
from python_ml.training.workers import fit_all, warm_up_to_fit
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run

TRIGGERS = ("manual", "scheduled", "drift", "request", "backtest")


def train(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    as_of: datetime | None = None,
    split: str = DEFAULT_SPLIT,
    embargo_bars: int = DEFAULT_EMBARGO_BARS,
    trigger: str = "manual",
    promotion: PromotionMode = "judge",
    weights: WeightSettings | None = None,
    n_jobs: int | None = None,
) -> TrainingSummary:
    """Fit, weigh, score and save an ensemble for every series; deploy the good.

    Series that cannot be trained are recorded as failed and do not stop the
    others.

    Parameters
    ----------
    warehouse : Warehouse
        Open warehouse with built features.
    symbols, timeframes : sequence of str, optional
        Which series, by default all.
    as_of : datetime, optional
        With time zone; nothing that closed later is used. By default the
        last close of each calendar.
    split : {"70/30", "60/40", "80/20"}
        Fit and validation, in percent of the window.
    embargo_bars : int, default=1
        Grid bars between the last label of `fit` and validation; 1 or more.
    trigger : {"manual", "scheduled", "drift", "request", "backtest"}
        Why, for the record.
    promotion : {"judge", "always", "never"}
        Whether versions are deployed where they are not worse than those
        live, or in any case, or left to be judged later.
    weights : WeightSettings, optional
        How weights are fitted, by default as the seed `weighting` says.
    n_jobs : int, optional
        Processes, by default one per core when there is work enough.

    Raises
    ------
    SettingsError
        If an argument or a seed cannot be used.
    UnknownSeriesError
        If a symbol or timeframe is not in the warehouse.
    NotEnoughDataError
        If the as-of time lies before the data, or too soon after its start.
    TrainingError
        If no series could be trained.
    ValidationFailedError
        If the rows of a cut are not what training may rest on.
    JobRunningError
        If another training runs.
    """
    _check_arguments(as_of, split, embargo_bars, trigger, promotion, n_jobs)
    arguments: dict[str, object] = {
        "symbols": None if symbols is None else list(symbols),
        "timeframes": None if timeframes is None else list(timeframes),
        "as_of": None if as_of is None else as_of.isoformat(),
        "split": split,
        "embargo_bars": embargo_bars,
        "trigger": trigger,
        "promotion": promotion,
        "n_jobs": n_jobs,
    }
    if weights is not None:
        arguments["weights"] = weights.identity()
    with job_run(warehouse, "train", arguments) as job:
        run = begin_run(
            warehouse,
            job.job_run_id,
            trigger=trigger,
            promotion=promotion,
            n_jobs=n_jobs,
            weights=weights,
        )
        plan = make_plan(
            warehouse,
            symbols=symbols,
            timeframes=timeframes,
            as_of=as_of,
            split=split,
            embargo_bars=embargo_bars,
        )
        outcomes = _train_groups(run, plan)
        summary = TrainingSummary(
            job.job_run_id,
            plan.as_ofs,
            pd.DataFrame([row for each in outcomes for row in each.results]),
            decision_frame([d for each in outcomes for d in each.decisions]),
        )
        for name in COUNTS:
            job.counts[name] = summary.count(name.replace("_", " "))
        if summary.count("failed") == plan.n_series:
            reasons = list(dict.fromkeys(summary.results["error_message"]))
            more = f" (and {len(reasons) - 1} more)" if reasons[1:] else ""
            raise TrainingError(
                f"None of {plan.n_series} series could be trained: "
                f"{reasons[0]}{more}"
            )
        return summary


@dataclass(frozen=True)
class _Outcome:
    """What became of the series and horizons of a group."""

    results: list[ResultRow]
    decisions: list[tuple[Cohort, Decision]] = field(default_factory=list)


def _train_groups(run: TrainingRun, plan: Plan) -> list[_Outcome]:
    left_out = record_failures(
        run, plan.left_out, as_ofs=plan.as_ofs, horizons=plan.horizons
    )
    outcomes = [_Outcome(left_out)]
    cut_ids = [group.cut_id for group in plan.groups]
    warming = _warm_up(run, plan)
    with (
        BackgroundValidation(
            run.warehouse, cut_ids, run.recorder.job_run_id
        ) as validation,
        progress_bar(
            total=sum(len(group.series) for group in plan.groups),
            description="training",
        ) as bar,
    ):
        try:
            for group in plan.groups:
                pool = read_pool(run, group)
                warming.join()
                pooled_fits = begin_pooled_fits(
                    run.recorder, pool, n_jobs=run.n_jobs
                )
                validation.begin()
                with closing(pooled_fits.outcomes):
                    outcomes.append(
                        _train_group(
                            run,
                            plan,
                            group,
                            pooled_fits,
                            validation,
                            advance=bar.update,
                        )
                    )
        except SwiftBoltError:
            # A fault of the data explains whatever came of it.
            validation.require()
            raise
    return outcomes


def _train_group(
    run: TrainingRun,
    plan: Plan,
    group: Group,
    pooled_fits: PooledFits,
    validation: BackgroundValidation,
    *,
    advance: Callable[[int], object],
) -> _Outcome:
    """Read, identify, fit, weigh, record and promote the series of a group."""
    record_as_failed = partial(
        record_failures, run, as_ofs=plan.as_ofs, cut_id=group.cut_id
    )
    examples, absent = read_group(run, group)
    results = record_as_failed(absent, horizons=plan.horizons)
    identities = identify(
        run,
        group,
        examples,
        pooled_fingerprints=pooled_fits.pool.fingerprints,
        intact_pooled_ids=pooled_fits.intact_ids,
    )
    versions = {
        symbol_id: identity.recorded
        for symbol_id, identity in identities.items()
        if identity.recorded is not None
    }
    results += read_up_to_date(
        run, [version.version_id for version in versions.values()]
    )
    advance(len(absent) + len(versions))
    due = [
        series
        for series in group.series
        if series.symbol_id in examples and series.symbol_id not in versions
    ]
    if due:
        fits = _fit(
            run, due, examples, pooled_fits, validation, advance=advance
        )
        for series, message in fits.failures.items():
            grid = (series.calendar, series.timeframe)
            horizons = horizons_of(examples[series.symbol_id])
            results += record_as_failed(
                {series: message}, horizons={grid: horizons}
            )
        weights = weigh_group(run, group, fits.fitted, identities)
        results += record_as_failed(weights.failures, horizons=plan.horizons)
        for recorded in record_group(run, group, weights.weighed, identities):
            if isinstance(recorded, NotRecorded):
                results += record_as_failed(
                    {recorded.series: recorded.reason}, horizons=plan.horizons
                )
                continue
            versions[recorded.series.symbol_id] = recorded.version
            results += [
                result_row(recorded.series, "trained", row)
                for row in recorded.record.runs
            ]
    validation.require()
    return _Outcome(results, _promote(run, group, versions))


def _fit(
    run: TrainingRun,
    due: Sequence[Series],
    examples: Mapping[int, SeriesExamples],
    pooled_fits: PooledFits,
    validation: BackgroundValidation,
    *,
    advance: Callable[[int], object],
) -> GroupFits:
    tasks = [examples[series.symbol_id] for series in due]
    with closing(
        fit_all(tasks, roster=run.roster, n_jobs=run.n_jobs)
    ) as outcomes:
        # They queue up behind the pooled members, which are recorded as each
        # is fitted: the verdict of validation comes first.
        validation.require()
        pooled = predict_pooled(run.recorder, pooled_fits, tasks)
        return collect_fits(run, due, outcomes, pooled, advance=advance)


def _promote(
    run: TrainingRun, group: Group, versions: Mapping[int, RecordedVersion]
) -> list[tuple[Cohort, Decision]]:
    """Decide on all versions of the group that are on record."""
    cohort = Cohort(
        group.cut.calendar,
        group.cut.timeframe,
        group.cut_id,
        group.cut.as_of,
        tuple(
            Challenger(
                symbol_id=series.symbol_id,
                ticker=series.ticker,
                version_id=version.version_id,
                horizons=version.horizons,
                load=version.load_horizons,
            )
            for series in group.series
            if (version := versions.get(series.symbol_id)) is not None
        ),
        run.weighting[group.cut.timeframe],
    )
    decisions = promote(
        run.warehouse,
        cohort,
        mode=run.promotion,
        reason=f"trained ({run.trigger})",
        feature_names=run.feature_names,
        job_run_id=run.recorder.job_run_id,
    )
    return [(cohort, decision) for decision in decisions]


def _warm_up(run: TrainingRun, plan: Plan) -> Thread:
    """Start processes where nothing of any cut is on record yet."""
    cut_id = schema.ensembles.c.cut_id
    with run.warehouse.begin() as connection:
        is_begun = connection.scalar(
            sa.select(sa.literal(True))
            .where(cut_id.in_([group.cut_id for group in plan.groups]))
            .limit(1)
        )
    n_series = max((len(group.series) for group in plan.groups), default=0)
    return warm_up_to_fit(0 if is_begun else n_series, run.n_jobs)


def _check_arguments(
    as_of: datetime | None,
    split: str,
    embargo_bars: int,
    trigger: str,
    promotion: str,
    n_jobs: int | None,
) -> None:
    fit_share(split)
    if as_of is not None and as_of.tzinfo is None:
        raise SettingsError(
            f"as_of {as_of} has no time zone; for a date use "
            "python_ml.examples.cuts.end_of_day."
        )
    check_embargo(embargo_bars)
    if trigger not in TRIGGERS:
        raise SettingsError(
            f"Unknown trigger {trigger!r}; use one of {', '.join(TRIGGERS)}."
        )
    if promotion not in MODES:
        raise SettingsError(
            f"Unknown promotion {promotion!r}; use one of {', '.join(MODES)}."
        )
    if n_jobs is not None and n_jobs < 1:
        raise SettingsError(f"n_jobs is {n_jobs}; use 1 or more processes.")
