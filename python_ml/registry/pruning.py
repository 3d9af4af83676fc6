"""Remove artifacts of versions that nobody can need any more.

Rows stay. A removal is on record before the file goes, so that an interrupted
prune is finished by the next and nobody wonders where a file went.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from python_ml import schema
from python_ml.examples.series import narrow_to_series
from python_ml.exceptions import SettingsError
from python_ml.registry.deployments import lock_deployments
from python_ml.registry.versions import (
    SharedArtifact,
    Version,
    artifact_file,
    pruned_paths,
    read_shared_artifacts,
    read_versions,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import (
    excluding,
    job_run,
)

# What was ever live, and what a backtest that is not finished goes on with.
KEPT_QUERY = """
    select version_id
    from {ml}.deployments
    union
    select ensembles.version_id
    from {ml}.ensembles as ensembles
    inner join {ml}.backtest_runs as runs
        on ensembles.run_name = runs.run_name
    where runs.status = 'begun'
"""


@dataclass(frozen=True)
class Pruning:
    """What a prune removes, or would.

    Parameters
    ----------
    is_done : bool
        False for a dry run.
    versions : DataFrame
        `ticker`, `timeframe`, `version_id`, `created_at`, `artifact_path`,
        `sha256`, `megabytes`.
    shared : DataFrame
        `artifact_path`, `sha256`, `megabytes` of pooled members that no
        version refers to any more.
    """

    is_done: bool
    versions: pd.DataFrame
    shared: pd.DataFrame

    @property
    def artifacts(self) -> pd.DataFrame:
        """Both: `artifact_path`, `sha256`, `megabytes`, `version_id`."""
        columns = ["artifact_path", "sha256", "megabytes"]
        return pd.concat(
            [
                self.versions[["version_id", *columns]],
                self.shared[columns].assign(version_id=None),
            ],
            ignore_index=True,
        )


def prune(
    warehouse: Warehouse,
    *,
    keep: int,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
    is_dry_run: bool = True,
) -> Pruning:
    """Remove artifacts of old versions that were never deployed.

    The newest `keep` of each series stay, every version that is or was
    deployed, and what any of these shares. Rows stay for ever;
    `ml.artifact_removals` says which artifacts went.

    Parameters
    ----------
    warehouse : Warehouse
    keep : int
        Newest versions of each series to keep, at least 1.
    symbols, timeframes : sequence of str, optional
        By default all.
    is_dry_run : bool, default=True
        Only say what would go.

    Raises
    ------
    SettingsError
        If `keep` is below 1.
    """
    if keep < 1:
        raise SettingsError(f"keep is {keep}; keep 1 or more versions.")
    with (
        job_run(
            warehouse, "prune", {"keep": keep, "is_dry_run": is_dry_run}
        ) as job,
        # A training may be about to refer to what nothing refers to yet.
        excluding(warehouse, "train"),
    ):
        with warehouse.begin() as connection:
            lock_deployments(connection, warehouse)
            pruning = _plan(
                warehouse,
                keep=keep,
                symbols=symbols,
                timeframes=timeframes,
                is_dry_run=is_dry_run,
            )
            artifacts = pruning.artifacts
            if not is_dry_run and len(artifacts):
                now = datetime.now(UTC)
                connection.execute(
                    schema.artifact_removals.insert(),
                    [
                        {
                            "artifact_path": row["artifact_path"],
                            "version_id": row["version_id"],
                            "sha256": row["sha256"],
                            "reason": f"pruned, keep {keep}",
                            "job_run_id": job.job_run_id,
                            "removed_at": now,
                        }
                        for row in artifacts.to_dict("records")
                    ],
                )
        if not is_dry_run:
            # Also what an interrupted prune recorded and left lying.
            for path in pruned_paths(warehouse):
                (warehouse.settings.home / path).unlink(missing_ok=True)
            job.counts["removed"] = len(artifacts)
    return pruning


def _plan(
    warehouse: Warehouse,
    *,
    keep: int,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
    is_dry_run: bool,
) -> Pruning:
    versions = read_versions(warehouse)
    deployed = set(read_frame(warehouse, KEPT_QUERY)["version_id"])
    by_series: dict[tuple[int, str], list[str]] = {}
    for version in versions.values():
        if version.run_name is not None:
            continue
        key = (version.symbol_id, version.timeframe)
        by_series.setdefault(key, []).append(version.version_id)
    newest = {name for names in by_series.values() for name in names[-keep:]}
    in_use = artifacts_in_use(versions, deployed | newest)
    frame = narrow_to_series(
        _pruning_frame(
            warehouse,
            [
                version
                for version in versions.values()
                if version.artifact_path not in in_use
                and version.removed_at is None
            ],
        ),
        symbols,
        timeframes,
        warehouse=warehouse,
    ).reset_index(drop=True)
    gone = set(frame["version_id"])
    left = {
        name
        for name, version in versions.items()
        if name not in gone and version.removed_at is None
    }
    needed = artifacts_in_use(versions, left)
    pruned = pruned_paths(warehouse)
    shared = [
        artifact
        for artifact in read_shared_artifacts(warehouse)
        if artifact.artifact_path not in needed | pruned
    ]
    return Pruning(
        not is_dry_run,
        frame,
        pd.DataFrame(
            [
                {
                    "artifact_path": artifact.artifact_path,
                    "sha256": artifact.sha256,
                    "megabytes": _megabytes(warehouse, artifact),
                }
                for artifact in shared
            ],
            columns=["artifact_path", "sha256", "megabytes"],
        ),
    )


def artifacts_in_use(
    versions: Mapping[str, Version], kept: AbstractSet[str]
) -> set[str]:
    """Artifacts that versions need: their own and what they refer to.

    Parameters
    ----------
    versions : mapping of str to Version
        All on record.
    kept : set of str
        Names of the versions that must stay usable.

    Returns
    -------
    set of str
        Paths below `SWIFTBOLT_HOME`: of the versions, of those that they took
        their members from and of the pooled members of all of these.
    """
    paths: set[str] = set()
    waiting = list(kept)
    while waiting:
        version = versions.get(waiting.pop())
        if version is None or version.artifact_path in paths:
            continue
        paths.add(version.artifact_path)
        paths.update(artifact.artifact_path for artifact in version.shared)
        if version.members_version_id is not None:
            waiting.append(version.members_version_id)
    return paths


def _megabytes(
    warehouse: Warehouse, artifact: Version | SharedArtifact
) -> float:
    try:
        return artifact_file(warehouse.settings, artifact).stat().st_size / 1e6
    except OSError:
        return 0.0


def _pruning_frame(
    warehouse: Warehouse, versions: Sequence[Version]
) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "ticker": version.ticker,
                "timeframe": version.timeframe,
                "version_id": version.version_id,
                "created_at": pd.Timestamp(version.created_at),
                "artifact_path": version.artifact_path,
                "sha256": version.sha256,
                "megabytes": _megabytes(warehouse, version),
            }
            for version in versions
        ],
        columns=[
            *("ticker", "timeframe", "version_id", "created_at"),
            *("artifact_path", "sha256", "megabytes"),
        ],
    )
