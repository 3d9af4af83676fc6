"""Versions for people and programs: what there is, what is live, what is whole.

The rest of the library of `swiftbolt models` stands in modules of its own and
is gathered here: deploying by hand and going back (`rollback.py`), comparing
(`comparison.py`) and pruning (`pruning.py`). Nothing in them rewrites what was:
deployments are added, rows of versions stay when their artifacts go, and what
would contradict the ledger of forecasts is refused.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from python_ml.console.text_tables import to_records
from python_ml.exceptions import ArtifactError
from python_ml.registry.artifacts import is_intact
from python_ml.registry.comparison import compare_versions
from python_ml.registry.deployments import history, live_versions
from python_ml.registry.pruning import (
    Pruning,
    artifacts_in_use,
    prune,
)
from python_ml.registry.rollback import (
    deployment_stack,
    promote_version,
    rollback,
)
from python_ml.registry.versions import (
    SharedArtifact,
    Version,
    artifact_file,
    check_own_artifact,
    narrow_to_recorded,
    pruned_paths,
    read_version,
    read_versions,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

__all__ = [
    "Pruning",
    "artifacts_in_use",
    "compare_versions",
    "deployment_stack",
    "history",
    "list_versions",
    "promote_version",
    "prune",
    "rollback",
    "show_version",
    "verify_versions",
]


def list_versions(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Every version of some series, newest first within each.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str, optional
        By default all.

    Returns
    -------
    DataFrame of shape (n_versions, n_columns)
        `ticker`, `timeframe`, `version_id`, `as_of`, `created_at`,
        `horizons`, `live_horizons`, `was_deployed`, `skill` by horizon,
        `members_version_id` and `artifact`: kept or pruned.

    Raises
    ------
    UnknownSeriesError
        If a symbol, a timeframe or every pair of them has no bars.
    NoEnsembleError
        If there is no version.
    """
    frame = read_frame(
        warehouse,
        """
        with

        skills as (
            select version_id, jsonb_object_agg(horizon, skill) as skill
            from {ml}.training_runs
            where version_id is not null
            group by version_id
        )

        select
            symbols.ticker,
            ensembles.timeframe,
            ensembles.version_id,
            ensembles.as_of,
            ensembles.created_at,
            ensembles.horizons,
            -- Of these the live ones, below.
            ensembles.horizons as live_horizons,
            exists (
                select 1
                from {ml}.deployments as deployments
                where deployments.version_id = ensembles.version_id
            ) as was_deployed,
            skills.skill,
            ensembles.members_version_id,
            case when removals.version_id is null then 'kept' else 'pruned' end
                as artifact
        from {ml}.ensembles as ensembles
        inner join {raw}.symbols as symbols
            on ensembles.symbol_id = symbols.symbol_id
        left join skills on ensembles.version_id = skills.version_id
        left join {ml}.artifact_removals as removals
            on ensembles.version_id = removals.version_id
        where ensembles.run_name is null
        order by
            symbols.ticker,
            ensembles.timeframe,
            ensembles.created_at desc,
            ensembles.version_id desc
        """,
    )
    found = live_versions(warehouse)
    live = set(zip(found["version_id"], found["horizon"], strict=True))
    frame["live_horizons"] = [
        [name for name in horizons if (version_id, name) in live]
        for version_id, horizons in zip(
            frame["version_id"], frame["horizons"], strict=True
        )
    ]
    return narrow_to_recorded(warehouse, frame, symbols, timeframes)


def show_version(warehouse: Warehouse, version_id: str) -> dict[str, Any]:
    """All that is on record about one version, ready for JSON.

    Raises
    ------
    UnknownVersionError
        If there is no such version.
    """
    version = read_version(warehouse, version_id)
    parameters = {"version_id": version_id}
    tables = {
        "horizons": """
            select
                horizon, trigger, n_fit, n_validation, skill, skill_se,
                ensemble_validation_accuracy, baseline_accuracy, weights,
                weight_method, weight_alpha, weight_reason
            from {ml}.training_runs
            where version_id = :version_id
            order by training_run_id
        """,
        "deployments": """
            select effective_at, horizons, reason, created_at
            from {ml}.deployments
            where version_id = :version_id
            order by deployment_id
        """,
        "promotions": """
            select
                horizon, verdict, is_promoted, n_series, n_bars, n_blocks,
                mean_difference, mean_difference_se, reason, created_at,
                jsonb_exists(deployed_version_ids, :version_id) as is_deployed
            from {ml}.promotions
            where jsonb_exists(version_ids, :version_id)
            order by promotion_id
        """,
    }
    return {
        "version_id": version.version_id,
        "ticker": version.ticker,
        "timeframe": version.timeframe,
        "as_of": version.as_of.isoformat(),
        "created_at": version.created_at.isoformat(),
        "cut_id": version.cut_id,
        "features": len(version.feature_names),
        "library_versions": version.library_versions,
        "members_version_id": version.members_version_id,
        "artifact_path": version.artifact_path,
        "sha256": version.sha256,
        "artifact": _state(warehouse, version),
        **{
            name: to_records(read_frame(warehouse, query, parameters))
            for name, query in tables.items()
        },
    }


def verify_versions(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Compare every artifact on record with its checksum.

    Returns
    -------
    DataFrame of shape (n_artifacts, n_columns)
        `ticker`, `timeframe`, `version_id`, `artifact_path` and `state`:
        intact, damaged, foreign (the file of another version, or with the
        checksum of another's) or pruned. A pooled member stands below every
        version that refers to it.
    """
    versions = read_versions(warehouse)
    pruned = pruned_paths(warehouse)
    states: dict[SharedArtifact, str] = {}
    # A version's name is in its file, so no two have the same bytes.
    n_versions = Counter(version.sha256 for version in versions.values())

    def state(artifact: Version | SharedArtifact) -> str:
        if isinstance(artifact, Version):
            found = _state(warehouse, artifact)
            if found == "intact" and n_versions[artifact.sha256] > 1:
                return "foreign"
            return found
        if artifact not in states:
            states[artifact] = (
                "pruned"
                if artifact.artifact_path in pruned
                else _state(warehouse, artifact)
            )
        return states[artifact]

    frame = pd.DataFrame(
        [
            {
                "ticker": version.ticker,
                "timeframe": version.timeframe,
                "version_id": version.version_id,
                "artifact_path": artifact.artifact_path,
                "state": state(artifact),
            }
            for version in versions.values()
            for artifact in _still_needed(version)
        ],
        columns=[
            *("ticker", "timeframe", "version_id", "artifact_path", "state")
        ],
    )
    return narrow_to_recorded(warehouse, frame, symbols, timeframes)


def _still_needed(
    version: Version,
) -> tuple[Version | SharedArtifact, ...]:
    """A pruned version needs none of what it referred to."""
    return version.artifacts if version.removed_at is None else (version,)


def _state(warehouse: Warehouse, artifact: Version | SharedArtifact) -> str:
    if isinstance(artifact, Version) and artifact.removed_at is not None:
        return "pruned"
    if isinstance(artifact, Version):
        try:
            check_own_artifact(artifact)
        except ArtifactError:
            return "foreign"
    is_whole = is_intact(
        artifact_file(warehouse.settings, artifact),
        sha256=artifact.sha256,
        folder=warehouse.settings.artifacts_dir,
    )
    return "intact" if is_whole else "damaged"
