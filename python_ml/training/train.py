"""Train ensembles on the features in the warehouse and record them.

A series is the unit of work: its artifact is renamed into place, then one
transaction writes its version, runs and weights. Once all series of a cut are
on record, one more decides which are deployed (`promotion.py`). Whatever stops
a training, the same command finishes it: a series whose rows, settings and cut
have a version already is up to date, and what was not decided yet is.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import sqlalchemy as sa

from expectations.gate import validate
from python_ml import schema
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.console.progress import progress_bar
from python_ml.ensemble import (
    CLASSES,
    Ensemble,
    HorizonEnsemble,
    MemberPredictions,
    PooledMember,
)
from python_ml.examples.arrays import SeriesExamples
from python_ml.examples.catalog import (
    read_feature_names,
    read_horizons,
)
from python_ml.examples.cuts import (
    DEFAULT_EMBARGO_BARS,
    DEFAULT_SPLIT,
    Cut,
    check_embargo,
    ensure_cuts,
    fit_share,
)
from python_ml.examples.leakage import check_cut
from python_ml.examples.pooled import read_pooled_examples
from python_ml.examples.reading import read_examples
from python_ml.examples.series import (
    Series,
    resolve_series,
)
from python_ml.exceptions import (
    ArtifactError,
    NotEnoughDataError,
    SettingsError,
    SwiftBoltError,
    TrainingError,
)
from python_ml.members import Roster, roster_settings
from python_ml.registry.artifacts import (
    claim_version_id,
    is_intact,
    library_versions,
    load_artifact,
    release_claim,
    save_ensemble,
)
from python_ml.registry.deployments import live_versions
from python_ml.registry.promotion import (
    MODES,
    Challenger,
    Cohort,
    Decision,
    PromotionMode,
    promote,
)
from python_ml.registry.versions import (
    load_version,
    read_versions,
    sweep_orphans,
)
from python_ml.scoring.recipe import weighing_of
from python_ml.scoring.time_order import VALIDATION_PARTS
from python_ml.scoring.weights import (
    DEFAULT_ALPHA,
    DEFAULT_METHOD,
)
from python_ml.training.assembly import (
    AssembledHorizon,
    assemble,
)
from python_ml.training.fitting import (
    FitFailure,
    FittedHorizon,
    with_pooled,
)
from python_ml.training.pooled_artifacts import (
    Pool,
    PooledFits,
    PooledStore,
)
from python_ml.training.summary import (
    COUNTS,
    TrainingSummary,
    decision_frame,
)
from python_ml.training.workers import (
    count_workers,
    fit_all,
    warm_up,
)
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import (
    JobRun,
    code_version,
    job_run,
)
from python_ml.warehouse.seeds import read_seed

logger = get_logger(__name__)

TRIGGERS = ("manual", "scheduled", "drift", "request")
# Versions that are recorded together: a training that is killed while it saves
# loses no more than these.
SERIES_PER_TRANSACTION = 50


@dataclass
class _Group:
    """Series of one calendar and timeframe, which share a cut.

    `pool` has those beside them that pooled members learn from, too.
    """

    cut_id: int
    cut: Cut
    series: list[Series]
    pool: list[Series] = field(default_factory=list)


@dataclass(frozen=True)
class _Recorded:
    """A version on record whose artifact is intact."""

    version_id: str
    path: Path
    sha256: str
    horizons: tuple[str, ...]


@dataclass(frozen=True)
class _Version:
    """What identifies a version, and the one on record, if any."""

    data_fingerprint: str
    settings_fingerprint: str
    recorded: _Recorded | None


@dataclass(frozen=True)
class _Written:
    """A version whose artifact is written, and the rows to record of it."""

    series: Series
    ensemble: Ensemble
    path: Path
    row: Mapping[str, Any]
    runs: Sequence[Mapping[str, Any]]
    weights: Sequence[Mapping[str, Any]]


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
    trigger : {"manual", "scheduled", "drift", "request"}
        Why, for the record.
    promotion : {"judge", "always", "never"}
        Whether versions are deployed where they are not worse than those
        live, or in any case, or left to be judged later.
    n_jobs : int, optional
        Processes, by default one per core when there is work enough.

    Raises
    ------
    SettingsError
        If an argument cannot be used.
    UnknownSeriesError
        If a symbol or timeframe is not in the warehouse.
    NotEnoughDataError
        If the as-of time lies before the data, or too soon after its start.
    TrainingError
        If no series could be trained.
    JobRunningError
        If another training runs.
    """
    _check_arguments(as_of, split, embargo_bars, trigger, n_jobs)
    if promotion not in MODES:
        raise SettingsError(
            f"Unknown promotion {promotion!r}; use one of {', '.join(MODES)}."
        )
    arguments = {
        "symbols": None if symbols is None else list(symbols),
        "timeframes": None if timeframes is None else list(timeframes),
        "as_of": None if as_of is None else as_of.isoformat(),
        "split": split,
        "embargo_bars": embargo_bars,
        "trigger": trigger,
        "promotion": promotion,
        "n_jobs": n_jobs,
    }
    with job_run(warehouse, "train", arguments) as job:
        training = _Training(
            warehouse,
            job,
            trigger=trigger,
            promotion=promotion,
            n_jobs=n_jobs,
        )
        return training.run(
            symbols=symbols,
            timeframes=timeframes,
            as_of=as_of,
            split=split,
            embargo_bars=embargo_bars,
        )


class _Training:
    """One run of the job, under its lock."""

    def __init__(
        self,
        warehouse: Warehouse,
        job: JobRun,
        *,
        trigger: str,
        promotion: PromotionMode,
        n_jobs: int | None,
    ) -> None:
        self.warehouse = warehouse
        self.job = job
        self.trigger = trigger
        self.promotion = promotion
        self.decisions: list[tuple[Cohort, Decision]] = []
        # What was saved in this run need not be read again to be judged.
        self.saved: dict[str, Mapping[str, HorizonEnsemble]] = {}
        self.recorded: dict[tuple[int, str], _Recorded] = {}
        self.n_jobs = n_jobs
        # Begins when first asked for; no version is recorded before it passes.
        self.validation: Callable[[], Future[Any]]
        self.warming: Thread | None = None
        self.started_at = datetime.now(UTC)
        self.folder = warehouse.settings.artifacts_dir
        self.owner = sweep_orphans(warehouse)
        self.results: list[dict[str, Any]] = []
        self.read_horizons = cache(partial(read_horizons, warehouse))
        self.roster = Roster.from_seed(read_seed(warehouse.settings, "roster"))
        self.pooled_store = PooledStore(
            warehouse,
            owner=self.owner,
            created_at=self.started_at,
            job_run_id=job.job_run_id,
            n_jobs=n_jobs,
        )

    def run(
        self,
        *,
        symbols: Sequence[str] | None,
        timeframes: Sequence[str] | None,
        as_of: datetime | None,
        split: str,
        embargo_bars: int,
    ) -> TrainingSummary:
        feature_names = read_feature_names(self.warehouse)
        series, as_ofs, stale = resolve_series(
            self.warehouse, symbols=symbols, timeframes=timeframes, as_of=as_of
        )
        groups = self._make_groups(
            [one for one in series if one not in stale],
            as_ofs,
            split=split,
            embargo_bars=embargo_bars,
        )
        self._fill_pools(
            groups, series, stale, is_all=symbols is None, as_of=as_of
        )
        self._record_failures(stale, as_ofs)
        with ThreadPoolExecutor(1, "validation") as beside:
            self.validation = cache(
                partial(
                    beside.submit,
                    validate,
                    self.warehouse,
                    cut_ids=[group.cut_id for group in groups],
                    job_run_id=self.job.job_run_id,
                )
            )
            if groups:
                self._warm_up(groups)
            with progress_bar(
                total=sum(len(group.series) for group in groups),
                description="training",
            ) as bar:
                try:
                    for group in groups:
                        pooled_fits = self._begin_pooled(group, feature_names)
                        self.validation()
                        with closing(pooled_fits.outcomes):
                            self._train_group(
                                group, pooled_fits, feature_names, bar
                            )
                except SwiftBoltError:
                    # A fault of the data explains whatever came of it.
                    self._require_validation()
                    raise
        summary = TrainingSummary(
            self.job.job_run_id,
            as_ofs,
            pd.DataFrame(self.results),
            decision_frame(self.decisions),
        )
        for name in COUNTS:
            self.job.counts[name] = summary.count(name.replace("_", " "))
        if summary.count("failed") == len(series):
            reasons = list(dict.fromkeys(summary.results["error_message"]))
            more = f" (and {len(reasons) - 1} more)" if reasons[1:] else ""
            raise TrainingError(
                f"None of {len(series)} series could be trained: "
                f"{reasons[0]}{more}"
            )
        return summary

    def _warm_up(self, groups: Sequence[_Group]) -> None:
        """Start processes where nothing of any cut is on record yet."""
        cut_id = schema.ensembles.c.cut_id
        with self.warehouse.begin() as connection:
            is_begun = connection.scalar(
                sa.select(sa.literal(True))
                .where(cut_id.in_([group.cut_id for group in groups]))
                .limit(1)
            )
        if not is_begun:
            n_series = max(len(group.series) for group in groups)
            self.warming = warm_up(count_workers(n_series, self.n_jobs))

    def _make_groups(
        self,
        series: Sequence[Series],
        as_ofs: Mapping[str, datetime],
        *,
        split: str,
        embargo_bars: int,
    ) -> list[_Group]:
        by_key: dict[tuple[str, str], list[Series]] = {}
        for one in series:
            by_key.setdefault((one.calendar, one.timeframe), []).append(one)
        groups = []
        for key, members in by_key.items():
            try:
                cuts = ensure_cuts(
                    self.warehouse,
                    as_ofs,
                    [key],
                    split=split,
                    embargo_bars=embargo_bars,
                )
            except NotEnoughDataError as error:
                self._record_failures(
                    dict.fromkeys(members, str(error)), as_ofs
                )
            else:
                groups.append(_Group(*cuts[key], series=members))
        return groups

    def _fill_pools(
        self,
        groups: Sequence[_Group],
        asked: Sequence[Series],
        stale: Mapping[Series, str],
        *,
        is_all: bool,
        as_of: datetime | None,
    ) -> None:
        """Pooled members learn from every series, whichever are trained."""
        if not groups:
            return
        if not is_all:
            asked, _, stale = resolve_series(
                self.warehouse,
                symbols=None,
                timeframes=list({group.cut.timeframe for group in groups}),
                as_of=as_of,
            )
        for group in groups:
            group.pool = [
                one
                for one in asked
                if one not in stale
                and (one.calendar, one.timeframe)
                == (group.cut.calendar, group.cut.timeframe)
            ]

    def _read_pool(self, group: _Group, feature_names: tuple[str, ...]) -> Pool:
        examples = (
            read_pooled_examples(
                self.warehouse, group.cut_id, group.pool, feature_names
            )
            if self.roster.pooled
            else []
        )
        for rows in examples:
            check_cut(
                rows.label_end_at,
                rows.split_parts,
                fit_labels_end_before=group.cut.fit_labels_end_before,
                as_of=group.cut.as_of,
                what=f"Pooled members of {group.cut.timeframe} {rows.horizon}",
            )
        return Pool(
            group.cut_id,
            group.cut,
            self.roster.pooled,
            feature_names,
            tuple(examples),
        )

    def _begin_pooled(
        self, group: _Group, feature_names: tuple[str, ...]
    ) -> PooledFits:
        pool = self._read_pool(group, feature_names)
        if self.warming is not None:
            self.warming.join()
        return self.pooled_store.begin(pool)

    def _train_group(
        self,
        group: _Group,
        pooled_fits: PooledFits,
        feature_names: tuple[str, ...],
        bar: Any,
    ) -> None:
        examples = read_examples(
            self.warehouse,
            group.cut_id,
            group.series,
            feature_names,
            n_path_bars=self.roster.n_path_bars,
        )
        absent = [one for one in group.series if one.symbol_id not in examples]
        self._record_failures(
            {
                one: f"{one} has no usable row with labels in the window since "
                f"{group.cut.window_starts_at:%Y-%m-%d}. See "
                "features.feature_rows (unusable_reason)."
                for one in absent
            },
            {group.cut.calendar: group.cut.as_of},
            cut_id=group.cut_id,
        )
        bar.update(len(absent))
        present = [one for one in group.series if one.symbol_id in examples]
        for one in present:
            for rows in examples[one.symbol_id].horizons:
                check_cut(
                    rows.label_end_at,
                    rows.split_parts,
                    fit_labels_end_before=group.cut.fit_labels_end_before,
                    as_of=group.cut.as_of,
                    what=f"{one} {rows.horizon}",
                )
        versions = self._find_versions(
            group, pooled_fits.pool, examples, feature_names
        )
        due = [
            one for one in present if versions[one.symbol_id].recorded is None
        ]
        current = [
            version.recorded.version_id
            for version in versions.values()
            if version.recorded
        ]
        self._report_up_to_date(current)
        bar.update(len(current))
        if due:
            self._fit_group(
                group, due, examples, pooled_fits, versions, feature_names, bar
            )
        self._require_validation()
        self._promote_group(group, versions, feature_names)

    def _require_validation(self) -> None:
        """Wait for the verdict on the cuts; raises if they failed."""
        self.validation().result()

    def _fit_group(
        self,
        group: _Group,
        due: Sequence[Series],
        examples: Mapping[int, SeriesExamples],
        pooled_fits: PooledFits,
        versions: Mapping[int, _Version],
        feature_names: tuple[str, ...],
        bar: Any,
    ) -> None:
        fitted: dict[int, tuple[FittedHorizon, ...]] = {}
        tasks = [examples[one.symbol_id] for one in due]
        with closing(
            fit_all(tasks, roster=self.roster, n_jobs=self.n_jobs)
        ) as outcomes:
            # They queue up behind the pooled members, which are recorded as
            # each is fitted: the verdict of validation comes first.
            self._require_validation()
            pooled = self.pooled_store.judge(pooled_fits, tasks)
            for one, outcome in zip(due, outcomes, strict=True):
                bar.update()
                if isinstance(outcome, FitFailure):
                    self._record_failure(
                        one, outcome.message, group, examples[one.symbol_id]
                    )
                else:
                    judgements = pooled[one.symbol_id]
                    fitted[one.symbol_id] = tuple(
                        with_pooled(
                            horizon, judgements[horizon.examples.horizon]
                        )
                        for horizon in outcome
                    )
        if not fitted:
            return
        assembled = self._assemble(group, fitted, versions)
        to_save = [one for one in due if one.symbol_id in assembled]
        for start in range(0, len(to_save), SERIES_PER_TRANSACTION):
            self._save(
                group,
                to_save[start : start + SERIES_PER_TRANSACTION],
                assembled,
                versions,
                feature_names,
            )

    def _promote_group(
        self,
        group: _Group,
        versions: Mapping[int, _Version],
        feature_names: tuple[str, ...],
    ) -> None:
        """Decide on all versions of the group that are on record."""
        challengers = []
        for one in group.series:
            recorded = self.recorded.get((one.symbol_id, one.timeframe)) or (
                versions[one.symbol_id].recorded
                if one.symbol_id in versions
                else None
            )
            if recorded is not None:
                challengers.append(
                    Challenger(
                        symbol_id=one.symbol_id,
                        ticker=one.ticker,
                        version_id=recorded.version_id,
                        horizons=recorded.horizons,
                        load=partial(self._load_horizons, recorded),
                    )
                )
        cohort = Cohort(
            group.cut.calendar,
            group.cut.timeframe,
            group.cut_id,
            group.cut.as_of,
            tuple(challengers),
        )
        decisions = promote(
            self.warehouse,
            cohort,
            mode=self.promotion,
            reason=f"trained ({self.trigger})",
            feature_names=feature_names,
            job_run_id=self.job.job_run_id,
        )
        self.decisions += [(cohort, decision) for decision in decisions]

    def _find_versions(
        self,
        group: _Group,
        pool: Pool,
        examples: Mapping[int, SeriesExamples],
        feature_names: tuple[str, ...],
    ) -> dict[int, _Version]:
        """Fingerprints of every series, and its intact version if it has one.

        A version whose artifact was lost or altered cannot be written again,
        so it becomes part of the identity of the one that replaces it.
        """
        settings_fingerprint = fingerprint_settings(
            feature_names,
            [one.ticker for one in group.series],
            roster=self.roster,
            pooled_fingerprints=pool.fingerprints,
        )
        intact = self.pooled_store.intact(group.cut_id)
        with self.warehouse.begin() as connection:
            rows = connection.execute(
                sa.select(
                    schema.ensembles.c.version_id,
                    schema.ensembles.c.symbol_id,
                    schema.ensembles.c.data_fingerprint,
                    schema.ensembles.c.settings_fingerprint,
                    schema.ensembles.c.artifact_path,
                    schema.ensembles.c.sha256,
                    schema.ensembles.c.horizons,
                    schema.ensembles.c.pooled_members,
                ).where(
                    schema.ensembles.c.cut_id == group.cut_id,
                    schema.ensembles.c.timeframe == group.cut.timeframe,
                )
            ).all()
        recorded = {
            (row.symbol_id, row.data_fingerprint, row.settings_fingerprint): row
            for row in rows
        }
        home = self.warehouse.settings.home
        versions = {}
        for symbol_id, rows_of_series in examples.items():
            data_fingerprint = rows_of_series.fingerprint()
            fingerprint = settings_fingerprint
            found = None
            while row := recorded.get(
                (symbol_id, data_fingerprint, fingerprint)
            ):
                path = home / row.artifact_path
                if intact.issuperset(row.pooled_members) and is_intact(
                    path, sha256=row.sha256, folder=self.folder
                ):
                    found = _Recorded(
                        row.version_id, path, row.sha256, tuple(row.horizons)
                    )
                    break
                log_event(logger, "artifact_damaged", version_id=row.version_id)
                fingerprint = hashlib.sha256(
                    f"{fingerprint} replaces {row.version_id}".encode()
                ).hexdigest()
            versions[symbol_id] = _Version(data_fingerprint, fingerprint, found)
        return versions

    def _load_horizons(
        self, recorded: _Recorded
    ) -> Mapping[str, HorizonEnsemble]:
        if recorded.version_id in self.saved:
            return self.saved[recorded.version_id]
        return load_artifact(
            recorded.path, sha256=recorded.sha256, folder=self.folder
        ).horizons

    def _load_validation(
        self, recorded: _Recorded
    ) -> dict[str, MemberPredictions]:
        """What members said in validation, by horizon, of a version."""
        return {
            name: horizon.validation
            for name, horizon in self._load_horizons(recorded).items()
            if horizon.validation is not None
        }

    def _validation_of_others(
        self, group: _Group
    ) -> Iterator[tuple[int, str, MemberPredictions]]:
        """What members of series that are not trained now said in validation.

        Of the versions that were live at the as-of time. Some series alone
        have too few labels to judge a recipe by, and their weights would be
        pulled towards themselves.
        """
        mine = {one.symbol_id for one in group.series}
        others = {one.symbol_id for one in group.pool} - mine
        if not others:
            return
        live = live_versions(self.warehouse, at=group.cut.as_of)
        live = live[
            (live["timeframe"] == group.cut.timeframe)
            & live["symbol_id"].isin(others)
            & (live["as_of"] <= group.cut.as_of)
        ]
        versions = read_versions(
            self.warehouse, live["version_id"].unique().tolist()
        )
        for version_id, rows in live.groupby("version_id", sort=True):
            version = versions[str(version_id)]
            try:
                ensemble = load_version(self.warehouse, version)
            except ArtifactError as error:
                log_event(
                    logger,
                    "version_unusable",
                    version_id=version_id,
                    reason=str(error),
                )
                continue
            for name in rows["horizon"]:
                held = ensemble.horizons[name].validation
                if held is not None:
                    yield version.symbol_id, name, held

    def _assemble(
        self,
        group: _Group,
        fitted: Mapping[int, tuple[FittedHorizon, ...]],
        versions: Mapping[int, _Version],
    ) -> dict[int, list[AssembledHorizon]]:
        """Weigh what was fitted now together with what is up to date."""
        by_horizon: dict[
            str, list[tuple[int, FittedHorizon | MemberPredictions]]
        ] = {}
        # In the order of the group, so that a resumed training sums alike.
        for one in group.series:
            key = one.symbol_id
            if key in fitted:
                for horizon in fitted[key]:
                    by_horizon.setdefault(horizon.examples.horizon, []).append(
                        (key, horizon)
                    )
            elif key in versions and (recorded := versions[key].recorded):
                for name, held in self._load_validation(recorded).items():
                    by_horizon.setdefault(name, []).append((key, held))
        for key, name, held in self._validation_of_others(group):
            by_horizon.setdefault(name, []).append((key, held))
        assembled: dict[int, list[AssembledHorizon]] = {}
        unscored: dict[int, str] = {}
        for name, pairs in by_horizon.items():
            due = [
                (key, horizon)
                for key, horizon in pairs
                if isinstance(horizon, FittedHorizon)
            ]
            if not due:
                continue
            first = due[0][1]
            alike = [
                one
                for _, one in pairs
                if isinstance(one, FittedHorizon)
                or one.member_names == first.validation.member_names
            ]
            weighing = weighing_of(
                first.validation,
                first.examples.horizon_bars,
                method=DEFAULT_METHOD,
                alpha=DEFAULT_ALPHA,
            )
            results = assemble(alike, weighing)
            for (key, _), result in zip(due, results, strict=True):
                if result is None:
                    unscored[key] = name
                else:
                    assembled.setdefault(key, []).append(result)
        for one in group.series:
            if one.symbol_id in unscored:
                assembled.pop(one.symbol_id, None)
                self._record_failure(
                    one,
                    f"{one} has no row for {unscored[one.symbol_id]} in the "
                    f"last {VALIDATION_PARTS - 1} of {VALIDATION_PARTS} parts "
                    "of validation, so nothing tells how good its forecasts "
                    "are. See features.gaps, and features.feature_rows "
                    "(unusable_reason).",
                    group,
                )
        return assembled

    def _save(
        self,
        group: _Group,
        batch: Sequence[Series],
        assembled: Mapping[int, Sequence[AssembledHorizon]],
        versions: Mapping[int, _Version],
        feature_names: tuple[str, ...],
    ) -> None:
        """Write artifacts and rows of some series: both or neither."""
        written = []
        for one in batch:
            try:
                written.append(
                    self._write(
                        group,
                        one,
                        assembled[one.symbol_id],
                        versions[one.symbol_id],
                        feature_names,
                    )
                )
            except ArtifactError as error:
                self._record_failure(one, str(error), group)
        if not written:
            return
        with self.warehouse.begin() as connection:
            connection.execute(
                schema.ensembles.insert(), [each.row for each in written]
            )
            connection.execute(
                schema.training_runs.insert(),
                [run for each in written for run in each.runs],
            )
            connection.execute(
                schema.ensemble_weights.insert(),
                [weight for each in written for weight in each.weights],
            )
        for each in written:
            version_id = each.ensemble.version_id
            self._report(each.runs, each.series, "trained")
            self.saved[version_id] = {
                name: _without_members(horizon)
                for name, horizon in each.ensemble.horizons.items()
            }
            self.recorded[each.series.symbol_id, each.series.timeframe] = (
                _Recorded(
                    version_id,
                    each.path,
                    each.row["sha256"],
                    tuple(each.ensemble.horizons),
                )
            )
            release_claim(self.folder, version_id, owner=self.owner)
            log_event(
                logger,
                "series_trained",
                ticker=each.series.ticker,
                timeframe=each.series.timeframe,
                version_id=version_id,
            )

    def _write(
        self,
        group: _Group,
        one: Series,
        horizons: Sequence[AssembledHorizon],
        version: _Version,
        feature_names: tuple[str, ...],
    ) -> _Written:
        """Write the artifact of a series; its claim stays until it is known.

        Raises
        ------
        ArtifactError
            If it cannot be written; then nothing is left of it.
        """
        version_id = claim_version_id(
            self.folder,
            ticker=one.ticker,
            timeframe=one.timeframe,
            created_at=self.started_at,
            owner=self.owner,
        )
        identity = {
            "cut_id": group.cut_id,
            "data_fingerprint": version.data_fingerprint,
            "settings_fingerprint": version.settings_fingerprint,
            "code_version": code_version(),
            "library_versions": library_versions(),
        }
        ensemble = Ensemble(
            version_id=version_id,
            symbol_id=one.symbol_id,
            ticker=one.ticker,
            timeframe=one.timeframe,
            as_of=group.cut.as_of,
            feature_names=feature_names,
            horizons={
                horizon.ensemble.horizon: horizon.ensemble
                for horizon in horizons
            },
            metadata=identity,
        )
        try:
            path, sha256 = save_ensemble(ensemble, self.folder)
        except ArtifactError:
            release_claim(self.folder, version_id, owner=self.owner)
            raise
        artifact_path = str(path.relative_to(self.warehouse.settings.home))
        return _Written(
            one,
            ensemble,
            path,
            row={
                "version_id": version_id,
                "symbol_id": one.symbol_id,
                "timeframe": one.timeframe,
                "as_of": group.cut.as_of,
                "artifact_path": artifact_path,
                "sha256": sha256,
                "horizons": list(ensemble.horizons),
                "pooled_members": pooled_member_ids(ensemble),
                "feature_names": list(feature_names),
                "classes": list(CLASSES),
                "job_run_id": self.job.job_run_id,
                **identity,
            },
            runs=[
                {
                    **self._run_columns(
                        one, horizon.ensemble.horizon, group.cut.as_of
                    ),
                    **horizon.record,
                    "cut_id": group.cut_id,
                    "version_id": version_id,
                    "status": "succeeded",
                    "lookback_bars": group.cut.window_bars,
                    "models_artifact_path": artifact_path,
                    "data_fingerprint": version.data_fingerprint,
                }
                for horizon in horizons
            ],
            weights=[
                {
                    "version_id": version_id,
                    "horizon": horizon.ensemble.horizon,
                    "member": member,
                    "weight": weight,
                    "method": horizon.weights.method,
                    "alpha": horizon.weights.alpha,
                    "reason": horizon.weights.reason,
                }
                for horizon in horizons
                for member, weight in horizon.ensemble.weights.items()
            ],
        )

    def _record_failure(
        self,
        one: Series,
        message: str,
        group: _Group,
        examples: SeriesExamples | None = None,
    ) -> None:
        self._record_failures(
            {one: message},
            {one.calendar: group.cut.as_of},
            cut_id=group.cut_id,
            horizons=[rows.horizon for rows in examples.horizons]
            if examples
            else None,
        )

    def _record_failures(
        self,
        messages: Mapping[Series, str],
        as_ofs: Mapping[str, datetime],
        *,
        cut_id: int | None = None,
        horizons: Sequence[str] | None = None,
    ) -> None:
        """Put series that cannot be trained on record, at once.

        Parameters
        ----------
        messages : mapping of Series to str
            Why, for people.
        as_ofs : mapping of str to datetime
            As-of time of each calendar.
        cut_id : int, optional
            Of the cut, where there is one.
        horizons : sequence of str, optional
            By default all of the series' timeframe.
        """
        runs = []
        for one, message in messages.items():
            log_event(
                logger,
                "series_failed",
                ticker=one.ticker,
                timeframe=one.timeframe,
                reason=message,
            )
            mine = [
                {
                    **self._run_columns(one, horizon, as_ofs[one.calendar]),
                    "cut_id": cut_id,
                    "status": "failed",
                    "error_message": message,
                }
                for horizon in horizons
                or self.read_horizons(one.calendar, one.timeframe)
            ]
            self._report(mine, one, "failed")
            runs += mine
        if runs:
            with self.warehouse.begin() as connection:
                connection.execute(schema.training_runs.insert(), runs)

    def _run_columns(
        self, one: Series, horizon: str, as_of: datetime
    ) -> dict[str, Any]:
        return {
            "job_run_id": self.job.job_run_id,
            "symbol_id": one.symbol_id,
            "timeframe": one.timeframe,
            "horizon": horizon,
            "run_date": self.started_at.date(),
            "as_of": as_of,
            "trigger": self.trigger,
            "code_version": code_version(),
        }

    def _report(
        self, runs: Sequence[Mapping[str, Any]], one: Series, outcome: str
    ) -> None:
        self.results += [
            {
                "ticker": one.ticker,
                "outcome": outcome,
                "error_message": None,
                **run,
            }
            for run in runs
        ]

    def _report_up_to_date(self, version_ids: Sequence[str]) -> None:
        if not version_ids:
            return
        runs = schema.training_runs
        with self.warehouse.begin() as connection:
            rows = (
                connection.execute(
                    sa.select(schema.symbols.c.ticker, runs)
                    .join(
                        schema.symbols,
                        schema.symbols.c.symbol_id == runs.c.symbol_id,
                    )
                    .where(runs.c.version_id.in_(version_ids))
                    .order_by(schema.symbols.c.ticker, runs.c.training_run_id)
                )
                .mappings()
                .all()
            )
        self.results += [{**row, "outcome": "up to date"} for row in rows]


def _without_members(horizon: HorizonEnsemble) -> HorizonEnsemble:
    """Fitted members are large, and judging reads only what they said."""
    return replace(horizon, members={})


def _check_arguments(
    as_of: datetime | None,
    split: str,
    embargo_bars: int,
    trigger: str,
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
    if n_jobs is not None and n_jobs < 1:
        raise SettingsError(f"n_jobs is {n_jobs}; use 1 or more processes.")


def pooled_member_ids(ensemble: Ensemble) -> list[str]:
    """Artifacts that an ensemble refers to, each once."""
    return sorted(
        {
            member.pooled_member_id
            for horizon in ensemble.horizons.values()
            for member in horizon.members.values()
            if isinstance(member, PooledMember)
        }
    )


def fingerprint_settings(
    feature_names: Sequence[str],
    tickers: Sequence[str],
    *,
    roster: Roster,
    pooled_fingerprints: Mapping[str, str],
) -> str:
    """SHA-256 of all that decides a version beside its rows and its cut.

    Series trained together count, since weights are pulled towards theirs, and
    what pooled members learnt from.
    """
    settings = {
        **roster_settings(),
        "prior_weights": roster.prior_weights,
        "pooled": dict(pooled_fingerprints),
        "weights": [DEFAULT_METHOD, DEFAULT_ALPHA],
        "validation_parts": VALIDATION_PARTS,
        "classes": CLASSES,
        "feature_names": list(feature_names),
        "trained_together": sorted(tickers),
        "libraries": {
            name: version.split(".")[0]
            for name, version in library_versions().items()
        },
    }
    return hashlib.sha256(
        json.dumps(settings, sort_keys=True).encode()
    ).hexdigest()
