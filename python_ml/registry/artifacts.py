"""Trained ensembles as files: written whole, checked before they are read.

A version is one file, `AAPL_d1_20250121T153000Z.joblib`; members fitted once
for all series are files of their own, which versions refer to by checksum
(`pooled-gradient-boosting-XNYS_d1-5d_20250121T153000Z.joblib`). Unpickling can
run any code, so nothing is unpickled before its bytes have the checksum on
record and lie inside the artifacts folder.
"""

import contextlib
import functools
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import joblib

from python_ml.ensemble import (
    Ensemble,
    FittedMember,
    PooledArtifact,
    PooledMember,
)
from python_ml.exceptions import ArtifactError

SUFFIX = ".joblib"
COMPRESSION = ("zlib", 3)
# Reads a file of the installed package.
_version = functools.cache(version)
# Pickles of fitted members are not portable across their major versions.
LIBRARIES = ("joblib", "numpy", "scikit-learn")
TRAIN_COMMAND = "swiftbolt train --symbols {ticker} --timeframes {timeframe}"


def save_ensemble(ensemble: Ensemble, folder: Path) -> tuple[Path, str]:
    """Write an ensemble to a file of its own, whole or not at all.

    Parameters
    ----------
    ensemble : Ensemble
        Its `version_id` names the file.
    folder : Path
        Of the artifacts; made if missing.

    Returns
    -------
    (Path, str)
        The file and the SHA-256 of its bytes.

    Raises
    ------
    ArtifactError
        If the file exists, or cannot be written.
    """
    # Its members are packed already.
    return _save(ensemble, ensemble.version_id, folder, compression=0)


def save_pooled(artifact: PooledArtifact, folder: Path) -> tuple[Path, str]:
    """Write a pooled member likewise; its `pooled_member_id` names the file."""
    return _save(
        artifact, artifact.pooled_member_id, folder, compression=COMPRESSION
    )


def _save(
    content: object,
    name: str,
    folder: Path,
    *,
    compression: int | tuple[str, int],
) -> tuple[Path, str]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}{SUFFIX}"
    temporary = temporary_path(path)
    if path.parent != folder or path.exists():
        raise ArtifactError(
            f"Version {name} cannot be saved as {path}: versions are never "
            "overwritten and lie in the artifacts folder. Run the training "
            "again."
        )
    buffer = io.BytesIO()
    joblib.dump(content, buffer, compress=compression)
    written = buffer.getvalue()
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        _sync_folder(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ArtifactError(
            f"Version {name} could not be written to {folder}: "
            f"{error.strerror or error}. Make room or set SWIFTBOLT_HOME, "
            "then run the training again."
        ) from error
    return path, hashlib.sha256(written).hexdigest()


def load_artifact(
    path: Path,
    *,
    sha256: str,
    folder: Path,
    train_command: str = "swiftbolt train --all",
) -> Ensemble:
    """Read an ensemble whose bytes are those on record.

    Parameters
    ----------
    path : Path
        As on record, absolute.
    sha256 : str
        On record.
    folder : Path
        The artifacts folder; a path that leads out of it, by `..` or a link,
        is refused.
    train_command : str, optional
        Named in errors.

    Raises
    ------
    ArtifactError
        If the file is missing, no file, outside the folder, altered, no
        ensemble or that of another version. Nothing has been unpickled then,
        but for the last two.
    """
    with _advising(train_command):
        found = _verified_content(path, sha256=sha256, folder=folder)
    ensemble = joblib.load(io.BytesIO(found))
    if not isinstance(ensemble, Ensemble):
        raise ArtifactError(
            f"Artifact {path.name} holds a {type(ensemble).__name__}, not an "
            f"ensemble. Train again: {train_command}"
        )
    if ensemble.version_id != path.stem:
        raise ArtifactError(
            f"Artifact {path.name} holds version {ensemble.version_id} of "
            f"{ensemble.ticker} {ensemble.timeframe}, another one than its "
            f"name says; it was not used. Train again: {train_command}"
        )
    return _with_pooled_members(ensemble, folder, train_command)


def load_pooled(
    path: Path,
    *,
    sha256: str,
    folder: Path,
    train_command: str = "swiftbolt train --all",
) -> PooledArtifact:
    """Read a pooled member whose bytes are those on record.

    Parameters and errors are those of `load_artifact`. What was read once is
    kept: all series of a timeframe share it.
    """
    with _advising(train_command):
        found = _load_pooled(path, sha256, folder)
    if not isinstance(found, PooledArtifact):
        raise ArtifactError(
            f"Artifact {path.name} holds a {type(found).__name__}, not a "
            f"pooled member. Train again: {train_command}"
        )
    return found


@functools.lru_cache(maxsize=64)
def _load_pooled(path: Path, sha256: str, folder: Path) -> object:
    content = _verified_content(path, sha256=sha256, folder=folder)
    return joblib.load(io.BytesIO(content))


def _with_pooled_members(
    ensemble: Ensemble, folder: Path, train_command: str
) -> Ensemble:
    """Bind the references of an ensemble to the members they refer to."""

    def bound(member: FittedMember) -> FittedMember:
        if not isinstance(member, PooledMember):
            return member
        return member.bind(
            load_pooled(
                folder / f"{member.pooled_member_id}{SUFFIX}",
                sha256=member.sha256,
                folder=folder,
                train_command=train_command,
            ).deployed
        )

    return replace(
        ensemble,
        horizons={
            name: replace(
                horizon,
                members={
                    key: bound(member)
                    for key, member in horizon.members.items()
                },
            )
            for name, horizon in ensemble.horizons.items()
        },
    )


def verify_artifact(
    path: Path, *, sha256: str, folder: Path, train_command: str
) -> None:
    """Check that a file's bytes are those on record, unpickling nothing.

    Raises
    ------
    ArtifactError
        As `load_artifact`.
    """
    with _advising(train_command):
        _verified_content(path, sha256=sha256, folder=folder)


def is_intact(path: Path, *, sha256: str, folder: Path) -> bool:
    """Whether `load_artifact` would accept the file's bytes."""
    try:
        verify_artifact(path, sha256=sha256, folder=folder, train_command="")
    except ArtifactError:
        return False
    return True


def library_versions() -> dict[str, str]:
    """Versions of the libraries whose objects an artifact holds."""
    return {name: _version(name) for name in LIBRARIES}


def check_library_versions(
    version_id: str, trained_with: dict[str, str], *, train_command: str
) -> None:
    """Compare major versions of libraries with those at training.

    Raises
    ------
    ArtifactError
        If one differs.
    """
    for name, installed in library_versions().items():
        before = trained_with.get(name, installed)
        if before.partition(".")[0] != installed.partition(".")[0]:
            raise ArtifactError(
                f"Version {version_id} was trained with {name} {before}, but "
                f"{installed} is installed, whose objects may differ. Train "
                f"again: {train_command}"
            )


@contextlib.contextmanager
def _advising(train_command: str) -> Iterator[None]:
    """Say in errors how to get another artifact."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(
            f"{error} Train again: {train_command}"
        ) from error.__cause__


def _verified_content(path: Path, *, sha256: str, folder: Path) -> bytes:
    try:
        resolved = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ArtifactError(
            f"Artifact {path} is missing, though it is on record."
        ) from error
    if not resolved.is_relative_to(folder.resolve()):
        raise ArtifactError(
            f"Artifact {path} leads to {resolved}, outside the artifacts "
            f"folder {folder}; it was not read."
        )
    try:
        content = _read_file(resolved)
    except OSError as error:
        raise ArtifactError(
            f"Artifact {path} cannot be read: {error.strerror}."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ArtifactError(
            f"Artifact {path.name} has SHA-256 {found[:12]}..., on record is "
            f"{sha256[:12]}...: it was altered and was not read."
        )
    return content


def _read_file(path: Path) -> bytes:
    """Bytes of a regular file; of nothing that would block or never end."""
    # Not waiting for a writer, in case it has become a pipe since it was seen.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ArtifactError(
            f"Artifact {path} is no file but {_kind(path)}; it was not read."
        )
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArtifactError(f"Artifact {path} was exchanged; not read.")
        return file.read()


def _kind(path: Path) -> str:
    """What stands in a file's place."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"


def temporary_path(path: Path) -> Path:
    """Where an artifact is written before it is renamed into place."""
    return path.with_name(f".{path.name}.tmp")


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut, where folders can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
