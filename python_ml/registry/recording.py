"""Put new versions on record: artifact and rows, both or neither.

The name of a version is claimed before its file is written, and the claim is
dropped once the database holds its row. A run that ends in between leaves a
claim, whose file the next run sweeps away unless the row is there after all.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from python_ml import schema
from python_ml.ensemble import (
    CLASSES,
    Ensemble,
    PooledArtifact,
    PooledMember,
)
from python_ml.exceptions import ArtifactError
from python_ml.registry.artifacts import (
    library_versions,
    save_ensemble,
    save_pooled,
)
from python_ml.registry.claims import (
    claim_version_id,
    release_claim,
    sweep_orphans,
)
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import code_version

# Versions that are recorded together: a run that is killed while it saves
# loses no more than these.
VERSIONS_PER_TRANSACTION = 50

Artifact = TypeVar("Artifact", Ensemble, PooledArtifact)


@dataclass(frozen=True)
class WrittenArtifact(Generic[Artifact]):
    """An artifact in its place, whose claim stays until it is released.

    Parameters
    ----------
    artifact : Ensemble or PooledArtifact
        What was written.
    name : str
        Its version_id or pooled_member_id.
    path : Path
        The file.
    artifact_path : str
        The same below `SWIFTBOLT_HOME`, as tables hold it.
    sha256 : str
        Of the file.
    """

    artifact: Artifact
    name: str
    path: Path
    artifact_path: str
    sha256: str


@dataclass(frozen=True)
class VersionRecord:
    """The rows of one version.

    Parameters
    ----------
    version : mapping
        Row of `ml.ensembles`.
    runs : sequence of mapping
        Rows of `ml.training_runs`, one per horizon.
    weights : sequence of mapping
        Rows of `ml.ensemble_weights`, one per horizon and member.
    """

    version: Mapping[str, Any]
    runs: Sequence[Mapping[str, Any]]
    weights: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Recorder:
    """Writes the versions of one job, under the lock that training holds.

    Parameters
    ----------
    warehouse : Warehouse
    owner : str
        Of the claims; see `claims.claim_owner`.
    created_at : datetime
        Part of the artifacts' names.
    job_run_id : int
        Of the job, for every row.
    """

    warehouse: Warehouse
    owner: str
    created_at: datetime
    job_run_id: int

    @classmethod
    def begin(cls, warehouse: Warehouse, job_run_id: int) -> "Recorder":
        """Sweep away what killed runs left, and begin to record."""
        return cls(
            warehouse, sweep_orphans(warehouse), datetime.now(UTC), job_run_id
        )

    @property
    def folder(self) -> Path:
        """Folder of the artifacts."""
        return self.warehouse.settings.artifacts_dir

    def write_ensemble(
        self, ticker: str, timeframe: str, make: Callable[[str], Ensemble]
    ) -> WrittenArtifact[Ensemble]:
        """Write the ensemble that `make` returns for its version_id.

        Raises
        ------
        ArtifactError
            If it cannot be written; then nothing is left of it.
        """
        return self._write(ticker, timeframe, make, save_ensemble)

    def write_pooled(
        self, ticker: str, timeframe: str, make: Callable[[str], PooledArtifact]
    ) -> WrittenArtifact[PooledArtifact]:
        """Write the pooled member that `make` returns for its name.

        Raises
        ------
        ArtifactError
            If it cannot be written; then nothing is left of it.
        """
        return self._write(ticker, timeframe, make, save_pooled)

    def _write(
        self,
        ticker: str,
        timeframe: str,
        make: Callable[[str], Artifact],
        save: Callable[[Artifact, Path], tuple[Path, str]],
    ) -> WrittenArtifact[Artifact]:
        name = claim_version_id(
            self.folder,
            ticker=ticker,
            timeframe=timeframe,
            created_at=self.created_at,
            owner=self.owner,
        )
        artifact = make(name)
        try:
            path, sha256 = save(artifact, self.folder)
        except ArtifactError:
            release_claim(self.folder, name, owner=self.owner)
            raise
        home = self.warehouse.settings.home
        return WrittenArtifact(
            artifact, name, path, str(path.relative_to(home)), sha256
        )

    @contextlib.contextmanager
    def transaction(
        self, written: Sequence[WrittenArtifact[Any]]
    ) -> Iterator[sa.Connection]:
        """Open the transaction that puts artifacts on record.

        Where it fails before the commit they are certainly nobody's and go
        at once; where the commit itself fails, the next run finds out.
        """
        is_whole = False
        try:
            with self.warehouse.begin() as connection:
                yield connection
                is_whole = True
        except BaseException:
            if not is_whole:
                for each in written:
                    self.discard(each)
            raise

    def release(self, written: WrittenArtifact[Any]) -> None:
        """Drop the claim of what is on record."""
        release_claim(self.folder, written.name, owner=self.owner)

    def discard(self, written: WrittenArtifact[Any]) -> None:
        """Remove what is certainly not on record."""
        written.path.unlink(missing_ok=True)
        self.release(written)

    def version_row(
        self,
        written: WrittenArtifact[Ensemble],
        *,
        cut_id: int,
        data_fingerprint: str,
        settings_fingerprint: str,
        members_version_id: str | None = None,
    ) -> dict[str, Any]:
        """Row of `ml.ensembles`."""
        ensemble = written.artifact
        run = self.warehouse.backtest
        return {
            "version_id": ensemble.version_id,
            "symbol_id": ensemble.symbol_id,
            "timeframe": ensemble.timeframe,
            "as_of": ensemble.as_of,
            "cut_id": cut_id,
            "artifact_path": written.artifact_path,
            "sha256": written.sha256,
            "horizons": list(ensemble.horizons),
            "pooled_members": pooled_member_ids(ensemble),
            "feature_names": list(ensemble.feature_names),
            "classes": list(CLASSES),
            "data_fingerprint": data_fingerprint,
            "settings_fingerprint": settings_fingerprint,
            "code_version": code_version(),
            "library_versions": library_versions(),
            "job_run_id": self.job_run_id,
            "members_version_id": members_version_id,
            "run_name": run and run.name,
        }

    def run_row(self, **values: Any) -> dict[str, Any]:
        """Row of `ml.training_runs`; `values` name the series and figures."""
        return {
            "job_run_id": self.job_run_id,
            "run_date": self.created_at.date(),
            "code_version": code_version(),
            **values,
        }


def weight_rows(
    version_id: str,
    horizon: str,
    values: Mapping[str, float],
    *,
    method: str,
    alpha: float | None,
    reason: str,
) -> list[dict[str, Any]]:
    """Rows of `ml.ensemble_weights` of one horizon."""
    return [
        {
            "version_id": version_id,
            "horizon": horizon,
            "member": member,
            "weight": weight,
            "method": method,
            "alpha": alpha,
            "reason": reason,
        }
        for member, weight in values.items()
    ]


def insert_versions(
    connection: sa.Connection, records: Sequence[VersionRecord]
) -> None:
    """Insert the rows of versions, in the caller's transaction."""
    connection.execute(
        schema.ensembles.insert(), [record.version for record in records]
    )
    runs = [run for record in records for run in record.runs]
    columns = dict.fromkeys(name for run in runs for name in run)
    connection.execute(
        schema.training_runs.insert(),
        [{name: run.get(name) for name in columns} for run in runs],
    )
    connection.execute(
        schema.ensemble_weights.insert(),
        [weight for record in records for weight in record.weights],
    )


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
