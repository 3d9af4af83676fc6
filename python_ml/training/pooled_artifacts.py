"""Pooled members on record: fitted once, found again, asked about each series.

A pooled member is an artifact and a row of `ml.pooled_members`. It is written
before any series that refers to it, so that a killed training finds it again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import sqlalchemy as sa
from threadpoolctl import threadpool_limits

from python_ml import schema
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.ensemble import FloatArray, PooledArtifact
from python_ml.examples.arrays import SeriesExamples
from python_ml.examples.cuts import Cut
from python_ml.examples.pooled import PooledExamples
from python_ml.exceptions import ArtifactError
from python_ml.members import ROSTER, roster_settings
from python_ml.registry.artifacts import (
    SUFFIX,
    is_intact,
    library_versions,
    load_pooled,
    save_pooled,
)
from python_ml.registry.claims import (
    claim_version_id,
    release_claim,
)
from python_ml.training.fitting import (
    PooledJudgement,
    PooledJudgements,
)
from python_ml.training.pooled import (
    PooledFailure,
    PooledFit,
)
from python_ml.training.workers import (
    Outcomes,
    fit_all_pooled,
)
from python_ml.warehouse.connection import Warehouse
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
        By horizon.
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
class _Stored:
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
    found : mapping of (str, str) to _Stored
        On record, by member and horizon.
    identities : mapping of (str, str) to (str, str)
        Fingerprints of rows and settings of the others.
    outcomes : Outcomes of PooledFit or PooledFailure
        The others, as each is done; to be closed if they are not used up.
    """

    pool: Pool
    found: Mapping[Key, _Stored]
    identities: Mapping[Key, tuple[str, str]]
    outcomes: Outcomes[PooledFit | PooledFailure]


class PooledStore:
    """Finds, fits and records pooled members for one training.

    Parameters
    ----------
    warehouse : Warehouse
    owner : str
        Of the claims; see `claims.claim_owner`.
    created_at : datetime
        Part of the artifacts' names.
    job_run_id : int
        For the record.
    n_jobs : int or None
        Processes.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        *,
        owner: str,
        created_at: datetime,
        job_run_id: int,
        n_jobs: int | None,
    ) -> None:
        self.warehouse = warehouse
        self.folder = warehouse.settings.artifacts_dir
        self.owner = owner
        self.created_at = created_at
        self.job_run_id = job_run_id
        self.n_jobs = n_jobs

    def intact(self, cut_id: int) -> set[str]:
        """Pooled members of a cut whose artifacts are those on record."""
        return {
            row.pooled_member_id
            for row in self._rows(cut_id)
            if self._is_intact(row)
        }

    def begin(self, pool: Pool) -> PooledFits:
        """Begin to fit the pooled members that are not on record yet.

        Parameters
        ----------
        pool : Pool
            What they learn from.

        Returns
        -------
        PooledFits
            For `judge`.
        """
        settings = _fingerprint_settings(pool.feature_names)
        recorded = {
            (
                row.member,
                row.horizon,
                row.data_fingerprint,
                row.settings_fingerprint,
            ): row
            for row in self._rows(pool.cut_id)
        }
        found: dict[Key, _Stored] = {}
        identities: dict[Key, tuple[str, str]] = {}
        tasks: list[tuple[str, PooledExamples]] = []
        fingerprints = pool.fingerprints
        # The longest horizon has the fewest rows, the shortest come first.
        for rows in pool.examples:
            for name in pool.member_names:
                fingerprint = settings
                data = fingerprints[rows.horizon]
                while row := recorded.get(
                    (name, rows.horizon, data, fingerprint)
                ):
                    if self._is_intact(row):
                        found[name, rows.horizon] = self._load(row)
                        break
                    log_event(
                        logger,
                        "artifact_damaged",
                        pooled_member_id=row.pooled_member_id,
                    )
                    replaced = f"{fingerprint} replaces {row.pooled_member_id}"
                    fingerprint = hashlib.sha256(replaced.encode()).hexdigest()
                else:
                    identities[name, rows.horizon] = (data, fingerprint)
                    tasks.append((name, rows))
        return PooledFits(
            pool, found, identities, fit_all_pooled(tasks, n_jobs=self.n_jobs)
        )

    def judge(
        self, fits: PooledFits, series: Sequence[SeriesExamples]
    ) -> dict[int, PooledJudgements]:
        """What the pooled members say of every series' rows.

        Those that were not on record are recorded first.

        Parameters
        ----------
        fits : PooledFits
            As begun.
        series : sequence of SeriesExamples
            Whose rows are judged.

        Returns
        -------
        dict of int to mapping of str to mapping of str to PooledJudgement
            By symbol_id, horizon and member.

        Raises
        ------
        ArtifactError
            If an artifact cannot be written.
        TrainingError
            If a worker process was killed.
        """
        judged: dict[int, dict[str, dict[str, PooledJudgement]]] = {
            one.symbol_id: {rows.horizon: {} for rows in one.horizons}
            for one in series
        }
        n_labels = {
            rows.horizon: len(rows.y) / rows.horizon_bars
            for rows in fits.pool.examples
        }
        for (name, horizon), found in self._finish(fits):
            parts = [
                (one.symbol_id, rows.X)
                for one in series
                for rows in one.horizons
                if rows.horizon == horizon
            ]
            if not parts:
                continue
            P = (
                np.empty((0, 3))
                if isinstance(found, str)
                else _predict(
                    found.artifact, np.concatenate([X for _, X in parts])
                )
            )
            start = 0
            for symbol_id, X in parts:
                judged[symbol_id][horizon][name] = (
                    PooledJudgement(P, "", "", failure=found)
                    if isinstance(found, str)
                    else PooledJudgement(
                        P[start : start + len(X)],
                        found.pooled_member_id,
                        found.sha256,
                        ROSTER[name].prior_share(n_labels[horizon]),
                    )
                )
                start += len(X)
        # A horizon that the pool has no rows of.
        for one in series:
            for horizon in judged[one.symbol_id]:
                for name in fits.pool.member_names:
                    judged[one.symbol_id][horizon].setdefault(
                        name,
                        PooledJudgement(
                            np.empty((0, 3)), "", "", failure="no rows"
                        ),
                    )
        return dict(judged)

    def _finish(self, fits: PooledFits) -> Iterator[tuple[Key, _Stored | str]]:
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
                yield key, outcome.message
            else:
                yield key, self._save(fits.pool, outcome, fits.identities[key])

    def _save(
        self, pool: Pool, fit: PooledFit, identity: tuple[str, str]
    ) -> _Stored:
        """Write artifact and row: both or neither."""
        pooled_member_id = claim_version_id(
            self.folder,
            ticker=f"{fit.name.replace('_', '-')}-{pool.cut.calendar}",
            timeframe=f"{pool.cut.timeframe}-{fit.horizon}",
            created_at=self.created_at,
            owner=self.owner,
        )
        data_fingerprint, settings_fingerprint = identity
        record = {
            "cut_id": pool.cut_id,
            "data_fingerprint": data_fingerprint,
            "settings_fingerprint": settings_fingerprint,
            "code_version": code_version(),
            "library_versions": library_versions(),
        }
        artifact = PooledArtifact(
            pooled_member_id=pooled_member_id,
            member=fit.name,
            horizon=fit.horizon,
            deployed=fit.deployed,
            judged=fit.judged,
            feature_names=pool.feature_names,
            metadata=record,
        )
        try:
            path, sha256 = save_pooled(artifact, self.folder)
        except ArtifactError:
            release_claim(self.folder, pooled_member_id, owner=self.owner)
            raise
        with self.warehouse.begin() as connection:
            connection.execute(
                schema.pooled_members.insert().values(
                    pooled_member_id=pooled_member_id,
                    member=fit.name,
                    calendar=pool.cut.calendar,
                    timeframe=pool.cut.timeframe,
                    horizon=fit.horizon,
                    artifact_path=str(
                        path.relative_to(self.warehouse.settings.home)
                    ),
                    sha256=sha256,
                    n_rows=fit.n_rows,
                    n_series=fit.n_series,
                    n_effective=fit.n_effective,
                    duration_seconds=fit.seconds,
                    job_run_id=self.job_run_id,
                    **record,
                )
            )
        release_claim(self.folder, pooled_member_id, owner=self.owner)
        log_event(
            logger,
            "pooled_member_fitted",
            pooled_member_id=pooled_member_id,
            rows=fit.n_rows,
            series=fit.n_series,
            seconds=round(fit.seconds, 1),
        )
        return _Stored(pooled_member_id, sha256, artifact)

    def _load(self, row: Any) -> _Stored:
        artifact = load_pooled(
            self._path(row), sha256=row.sha256, folder=self.folder
        )
        return _Stored(row.pooled_member_id, row.sha256, artifact)

    def _is_intact(self, row: Any) -> bool:
        return is_intact(self._path(row), sha256=row.sha256, folder=self.folder)

    def _path(self, row: Any) -> Any:
        return self.folder / f"{row.pooled_member_id}{SUFFIX}"

    def _rows(self, cut_id: int) -> Sequence[Any]:
        with self.warehouse.begin() as connection:
            return connection.execute(
                sa.select(schema.pooled_members).where(
                    schema.pooled_members.c.cut_id == cut_id
                )
            ).all()


def _predict(artifact: PooledArtifact, X: FloatArray) -> FloatArray:
    # Threads that wait for each other on a busy machine cost more than they do.
    with threadpool_limits(limits=1):
        return artifact.judged.predict_proba(X)


def _fingerprint_settings(
    feature_names: Sequence[str],
) -> str:
    settings = {
        **roster_settings(),
        "feature_names": list(feature_names),
        "libraries": {
            name: version.split(".")[0]
            for name, version in library_versions().items()
        },
    }
    return hashlib.sha256(
        json.dumps(settings, sort_keys=True).encode()
    ).hexdigest()
