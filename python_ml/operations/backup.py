"""Database and artifacts as one: a folder that can be put back as it was.

The folder holds `database.dump` (PostgreSQL's custom form, all schemas of the
warehouse), `trained_ensembles` and `manifest.json`, which has a checksum of
each. It comes into being under another name, so that what has its name is
whole.
"""

import contextlib
import datetime
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.exceptions import BackupError
from python_ml.registry.artifacts import is_intact
from python_ml.registry.versions import artifact_file, read_versions
from python_ml.settings import Settings
from python_ml.warehouse.connection import (
    SCHEMAS,
    Warehouse,
    alembic_config,
    migrate_to_head,
    open_warehouse,
)
from python_ml.warehouse.embedded import wheel_package
from python_ml.warehouse.jobs import code_version, excluding, job_run
from python_ml.warehouse.roles import grant_on_built, grant_on_tables

logger = get_logger(__name__)

DUMP, MANIFEST, ARTIFACTS = (
    "database.dump",
    "manifest.json",
    "trained_ensembles",
)
FORM = 1
# What must hold nothing for a restore to write over it.
TABLES_OF_VALUE = (schema.symbols, schema.ensembles, schema.forecasts)
READ_BYTES = 1 << 20


@dataclass(frozen=True)
class BackupSummary:
    """What was written, or put back.

    Parameters
    ----------
    verb : str
        For people.
    path : Path
        Folder of the backup.
    migration : str
        Of the schemas.
    n_artifacts : int
    n_bytes : int
        Of everything in the folder.
    """

    verb: str
    path: Path
    migration: str
    n_artifacts: int
    n_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "path": str(self.path),
            "migration": self.migration,
            "artifacts": self.n_artifacts,
            "bytes": self.n_bytes,
        }

    def to_text(self) -> str:
        """What a person wants to know."""
        return (
            f"{self.verb} {self.path}: database at migration "
            f"{self.migration}, {self.n_artifacts} artifacts, "
            f"{self.n_bytes / 1e6:.1f} MB."
        )


def backup(warehouse: Warehouse, path: Path) -> BackupSummary:
    """Write a backup of database and artifacts.

    Forecasts, loads and builds may go on: the database is dumped as it is at
    one moment, and artifacts are written before the rows that name them.
    Training and pruning wait, since these take files away.

    Parameters
    ----------
    warehouse : Warehouse
    path : Path
        Folder that is made; one that exists is refused.

    Raises
    ------
    BackupError
        If there is something at `path`, PostgreSQL's program fails, or an
        artifact is not as on record.
    JobRunningError
        If a training or a pruning runs.
    """
    path = path.absolute()
    if path.exists():
        raise BackupError(
            f"{path} exists, and a backup is never written over. Choose "
            "another folder."
        )
    unfinished = path.with_name(f"{path.name}.unfinished")
    with (
        job_run(warehouse, "backup", {"path": str(path)}) as job,
        excluding(warehouse, "train"),
        excluding(warehouse, "prune"),
        _explained(f"write a backup to {path}"),
    ):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        _dump(warehouse, unfinished / DUMP)
        checksums = _copy_artifacts(warehouse, unfinished / ARTIFACTS)
        manifest = {
            "form": FORM,
            "created_at": datetime.datetime.now(datetime.UTC).isoformat(),
            "migration": _revision(warehouse),
            "schema_prefix": warehouse.settings.schema_prefix,
            "code_version": code_version(),
            "job_run_id": job.job_run_id,
            "database_sha256": _sha256(unfinished / DUMP),
            "artifacts": checksums,
        }
        (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=1))
        unfinished.rename(path)
        job.counts["artifacts"] = len(checksums)
    return _summary("Wrote", path, manifest)


def restore(settings: Settings, path: Path) -> BackupSummary:
    """Put a backup into an empty warehouse and bring it up to date.

    Everything is checked before anything is written. Artifacts come first,
    then the database in one transaction; ended half-way, the same command
    begins again.

    Parameters
    ----------
    settings : Settings
        Where to; started if it is embedded.
    path : Path
        Folder that `backup` wrote.

    Raises
    ------
    BackupError
        If the backup is not whole or was made by newer code, or the warehouse
        is not empty.
    """
    path = path.absolute()
    with _explained(f"read the backup {path}"):
        manifest = _read_manifest(path)
        _check_whole(path, manifest)
    if manifest["schema_prefix"] != settings.schema_prefix:
        raise BackupError(
            f"The backup {path} has the schema prefix "
            f"{manifest['schema_prefix']!r}, this warehouse "
            f"{settings.schema_prefix!r}. Set SWIFTBOLT_SCHEMA_PREFIX to that "
            "of the backup."
        )
    with open_warehouse(settings, migrate=False) as warehouse:
        _check_known(warehouse, path, manifest)
        _check_empty(warehouse)
        with _explained(f"write artifacts to {settings.artifacts_dir}"):
            _put_artifacts_back(path, manifest, settings.artifacts_dir)
        _drop_schemas(warehouse)
        _load_dump(warehouse, path / DUMP)
        _end_job_of_backup(warehouse, manifest["job_run_id"])
        _, migration = migrate_to_head(warehouse)
        with warehouse.begin() as connection:
            grant_on_tables(connection, settings)
            connection.exec_driver_sql("analyze")
        grant_on_built(warehouse)
        _check_artifacts(warehouse)
    log_event(logger, "restored", path=path, migration=migration)
    return _summary("Restored", path, manifest | {"migration": migration})


def _dump(warehouse: Warehouse, target: Path) -> None:
    schemas = [warehouse.settings.schema(name) for name in SCHEMAS]
    _run(
        warehouse,
        "pg_dump",
        [
            "--format=custom",
            "--no-owner",
            "--no-privileges",
            f"--file={target}",
            *(f"--schema={name}" for name in schemas),
        ],
    )


def _load_dump(warehouse: Warehouse, source: Path) -> None:
    _run(
        warehouse,
        "pg_restore",
        [
            "--single-transaction",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            f"--dbname={warehouse.parameters.database}",
            str(source),
        ],
    )


def _run(warehouse: Warehouse, program: str, arguments: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs; the password goes by environment."""
    ended = subprocess.run(
        [str(wheel_package() / "pginstall" / "bin" / program), *arguments],
        env=os.environ | warehouse.parameters.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if ended.returncode:
        reason = " ".join(ended.stderr.split())[-500:]
        raise BackupError(
            f"{program} ended with {ended.returncode}: {reason}. Mend that and "
            "run the same command again."
        )


def _copy_artifacts(warehouse: Warehouse, target: Path) -> dict[str, str]:
    """Copy what is on record and not pruned; checksums by name of file."""
    target.mkdir(mode=0o700)
    settings = warehouse.settings
    checksums: dict[str, str] = {}
    for version in read_versions(warehouse).values():
        if version.removed_at is not None:
            continue
        for artifact in version.artifacts:
            file = artifact_file(settings, artifact)
            if file.name in checksums:
                continue
            if file.exists():
                shutil.copy2(file, target / file.name)
            if not is_intact(
                target / file.name, sha256=artifact.sha256, folder=target
            ):
                raise BackupError(
                    f"The artifact {file.name} of version {version.version_id} "
                    "is missing or altered, so that a backup would not be "
                    "whole. See: swiftbolt models verify --all"
                )
            checksums[file.name] = artifact.sha256
    return checksums


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text())
        is_known = manifest["form"] == FORM
    except (FileNotFoundError, NotADirectoryError):
        raise BackupError(
            f"{path} is no backup: it has no {MANIFEST}. Name the folder that "
            "swiftbolt backup wrote."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(
            f"{path / MANIFEST} cannot be read: {error}. Use another backup."
        ) from error
    if not is_known:
        raise BackupError(
            f"The backup {path} has form {manifest['form']}, this code reads "
            f"{FORM}. Update the checkout."
        )
    return manifest


def _check_whole(path: Path, manifest: dict[str, Any]) -> None:
    wanted = {DUMP: manifest["database_sha256"]} | {
        f"{ARTIFACTS}/{name}": checksum
        for name, checksum in manifest["artifacts"].items()
    }
    for name, checksum in wanted.items():
        file = path / name
        if Path(name).name in ("", "..") or not file.is_file():
            found = "missing"
        elif _sha256(file) != checksum:
            found = "altered"
        else:
            continue
        raise BackupError(
            f"{name} of the backup {path} is {found}. Nothing was restored; "
            "use another backup."
        )


def _check_known(
    warehouse: Warehouse, path: Path, manifest: dict[str, Any]
) -> None:
    from alembic.script import ScriptDirectory

    with warehouse.begin() as connection:
        scripts = ScriptDirectory.from_config(
            alembic_config(warehouse, connection)
        )
    known = {script.revision for script in scripts.walk_revisions()}
    if manifest["migration"] not in known:
        raise BackupError(
            f"The backup {path} is at migration {manifest['migration']}, but "
            f"this code ends at {scripts.get_current_head()}. Update the "
            "checkout."
        )


def _check_empty(warehouse: Warehouse) -> None:
    """An empty schema of any migration will do: it is dropped."""
    with warehouse.begin() as connection:
        inspector = sa.inspect(connection)
        for table in TABLES_OF_VALUE:
            name = warehouse.settings.schema(str(table.schema))
            if not inspector.has_table(table.name, schema=name):
                continue
            if connection.execute(sa.select(table).limit(1)).first():
                raise BackupError(
                    f"{name}.{table.name} holds rows, and a restore writes "
                    "over nothing. Restore to another SWIFTBOLT_HOME or "
                    "PGDATABASE."
                )


def _drop_schemas(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        for name in SCHEMAS:
            connection.execute(
                sa.schema.DropSchema(
                    warehouse.settings.schema(name),
                    cascade=True,
                    if_exists=True,
                )
            )


def _put_artifacts_back(
    path: Path, manifest: dict[str, Any], target: Path
) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in manifest["artifacts"]:
        unfinished = target / f"{name}.restoring"
        shutil.copy2(path / ARTIFACTS / name, unfinished)
        unfinished.rename(target / name)


def _end_job_of_backup(warehouse: Warehouse, job_run_id: int) -> None:
    """In the dump the backup is still running, and nobody will end it."""
    runs = schema.job_runs
    with warehouse.begin() as connection:
        connection.execute(
            runs.update()
            .where(runs.c.job_run_id == job_run_id, runs.c.status == "running")
            .values(status="succeeded", finished_at=runs.c.started_at)
        )


def _check_artifacts(warehouse: Warehouse) -> None:
    """Every version of the database has its artifacts."""
    settings = warehouse.settings
    for version in read_versions(warehouse).values():
        if version.removed_at is not None:
            continue
        for artifact in version.artifacts:
            if not artifact_file(settings, artifact).exists():
                raise BackupError(
                    f"The artifact of version {version.version_id} is not in "
                    "the backup. Go back to a version that is, or train again: "
                    "swiftbolt train --all"
                )


def _revision(warehouse: Warehouse) -> str:
    ml = warehouse.settings.schema("ml")
    with warehouse.begin() as connection:
        return str(
            connection.execute(
                sa.text(f"select version_num from {ml}.alembic_version")
            ).scalar_one()
        )


def _summary(verb: str, path: Path, manifest: dict[str, Any]) -> BackupSummary:
    return BackupSummary(
        verb,
        path,
        manifest["migration"],
        len(manifest["artifacts"]),
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
    )


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def _explained(attempt: str) -> Any:
    """Say what was tried when the operating system refuses."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BackupError(
            f"Cannot {attempt}: {reason}. Mend that and run the same command "
            "again."
        ) from error
