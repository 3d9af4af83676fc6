"""New weights for members that stay as they are, from what they forecast.

Between trainings the ledger tells more about the members than validation did.
Once a timeframe and horizon has enough settled forecasts their weights are
fitted on these, as training fits them on validation (`reweighing.py`). The
result is a new version that holds the same members. An update is a row of
stages: read what is live and has settled, weigh, choose what changed, record.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import Ensemble
from python_ml.examples.catalog import read_session_bars
from python_ml.examples.weighting import read_weighting
from python_ml.exceptions import NoEnsembleError
from python_ml.registry.deployments import (
    insert_deployments,
    live_versions,
    lock_deployments,
)
from python_ml.registry.recording import (
    VERSIONS_PER_TRANSACTION,
    Recorder,
    VersionRecord,
    WrittenArtifact,
    insert_versions,
    weight_rows,
)
from python_ml.registry.versions import Version, load_version, read_versions
from python_ml.scoring.weights import WeightSettings
from python_ml.training.reweighing import LiveVersion, NewWeights, reweigh
from python_ml.training.settled import read_settled
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import excluding, job_run

logger = get_logger(__name__)

# Newest bars of the ledger that count.
WINDOW_BARS = 500
# A change of weights that nobody would see in a forecast.
SMALLEST_CHANGE = 1e-6
REASON = "weights updated"


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
class _Update:
    """A live version, and those of its weights that moved."""

    base: LiveVersion
    weights: Mapping[str, NewWeights]
    changed: Mapping[str, NewWeights]

    @property
    def root(self) -> str:
        """Version whose fitted members are shared."""
        version = self.base.version
        return version.members_version_id or version.version_id

    @property
    def values(self) -> dict[str, dict[str, float]]:
        """Weights of every live horizon, by member."""
        return {
            horizon: (
                self.changed[horizon].values
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
                [self.root, self.as_of.isoformat(), self.values]
            ).encode()
        ).hexdigest()


@dataclass(frozen=True)
class _Written:
    """An update whose version is written and not yet on record."""

    update: _Update
    artifact: WrittenArtifact[Ensemble]


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
        recorder = Recorder.begin(warehouse, job.job_run_id)
        weighting = read_weighting(warehouse)
        results: list[dict[str, Any]] = []
        for (_, timeframe), rows in live.groupby(
            ["calendar", "timeframe"], sort=True
        ):
            results += _update_timeframe(
                recorder,
                rows,
                set(asked["version_id"]),
                weighting[str(timeframe)],
            )
        summary = UpdateSummary(job.job_run_id, pd.DataFrame(results))
        job.counts["updated"] = summary.count("updated")
        job.counts["unchanged"] = summary.count("unchanged")
    return summary


def _update_timeframe(
    recorder: Recorder,
    live: pd.DataFrame,
    version_ids: set[str],
    settings: WeightSettings,
) -> list[dict[str, Any]]:
    """Update some live versions of one timeframe; a row for each horizon."""
    bases = _load_live(recorder.warehouse, live)
    weights = _weigh(recorder.warehouse, bases, settings)
    updates = [
        _choose_changed(base, weights)
        for base in bases
        if base.version.version_id in version_ids
    ]
    made_before = _find_made_before(recorder.warehouse, updates)
    due = []
    for update in updates:
        if update.changed and update.fingerprint not in made_before:
            due.append(update)
        elif update.changed:
            log_event(
                logger,
                "weights_taken_back_before",
                version_id=update.base.version.version_id,
                same_as=made_before[update.fingerprint],
            )
    successors: dict[str, str] = {}
    for start in range(0, len(due), VERSIONS_PER_TRANSACTION):
        successors |= _record(
            recorder, due[start : start + VERSIONS_PER_TRANSACTION]
        )
    return [
        row
        for update in updates
        for row in _report(update, successors, made_before)
    ]


def _load_live(warehouse: Warehouse, live: pd.DataFrame) -> list[LiveVersion]:
    """Live versions by ticker, with the horizons that each is live for."""
    versions = read_versions(warehouse, live["version_id"].unique().tolist())
    bases = []
    for version_id, version in versions.items():
        is_live = live["version_id"] == version_id
        horizons = set(live.loc[is_live, "horizon"])
        bases.append(
            LiveVersion(
                version,
                load_version(warehouse, version),
                [name for name in version.horizons if name in horizons],
            )
        )
    return sorted(bases, key=lambda base: base.version.ticker)


def _weigh(
    warehouse: Warehouse,
    bases: Sequence[LiveVersion],
    settings: WeightSettings,
) -> dict[tuple[int, str], NewWeights]:
    first = bases[0].version
    member_names = list(
        dict.fromkeys(
            name
            for base in bases
            for horizon in base.horizons
            for name in base.ensemble.horizons[horizon].weights
        )
    )
    settled = read_settled(
        warehouse,
        timeframe=first.timeframe,
        symbol_ids=sorted({base.version.symbol_id for base in bases}),
        member_names=member_names,
        window_bars=WINDOW_BARS,
    )
    return reweigh(
        bases,
        settled,
        member_names,
        session_bars=read_session_bars(
            warehouse, first.calendar, first.timeframe
        ),
        settings=settings,
    )


def _choose_changed(
    base: LiveVersion, weights: Mapping[tuple[int, str], NewWeights]
) -> _Update:
    key = base.version.symbol_id
    new = {
        name: weights[key, name]
        for name in base.horizons
        if (key, name) in weights
    }
    changed = {
        name: each
        for name, each in new.items()
        if _differ(base.ensemble.horizons[name].weights, each.values)
    }
    return _Update(base, new, changed)


def _find_made_before(
    warehouse: Warehouse, updates: Sequence[_Update]
) -> dict[str, str]:
    """Versions with the very same weights, by fingerprint.

    One that is not live was rolled back from, or gave way to others.
    """
    ensembles = schema.ensembles.c
    with warehouse.begin() as connection:
        rows = connection.execute(
            sa.select(
                ensembles.settings_fingerprint, ensembles.version_id
            ).where(
                ensembles.settings_fingerprint.in_(
                    [each.fingerprint for each in updates if each.changed]
                )
            )
        ).all()
    return {row.settings_fingerprint: row.version_id for row in rows}


def _report(
    update: _Update,
    successors: Mapping[str, str],
    made_before: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Rows for people, one per horizon."""
    version = update.base.version
    is_updated = version.version_id in successors
    why_left = None
    if update.changed and not is_updated:
        why_left = _why_left(update, made_before.get(update.fingerprint))
    rows = []
    for horizon in update.base.horizons:
        new = update.weights.get(horizon)
        before = update.base.ensemble.horizons[horizon].weights
        rows.append(
            {
                "ticker": version.ticker,
                "timeframe": version.timeframe,
                "horizon": horizon,
                "outcome": "updated"
                if is_updated and horizon in update.changed
                else "unchanged",
                "source": new and new.source,
                "n_effective": new and new.n_effective,
                "weights": dict(new.values if new and is_updated else before),
                "reason": why_left or (new and new.weights.reason),
                "version_id": successors.get(
                    version.version_id, version.version_id
                ),
            }
        )
    return rows


def _record(recorder: Recorder, updates: Sequence[_Update]) -> dict[str, str]:
    """Write and deploy versions of some series: all of them or none.

    Returns
    -------
    dict of str to str
        Name of the new version by that of the one before.
    """
    written = [
        _Written(
            update,
            recorder.write_ensemble(
                update.base.version.ticker,
                update.base.version.timeframe,
                partial(_make_ensemble, update),
            ),
        )
        for update in updates
    ]
    with recorder.transaction(
        [each.artifact for each in written]
    ) as connection:
        lock_deployments(connection, recorder.warehouse)
        # People may have rolled back while weights were fitted.
        live = _still_live(recorder.warehouse, written)
        if live:
            _insert(recorder, connection, live)
    recorded = {each.artifact.name for each in live}
    for each in written:
        if each.artifact.name not in recorded:
            recorder.discard(each.artifact)
    successors = {}
    for each in live:
        recorder.release(each.artifact)
        successors[each.update.base.version.version_id] = each.artifact.name
        log_event(
            logger,
            "weights_updated",
            version_id=each.artifact.name,
            horizons=",".join(each.update.changed),
        )
    return successors


def _make_ensemble(update: _Update, version_id: str) -> Ensemble:
    ensemble = update.base.ensemble
    return replace(
        ensemble,
        version_id=version_id,
        as_of=update.as_of,
        horizons={
            horizon: replace(ensemble.horizons[horizon], weights=weights)
            for horizon, weights in update.values.items()
        },
        metadata={
            **ensemble.metadata,
            "settings_fingerprint": update.fingerprint,
            "members_version_id": update.root,
        },
    )


def _insert(
    recorder: Recorder, connection: sa.Connection, written: Sequence[_Written]
) -> None:
    """Rows of new versions, and their deployments."""
    before = [each.update.base.version for each in written]
    runs_before = _read_runs(connection, before)
    not_before = _last_decided(connection, before)
    insert_versions(
        connection, [_rows_of(recorder, each, runs_before) for each in written]
    )
    insert_deployments(
        connection,
        [
            {
                "symbol_id": version.symbol_id,
                "timeframe": version.timeframe,
                "version_id": each.artifact.name,
                "horizons": each.update.base.horizons,
                "effective_at": max(
                    each.update.as_of,
                    not_before.get(version.symbol_id, each.update.as_of),
                ),
                "reason": REASON,
                "job_run_id": recorder.job_run_id,
            }
            for each, version in zip(written, before, strict=True)
        ],
    )


def _read_runs(
    connection: sa.Connection, versions: Sequence[Version]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of `ml.training_runs`, the newest by version and horizon."""
    runs = schema.training_runs
    rows = connection.execute(
        sa.select(runs)
        .where(runs.c.version_id.in_([each.version_id for each in versions]))
        .order_by(runs.c.training_run_id)
    ).mappings()
    return {(row["version_id"], row["horizon"]): dict(row) for row in rows}


def _last_decided(
    connection: sa.Connection, versions: Sequence[Version]
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


def _rows_of(
    recorder: Recorder,
    written: _Written,
    runs_before: Mapping[tuple[str, str], Mapping[str, Any]],
) -> VersionRecord:
    """Rows of a version: those of the one before, with what is new."""
    update, artifact = written.update, written.artifact
    version = update.base.version
    runs, weights = [], []
    for horizon in update.base.horizons:
        before = {
            name: value
            for name, value in runs_before.get(
                (version.version_id, horizon), {}
            ).items()
            if name not in ("training_run_id", "created_at")
        }
        run = before | recorder.run_row(
            symbol_id=version.symbol_id,
            timeframe=version.timeframe,
            horizon=horizon,
            as_of=update.as_of,
            trigger="weights",
            version_id=artifact.name,
            status="succeeded",
            models_artifact_path=artifact.artifact_path,
            weights=update.values[horizon],
            weight_method=before.get("weight_method"),
            weight_alpha=before.get("weight_alpha"),
            weight_reason=before.get("weight_reason") or "as before",
        )
        if horizon in update.changed:
            new = update.changed[horizon]
            run |= {
                **new.record,
                "weight_method": new.weights.method,
                "weight_alpha": new.weights.alpha,
                "weight_reason": f"{new.weights.reason} ({new.source})",
            }
        runs.append(run)
        weights += weight_rows(
            artifact.name,
            horizon,
            run["weights"],
            method=run["weight_method"] or "unknown",
            alpha=run["weight_alpha"],
            reason=run["weight_reason"],
        )
    row = recorder.version_row(
        artifact,
        cut_id=version.cut_id,
        data_fingerprint=version.data_fingerprint,
        settings_fingerprint=update.fingerprint,
        members_version_id=update.root,
    )
    return VersionRecord(row, runs, weights)


def _still_live(
    warehouse: Warehouse, written: Sequence[_Written]
) -> list[_Written]:
    """Those whose base is live as when the weights were fitted."""
    found = live_versions(warehouse)
    live = set(zip(found["version_id"], found["horizon"], strict=True))
    return [
        each
        for each in written
        if live.issuperset(
            (each.update.base.version.version_id, horizon)
            for horizon in each.update.base.horizons
        )
    ]


def _why_left(update: _Update, made_before: str | None) -> str:
    """Why weights that moved were not written."""
    if made_before is None:
        return (
            f"left as they are: {update.base.version.version_id} was taken "
            "back meanwhile"
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
