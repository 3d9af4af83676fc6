import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import psycopg2
import pytest

from python_ml.cli import main
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.embedded import EmbeddedServer
from tests.conftest import (
    clean_environment,
    embedded_settings,
    run_command,
    run_command_process,
    run_swiftbolt,
    warehouse_environment,
)

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def home(throwaway_home) -> Path:
    return throwaway_home("a home")


@pytest.fixture
def _stopped(home: Path) -> Iterator[None]:
    """Start from a server that is not running."""
    EmbeddedServer(embedded_settings(home)).stop()
    return


def swiftbolt(
    home: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    # psql takes the place of the process.
    run = run_command_process if "psql" in arguments else run_command
    return run(
        clean_environment() | {"SWIFTBOLT_HOME": str(home)} | environment,
        *arguments,
    )


def succeed(home: Path, *arguments: str) -> str:
    ended = swiftbolt(home, *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_life_of_a_server(throwaway_home):
    home = throwaway_home()
    before = swiftbolt(home, "db", "status")
    assert before.returncode == 1
    assert "is_running: False" in before.stdout
    assert not home.exists()

    started = succeed(home, "db", "start")
    assert "Started: swiftbolt@" in started
    assert "Migrated from an empty database to " in started
    again = succeed(home, "db", "start")
    assert "Already running: " in again
    assert "Schemas are at migration " in again
    told = json.loads(succeed(home, "db", "start", "--json"))
    assert told["was_running"] is True
    assert told["migration"] == told["migration_before"]
    assert told["server"] in again

    status = json.loads(succeed(home, "db", "status", "--json"))
    assert status["is_running"] is True
    assert status["can_log_in"] is True
    assert status["home"] == str(home)
    # Somebody has changed the password, or the file.
    password = home / "server" / "password"
    kept = password.read_text()
    password.write_text("another\n")
    refused = swiftbolt(home, "db", "status", "--json")
    assert refused.returncode == 1
    status = json.loads(refused.stdout)
    assert (status["is_running"], status["can_log_in"]) == (True, False)
    assert "password authentication failed" in status["reason"]
    password.write_text(kept)
    assert "Stopped." in succeed(home, "db", "stop")
    assert "not running" in succeed(home, "db", "stop")
    assert json.loads(succeed(home, "db", "stop", "--json")) == {
        "was_running": False
    }
    assert swiftbolt(home, "db", "status", "--json").returncode == 1


@pytest.mark.usefixtures("_stopped")
def test_the_url_reaches_a_migrated_database(home):
    url = succeed(home, "db", "url").strip()
    assert json.loads(succeed(home, "db", "url", "--json")) == {"url": url}
    lines = succeed(home, "db", "env")
    values = json.loads(succeed(home, "db", "env", "--json"))
    assert lines.splitlines() == [
        f"export {name}={shlex.quote(value)}" for name, value in values.items()
    ]
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from ml.job_runs")
        assert cursor.fetchone() == (0,)
    connection.close()


@pytest.mark.usefixtures("_stopped")
def test_psql_takes_arguments_and_passes_its_exit_status_on(home):
    output = succeed(home, "db", "psql", "-At", "-c", "select 'it''s ' || 42")
    assert output == "it's 42\n"
    failed = swiftbolt(home, "db", "psql", "-c", "select 1/0")
    assert failed.returncode == 1
    assert "division by zero" in failed.stderr


@pytest.mark.usefixtures("_stopped")
def test_after_env_a_plain_dbt_reaches_the_database(home, tmp_path):
    """In `dbt_project/`, and at the root with two options."""
    script = f"""
        set -euo pipefail
        lines="$({sys.executable} -m python_ml.cli db env)"
        eval "$lines"
        dbt --quiet debug --connection \
            --project-dir dbt_project --profiles-dir . \
            --log-path '{tmp_path}'
        cd dbt_project
        dbt --quiet seed --select timeframes \
            --target-path '{tmp_path}' --log-path '{tmp_path}'
        echo "$SWIFTBOLT_HOME"
    """
    ended = subprocess.run(
        ["bash", "-c", script],
        cwd=PROJECT_ROOT,
        env=clean_environment()
        | {
            "SWIFTBOLT_HOME": str(home),
            "PATH": f"{BIN}:{clean_environment()['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.strip() == str(home)
    count = "select count(*) > 0 from features.timeframes"
    assert succeed(home, "db", "psql", "-At", "-c", count) == "t\n"


def test_env_of_a_prefix_and_a_password_with_quotes_survives_the_shell(
    fresh_warehouse,
):
    warehouse = fresh_warehouse(schema_prefix="ann_")
    role = f"o'k $HOME {warehouse.parameters.database}"
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            f"""create role "{role}" superuser login password 'a"b''c $d'"""
        )
    lines = run_swiftbolt(
        warehouse, "db", "env", PGUSER=role, PGPASSWORD="a\"b'c $d"
    )
    assert lines.returncode == 0, lines.stderr
    shown = subprocess.run(
        [
            "bash",
            "-c",
            'eval "$0"; echo "$PGUSER $PGPASSWORD $SWIFTBOLT_SCHEMA_PREFIX"',
            lines.stdout,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == f"{role} a\"b'c $d ann_\n"


def test_the_postgres_target_has_status_url_and_psql(warehouse):
    status = run_swiftbolt(warehouse, "db", "status", "--json")
    assert status.returncode == 0
    assert json.loads(status.stdout)["target"] == "postgres"
    url = run_swiftbolt(warehouse, "db", "url").stdout.strip()
    assert url == warehouse.parameters.url()
    psql = run_command_process(
        warehouse_environment(warehouse),
        *("db", "psql", "-Atc", "select current_database()"),
    )
    assert psql.stdout.strip() == warehouse.parameters.database


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["db", "start"], {}, "SWIFTBOLT_TARGET=embedded for our own"),
        (["db", "stop"], {}, "not ours to stop"),
        (["db", "url"], {"PGPASSWORD": "wrong"}, "authentication failed"),
        (["db", "env"], {"PGDATABASE": "nowhere"}, "does not exist"),
        (["db", "psql"], {"PGPORT": "1"}, "Set PGHOST and PGPORT"),
        (["db", "url"], {"SWIFTBOLT_TARGET": "mysql"}, "'embedded' or"),
        (["db", "url"], {"SWIFTBOLT_SCHEMA_PREFIX": "A"}, "lower-case"),
    ],
)
def test_an_expected_failure_is_one_line_and_exit_status_1(
    warehouse, arguments, environment, message
):
    ended = run_swiftbolt(warehouse, *arguments, **environment)
    assert ended.returncode == 1
    assert ended.stdout == ""
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("Error: ")
    assert message in lines[0]


@pytest.mark.parametrize(
    "arguments",
    [["no-such-command"], ["db", "start", "--no-such-option"], ["db", "x"]],
)
def test_wrong_use_is_exit_status_2(home, arguments):
    assert swiftbolt(home, *arguments).returncode == 2


def test_help_and_completion_import_nothing_heavy():
    script = """
import sys
from python_ml.cli import main
main(["db", "--help"], standalone_mode=False)
heavy = {"numpy", "pandas", "sqlalchemy", "psycopg2", "dbt", "sklearn"}
sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "psql" in ended.stdout


def test_reading_imports_no_polars_and_leaves_it_to_others():
    script = """
import sys
from python_ml.warehouse.adbc import dbapi
print(dbapi.__name__, "polars" in sys.modules)
import polars
print(polars.DataFrame.__name__)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.stdout.splitlines() == [
        "adbc_driver_postgresql.dbapi False",
        "DataFrame",
    ], ended.stderr


def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            for inner, found in commands(command):
                yield f"{name} {inner}", found
        else:
            yield name, command


@pytest.mark.parametrize(("name", "command"), list(commands(main)))
def test_the_help_of_every_command_ends_in_an_example_of_it(name, command):
    assert command.help
    assert command.epilog is not None
    assert command.epilog.startswith("Example: ")
    assert f"swiftbolt {name}" in command.epilog


@pytest.mark.parametrize(("name", "command"), list(commands(main)))
def test_every_command_answers_machines_too(name, command):
    flags = {flag for option in command.params for flag in option.opts}
    # What stands behind `db psql` is for psql, which has options of its own.
    assert ("--json" in flags) == (name != "db psql")


def test_every_command_and_group_stands_in_the_table_of_the_readme():
    readme = (PROJECT_ROOT / "README.md").read_text()
    rows = [line for line in readme.splitlines() if line.startswith("| `swift")]
    for name, _ in commands(main):
        group, _, verb = name.partition(" ")
        named = [row for row in rows if f"`swiftbolt {group}" in row]
        assert named, name
        assert not verb or any(verb in row for row in named), name


def test_a_version_is_shown(home):
    assert "swiftbolt, version " in succeed(home, "--version")
    assert shutil.which("swiftbolt", path=str(BIN))
