"""Pooled members of a cut: found on record, fitted, asked about each series.

A pooled member is an artifact and a row of `ml.pooled_members`. It is written
before any series that refers to it, so that a killed training finds it again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy as sa
from threadpoolctl import threadpool_limits

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import FloatArray, PooledArtifact
from python_ml.examples.arrays import SeriesExamples
from python_ml.examples.cuts import Cut
from python_ml.examples.pooled import PooledExamples
from python_ml.members import ROSTER
from python_ml.processes import Outcomes
from python_ml.registry.artifacts import (
    SUFFIX,
    is_intact,
    library_versions,
    load_pooled,
)
from python_ml.registry.recording import Recorder
from python_ml.training.fingerprints import (
    fingerprint_of_pooled_settings,
    replacing,
)
from python_ml.training.fitting import PooledPrediction, PooledPredictions
from python_ml.training.pooled_fitting import PooledFailure, PooledFit
from python_ml.training.workers import fit_all_pooled
from python_ml.warehouse.jobs import code_version

logger = get_logger(__name__)

Key = tuple[str, str]


@dataclass(frozen=True)
class Pool:
    """What the pooled members of one cut learn from.

    Parameters
    ----------
    cut_id : int
        Key of `ml.training_cuts`.
    cut : Cut
        The same.
    member_names : tuple of str
        Pooled members of the roster.
    feature_names : tuple of str
        Columns of every `X`.
    examples : tuple of PooledExamples
        By horizon, shortest first.
    """

    cut_id: int
    cut: Cut
    member_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    examples: tuple[PooledExamples, ...]

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of the rows of each horizon."""
        return {rows.horizon: rows.fingerprint() for rows in self.examples}


@dataclass(frozen=True)
class PooledRecord:
    """A pooled member on record.

    Parameters
    ----------
    pooled_member_id, sha256 : str
        Of its artifact.
    artifact : PooledArtifact
    """

    pooled_member_id: str
    sha256: str
    artifact: PooledArtifact


@dataclass(frozen=True)
class PooledFits:
    """Pooled members on record, and those that are being fitted.

    Parameters
    ----------
    pool : Pool
        What they learn from.
    intact_ids : set of str
        Every pooled member of the cut whose artifact is as recorded.
    found : mapping of (str, str) to PooledRecord
        On record, by member and horizon.
    identities : mapping of (str, str) to (str, str)
        Fingerprints of rows and settings of the others.
    outcomes : Outcomes of PooledFit or PooledFailure
        The others, as each is done; to be closed if they are not used up.
    """

    pool: Pool
    intact_ids: frozenset[str]
    found: Mapping[Key, PooledRecord]
    identities: Mapping[Key, tuple[str, str]]
    outcomes: Outcomes[PooledFit | PooledFailure]


def begin_pooled_fits(
    recorder: Recorder, pool: Pool, *, n_jobs: int | None
) -> PooledFits:
    """Begin to fit the pooled members of a cut that are not on record yet."""
    with recorder.warehouse.begin() as connection:
        rows = connection.execute(
            sa.select(schema.pooled_members).where(
                schema.pooled_members.c.cut_id == pool.cut_id
            )
        ).all()
    intact_ids = frozenset(
        row.pooled_member_id for row in rows if _is_intact(recorder, row)
    )
    recorded = {
        (
            row.member,
            row.horizon,
            row.data_fingerprint,
            row.settings_fingerprint,
        ): row
        for row in rows
    }
    settings = fingerprint_of_pooled_settings(pool.feature_names)
    found: dict[Key, PooledRecord] = {}
    identities: dict[Key, tuple[str, str]] = {}
    tasks: list[tuple[str, PooledExamples]] = []
    # The longest horizon has the fewest rows, the shortest come first.
    for examples in pool.examples:
        for name in pool.member_names:
            fingerprint = settings
            data = pool.fingerprints[examples.horizon]
            key = (name, examples.horizon)
            while row := recorded.get((*key, data, fingerprint)):
                if row.pooled_member_id in intact_ids:
                    found[key] = _load(recorder, row)
                    break
                log_event(
                    logger,
                    "artifact_damaged",
                    pooled_member_id=row.pooled_member_id,
                )
                fingerprint = replacing(fingerprint, row.pooled_member_id)
            else:
                identities[key] = (data, fingerprint)
                tasks.append((name, examples))
    return PooledFits(
        pool,
        intact_ids,
        found,
        identities,
        fit_all_pooled(tasks, n_jobs=n_jobs),
    )


def predict_pooled(
    recorder: Recorder, fits: PooledFits, series: Sequence[SeriesExamples]
) -> dict[int, dict[str, PooledPredictions]]:
    """What the pooled members predict for the rows of every series.

    Those that were not on record are recorded first.

    Parameters
    ----------
    recorder : Recorder
        Of the training.
    fits : PooledFits
        As begun.
    series : sequence of SeriesExamples
        Whose rows are predicted.

    Returns
    -------
    dict of int to dict of str to PooledPredictions
        By symbol_id and horizon; a horizon that the pool has no rows of has
        the reason in place of predictions.

    Raises
    ------
    ArtifactError
        If an artifact cannot be written.
    WorkerError
        If a worker process was killed.
    """
    predicted: dict[int, dict[str, dict[str, PooledPrediction | str]]] = {
        examples.symbol_id: {
            rows.horizon: dict.fromkeys(fits.pool.member_names, "no rows")
            for rows in examples.horizons
        }
        for examples in series
    }
    n_labels = {
        rows.horizon: len(rows.y) / rows.horizon_bars
        for rows in fits.pool.examples
    }
    for (name, horizon), outcome in _finish(recorder, fits):
        parts = [
            (examples.symbol_id, rows.X)
            for examples in series
            for rows in examples.horizons
            if rows.horizon == horizon
        ]
        if isinstance(outcome, PooledFailure):
            for symbol_id, _ in parts:
                predicted[symbol_id][horizon][name] = outcome.message
        elif parts:
            P = _predict(
                outcome.artifact, np.concatenate([X for _, X in parts])
            )
            prior_share = ROSTER[name].prior_share(n_labels[horizon])
            ends = np.cumsum([len(X) for _, X in parts])
            for (symbol_id, X), end in zip(parts, ends, strict=True):
                predicted[symbol_id][horizon][name] = PooledPrediction(
                    P[end - len(X) : end],
                    outcome.pooled_member_id,
                    outcome.sha256,
                    prior_share,
                )
    return {symbol_id: dict(found) for symbol_id, found in predicted.items()}


def _finish(
    recorder: Recorder, fits: PooledFits
) -> Iterator[tuple[Key, PooledRecord | PooledFailure]]:
    """Those on record, then the others as each is done and recorded."""
    yield from fits.found.items()
    for outcome in fits.outcomes:
        key = (outcome.name, outcome.horizon)
        if isinstance(outcome, PooledFailure):
            log_event(
                logger,
                "pooled_member_failed",
                member=outcome.name,
                horizon=outcome.horizon,
                reason=outcome.message,
            )
            yield key, outcome
        else:
            identity = fits.identities[key]
            yield key, _record(recorder, fits.pool, outcome, identity)


def _record(
    recorder: Recorder, pool: Pool, fit: PooledFit, identity: tuple[str, str]
) -> PooledRecord:
    """Write artifact and row: both or neither."""
    data_fingerprint, settings_fingerprint = identity
    record = {
        "cut_id": pool.cut_id,
        "data_fingerprint": data_fingerprint,
        "settings_fingerprint": settings_fingerprint,
        "code_version": code_version(),
        "library_versions": library_versions(),
    }
    written = recorder.write_pooled(
        f"{fit.name.replace('_', '-')}-{pool.cut.calendar}",
        f"{pool.cut.timeframe}-{fit.horizon}",
        lambda name: PooledArtifact(
            pooled_member_id=name,
            member=fit.name,
            horizon=fit.horizon,
            deployed=fit.deployed,
            judged=fit.validated,
            feature_names=pool.feature_names,
            metadata=record,
        ),
    )
    with recorder.transaction([written]) as connection:
        connection.execute(
            schema.pooled_members.insert().values(
                pooled_member_id=written.name,
                member=fit.name,
                calendar=pool.cut.calendar,
                timeframe=pool.cut.timeframe,
                horizon=fit.horizon,
                artifact_path=written.artifact_path,
                sha256=written.sha256,
                n_rows=fit.n_rows,
                n_series=fit.n_series,
                n_effective=fit.n_effective,
                duration_seconds=fit.seconds,
                job_run_id=recorder.job_run_id,
                **record,
            )
        )
    recorder.release(written)
    log_event(
        logger,
        "pooled_member_fitted",
        pooled_member_id=written.name,
        rows=fit.n_rows,
        series=fit.n_series,
        seconds=round(fit.seconds, 1),
    )
    return PooledRecord(written.name, written.sha256, written.artifact)


def _load(recorder: Recorder, row: Any) -> PooledRecord:
    artifact = load_pooled(
        recorder.folder / f"{row.pooled_member_id}{SUFFIX}",
        sha256=row.sha256,
        folder=recorder.folder,
    )
    return PooledRecord(row.pooled_member_id, row.sha256, artifact)


def _is_intact(recorder: Recorder, row: Any) -> bool:
    return is_intact(
        recorder.folder / f"{row.pooled_member_id}{SUFFIX}",
        sha256=row.sha256,
        folder=recorder.folder,
    )


def _predict(artifact: PooledArtifact, X: FloatArray) -> FloatArray:
    # Threads that wait for each other on a busy machine cost more than they do.
    with threadpool_limits(limits=1):
        return artifact.judged.predict_proba(X)
