"""New weights for members that stay as they are, from what they forecast.

Between trainings the ledger tells more about the members than validation did.
Once a timeframe and horizon has enough settled forecasts their weights are
fitted on these, as training fits them on validation: pulled towards those of
all series, and climatology alone where the mixture, scored in time order, does
not beat it. The result is a new version that holds the same members.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.ensemble import (
    CLASSES,
    Ensemble,
    FloatArray,
    MemberPredictions,
)
from python_ml.examples.frames import to_times
from python_ml.exceptions import ArtifactError, NoEnsembleError
from python_ml.members import CLIMATOLOGY
from python_ml.registry.artifacts import (
    library_versions,
    save_ensemble,
)
from python_ml.registry.claims import (
    claim_version_id,
    release_claim,
    sweep_orphans,
)
from python_ml.registry.deployments import (
    insert_deployments,
    live_versions,
    lock_deployments,
)
from python_ml.registry.versions import (
    Version,
    load_version,
    read_versions,
)
from python_ml.scoring.metrics import (
    IntArray,
    accuracy,
    calendar_blocks,
    log_losses,
    skill,
)
from python_ml.scoring.recipe import weighing_of
from python_ml.scoring.time_order import (
    TimeOrderedScore,
    score_in_time_order,
)
from python_ml.scoring.weights import MemberWeights
from python_ml.training.assembly import (
    WEIGHED,
    is_in_expected_band,
    measure,
)
from python_ml.training.train import (
    SERIES_PER_TRANSACTION,
    pooled_member_ids,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import (
    JobRun,
    code_version,
    excluding,
    job_run,
)

logger = get_logger(__name__)

# Newest bars of the ledger that count, and the independent labels among them
# (different closes / horizon) under which validation knows more.
WINDOW_BARS = 500
MIN_EFFECTIVE = 20.0
# A change of weights that nobody would see in a forecast.
SMALLEST_CHANGE = 1e-6
REASON = "weights updated"

LEDGER_QUERY = """
    with

    settled as (
        select
            ledger.*,
            outcomes.outcome,
            outcomes.settled_at,
            max(ledger.bar_number) over () as newest_bar_number
        from {forecasting}.ledger as ledger
        inner join {forecasting}.forecast_outcomes as outcomes
            on
                ledger.forecast_id = outcomes.forecast_id
                and ledger.symbol_id = outcomes.symbol_id
                and ledger.timeframe = outcomes.timeframe
        where
            ledger.timeframe = :timeframe
            and ledger.symbol_id = any(:symbol_ids)
    )

    select
        symbol_id,
        horizon,
        bar_number,
        closed_at,
        target_at,
        settled_at,
        outcome,
        climatology_bearish,
        climatology_neutral,
        climatology_bullish,
        PROBABILITIES
    from settled
    where bar_number > newest_bar_number - :window_bars
    order by horizon, symbol_id, bar_number
"""


@dataclass(frozen=True)
class UpdateSummary:
    """What an update of weights did.

    Parameters
    ----------
    job_run_id : int
    results : DataFrame
        One row per series and horizon: `ticker`, `timeframe`, `horizon`,
        `outcome` (updated, unchanged), `source` (ledger, validation),
        `n_effective`, `weights`, `reason`, `version_id`.
    """

    job_run_id: int
    results: pd.DataFrame

    def count(self, outcome: str) -> int:
        """Number of series and horizons with an outcome."""
        return int((self.results["outcome"] == outcome).sum())


@dataclass(frozen=True)
class _Fitted:
    """New weights of one series and horizon."""

    weights: dict[str, float]
    how: MemberWeights
    source: str
    n_effective: float
    known_at: datetime | None
    record: dict[str, Any]


@dataclass
class _Base:
    """A live version, and the horizons that it is live for."""

    version: Version
    ensemble: Ensemble
    horizons: list[str]


@dataclass(frozen=True)
class _Due:
    """A live version that was asked for, and the weights of it that moved."""

    base: _Base
    changed: Mapping[str, _Fitted]

    @property
    def root(self) -> str:
        """Version whose fitted members are shared."""
        version = self.base.version
        return version.members_version_id or version.version_id

    @property
    def weights(self) -> dict[str, dict[str, float]]:
        """Of every live horizon, by member."""
        return {
            horizon: (
                self.changed[horizon].weights
                if horizon in self.changed
                else dict(self.base.ensemble.horizons[horizon].weights)
            )
            for horizon in self.base.horizons
        }

    @property
    def as_of(self) -> datetime:
        """When the last of what the weights rest on was known."""
        return max(
            [self.base.version.as_of]
            + [new.known_at for new in self.changed.values() if new.known_at]
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the members, the time and the weights."""
        return hashlib.sha256(
            json.dumps(
                [self.root, self.as_of.isoformat(), self.weights]
            ).encode()
        ).hexdigest()


@dataclass(frozen=True)
class _Written:
    """A new version whose artifact is written and not yet on record."""

    due: _Due
    ensemble: Ensemble
    path: Path
    sha256: str


def update_weights(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> UpdateSummary:
    """Fit weights anew for every live version and deploy those that changed.

    Members are not fitted again. The same ledger twice makes no second
    version, and an interrupted update is finished by the next.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str, optional
        Whose weights are written, by default all. Weights are pulled towards
        those of all live series of the timeframe in any case.

    Raises
    ------
    NoEnsembleError
        If nothing is live for what was asked for.
    ArtifactError
        If an artifact of a live version cannot be read.
    JobRunningError
        If a training or another update runs.
    """
    arguments = {
        "symbols": None if symbols is None else list(symbols),
        "timeframes": None if timeframes is None else list(timeframes),
    }
    with (
        job_run(warehouse, "update-weights", arguments) as job,
        excluding(warehouse, "train"),
    ):
        live = live_versions(warehouse)
        if timeframes is not None:
            live = live[live["timeframe"].isin(list(timeframes))]
        asked = (
            live
            if symbols is None
            else live[live["ticker"].isin(list(symbols))]
        )
        if asked.empty:
            raise NoEnsembleError(
                "No trained ensemble is live for what was asked for. Train "
                "first: swiftbolt train --all"
            )
        update = _Update(warehouse, job)
        for (_, timeframe), rows in live.groupby(
            ["calendar", "timeframe"], sort=True
        ):
            update.run(str(timeframe), rows, set(asked["version_id"]))
        summary = UpdateSummary(job.job_run_id, pd.DataFrame(update.results))
        job.counts["updated"] = summary.count("updated")
        job.counts["unchanged"] = summary.count("unchanged")
    return summary


class _Update:
    """One run of the job, under its lock."""

    def __init__(self, warehouse: Warehouse, job: JobRun) -> None:
        self.warehouse = warehouse
        self.job = job
        self.started_at = datetime.now(UTC)
        self.folder = warehouse.settings.artifacts_dir
        self.owner = sweep_orphans(warehouse)
        self.results: list[dict[str, Any]] = []

    def run(self, timeframe: str, live: pd.DataFrame, asked: set[str]) -> None:
        """Update the series of one calendar and timeframe."""
        versions = read_versions(
            self.warehouse, live["version_id"].unique().tolist()
        )
        bases = [
            _Base(
                version,
                load_version(self.warehouse, version),
                [
                    horizon
                    for horizon in version.horizons
                    if horizon
                    in set(live.loc[live["version_id"] == name, "horizon"])
                ],
            )
            for name, version in versions.items()
        ]
        bases.sort(key=lambda base: base.version.ticker)
        fitted = self._fit(timeframe, bases)
        due = [
            _Due(base, self._changed(base, fitted))
            for base in bases
            if base.version.version_id in asked
        ]
        version_ids: dict[str, str] = {}
        made_before = self._made_before(due)
        to_record = []
        for one in due:
            if not one.changed:
                continue
            if one.fingerprint not in made_before:
                to_record.append(one)
                continue
            log_event(
                logger,
                "weights_taken_back_before",
                version_id=one.base.version.version_id,
                same_as=made_before[one.fingerprint],
            )
        for start in range(0, len(to_record), SERIES_PER_TRANSACTION):
            version_ids |= self._record(
                to_record[start : start + SERIES_PER_TRANSACTION]
            )
        for one in due:
            self._report(one, fitted, version_ids, made_before)

    # ----------------------------------------------------------------- fit

    def _fit(
        self, timeframe: str, bases: Sequence[_Base]
    ) -> dict[tuple[int, str], _Fitted]:
        names = list(
            dict.fromkeys(
                name
                for base in bases
                for horizon in base.horizons
                for name in base.ensemble.horizons[horizon].weights
            )
        )
        ledger = self._read_ledger(timeframe, bases, names)
        session_bars = self._session_bars(bases[0].version)
        fitted: dict[tuple[int, str], _Fitted] = {}
        for horizon in dict.fromkeys(
            name for base in bases for name in base.horizons
        ):
            for members, group in _by_members(bases, horizon).items():
                rows = ledger[ledger["horizon"] == horizon].dropna(
                    subset=[
                        f"{names.index(name)}_{i}"
                        for name in members
                        for i in range(len(CLASSES))
                    ]
                )
                fitted |= _fit_group(
                    horizon, members, group, rows, names, session_bars
                )
        return fitted

    def _read_ledger(
        self, timeframe: str, bases: Sequence[_Base], names: Sequence[str]
    ) -> pd.DataFrame:
        probabilities = ",\n".join(
            "cast(member_probabilities "
            f"-> cast(:member_{number} as text) ->> {i} as double precision) "
            f'as "{number}_{i}"'
            for number in range(len(names))
            for i in range(len(CLASSES))
        )
        ledger = read_frame(
            self.warehouse,
            LEDGER_QUERY.replace("PROBABILITIES", probabilities),
            {
                "timeframe": timeframe,
                "symbol_ids": sorted({b.version.symbol_id for b in bases}),
                "window_bars": WINDOW_BARS,
                **{f"member_{n}": name for n, name in enumerate(names)},
            },
        )
        log_event(
            logger,
            "rows_read",
            table="forecasting.forecast_outcomes",
            timeframe=timeframe,
            rows=len(ledger),
        )
        return ledger

    def _session_bars(self, version: Version) -> int:
        found = read_frame(
            self.warehouse,
            """
            select coalesce(max(full_session_bars), 1) as session_bars
            from {features}.bar_grid
            where calendar = :calendar and timeframe = :timeframe
            """,
            {"calendar": version.calendar, "timeframe": version.timeframe},
        )
        return int(found["session_bars"].iloc[0])

    # --------------------------------------------------------------- write

    def _changed(
        self, base: _Base, fitted: Mapping[tuple[int, str], _Fitted]
    ) -> dict[str, _Fitted]:
        """New weights of the horizons whose weights moved."""
        return {
            horizon: new
            for horizon in base.horizons
            if (new := fitted.get((base.version.symbol_id, horizon)))
            is not None
            and _differ(base.ensemble.horizons[horizon].weights, new.weights)
        }

    def _made_before(self, due: Sequence[_Due]) -> dict[str, str]:
        """Versions with the very same weights, by fingerprint.

        One that is not live was rolled back from, or gave way to others.
        """
        ensembles = schema.ensembles.c
        with self.warehouse.begin() as connection:
            rows = connection.execute(
                sa.select(
                    ensembles.settings_fingerprint, ensembles.version_id
                ).where(
                    ensembles.settings_fingerprint.in_(
                        [one.fingerprint for one in due if one.changed]
                    )
                )
            ).all()
        return {row.settings_fingerprint: row.version_id for row in rows}

    def _report(
        self,
        one: _Due,
        fitted: Mapping[tuple[int, str], _Fitted],
        version_ids: Mapping[str, str],
        made_before: Mapping[str, str],
    ) -> None:
        version = one.base.version
        is_updated = version.version_id in version_ids
        why_left = None
        if one.changed and not is_updated:
            why_left = _why_left(one, made_before.get(one.fingerprint))
        for horizon in one.base.horizons:
            new = fitted.get((version.symbol_id, horizon))
            self.results.append(
                {
                    "ticker": version.ticker,
                    "timeframe": version.timeframe,
                    "horizon": horizon,
                    "outcome": "updated"
                    if is_updated and horizon in one.changed
                    else "unchanged",
                    "source": None if new is None else new.source,
                    "n_effective": None if new is None else new.n_effective,
                    "weights": dict(
                        one.base.ensemble.horizons[horizon].weights
                        if new is None or not is_updated
                        else new.weights
                    ),
                    "reason": why_left
                    or (None if new is None else new.how.reason),
                    "version_id": version_ids.get(
                        version.version_id, version.version_id
                    ),
                }
            )

    def _record(self, batch: Sequence[_Due]) -> dict[str, str]:
        """Write and deploy versions of some series: all of them or none.

        Returns
        -------
        dict of str to str
            Name of the new version by that of the one before.
        """
        written: list[_Written] = []
        try:
            for one in batch:
                written.append(self._write(one))
            with self.warehouse.begin() as connection:
                lock_deployments(connection, self.warehouse)
                # People may have rolled back while weights were fitted.
                live = _still_live(self.warehouse, written)
                if live:
                    self._insert(connection, live)
        except BaseException:
            # Nothing of them is on record, so their files are nobody's.
            for new in written:
                new.path.unlink(missing_ok=True)
                release_claim(
                    self.folder, new.ensemble.version_id, owner=self.owner
                )
            raise
        recorded = {new.ensemble.version_id for new in live}
        for new in written:
            version_id = new.ensemble.version_id
            if version_id not in recorded:
                new.path.unlink(missing_ok=True)
            release_claim(self.folder, version_id, owner=self.owner)
        for new in live:
            version_id = new.ensemble.version_id
            log_event(
                logger,
                "weights_updated",
                version_id=version_id,
                horizons=",".join(new.due.changed),
            )
        return {
            new.due.base.version.version_id: new.ensemble.version_id
            for new in live
        }

    def _write(self, due: _Due) -> _Written:
        """Write the artifact of a series; its claim stays until it is known.

        Raises
        ------
        ArtifactError
            If it cannot be written; then nothing is left of it.
        """
        base = due.base
        version = base.version
        version_id = claim_version_id(
            self.folder,
            ticker=version.ticker,
            timeframe=version.timeframe,
            created_at=self.started_at,
            owner=self.owner,
        )
        ensemble = replace(
            base.ensemble,
            version_id=version_id,
            as_of=due.as_of,
            horizons={
                horizon: replace(
                    base.ensemble.horizons[horizon], weights=weights
                )
                for horizon, weights in due.weights.items()
            },
            metadata={
                **base.ensemble.metadata,
                "settings_fingerprint": due.fingerprint,
                "members_version_id": due.root,
            },
        )
        try:
            path, sha256 = save_ensemble(ensemble, self.folder)
        except ArtifactError:
            release_claim(self.folder, version_id, owner=self.owner)
            raise
        return _Written(due, ensemble, path, sha256)

    def _insert(
        self, connection: sa.Connection, written: Sequence[_Written]
    ) -> None:
        """Rows of new versions, and their deployments."""
        before = [one.due.base.version for one in written]
        names = [version.version_id for version in before]
        ensembles, runs = schema.ensembles.c, schema.training_runs
        data_fingerprints = {
            row.version_id: row.data_fingerprint
            for row in connection.execute(
                sa.select(
                    ensembles.version_id, ensembles.data_fingerprint
                ).where(ensembles.version_id.in_(names))
            )
        }
        # The newest of each horizon comes last and stays.
        runs_before = {
            (row["version_id"], row["horizon"]): dict(row)
            for row in connection.execute(
                sa.select(runs)
                .where(runs.c.version_id.in_(names))
                .order_by(runs.c.training_run_id)
            ).mappings()
        }
        not_before = self._last_decided(connection, before)
        new_runs: list[dict[str, Any]] = []
        new_weights: list[dict[str, Any]] = []
        for one in written:
            for horizon in one.due.base.horizons:
                run = self._run(
                    one,
                    horizon,
                    runs_before.get(
                        (one.due.base.version.version_id, horizon), {}
                    ),
                )
                new_runs.append(run)
                new_weights += [
                    {
                        "version_id": one.ensemble.version_id,
                        "horizon": horizon,
                        "member": member,
                        "weight": weight,
                        "method": run["weight_method"] or "unknown",
                        "alpha": run["weight_alpha"],
                        "reason": run["weight_reason"],
                    }
                    for member, weight in run["weights"].items()
                ]
        connection.execute(
            schema.ensembles.insert(),
            [
                self._row(one, data_fingerprints[name])
                for one, name in zip(written, names, strict=True)
            ],
        )
        columns = dict.fromkeys(name for run in new_runs for name in run)
        connection.execute(
            runs.insert(),
            [{name: run.get(name) for name in columns} for run in new_runs],
        )
        connection.execute(schema.ensemble_weights.insert(), new_weights)
        insert_deployments(
            connection,
            [
                {
                    "symbol_id": version.symbol_id,
                    "timeframe": version.timeframe,
                    "version_id": one.ensemble.version_id,
                    "horizons": one.due.base.horizons,
                    "effective_at": max(
                        one.ensemble.as_of,
                        not_before.get(version.symbol_id, one.ensemble.as_of),
                    ),
                    "reason": REASON,
                    "job_run_id": self.job.job_run_id,
                }
                for one, version in zip(written, before, strict=True)
            ],
        )

    def _last_decided(
        self, connection: sa.Connection, versions: Sequence[Version]
    ) -> dict[int, datetime]:
        """Just after what was forecast live, or when last was deployed."""
        forecasts, deployments = schema.forecasts.c, schema.deployments.c
        timeframe = versions[0].timeframe
        symbol_ids = [version.symbol_id for version in versions]
        forecast = (
            sa.select(
                forecasts.symbol_id,
                (
                    sa.func.max(forecasts.closed_at)
                    + sa.literal(timedelta(microseconds=1))
                ).label("not_before"),
            )
            .where(
                forecasts.timeframe == timeframe,
                forecasts.symbol_id.in_(symbol_ids),
                forecasts.run_kind == "live",
            )
            .group_by(forecasts.symbol_id)
        )
        deployed = (
            sa.select(
                deployments.symbol_id,
                sa.func.max(deployments.effective_at).label("not_before"),
            )
            .where(
                deployments.timeframe == timeframe,
                deployments.symbol_id.in_(symbol_ids),
                # What is planned for later takes over when its time comes.
                deployments.effective_at <= sa.func.now(),
            )
            .group_by(deployments.symbol_id)
        )
        latest: dict[int, datetime] = {}
        for row in connection.execute(sa.union_all(forecast, deployed)):
            latest[row.symbol_id] = max(
                row.not_before, latest.get(row.symbol_id, row.not_before)
            )
        return latest

    def _row(self, one: _Written, data_fingerprint: str) -> dict[str, Any]:
        """Of `ml.ensembles`."""
        version = one.due.base.version
        return {
            "version_id": one.ensemble.version_id,
            "symbol_id": version.symbol_id,
            "timeframe": version.timeframe,
            "as_of": one.ensemble.as_of,
            "cut_id": version.cut_id,
            "artifact_path": self._artifact_path(one),
            "sha256": one.sha256,
            "horizons": one.due.base.horizons,
            "feature_names": list(version.feature_names),
            "classes": list(CLASSES),
            "data_fingerprint": data_fingerprint,
            "settings_fingerprint": one.ensemble.metadata[
                "settings_fingerprint"
            ],
            "code_version": code_version(),
            "library_versions": library_versions(),
            "job_run_id": self.job.job_run_id,
            "members_version_id": one.ensemble.metadata["members_version_id"],
            "pooled_members": pooled_member_ids(one.ensemble),
        }

    def _run(
        self, one: _Written, horizon: str, before: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Of `ml.training_runs`: the one before, with what is new."""
        version = one.due.base.version
        run = {
            name: value
            for name, value in before.items()
            if name not in ("training_run_id", "created_at")
        } | {
            "job_run_id": self.job.job_run_id,
            "symbol_id": version.symbol_id,
            "timeframe": version.timeframe,
            "horizon": horizon,
            "run_date": self.started_at.date(),
            "as_of": one.ensemble.as_of,
            "trigger": "weights",
            "version_id": one.ensemble.version_id,
            "status": "succeeded",
            "models_artifact_path": self._artifact_path(one),
            "code_version": code_version(),
            "weights": dict(one.ensemble.horizons[horizon].weights),
            "weight_method": before.get("weight_method"),
            "weight_alpha": before.get("weight_alpha"),
            "weight_reason": before.get("weight_reason") or "as before",
        }
        if horizon in one.due.changed:
            new = one.due.changed[horizon]
            run |= {
                **new.record,
                "weight_method": new.how.method,
                "weight_alpha": new.how.alpha,
                "weight_reason": f"{new.how.reason} ({new.source})",
            }
        return run

    def _artifact_path(self, one: _Written) -> str:
        return str(one.path.relative_to(self.warehouse.settings.home))


def _still_live(
    warehouse: Warehouse, written: Sequence[_Written]
) -> list[_Written]:
    """Those whose base is live as when the weights were fitted."""
    found = live_versions(warehouse)
    live = set(zip(found["version_id"], found["horizon"], strict=True))
    return [
        new
        for new in written
        if live.issuperset(
            (new.due.base.version.version_id, horizon)
            for horizon in new.due.base.horizons
        )
    ]


def _why_left(one: _Due, made_before: str | None) -> str:
    """Why weights that moved were not written."""
    if made_before is None:
        return (
            f"left as they are: {one.base.version.version_id} was taken back "
            "meanwhile"
        )
    return (
        f"left as they are: the same weights are on record as {made_before}, "
        "which is not live; to deploy it: swiftbolt models promote "
        f"{made_before} --reason ..."
    )


def _differ(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return any(
        abs(a.get(name, 0.0) - b.get(name, 0.0)) > SMALLEST_CHANGE
        for name in {*a, *b}
    )


def _by_members(
    bases: Sequence[_Base], horizon: str
) -> dict[tuple[str, ...], list[_Base]]:
    """Series whose ensembles have the same members are weighed together."""
    groups: dict[tuple[str, ...], list[_Base]] = {}
    for base in bases:
        if horizon in base.horizons:
            members = tuple(base.ensemble.horizons[horizon].weights)
            groups.setdefault(members, []).append(base)
    return groups


def _fit_group(
    horizon: str,
    members: tuple[str, ...],
    group: Sequence[_Base],
    ledger: pd.DataFrame,
    names: Sequence[str],
    session_bars: int,
) -> dict[tuple[int, str], _Fitted]:
    """Weights of one horizon for series with the same members."""
    horizon_bars = group[0].ensemble.horizons[horizon].horizon_bars
    n_effective = ledger["closed_at"].nunique() / horizon_bars
    if n_effective >= MIN_EFFECTIVE:
        source = "ledger"
        settled = dict(iter(ledger.groupby("symbol_id")))
        said = {
            base.version.symbol_id: _from_ledger(
                base, horizon, members, rows, names
            )
            for base in group
            if (rows := settled.get(base.version.symbol_id)) is not None
        }
        # As each forecast knew it: shares of a later window hold its outcome.
        climatologies = {
            symbol_id: settled[symbol_id][
                [f"climatology_{name.lower()}" for name in CLASSES]
            ].to_numpy(dtype=np.float64)
            for symbol_id in said
        }
    else:
        source = "validation"
        said = {
            base.version.symbol_id: held
            for base in group
            if (held := base.ensemble.horizons[horizon].validation) is not None
            and held.member_names == members
        }
        climatologies = {
            symbol_id: np.tile(held.climatology, (len(held.y), 1))
            for symbol_id, held in said.items()
        }
        times = [held.closed_at for held in said.values()]
        n_effective = (
            len(np.unique(np.concatenate(times))) / horizon_bars
            if times
            else 0.0
        )
    if not said:
        return {}
    predictions = list(said.values())
    weighing = weighing_of(predictions[0], horizon_bars)
    scores = score_in_time_order(predictions, weighing)
    _, weights = weighing.fit(
        predictions, [np.ones(len(one.y), dtype=bool) for one in predictions]
    )
    overall = _skill_of_all(predictions, scores, list(climatologies.values()))
    known_at = None
    if source == "ledger":
        known_at = ledger["settled_at"].max().to_pydatetime()
    fitted = {}
    for (symbol_id, one), score, how in zip(
        said.items(), scores, weights, strict=True
    ):
        if overall <= 0 and CLIMATOLOGY in members:
            how = MemberWeights(
                np.array([float(name == CLIMATOLOGY) for name in members]),
                how.method,
                how.alpha,
                f"climatology alone: weighed ({how.reason}) the members of all "
                f"series scored skill {overall:+.2%} in time order, not above "
                "0",
            )
        record: dict[str, Any] = {}
        # A series without bars for long has no row after the first part.
        if source == "ledger" and len(score.rows):
            numbers = settled[symbol_id]["bar_number"].to_numpy()[score.rows]
            record = _measure(
                one,
                score,
                climatologies[symbol_id][score.rows],
                calendar_blocks(numbers, horizon_bars, session_bars),
                horizon_bars,
                is_climatology_alone=overall <= 0,
            )
        fitted[symbol_id, horizon] = _Fitted(
            {
                name: float(weight)
                for name, weight in zip(members, how.values, strict=True)
            },
            how,
            source,
            float(n_effective),
            known_at,
            record,
        )
    return fitted


def _from_ledger(
    base: _Base,
    horizon: str,
    members: tuple[str, ...],
    rows: pd.DataFrame,
    names: Sequence[str],
) -> MemberPredictions:
    """Settled forecasts of one series in the shape of validation."""
    held = base.ensemble.horizons[horizon]
    prior = None if held.validation is None else held.validation.prior_weights
    if held.validation is None or held.validation.member_names != members:
        prior = None
    return MemberPredictions(
        member_names=members,
        probabilities=np.stack(
            [
                rows[
                    [f"{names.index(name)}_{i}" for i in range(len(CLASSES))]
                ].to_numpy(dtype=np.float64)
                for name in members
            ],
            axis=1,
        ),
        y=np.asarray(
            rows["outcome"].map({c: i for i, c in enumerate(CLASSES)}),
            dtype=np.int64,
        ),
        climatology=held.climatology,
        closed_at=to_times(rows["closed_at"]),
        label_end_at=to_times(rows["settled_at"]),
        prior_weights=prior,
    )


def _skill_of_all(
    predictions: Sequence[MemberPredictions],
    scores: Sequence[TimeOrderedScore],
    climatologies: Sequence[FloatArray],
) -> float:
    losses, baseline = [], []
    for one, score, climatology in zip(
        predictions, scores, climatologies, strict=True
    ):
        y = one.y[score.rows]
        losses.append(log_losses(score.probabilities, y))
        baseline.append(log_losses(climatology[score.rows], y))
    return skill(np.concatenate(losses), np.concatenate(baseline))


def _measure(
    one: MemberPredictions,
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
    y = one.y[score.rows]
    climatology_losses = log_losses(P_climatology, y)

    def measured(P: FloatArray) -> dict[str, Any]:
        return measure(P, y, climatology_losses, blocks)

    weighed = measured(score.probabilities)
    deployed = measured(P_climatology) if is_climatology_alone else weighed
    return {
        "n_validation": len(one.y),
        "n_validation_effective": len(one.y) / horizon_bars,
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
            name: measured(one.probabilities[score.rows, position])
            for position, name in enumerate(one.member_names)
        }
        | {WEIGHED: weighed},
    }
