"""Ensemble versions on record, and whether one can still be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from python_ml.console.text_tables import some_names
from python_ml.ensemble import CLASSES, Ensemble
from python_ml.examples.series import narrow_to_series
from python_ml.exceptions import (
    ArtifactError,
    FeatureMismatchError,
    NoEnsembleError,
    SwiftBoltError,
    UnknownVersionError,
)
from python_ml.registry.artifacts import (
    SUFFIX,
    TRAIN_COMMAND,
    check_library_versions,
    load_artifact,
    verify_artifact,
)
from python_ml.settings import Settings
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

VERSIONS_QUERY = """
    select
        ensembles.version_id,
        ensembles.symbol_id,
        symbols.ticker,
        symbols.calendar,
        ensembles.timeframe,
        ensembles.as_of,
        ensembles.cut_id,
        ensembles.data_fingerprint,
        ensembles.created_at,
        ensembles.horizons,
        ensembles.feature_names,
        ensembles.classes,
        ensembles.library_versions,
        ensembles.artifact_path,
        ensembles.sha256,
        ensembles.members_version_id,
        ensembles.pooled_members,
        ensembles.run_name,
        removals.removed_at
    from {ml}.ensembles as ensembles
    inner join {raw}.symbols as symbols
        on ensembles.symbol_id = symbols.symbol_id
    left join {ml}.artifact_removals as removals
        on ensembles.version_id = removals.version_id
    where
        ensembles.version_id = any(:version_ids)
        or cast(:version_ids as text[]) is null
    order by ensembles.created_at, ensembles.version_id
"""


@dataclass(frozen=True)
class SharedArtifact:
    """One row of `ml.pooled_members`: a file that versions refer to.

    Parameters
    ----------
    pooled_member_id : str
    artifact_path : str
        Below `SWIFTBOLT_HOME`.
    sha256 : str
    """

    pooled_member_id: str
    artifact_path: str
    sha256: str


@dataclass(frozen=True)
class Version:
    """One row of `ml.ensembles`.

    Parameters
    ----------
    version_id : str
    symbol_id : int
    ticker, calendar, timeframe : str
        Its series.
    as_of : datetime
        UTC; nothing that closed later was used.
    cut_id : int
    data_fingerprint : str
        SHA-256 of the rows that its members were fitted on.
    created_at : datetime
    horizons, feature_names, classes : tuple of str
        In the artifact's order.
    library_versions : dict of str to str
        At training.
    artifact_path : str
        Below `SWIFTBOLT_HOME`.
    sha256 : str
        Of the artifact.
    members_version_id : str or None
        Version that it took its members from; its artifact holds them too.
    shared : tuple of SharedArtifact
        Pooled members that it refers to.
    removed_at : datetime or None
        When its artifact was pruned.
    run_name : str or None
        Backtest that it belongs to; None for one that may go live.
    """

    version_id: str
    symbol_id: int
    ticker: str
    calendar: str
    timeframe: str
    as_of: datetime
    cut_id: int
    data_fingerprint: str
    created_at: datetime
    horizons: tuple[str, ...]
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]
    library_versions: dict[str, str]
    artifact_path: str
    sha256: str
    members_version_id: str | None
    shared: tuple[SharedArtifact, ...]
    removed_at: datetime | None
    run_name: str | None = None

    @property
    def series(self) -> str:
        """For people: AAPL d1."""
        return f"{self.ticker} {self.timeframe}"

    @property
    def artifacts(self) -> "tuple[Version | SharedArtifact, ...]":
        """Its own artifact and those that it refers to."""
        return (self, *self.shared)

    @property
    def train_command(self) -> str:
        """Trains its series again."""
        return TRAIN_COMMAND.format(
            ticker=self.ticker, timeframe=self.timeframe
        )


def read_versions(
    warehouse: Warehouse, version_ids: Sequence[str] | None = None
) -> dict[str, Version]:
    """Versions by name, oldest first.

    Parameters
    ----------
    warehouse : Warehouse
    version_ids : sequence of str, optional
        By default all. Names that are not on record are left out.
    """
    frame = read_frame(
        warehouse,
        VERSIONS_QUERY,
        {"version_ids": None if version_ids is None else list(version_ids)},
    )
    shared = {
        artifact.pooled_member_id: artifact
        for artifact in read_shared_artifacts(warehouse)
    }
    versions = {}
    for row in frame.to_dict("records"):
        values: dict[str, Any] = {str(name): row[name] for name in row}
        for name in ("horizons", "feature_names", "classes"):
            values[name] = tuple(values[name])
        for name in ("as_of", "created_at", "removed_at"):
            time = values[name]
            # pandas has NaT for a missing time and it is not None.
            values[name] = time.to_pydatetime() if time == time else None
        for name in ("members_version_id", "run_name"):
            # A missing text is not None either.
            text = values[name]
            values[name] = text if isinstance(text, str) else None
        values["shared"] = tuple(
            shared[name] for name in values.pop("pooled_members")
        )
        versions[values["version_id"]] = Version(**values)
    return versions


def read_shared_artifacts(warehouse: Warehouse) -> list[SharedArtifact]:
    """Pooled members on record."""
    frame = read_frame(
        warehouse,
        """
        select pooled_member_id, artifact_path, sha256
        from {ml}.pooled_members
        order by pooled_member_id
        """,
    )
    return [
        SharedArtifact(**{str(name): row[name] for name in row})
        for row in frame.to_dict("records")
    ]


def read_version(warehouse: Warehouse, version_id: str) -> Version:
    """One version.

    Raises
    ------
    UnknownVersionError
        If there is no such version.
    """
    found = read_versions(warehouse, [version_id])
    if version_id not in found:
        raise UnknownVersionError(
            f"There is no version {version_id!r}. See those there are with: "
            "swiftbolt models list --all"
        )
    return found[version_id]


def check_usable(
    warehouse: Warehouse,
    version: Version,
    feature_names: Sequence[str],
    *,
    verified: set[SharedArtifact] | None = None,
) -> None:
    """Whether forecasts could be made with a version, before it is deployed.

    Parameters
    ----------
    warehouse : Warehouse
    version : Version
    feature_names : sequence of str
        Features that there are now. Their order does not matter: rows are
        read by name.
    verified : set of SharedArtifact, optional
        Pooled members that need not be read again; those read are added.

    Raises
    ------
    ArtifactError
        If its artifact, or one that it refers to, was pruned, is missing,
        altered or outside the folder; or was written with another major
        version of a library or for other classes.
    FeatureMismatchError
        If a feature that it was trained on is gone.
    """
    check_not_pruned(version)
    check_classes(version)
    check_libraries(version)
    missing = [
        name for name in version.feature_names if name not in feature_names
    ]
    if missing:
        raise FeatureMismatchError(
            f"Version {version.version_id} was trained on features that are "
            f"gone: {', '.join(missing)}. Train again: {version.train_command}"
        )
    check_own_artifact(version)
    verified = set() if verified is None else verified
    for artifact in version.artifacts:
        if isinstance(artifact, SharedArtifact) and artifact in verified:
            continue
        verify_artifact(
            artifact_file(warehouse.settings, artifact),
            sha256=artifact.sha256,
            folder=warehouse.settings.artifacts_dir,
            train_command=version.train_command,
        )
        if isinstance(artifact, SharedArtifact):
            verified.add(artifact)


def why_unusable(
    warehouse: Warehouse,
    version: Version,
    feature_names: Sequence[str],
    *,
    verified: set[SharedArtifact] | None = None,
) -> str | None:
    """What `check_usable` would raise, None for a version that can be used."""
    try:
        check_usable(warehouse, version, feature_names, verified=verified)
    except SwiftBoltError as error:
        return str(error)
    return None


def load_version(settings: Settings, version: Version) -> Ensemble:
    """Read the ensemble of a version.

    Raises
    ------
    ArtifactError
        If its artifact was pruned, is missing, altered, outside the folder or
        that of another version or series, or was written with another major
        version of a library.
    """
    check_not_pruned(version)
    check_libraries(version)
    check_own_artifact(version)
    ensemble = load_artifact(
        artifact_file(settings, version),
        sha256=version.sha256,
        folder=settings.artifacts_dir,
        train_command=version.train_command,
    )
    of_record = version.symbol_id, version.timeframe
    if (ensemble.symbol_id, ensemble.timeframe) != of_record:
        raise ArtifactError(
            f"The artifact of version {version.version_id} was trained on "
            f"{ensemble.ticker} {ensemble.timeframe}, but is on record for "
            f"{version.ticker} {version.timeframe}; it was not used. Train "
            f"again: {version.train_command}"
        )
    return ensemble


def load_ensemble(warehouse: Warehouse, version_id: str) -> Ensemble:
    """Read the ensemble of a version by its name.

    Raises
    ------
    UnknownVersionError
        If there is no such version.
    ArtifactError
        As `load_version`.
    """
    return load_version(warehouse.settings, read_version(warehouse, version_id))


def check_not_pruned(version: Version) -> None:
    """Raise an `ArtifactError` if the artifact of a version was pruned."""
    if version.removed_at is not None:
        raise ArtifactError(
            f"The artifact of version {version.version_id} was pruned on "
            f"{version.removed_at:%Y-%m-%d}; its rows stay on record. Train "
            f"again: {version.train_command}"
        )


def check_own_artifact(version: Version) -> None:
    """Raise an `ArtifactError` if a version names the file of another."""
    name = Path(version.artifact_path).name
    if name != f"{version.version_id}{SUFFIX}":
        raise ArtifactError(
            f"On record for version {version.version_id} is the artifact "
            f"{name}, which is that of another version; it was not read. "
            f"Train again: {version.train_command}"
        )


def check_classes(version: Version) -> None:
    """Raise an `ArtifactError` if a version predicts other classes."""
    if version.classes != CLASSES:
        raise ArtifactError(
            f"Version {version.version_id} predicts "
            f"{', '.join(version.classes)}; now the classes are "
            f"{', '.join(CLASSES)}. Train again: {version.train_command}"
        )


def check_libraries(version: Version) -> None:
    """Raise an `ArtifactError` if libraries have another major version."""
    check_library_versions(
        version.version_id,
        version.library_versions,
        train_command=version.train_command,
    )


def artifact_file(
    settings: Settings, artifact: Version | SharedArtifact
) -> Path:
    """Where an artifact lies."""
    return settings.home / artifact.artifact_path


def pruned_paths(warehouse: Warehouse) -> set[str]:
    """Artifacts that were pruned."""
    query = "select artifact_path from {ml}.artifact_removals"
    return set(read_frame(warehouse, query)["artifact_path"])


def narrow_to_recorded(
    warehouse: Warehouse,
    frame: pd.DataFrame,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> pd.DataFrame:
    """Rows of some series, of which something has to be on record.

    Parameters
    ----------
    warehouse, frame, symbols, timeframes
        As in `narrow_to_series`.

    Raises
    ------
    UnknownSeriesError
        If a symbol, a timeframe or every pair of them has no bars.
    NoEnsembleError
        If no row is left.
    """
    frame = narrow_to_series(frame, symbols, timeframes, warehouse=warehouse)
    if frame.empty:
        what = " ".join(
            some_names(list(names)) for names in (symbols, timeframes) if names
        )
        raise NoEnsembleError(
            f"There is nothing on record for {what or 'any series'}. Train "
            "first: swiftbolt train --all"
        )
    return frame.reset_index(drop=True)
