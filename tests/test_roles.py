"""What each role may do, table by table, tried as that role."""

import contextlib

import psycopg2.errors
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import SettingsError
from python_ml.ingestion.load import ingest
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import connect, migrate_to_head
from python_ml.warehouse.roles import (
    ROLES,
    acting_as,
    grant_on_built,
    grant_role,
    role_name,
)
from tests.conftest import run_swiftbolt
from tests.synthetic_market import SyntheticSource

BUILT = {
    name: f"{name}.something"
    for name in (
        *("staging", "intermediate", "features"),
        *("forecasting", "monitoring", "leakage_audit"),
    )
}
STATEMENTS = {
    "select": "select * from {name} limit 0",
    "insert": "insert into {name} default values",
    "update": "update {name} set {column} = default",
    "delete": "delete from {name}",
    "truncate": "truncate {name}",
    "drop": "drop table {name}",
}
RAW = {
    f"raw.{t.name}"
    for t in schema.metadata.tables.values()
    if t.schema == "raw"
}
ML = {
    f"ml.{t.name}" for t in schema.metadata.tables.values() if t.schema == "ml"
}
VIEWS = {
    "raw.suspected_splits",
    "ml.deployment_spans",
    "ml.backtest_deployment_spans",
}
EVERYTHING = {*RAW, *ML, *VIEWS, *BUILT.values(), "ml.alembic_version"}
READ_BY_ALL_JOBS = {*RAW, *ML, *VIEWS, "ml.alembic_version"}
ALLOWED = {
    "loader": {
        "select": READ_BY_ALL_JOBS,
        "insert": RAW | {"ml.job_runs", "ml.accepted_findings"},
        "update": {"raw.symbols", "ml.job_runs"},
        "delete": {"raw.symbol_aliases"},
    },
    "trainer": {
        "select": READ_BY_ALL_JOBS
        | set(BUILT.values()) - {BUILT["leakage_audit"]},
        "insert": ML,
        "update": {
            "ml.job_runs",
            "ml.retrain_requests",
            "ml.quarantined_series",
            "ml.backtest_runs",
        },
    },
    "analyst": {
        "select": {
            BUILT[name]
            for name in (
                *("features", "forecasting", "monitoring", "leakage_audit"),
            )
        },
    },
}


@pytest.fixture(scope="module")
def built(module_warehouse):
    """A warehouse in which every schema that dbt builds has a table."""
    with module_warehouse.begin() as connection:
        for name, table in BUILT.items():
            connection.exec_driver_sql(f"create schema {name}")
            connection.exec_driver_sql(f"create table {table} (n integer)")
    grant_on_built(module_warehouse)
    return module_warehouse


def is_refused(connection, statement):
    """Whether it is not allowed, whatever else is wrong with it."""
    trial = connection.begin_nested()
    try:
        connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        return isinstance(error.orig, psycopg2.errors.InsufficientPrivilege)
    finally:
        with contextlib.suppress(sa.exc.DBAPIError):
            trial.rollback()
    return False


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_may_not_do_is_refused_table_by_table(built, role):
    allowed = {verb: set() for verb in STATEMENTS}
    with built.engine.connect() as connection, connection.begin() as whole:
        tables = connection.exec_driver_sql(
            "select schemaname || '.' || tablename, (select attname from "
            "pg_attribute where attrelid = (schemaname || '.' || tablename)"
            "::regclass and attnum > 0 limit 1) from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema') "
            "union all select schemaname || '.' || viewname, 'symbol_id' "
            "from pg_views where schemaname in ('raw', 'ml')"
        ).all()
        assert {name for name, _ in tables} == EVERYTHING
        connection.exec_driver_sql(
            f"set local role {role_name(built.settings, role)}"
        )
        for name, column in tables:
            for verb, statement in STATEMENTS.items():
                if name in VIEWS and verb != "select":
                    continue
                text = statement.format(name=name, column=column)
                if not is_refused(connection, text):
                    allowed[verb].add(name)
        whole.rollback()
    assert allowed == {
        verb: ALLOWED[role].get(verb, set()) for verb in STATEMENTS
    }


def test_a_view_that_is_made_anew_can_be_read_at_once(built):
    with built.engine.connect() as connection, connection.begin() as whole:
        connection.exec_driver_sql("create view features.later as select 1")
        connection.exec_driver_sql(
            f"set local role {role_name(built.settings, 'analyst')}"
        )
        assert connection.exec_driver_sql(
            "select * from features.later"
        ).all() == [(1,)]
        whole.rollback()


@pytest.fixture
def user(built):
    """A login that may do nothing."""
    name = f"ann_{built.parameters.database}"
    with built.begin() as connection:
        connection.exec_driver_sql(f"create user {name} password 'x'")
    yield name
    with built.begin() as connection:
        connection.exec_driver_sql(f"drop owned by {name}")
        connection.exec_driver_sql(f"drop user {name}")


def test_a_user_is_made_an_analyst_by_one_command(built, user):
    ended = run_swiftbolt(built, "db", "grant", user, "--role", "analyst")
    assert (ended.returncode, ended.stdout) == (0, f"{user} is analyst now.\n")
    with built.begin() as connection:
        connection.exec_driver_sql(f"set local role {user}")
        connection.exec_driver_sql("select * from features.something")
        assert is_refused(connection, "select * from ml.forecasts")


def test_who_is_not_there_is_made_first(built):
    with pytest.raises(SettingsError, match="create user nobody_knows"):
        grant_role(built, "analyst", "nobody_knows")


def test_where_roles_cannot_be_made_the_statements_are_printed(
    fresh_warehouse, built, user
):
    """And with them an administrator does the same by hand."""
    made = fresh_warehouse(migrate=False, schema_prefix="own_")
    owner = f"owner_{made.parameters.database}"
    with made.begin() as connection:
        connection.exec_driver_sql(f"create user {owner} password 'x'")
        connection.exec_driver_sql(
            f"grant create on database {made.parameters.database} to {owner}"
        )
    from dataclasses import replace

    with connect(
        made.settings, replace(made.parameters, user=owner, password="x")
    ) as limited:
        migrate_to_head(limited)
        ended = run_swiftbolt(limited, "db", "grant", user, "--role", "loader")
    assert ended.returncode == 1
    assert "administrator" in ended.stderr
    with made.engine.connect() as connection, connection.begin() as whole:
        for statement in ended.stdout.splitlines():
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"set local role {user}")
        connection.exec_driver_sql("select * from own_raw.bars")
        assert is_refused(connection, "delete from own_raw.bars")
        whole.rollback()
    made.close()


def test_a_job_does_what_its_role_may_and_no_more(built):
    acting = acting_as(connect(built.settings, built.parameters), "loader")
    with acting:
        name = role_name(built.settings, "loader")
        with acting.begin() as connection:
            assert connection.scalar(sa.text("select current_user")) == name
            assert is_refused(connection, "select * from features.something")
        read = read_frame(acting, "select current_user as name")
        assert read["name"].tolist() == [name]


def test_a_load_needs_no_more_than_the_loader_may(warehouse):
    acting = acting_as(
        connect(warehouse.settings, warehouse.parameters), "loader"
    )
    with acting:
        assert sum(ingest(acting, SyntheticSource()).counts.values()) > 0
