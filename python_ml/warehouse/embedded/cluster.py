"""The data directory: made by initdb and checked before every start."""

import secrets
import shutil
import tempfile
from pathlib import Path

from python_ml.exceptions import ServerError
from python_ml.warehouse.embedded.binaries import WHEEL, run_program
from python_ml.warehouse.embedded.files import ServerFiles, write_private_file
from python_ml.warehouse.embedded.user import ServerUser, give

SUPERUSER = "swiftbolt"
DATABASE = "swiftbolt"


def initialise(
    files: ServerFiles, binaries: Path, user: ServerUser | None
) -> None:
    """Run initdb beside the final place, then rename: all or nothing."""
    workplace = Path(tempfile.mkdtemp(prefix="new-", dir=files.directory))
    password = secrets.token_urlsafe(24)
    password_path = workplace / "password"
    write_private_file(password_path, password + "\n")
    for path in (workplace, password_path):
        give(path, user)
    run_program(
        files,
        [
            str(binaries / "initdb"),
            "--pgdata=data",
            f"--username={SUPERUSER}",
            "--pwfile=password",
            "--auth-local=scram-sha-256",
            "--auth-host=scram-sha-256",
            "--locale=C",
            "--encoding=UTF8",
            "--no-instructions",
        ],
        user,
        cwd=workplace,
    )
    _run_alone(
        files,
        binaries,
        user,
        workplace / "data",
        f"create database {DATABASE}",
    )
    files.write_password(password)
    (workplace / "data").rename(files.data_directory)
    shutil.rmtree(workplace)


def check_data(
    files: ServerFiles, binaries: Path, user: ServerUser | None
) -> None:
    """Check that the binaries fit the data; renew a lost password.

    Raises
    ------
    ServerError
        If they do not fit or there are no data.
    """
    version_path = files.data_directory / "PG_VERSION"
    if not version_path.exists():
        raise ServerError(
            f"{files.data_directory} is not a PostgreSQL data directory: "
            "it lacks PG_VERSION. Move it away and run `swiftbolt db "
            "start` again, or restore it."
        )
    version = version_path.read_text().strip()
    program = run_program(
        files, [str(binaries / "postgres"), "--version"], user
    ).split()[-1]
    if program.split(".")[0] != version:
        raise ServerError(
            f"{files.data_directory} was made by PostgreSQL {version}, but "
            f"the package {WHEEL} holds {program}. Install the one that "
            f"fits with: pip install '{WHEEL}=={version}.*'"
        )
    if files.password() is None:
        password = secrets.token_urlsafe(24)
        _run_alone(
            files,
            binaries,
            user,
            files.data_directory,
            f"alter role {SUPERUSER} password '{password}'",
        )
        files.write_password(password)


def _run_alone(
    files: ServerFiles,
    binaries: Path,
    user: ServerUser | None,
    data_directory: Path,
    statement: str,
) -> None:
    """Run a statement without a server, as its owner may."""
    program = str(binaries / "postgres")
    run_program(
        files,
        [program, "--single", "-D", str(data_directory), "postgres"],
        user,
        # What fails here is only reported, never an exit status.
        stdin=f"{statement};\n",
        refused="ERROR:",
    )
