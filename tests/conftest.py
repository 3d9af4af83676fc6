"""Fixtures on one real, throw-away PostgreSQL for the whole run.

Pick by how long the database may live:

- `warehouse`: an empty, migrated warehouse for one test (about 0.1 s);
- `module_warehouse`: the same, shared by the tests of a module;
- `fresh_warehouse()`: makes as many as wanted, from fixtures of any scope.

Each is a database of its own with a home of its own, so tests cannot meet.
What many tests start from is made once, by `shared_template`, and copied.

`run_swiftbolt(warehouse, "train", "--all")` runs the command, in this process:
importing what it needs costs seconds. `run_command_process` runs a real one;
`warehouse_environment(warehouse)` is the environment that both need.

`throwaway_home()` makes a `SWIFTBOLT_HOME` that root's server user can reach,
for tests that run an embedded server of their own; whatever runs there is
stopped at the end.

The processes of one run (`pytest -n 2`) share a folder, the server in it, the
templates and what dbt has parsed; whoever needs a part first makes it.
"""

import contextlib
import fcntl
import itertools
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from click.testing import CliRunner
from dbt_common.tests import enable_test_caching

from python_ml.cli import main
from python_ml.console.logs import ROOT_LOGGER
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

FOLDER_PREFIX = "swiftbolt-test-"
OWN_VARIABLES = ("PG", "SWIFTBOLT_", "DBT_")
STATEMENT_SECONDS = 120
LONGEST_FIRST = (
    "test_training",
    "test_planted_faults",
    "test_web_browser",
    "test_embedded",
    "test_knowledge",
    "test_incremental",
    "test_main_job",
    "test_backtest",
    "test_dbt_project",
    "test_odd_market",
    "test_forecasting",
    "test_features",
    "test_expectations",
    "test_drift",
    "test_interrupts",
)


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
    return run_command(
        warehouse_environment(warehouse) | environment, *arguments
    )


def run_command(
    environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in this process; what it does not expect is raised."""
    with _log_as_before():
        ended = CliRunner().invoke(
            main,
            arguments,
            env=environment,
            catch_exceptions=False,
            prog_name="swiftbolt",
        )
    return subprocess.CompletedProcess(
        arguments, ended.exit_code, ended.stdout, ended.stderr
    )


def run_command_process(
    environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "python_ml.cli", *arguments],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@contextlib.contextmanager
def _log_as_before() -> Iterator[None]:
    """Undo what the command sets of the package's log."""
    logger = logging.getLogger(ROOT_LOGGER)
    before = logger.handlers[:], logger.level, logger.propagate
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
        # The linter of imports disables every logger that there is.
        for name, other in logging.Logger.manager.loggerDict.items():
            if name.startswith(ROOT_LOGGER):
                other.disabled = False


@pytest.fixture(autouse=True)
def _log_of_each_test() -> Iterator[None]:
    with _log_as_before():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that take long first, so that all processes end together."""
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


RUN_FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that the processes of the run share."""
    if hasattr(config, "workerinput"):
        config.stash[RUN_FOLDER] = Path(config.workerinput["run_folder"])
        return
    _remove_folders_of_dead_runs()
    # Not pytest's tmp_path, which only its owner can enter.
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
    folder.chmod(0o755)
    config.stash[RUN_FOLDER] = folder


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist the folder."""
    node.workerinput["run_folder"] = str(node.config.stash[RUN_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder and stop what runs in it."""
    if not hasattr(config, "workerinput"):
        _remove(config.stash[RUN_FOLDER])


@pytest.fixture(scope="session")
def run_folder(pytestconfig: pytest.Config) -> Path:
    """Folder that the processes of the run share."""
    return pytestconfig.stash[RUN_FOLDER]


@pytest.fixture(scope="session")
def unique_name(pytestconfig: pytest.Config) -> Callable[[], str]:
    """Factory of names that no process of the run has given yet."""
    worker = getattr(pytestconfig, "workerinput", {}).get("workerid", "main")
    numbers = itertools.count(1)
    return lambda: f"{worker}_{next(numbers)}"


@pytest.fixture(scope="session", autouse=True)
def _no_database_of_the_caller() -> Iterator[None]:
    """Keep the caller's own databases out of every test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(clean_environment()):
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _parsed_once(run_folder: Path) -> Iterator[None]:
    """Keep what dbt has parsed in one place for all warehouses of the run.

    What has to be parsed anew repeats most of dbt's own macros, which dbt keeps
    for its own tests.
    """
    enable_test_caching()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            dbt_manifest, "kept_dir", lambda settings: run_folder / "parsed"
        )
        # The tests' own little projects would push it out.
        patch.setattr(dbt_manifest, "N_KEPT", 1000)
        yield


@pytest.fixture(scope="session")
def throwaway_home(
    run_folder: Path, unique_name: Callable[[], str]
) -> Callable[..., Path]:
    """Factory of homes: `throwaway_home(name="a home")`; all go at the end."""
    return lambda name="home": _home(run_folder, unique_name(), name)


def _home(run_folder: Path, owner: str, name: str = "home") -> Path:
    folder = run_folder / owner
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)
    return folder / name


@contextlib.contextmanager
def _locked(run_folder: Path, name: str) -> Iterator[None]:
    """Let one process of the run in at a time."""
    with open(run_folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_folders_of_dead_runs() -> None:
    """Clear up after runs that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(FOLDER_PREFIX).partition("-")[0]
        if (
            pid.isdecimal()
            and not psutil.pid_exists(int(pid))
            and folder.stat().st_uid == os.geteuid()
        ):
            _remove(folder)


def _remove(folder: Path) -> None:
    for data in folder.glob("*/*/server/data"):
        server = EmbeddedServer(embedded_settings(data.parents[1]))
        if (pid := server.status().pid) is not None:
            # At once, without writing out what is deleted anyway.
            os.kill(pid, signal.SIGQUIT)
        server.stop()
    # Half a minute for the files of a hundred databases: none waits for it.
    subprocess.run(
        ["sh", "-c", 'rm -rf "$0" &', str(folder)],
        start_new_session=True,
        check=True,
    )


def embedded_settings(home: Path, *, schema_prefix: str = "") -> Settings:
    """Settings of an embedded server in `home`."""
    return Settings(PROJECT_ROOT, home, "embedded", schema_prefix)


@pytest.fixture(scope="session")
def server_parameters(run_folder: Path) -> ConnectionParameters:
    """Login of the run's server, as superuser, to its first database."""
    settings = embedded_settings(_home(run_folder, "shared"))
    with _locked(run_folder, "server"):
        parameters = EmbeddedServer(settings).start()
        # Nothing here need survive a power cut, and fresh databases come
        # quicker.
        _execute(parameters, "alter system set fsync = off")
        # A statement that hangs fails its test, which names it, long before
        # the test's own time is up.
        _execute(
            parameters,
            f"alter system set statement_timeout = '{STATEMENT_SECONDS}s'",
        )
        _execute(parameters, "select pg_reload_conf()")
    return parameters


@pytest.fixture(scope="session")
def shared_template(
    run_folder: Path, server_parameters: ConnectionParameters
) -> Callable[..., str]:
    """Make a database once in the run and return its name, to be copied.

    `shared_template("loaded", fill)` migrates an empty one and lets `fill`
    write to it. Nothing may connect to it afterwards.
    """

    def make(
        name: str,
        fill: Callable[[Warehouse], object],
        *,
        template: str = "template1",
    ) -> str:
        database = f"template_{name}"
        made = run_folder / f"{database}.made"
        with _locked(run_folder, database):
            if not made.exists():
                _execute(
                    server_parameters,
                    f"drop database if exists {database} with (force)",
                )
                with _copy(
                    run_folder, server_parameters, database, template
                ) as warehouse:
                    migrate_to_head(warehouse)
                    fill(warehouse)
                made.touch()
        return database

    return make


def _copy(
    run_folder: Path,
    server: ConnectionParameters,
    database: str,
    template: str,
    schema_prefix: str = "",
) -> Warehouse:
    """Copy a database and the artifacts beside it."""
    _execute(server, f"create database {database} template {template}")
    settings = Settings(
        PROJECT_ROOT, _home(run_folder, database), "postgres", schema_prefix
    )
    artifacts = run_folder / template / "home" / settings.artifacts_dir.name
    if artifacts.exists():
        shutil.copytree(artifacts, settings.artifacts_dir)
    return connect(settings, replace(server, database=database))


MADE = pytest.StashKey[list[Warehouse]]()


@pytest.fixture(scope="module", autouse=True)
def _connections_of_a_module(pytestconfig: pytest.Config) -> Iterator[None]:
    """Close what a module's tests left open: the server has 60 connections.

    A warehouse that is used again connects again.
    """
    yield
    for warehouse in pytestconfig.stash.get(MADE, []):
        warehouse.close()


@pytest.fixture(scope="session")
def fresh_warehouse(
    pytestconfig: pytest.Config,
    run_folder: Path,
    server_parameters: ConnectionParameters,
    shared_template: Callable[..., str],
    unique_name: Callable[[], str],
) -> Callable[..., Warehouse]:
    """Factory of empty, migrated warehouses: `fresh_warehouse()`.

    Each has a database and a home of its own. With `schema_prefix` the
    schemas carry it; with `migrate=False` the database is empty;
    `template=other.parameters.database` copies another warehouse with its
    artifacts, to which nothing may be connected (`other.close()`).
    """
    made = pytestconfig.stash.setdefault(MADE, [])

    def make(
        *,
        schema_prefix: str = "",
        migrate: bool = True,
        template: str | None = None,
    ) -> Warehouse:
        if template is None:
            template = (
                shared_template("migrated", lambda warehouse: None)
                if migrate and not schema_prefix
                else "template1"
            )
        warehouse = _copy(
            run_folder,
            server_parameters,
            f"warehouse_{unique_name()}",
            template,
            schema_prefix,
        )
        made.append(warehouse)
        if migrate and schema_prefix:
            migrate_to_head(warehouse)
        return warehouse

    return make


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
def sample_database(shared_template: Callable[..., str]) -> str:
    """Name of a database with the real sample ingested and built."""

    def fill(warehouse: Warehouse) -> None:
        ingest(warehouse, SampleSource())
        run_dbt(warehouse, BUILD_WITHOUT_TESTS)

    return shared_template("sample", fill)


@pytest.fixture(scope="session")
def built_sample(
    fresh_warehouse: Callable[..., Warehouse], sample_database: str
) -> Warehouse:
    """The real sample, to read from.

    Tests must not write to it: `fresh_warehouse(template=sample_database)`
    makes a copy.
    """
    return fresh_warehouse(template=sample_database)


# Bars, features and labels, and what they are made of.
BUILD_FEATURES = [*BUILD_WITHOUT_TESTS, "--select", "+feature_rows +labels"]


@pytest.fixture(scope="session")
def synthetic_database(shared_template: Callable[..., str]) -> str:
    """Name of a database with the synthetic daily market, built."""
    from tests.synthetic_market import SyntheticSource

    def fill(warehouse: Warehouse) -> None:
        ingest(warehouse, SyntheticSource())
        run_dbt(warehouse, BUILD_WITHOUT_TESTS)

    return shared_template("synthetic", fill)


@pytest.fixture(scope="session")
def intraday_database(shared_template: Callable[..., str]) -> str:
    """Name of a database with the intraday market, built."""
    from tests.intraday_market import IntradaySource

    def fill(warehouse: Warehouse) -> None:
        ingest(warehouse, IntradaySource())
        run_dbt(warehouse, BUILD_WITHOUT_TESTS)

    return shared_template("intraday", fill)


@pytest.fixture(scope="session")
def market_database(shared_template: Callable[..., str]) -> str:
    """Name of a database with the market of `forecast_market`, built.

    For copies: `fresh_warehouse(template=market_database)`.
    """
    from tests.forecast_market import build, load_bars

    def fill(warehouse: Warehouse) -> None:
        load_bars(warehouse)
        build(warehouse)

    return shared_template("market", fill)


@pytest.fixture(scope="session")
def pages_database(
    shared_template: Callable[..., str], market_database: str
) -> str:
    """Name of a database for the pages: forecasts, and markup in its names."""
    from tests.web_market import fill, make_hostile

    def fill_all(warehouse: Warehouse) -> None:
        fill(warehouse)
        make_hostile(warehouse)

    return shared_template("pages", fill_all, template=market_database)


@pytest.fixture(scope="module")
def module_with_few_trees() -> Iterator[None]:
    """Let what a module's tests train in this process be small."""
    from tests.few_trees import few_trees

    with few_trees():
        yield


@pytest.fixture
def market_warehouse(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Iterator[Warehouse]:
    """A copy of the built market, with nothing trained on it."""
    with fresh_warehouse(template=market_database) as made:
        yield made
