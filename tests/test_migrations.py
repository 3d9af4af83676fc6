import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from python_ml import schema
from python_ml.exceptions import SchemaError, ServerError
from python_ml.warehouse.connection import (
    Warehouse,
    alembic_config,
    connect,
    migrate_to_head,
    open_warehouse,
)
from tests.conftest import warehouse_environment


def names_of_schemas(warehouse: Warehouse) -> set[str]:
    with warehouse.begin() as connection:
        found = sa.inspect(connection).get_schema_names()
    return set(found) - {"information_schema", "public"}


def test_the_migrated_database_is_what_the_code_describes(warehouse):
    """Tables, columns, types, defaults, keys, indexes, comments."""

    def is_ours(name, kind, _):
        return kind != "schema" or name in (schema.RAW, schema.ML)

    with warehouse.begin() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": is_ours,
                "version_table_schema": schema.ML,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, schema.metadata) == []


CHECKS = """
    select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    from pg_constraint
    where contype = 'c' and connamespace::regnamespace::text in ('raw', 'ml')
    order by 1, 2
"""
IDENTITIES = """
    select table_schema, table_name, column_name, identity_generation
    from information_schema.columns
    where is_identity = 'YES'
    order by 1, 2
"""


@pytest.mark.parametrize("question", [CHECKS, IDENTITIES])
def test_checks_and_identities_too_are_those_of_the_code(
    warehouse, fresh_warehouse, question
):
    """Which Alembic does not compare."""
    described = fresh_warehouse(migrate=False)
    with described.begin() as connection:
        for name in (schema.RAW, schema.ML):
            connection.execute(sa.schema.CreateSchema(name))
        schema.metadata.create_all(connection)
        expected = connection.execute(sa.text(question)).all()
    with warehouse.begin() as connection:
        assert connection.execute(sa.text(question)).all() == expected
    assert len(expected) >= 10


def test_python_creates_nothing_but_raw_and_ml(warehouse):
    assert names_of_schemas(warehouse) == {"raw", "ml"}


def test_a_second_migration_changes_nothing(warehouse):
    before, after = migrate_to_head(warehouse)
    assert before == after is not None


def test_with_a_prefix_no_other_schema_is_touched(fresh_warehouse):
    warehouse = fresh_warehouse(schema_prefix="ann_")
    assert names_of_schemas(warehouse) == {"ann_raw", "ann_ml"}
    with warehouse.begin() as connection:
        connection.execute(
            schema.symbols.insert().values(
                ticker="AAPL", calendar="XNYS", source="test"
            )
        )
        found = sa.inspect(connection)
        (key,) = found.get_foreign_keys("bars", schema="ann_raw")
        assert key["referred_schema"] == "ann_raw"
        count = sa.text("select count(*) from ann_raw.symbols")
        assert connection.execute(count).scalar_one() == 1


def test_two_prefixes_live_side_by_side(fresh_warehouse):
    first = fresh_warehouse(schema_prefix="ann_")
    second = connect(
        replace(first.settings, schema_prefix="bob_"), first.parameters
    )
    with second:
        assert migrate_to_head(second)[0] is None
        assert names_of_schemas(second) == {
            "ann_raw",
            "ann_ml",
            "bob_raw",
            "bob_ml",
        }


def test_several_migrations_at_once_do_the_work_once(fresh_warehouse):
    warehouse = fresh_warehouse(migrate=False)
    results: list[object] = []

    def migrate() -> None:
        try:
            results.append(migrate_to_head(warehouse))
        except BaseException as error:
            results.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _, head = migrate_to_head(warehouse)
    assert sorted(map(str, results)) == sorted(
        map(str, [(None, head), (head, head), (head, head)])
    )


def test_a_warehouse_of_newer_code_is_left_alone(warehouse):
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            "update ml.alembic_version set version_num = '9999'"
        )
    with pytest.raises(SchemaError, match=r"migration 9999, but .* ends at"):
        migrate_to_head(warehouse)


def test_a_migration_that_fails_leaves_nothing(fresh_warehouse):
    warehouse = fresh_warehouse(migrate=False)
    with warehouse.begin() as connection:
        connection.exec_driver_sql("create schema ml")
        connection.exec_driver_sql("create table ml.forecasts (n int)")
    with pytest.raises(sa.exc.ProgrammingError, match="already exists"):
        migrate_to_head(warehouse)
    assert names_of_schemas(warehouse) == {"ml"}
    with warehouse.begin() as connection:
        tables = sa.inspect(connection).get_table_names(schema="ml")
    assert tables == ["forecasts"]


def test_a_login_that_may_not_make_schemas_is_told_the_grant(
    fresh_warehouse, monkeypatch
):
    warehouse = fresh_warehouse(migrate=False)
    role = f"reader_of_{warehouse.parameters.database}"
    with warehouse.begin() as connection:
        connection.exec_driver_sql(f"create role {role} login password 'x'")
    for name, value in warehouse_environment(warehouse).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PGUSER", role)
    monkeypatch.setenv("PGPASSWORD", "x")
    with pytest.raises(
        ServerError, match=rf"grant create on database .* to {role}"
    ):
        open_warehouse(warehouse.settings)
    assert names_of_schemas(warehouse) == set()


def test_every_migration_is_numbered_and_leads_to_one_head(warehouse):
    with warehouse.begin() as connection:
        scripts = ScriptDirectory.from_config(
            alembic_config(warehouse, connection)
        )
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert len(scripts.get_heads()) == 1
    assert sorted(revisions) == [
        f"{number:04d}" for number in range(1, len(revisions) + 1)
    ]


def test_deployments_from_before_horizons_are_about_all_of_them(
    fresh_warehouse,
):
    warehouse = fresh_warehouse(migrate=False)
    with warehouse.begin() as connection:
        for name in (schema.RAW, schema.ML):
            connection.execute(sa.schema.CreateSchema(name))
        command.upgrade(alembic_config(warehouse, connection), "0001")
        connection.exec_driver_sql(
            """
            insert into raw.symbols (ticker, calendar, source)
            values ('AAPL', 'XNYS', 'test');
            insert into ml.training_cuts (
                calendar, timeframe, as_of, split, embargo_bars, window_bars,
                window_starts_at, fit_labels_end_before, validation_starts_at,
                scope
            )
            values (
                'XNYS', 'd1', '2012-06-29', '70/30', 1, 600, '2010-01-01',
                '2011-01-01', '2011-01-01', 'all'
            );
            insert into ml.ensembles (
                version_id, symbol_id, timeframe, as_of, cut_id, artifact_path,
                sha256, horizons, feature_names, classes, data_fingerprint,
                settings_fingerprint, code_version, library_versions
            )
            values (
                'A', 1, 'd1', '2012-06-29', 1, 'A.joblib', '', '["1d", "5d"]',
                '[]', '[]', '', '', '', '{}'
            );
            insert into ml.deployments (
                symbol_id, timeframe, version_id, effective_at, reason
            )
            values (1, 'd1', 'A', '2012-06-29', 'test');
            """
        )
    before, after = migrate_to_head(warehouse)
    assert before == "0001" != after
    with warehouse.begin() as connection:
        found = connection.execute(sa.select(schema.deployments.c.horizons))
        assert found.scalar_one() == ["1d", "5d"]
