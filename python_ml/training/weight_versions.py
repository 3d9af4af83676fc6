"""Versions that hold the members of another with new weights."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from typing import Any

import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import Ensemble
from python_ml.registry.deployments import (
    insert_deployments,
    live_versions,
    lock_deployments,
)
from python_ml.registry.recording import (
    Recorder,
    VersionRecord,
    WrittenArtifact,
    insert_versions,
    weight_rows,
)
from python_ml.registry.versions import Version
from python_ml.training.reweighing import LiveVersion, NewWeights
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

REASON = "weights updated"


@dataclass(frozen=True)
class WeightUpdate:
    """A live version, and those of its weights that moved.

    Parameters
    ----------
    base : LiveVersion
    weights, changed : mapping of str to NewWeights
        New weights by horizon, and those of them that differ.
    """

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

    update: WeightUpdate
    artifact: WrittenArtifact[Ensemble]


def record_updates(
    recorder: Recorder, updates: Sequence[WeightUpdate]
) -> dict[str, str]:
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


def _make_ensemble(update: WeightUpdate, version_id: str) -> Ensemble:
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
    not_before = _last_decided(recorder.warehouse, connection, before)
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
        backtest=recorder.warehouse.backtest,
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
    warehouse: Warehouse,
    connection: sa.Connection,
    versions: Sequence[Version],
) -> dict[int, datetime]:
    """Just after what was forecast live, or when last was deployed."""
    query = """
        select
            symbol_id,
            max(closed_at) + interval '1 microsecond' as not_before
        from {issued} as issued
        where timeframe = :timeframe and symbol_id = any(:symbol_ids)
        group by symbol_id
        union all
        select symbol_id, max(effective_at) as not_before
        from {deployments} as deployments
        where
            timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
            -- What is planned for later takes over when its time comes.
            and effective_at <= now()
        group by symbol_id
    """
    found = connection.execute(
        sa.text(warehouse.sql(query)),
        {
            "timeframe": versions[0].timeframe,
            "symbol_ids": [version.symbol_id for version in versions],
        },
    )
    latest: dict[int, datetime] = {}
    for row in found:
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
