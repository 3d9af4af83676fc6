import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psycopg2
import psycopg2.extensions
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from python_ml import schema
from python_ml.exceptions import ExhaustedError, SchemaError, ServerError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import (
    database_status,
    migrate_to_head,
    open_warehouse,
)
from python_ml.warehouse.embedded import EmbeddedServer
from python_ml.warehouse.embedded.processes import find_processes
from python_ml.warehouse.errors import (
    explain_exhaustion,
    translate_database_error,
    translate_system_error,
)
from python_ml.warehouse.parameters import ConnectionParameters
from tests.conftest import embedded_settings, warehouse_environment


@pytest.fixture
def environment(warehouse, monkeypatch):
    """The variables of target `postgres`, pointing at `warehouse`."""
    for name, value in warehouse_environment(warehouse).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_postgres_target_goes_where_the_variables_say(
    warehouse, environment
):
    with open_warehouse(warehouse.settings) as opened:
        assert opened.parameters == warehouse.parameters


@pytest.mark.parametrize(
    ("variable", "value", "found", "advice"),
    [
        ("PGPASSWORD", "wrong", "password authentication failed", "PGUSER"),
        ("PGUSER", "stranger", "stranger", "PGUSER"),
        ("PGDATABASE", "nowhere", '"nowhere" does not exist', "createdb"),
        ("PGPORT", "1", "connection to server", "PGHOST and PGPORT"),
        ("PGHOST", "/no/such/folder", "No such file", "SWIFTBOLT_TARGET"),
        ("PGHOST", "127.0.0.1", "refused", "PGHOST and PGPORT"),
        ("PGHOST", "no.such.host.invalid", "host name", "PGHOST"),
    ],
)
def test_a_refused_login_says_why_and_what_to_do(
    warehouse, environment, variable, value, found, advice
):
    environment.setenv(variable, value)
    with pytest.raises(ServerError, match=found) as caught:
        open_warehouse(warehouse.settings)
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)
    assert warehouse.parameters.password not in str(caught.value)
    status = database_status(warehouse.settings)
    assert not status["is_running"]
    assert found in status["reason"]


def test_sessions_run_in_utc(warehouse):
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            f"alter database {warehouse.parameters.database} "
            "set timezone to 'Asia/Tokyo'"
        )
    warehouse.close()
    with warehouse.begin() as connection:
        shown = connection.exec_driver_sql("show timezone").scalar_one()
    assert shown == "UTC"
    frame = read_frame(warehouse, "select current_setting('timezone') as zone")
    assert frame.zone[0] == "UTC"


def test_begin_is_one_transaction(warehouse):
    insert = schema.symbols.insert().values(
        ticker="AAPL", calendar="XNYS", source="test"
    )
    with pytest.raises(ZeroDivisionError), warehouse.begin() as connection:  # noqa: PT012
        connection.execute(insert)
        raise ZeroDivisionError
    count = sa.select(sa.func.count()).select_from(schema.symbols)
    with warehouse.begin() as connection:
        assert connection.execute(count).scalar_one() == 0
        connection.execute(insert)
    with warehouse.begin() as connection:
        assert connection.execute(count).scalar_one() == 1


def test_schema_names_are_filled_in_and_other_braces_stay(warehouse):
    text = "select '{}', '{1,2}', '{\"a\": 1}' from {features}.bars"
    assert warehouse.sql(text) == text.replace("{features}", "features")


def test_a_schema_that_is_none_is_an_error_with_those_that_are(warehouse):
    with pytest.raises(SchemaError, match=r"\{feature\}.*raw, ml, staging"):
        warehouse.sql("select * from {feature}.bars")


@pytest.mark.parametrize(
    "parameters",
    [
        ConnectionParameters("/run/a b", 5432, "ann", "p/w@:%", "my db"),
        ConnectionParameters("::1", 5433, "ann o'k", "", "bolt"),
        ConnectionParameters("db.example.org", 1, "a@b", "ü&=?", "x/y"),
    ],
)
def test_the_url_means_the_same_to_libpq_and_to_sqlalchemy(parameters):
    expected = {
        "host": parameters.host,
        "port": str(parameters.port),
        "user": parameters.user,
        "dbname": parameters.database,
    } | ({"password": parameters.password} if parameters.password else {})
    assert psycopg2.extensions.parse_dsn(parameters.url()) == expected
    engine = sa.create_engine(
        make_url(parameters.url()).set(drivername="postgresql+psycopg2")
    )
    _, keywords = engine.dialect.create_connect_args(engine.url)
    assert {k: str(v) for k, v in keywords.items()} == expected


# A server that goes away


@pytest.fixture(scope="module")
def doomed_server(throwaway_home):
    return EmbeddedServer(embedded_settings(throwaway_home()))


@pytest.fixture
def doomed(doomed_server):
    """A warehouse whose server the test may kill."""
    with open_warehouse(doomed_server.settings) as warehouse:
        yield warehouse


def kill(server: EmbeddedServer) -> None:
    pid = server.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    # Its backends answer for a moment longer.
    while find_processes(server.files):
        time.sleep(0.01)


def test_a_server_killed_within_a_transaction_is_a_lost_connection(
    doomed, doomed_server
):
    with (  # noqa: PT012
        pytest.raises(sa.exc.OperationalError) as caught,
        doomed.begin() as connection,
    ):
        connection.exec_driver_sql("select 1")
        kill(doomed_server)
        connection.exec_driver_sql("select 1")
    assert_lost(caught.value)


def test_a_server_killed_before_a_transaction_is_a_server_error(
    doomed, doomed_server
):
    kill(doomed_server)
    with pytest.raises(ServerError, match="same command again"):
        doomed.engine.connect()


def test_a_server_killed_before_a_bulk_read_is_a_lost_connection(
    doomed, doomed_server
):
    with doomed.begin():
        pass
    kill(doomed_server)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        read_frame(doomed, "select 1 as one")
    assert_lost(caught.value)


def test_after_a_restart_the_same_warehouse_works_on(doomed, doomed_server):
    with doomed.begin() as connection:
        connection.exec_driver_sql("select 1")
    kill(doomed_server)
    doomed_server.start()
    assert migrate_to_head(doomed)[0] == migrate_to_head(doomed)[1]
    assert len(read_frame(doomed, "select 1 as one")) == 1


def test_a_session_ended_by_an_administrator_is_a_lost_connection(warehouse):
    end = "select pg_terminate_backend(pg_backend_pid())"
    with (
        pytest.raises(sa.exc.DBAPIError) as caught,
        warehouse.begin() as connection,
    ):
        connection.exec_driver_sql(end)
    assert_lost(caught.value)
    with pytest.raises(Exception) as read:  # noqa: PT011
        read_frame(warehouse, end)
    assert_lost(read.value)


def assert_lost(error: BaseException) -> None:
    translated = translate_database_error(error)
    assert isinstance(translated, ServerError), repr(error)
    assert "same command again" in str(translated)


def test_a_missing_table_names_the_command_that_makes_it(warehouse):
    with (
        pytest.raises(sa.exc.ProgrammingError) as caught,
        warehouse.begin() as connection,
    ):
        connection.exec_driver_sql("select * from features.bars")
    translated = translate_database_error(caught.value)
    assert isinstance(translated, SchemaError)
    assert "swiftbolt run" in str(translated)
    with pytest.raises(Exception) as read:  # noqa: PT011
        read_frame(warehouse, "select * from {features}.bars")
    translated = translate_database_error(read.value)
    assert isinstance(translated, SchemaError)
    assert str(translated) == (
        'The warehouse is not complete: relation "features.bars" does not '
        "exist. Build it with: swiftbolt run"
    )


def test_a_missing_privilege_names_the_relation(warehouse):
    role = f"reader_{warehouse.parameters.database}"
    with warehouse.begin() as connection:
        connection.exec_driver_sql(f"create role {role} login password 'x'")
        connection.exec_driver_sql(f"grant usage on schema ml to {role}")
    reader = replace(
        warehouse,
        parameters=replace(warehouse.parameters, user=role, password="x"),
    )
    with pytest.raises(Exception) as caught:  # noqa: PT011
        read_frame(reader, "select * from {ml}.forecasts")
    reader.close_readers()
    translated = translate_database_error(caught.value)
    assert isinstance(translated, ServerError)
    assert "forecasts" in str(translated)


def test_a_bug_stays_a_bug(warehouse):
    assert translate_database_error(ZeroDivisionError()) is None
    with (
        pytest.raises(sa.exc.ProgrammingError) as caught,
        warehouse.begin() as connection,
    ):
        connection.exec_driver_sql("selec 1")
    assert translate_database_error(caught.value) is None
    bug = KeyError("x")
    bug.__context__ = psycopg2.OperationalError("server closed")
    assert translate_database_error(bug) is None


@pytest.mark.parametrize(
    ("message", "what", "advice"),
    [
        ("sorry, too many clients already", "free connection", "max_conn"),
        (
            "remaining connection slots are reserved for roles with the "
            "SUPERUSER attribute",
            "free connection",
            "Close other programs",
        ),
        (
            'could not resize shared memory segment "/PostgreSQL.1": No space '
            "left on device",
            "shared memory",
            "Enlarge /dev/shm",
        ),
        ("out of memory", "memory", "smaller --jobs"),
        (
            'could not extend file "base/5/1": No space left on device',
            "room",
            "disk of its data",
        ),
    ],
)
def test_what_a_server_has_run_out_of_is_named_with_the_right_advice(
    message, what, advice
):
    told = explain_exhaustion(message)
    assert f"has no {what} left" in told
    assert advice in told


def test_a_server_without_a_free_connection_says_so(warehouse, environment):
    """Of this database, so that other tests keep theirs."""
    name = warehouse.parameters.database
    user = f"limited_{name}"
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            f"create user {user} password 'x' connection limit 0"
        )
    environment.setenv("PGUSER", user)
    environment.setenv("PGPASSWORD", "x")
    try:
        with pytest.raises(ServerError, match="no free connection left"):
            open_warehouse(warehouse.settings)
    finally:
        with warehouse.begin() as connection:
            connection.exec_driver_sql(f"drop user {user}")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "Make room"),
        (OSError(errno.EROFS, "Read-only file system"), "SWIFTBOLT_HOME"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (MemoryError(), "smaller --jobs"),
    ],
)
def test_what_the_machine_has_run_out_of_is_named(error, advice):
    translated = translate_system_error(error)
    assert isinstance(translated, ExhaustedError)
    assert advice in str(translated)
    assert translate_system_error(FileNotFoundError()) is None


def test_full_output_ends_in_a_line_and_closed_output_in_none():
    for target, says in (
        (">/dev/full", "No space left on device"),
        ("| true", ""),
    ):
        ended = subprocess.run(
            f"{sys.executable} -m python_ml.cli --help {target}",
            shell=True,
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
        )
        assert says in ended.stderr
        assert "Traceback" not in ended.stderr
