"""Where things are and which database is meant, read from the environment.

| variable | meaning | default |
| --- | --- | --- |
| `SWIFTBOLT_HOME` | folder of everything that is kept | see `default_home` |
| `SWIFTBOLT_TARGET` | `embedded` or `postgres` | `embedded` |
| `SWIFTBOLT_SCHEMA_PREFIX` | put before every schema name | empty |
| `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE` | the server of \
target `postgres` | libpq's own |
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from python_ml.exceptions import SettingsError

Target = Literal["embedded", "postgres"]

PROJECT_ROOT = Path(__file__).resolve().parents[1]
ROOT_USER_HOMES = Path("/var/lib/swiftbolt")
# Postgres cuts identifiers at 63 bytes; the longest schema is `intermediate`.
MAX_PREFIX_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment decides.

    Parameters
    ----------
    project_root : Path
        The checkout, which holds `dbt_project/` and `expectations/`.
    home : Path
        Absolute folder of server data, artifacts and logs.
    target : {"embedded", "postgres"}
        Which database is used.
    schema_prefix : str, default=""
        Put before every schema name, for a server shared with others.
    """

    project_root: Path
    home: Path
    target: Target
    schema_prefix: str = ""

    @property
    def artifacts_dir(self) -> Path:
        """Folder of the trained ensembles."""
        return self.home / "trained_ensembles"

    @property
    def logs_dir(self) -> Path:
        """Folder of dbt's and the server's logs."""
        return self.home / "logs"

    @property
    def server_dir(self) -> Path:
        """Folder of the embedded server."""
        return self.home / "server"

    @property
    def dbt_project_dir(self) -> Path:
        """Folder of the dbt project."""
        return self.project_root / "dbt_project"

    @property
    def expectations_dir(self) -> Path:
        """Folder of the Great Expectations context."""
        return self.project_root / "expectations"

    def schema(self, name: str) -> str:
        """Full name of schema `name` in this warehouse."""
        return f"{self.schema_prefix}{name}"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read `Settings` from environment variables.

    Parameters
    ----------
    environment : mapping of str to str, optional
        By default `os.environ`.

    Raises
    ------
    SettingsError
        If a variable holds something that cannot be used.

    Examples
    --------
    >>> load_settings({"SWIFTBOLT_HOME": "/srv/bolt"}).artifacts_dir
    PosixPath('/srv/bolt/trained_ensembles')
    """
    values = os.environ if environment is None else environment
    target = values.get("SWIFTBOLT_TARGET") or "embedded"
    if target not in ("embedded", "postgres"):
        raise SettingsError(
            f"SWIFTBOLT_TARGET is {target!r}; set it to 'embedded' or "
            "'postgres'."
        )
    prefix = values.get("SWIFTBOLT_SCHEMA_PREFIX", "")
    if len(prefix) > MAX_PREFIX_LENGTH or not re.fullmatch(
        r"([a-z][a-z0-9_]*)?", prefix
    ):
        raise SettingsError(
            f"SWIFTBOLT_SCHEMA_PREFIX is {prefix!r}; use at most "
            f"{MAX_PREFIX_LENGTH} lower-case letters, digits and underscores, "
            "a letter first."
        )
    home = values.get("SWIFTBOLT_HOME")
    return Settings(
        project_root=PROJECT_ROOT,
        home=(
            Path(home).expanduser().absolute()
            if home
            else default_home(PROJECT_ROOT, is_root=os.geteuid() == 0)
        ),
        target="embedded" if target == "embedded" else "postgres",
        schema_prefix=prefix,
    )


def default_home(project_root: Path, *, is_root: bool) -> Path:
    """Folder used when `SWIFTBOLT_HOME` is not set: one for each checkout.

    Root's checkouts are often below a folder that the unprivileged user who
    must run the server cannot enter, so root's home is elsewhere.

    Examples
    --------
    >>> default_home(Path("/home/ann/bolt"), is_root=False)
    PosixPath('/home/ann/bolt/.swiftbolt')
    >>> default_home(Path("/root/bolt"), is_root=True)
    PosixPath('/var/lib/swiftbolt/bolt-bc13b48d')
    """
    if not is_root:
        return project_root / ".swiftbolt"
    digest = hashlib.sha256(str(project_root).encode()).hexdigest()[:8]
    return ROOT_USER_HOMES / f"{project_root.name}-{digest}"
