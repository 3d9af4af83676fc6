"""Fixtures on one real, throw-away PostgreSQL for the whole run.

Pick by how long the database may live:

- `warehouse`: an empty, migrated warehouse for one test (about 0.1 s);
- `module_warehouse`: the same, shared by the tests of a module;
- `fresh_warehouse()`: makes as many as wanted, from fixtures of any scope.

Each is a database of its own with a home of its own, so tests cannot meet.
`warehouse_environment(warehouse)` is what a subprocess (`swiftbolt`, `dbt`)
needs to work on one, and `run_swiftbolt(warehouse, "train", "--all")` runs
the command in one.

`throwaway_home()` makes a `SWIFTBOLT_HOME` that root's server user can reach,
for tests that run an embedded server of their own; whatever runs there is
stopped at the end.
"""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg2
import pytest

from python_ml.ingestion.load import ingest
from python_ml.ingestion.readers.sample import SampleSource
from python_ml.settings import PROJECT_ROOT, Settings
from python_ml.warehouse import dbt_manifest
from python_ml.warehouse.connection import Warehouse, connect, migrate_to_head
from python_ml.warehouse.dbt import dbt_environment, run_dbt
from python_ml.warehouse.embedded import EmbeddedServer
from python_ml.warehouse.parameters import ConnectionParameters

# Threads of two test runs side by side would wait for each other, spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")

HOME_PREFIX = "swiftbolt-test-"
OWN_VARIABLES = ("PG", "SWIFTBOLT_", "DBT_")
STATEMENT_SECONDS = 120


def clean_environment() -> dict[str, str]:
    """The environment without anything that points to a database."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OWN_VARIABLES)
    }


def warehouse_environment(warehouse: Warehouse) -> dict[str, str]:
    """Environment for a subprocess that works on `warehouse`."""
    return clean_environment() | dbt_environment(
        warehouse.settings, warehouse.parameters
    )


def run_swiftbolt(
    warehouse: Warehouse, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command `swiftbolt` on `warehouse` and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "python_ml.cli", *arguments],
        cwd=PROJECT_ROOT,
        env=warehouse_environment(warehouse) | environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="session", autouse=True)
def _no_database_of_the_caller() -> Iterator[None]:
    """Keep the caller's own databases out of every test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(clean_environment()):
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _parsed_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what dbt has parsed in one place for all warehouses of the run."""
    folder = tmp_path_factory.mktemp("parsed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dbt_manifest, "kept_dir", lambda settings: folder)
        yield


@pytest.fixture(scope="session")
def throwaway_home() -> Iterator[Callable[..., Path]]:
    """Factory of homes: `throwaway_home(name="a home")`; all go at the end."""
    _remove_homes_of_dead_runs()
    # Not pytest's tmp_path, which only its owner can enter.
    root = Path(tempfile.mkdtemp(prefix=f"{HOME_PREFIX}{os.getpid()}-"))
    root.chmod(0o755)
    numbers = itertools.count(1)
    homes: list[Path] = []

    def make(name: str = "home") -> Path:
        folder = root / str(next(numbers))
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        homes.append(folder / name)
        return folder / name

    yield make
    _remove(root)


def _remove_homes_of_dead_runs() -> None:
    """Clear up after runs that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{HOME_PREFIX}*"):
        pid = folder.name.removeprefix(HOME_PREFIX).partition("-")[0]
        if (
            pid.isdecimal()
            and not psutil.pid_exists(int(pid))
            and folder.stat().st_uid == os.geteuid()
        ):
            _remove(folder)


def _remove(root: Path) -> None:
    for data in root.glob("*/*/server/data"):
        server = EmbeddedServer(embedded_settings(data.parents[1]))
        if (pid := server.status().pid) is not None:
            # At once, without writing out what is deleted anyway.
            os.kill(pid, signal.SIGQUIT)
        server.stop()
    # Half a minute for the files of a hundred databases: none waits for it.
    subprocess.Popen(["rm", "-rf", str(root)], start_new_session=True)


def embedded_settings(home: Path, *, schema_prefix: str = "") -> Settings:
    """Settings of an embedded server in `home`."""
    return Settings(PROJECT_ROOT, home, "embedded", schema_prefix)


@pytest.fixture(scope="session")
def server_parameters(
    throwaway_home: Callable[..., Path],
) -> ConnectionParameters:
    """Login of the run's server, as superuser, to its first database."""
    settings = embedded_settings(throwaway_home("shared"))
    parameters = EmbeddedServer(settings).start()
    # Nothing here need survive a power cut, and fresh databases come quicker.
    _execute(parameters, "alter system set fsync = off")
    # A statement that hangs fails its test, which names it, long before the
    # test's own time is up.
    _execute(
        parameters,
        f"alter system set statement_timeout = '{STATEMENT_SECONDS}s'",
    )
    _execute(parameters, "select pg_reload_conf()")
    return parameters


@pytest.fixture(scope="session")
def template_database(
    server_parameters: ConnectionParameters, throwaway_home: Callable[..., Path]
) -> str:
    """Name of a migrated database, copied for every fresh warehouse."""
    name = "migrated"
    _execute(server_parameters, f"create database {name}")
    parameters = replace(server_parameters, database=name)
    settings = Settings(PROJECT_ROOT, throwaway_home(), "postgres")
    with connect(settings, parameters) as warehouse:
        migrate_to_head(warehouse)
    return name


@pytest.fixture(scope="session")
def fresh_warehouse(
    server_parameters: ConnectionParameters,
    template_database: str,
    throwaway_home: Callable[..., Path],
) -> Iterator[Callable[..., Warehouse]]:
    """Factory of empty, migrated warehouses: `fresh_warehouse()`.

    Each has a database and a home of its own. With `schema_prefix` the
    schemas carry it; with `migrate=False` the database is empty;
    `template=other.parameters.database` copies another warehouse, to which
    nothing may be connected (`other.close()`).
    """
    numbers = itertools.count(1)
    made: list[Warehouse] = []

    def make(
        *,
        schema_prefix: str = "",
        migrate: bool = True,
        template: str | None = None,
    ) -> Warehouse:
        name = f"warehouse_{next(numbers)}"
        if template is None:
            template = (
                template_database
                if migrate and not schema_prefix
                else "template1"
            )
        _execute(
            server_parameters, f"create database {name} template {template}"
        )
        warehouse = connect(
            Settings(PROJECT_ROOT, throwaway_home(), "postgres", schema_prefix),
            replace(server_parameters, database=name),
        )
        made.append(warehouse)
        if migrate and schema_prefix:
            migrate_to_head(warehouse)
        return warehouse

    yield make
    for warehouse in made:
        warehouse.close()


@pytest.fixture
def warehouse(fresh_warehouse: Callable[..., Warehouse]) -> Iterator[Warehouse]:
    """An empty, migrated warehouse for one test."""
    with fresh_warehouse() as made:
        yield made


@pytest.fixture(scope="module")
def module_warehouse(
    fresh_warehouse: Callable[..., Warehouse],
) -> Iterator[Warehouse]:
    """An empty, migrated warehouse shared by a module's tests."""
    with fresh_warehouse() as made:
        yield made


def _execute(parameters: ConnectionParameters, statement: str) -> None:
    connection = psycopg2.connect(
        host=parameters.host,
        port=parameters.port,
        user=parameters.user,
        password=parameters.password,
        dbname="postgres",
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


# dbt's own tests have a test of their own; a fixture only needs the tables.
BUILD_WITHOUT_TESTS = [
    "build",
    "--exclude-resource-type",
    "unit_test",
    "--exclude-resource-type",
    "test",
]


@pytest.fixture(scope="session")
def built_sample(fresh_warehouse: Callable[..., Warehouse]) -> Warehouse:
    """The real sample ingested and built, to read from and to copy.

    Tests must not write to it: `fresh_warehouse(template=...)` makes a copy,
    after `built_sample.close()`.
    """
    made = fresh_warehouse()
    ingest(made, SampleSource())
    run_dbt(made, BUILD_WITHOUT_TESTS)
    return made


@pytest.fixture(scope="session")
def market_database(fresh_warehouse: Callable[..., Warehouse]) -> str:
    """Name of a database with the market of `forecast_market`, built.

    For copies: `fresh_warehouse(template=market_database)`.
    """
    from tests.forecast_market import build, load_bars

    made = fresh_warehouse()
    load_bars(made)
    build(made)
    made.close()
    return made.parameters.database


@pytest.fixture
def market_warehouse(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Iterator[Warehouse]:
    """A copy of the built market, with nothing trained on it."""
    with fresh_warehouse(template=market_database) as made:
        yield made
