"""Roles: what loading, training and reading may do, and no more.

Three groups that nobody logs in as; `swiftbolt db grant` makes a user a member.
What a role may do with `raw` and `ml` is granted when the schemas are migrated,
what dbt builds is granted after each build, the schemas' future tables
included, so that a view that is made anew can be read at once. On a server
where this login cannot make roles there are none, and nothing else changes.
"""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import SettingsError
from python_ml.settings import Settings
from python_ml.warehouse.connection import Warehouse, connect

LOADER, TRAINER, ANALYST = ROLES = ("loader", "trainer", "analyst")
# Schemas that dbt builds, by who reads them.
READS = {
    LOADER: (),
    TRAINER: (
        "staging",
        "intermediate",
        "features",
        "forecasting",
        "monitoring",
    ),
    ANALYST: ("features", "forecasting", "monitoring", "leakage_audit"),
}
# Tables that are changed, not only added to.
CHANGED = {
    LOADER: (schema.symbols, schema.job_runs),
    TRAINER: (
        schema.job_runs,
        schema.retrain_requests,
        schema.quarantined_series,
        schema.backtest_runs,
    ),
    ANALYST: (),
}
ADDED_TO = {
    LOADER: (schema.job_runs, schema.accepted_findings),
    TRAINER: (),
    ANALYST: (),
}
# Whose tables are read, and whose are added to.
OWN_SCHEMA = {LOADER: schema.RAW, TRAINER: schema.ML}
# `analyze` and `lock table` of tables that are another's.
MAINTAIN_VERSION = 170_000


def role_name(settings: Settings, role: str) -> str:
    """Name of a role of this warehouse on its server.

    Examples
    --------
    >>> from python_ml.settings import load_settings
    >>> role_name(load_settings({"SWIFTBOLT_SCHEMA_PREFIX": "ann_"}), "analyst")
    'ann_swiftbolt_analyst'
    """
    return settings.schema(f"swiftbolt_{role}")


def grants_on_tables(
    settings: Settings, role: str, *, server_version: int
) -> list[str]:
    """What a role may do in `raw` and `ml`, as statements.

    Parameters
    ----------
    settings : Settings
    role : str
        One of `ROLES`.
    server_version : int
        As 180006 of PostgreSQL 18.6.
    """
    name = role_name(settings, role)
    if role not in OWN_SCHEMA:
        return []
    raw, ml = settings.schema(schema.RAW), settings.schema(schema.ML)
    own = settings.schema(OWN_SCHEMA[role])
    statements = [
        f"grant usage on schema {raw}, {ml} to {name}",
        f"grant select on all tables in schema {raw}, {ml} to {name}",
        f"grant insert on all tables in schema {own} to {name}",
        # Numbers of loads are drawn by name.
        f"grant usage on all sequences in schema {own} to {name}",
        f"revoke insert on {ml}.alembic_version from {name}",
    ]
    for verb, tables in (("insert", ADDED_TO), ("update", CHANGED)):
        statements += [
            f"grant {verb} on {_full(settings, table)} to {name}"
            for table in tables[role]
        ]
    if role == LOADER:
        aliases = _full(settings, schema.symbol_aliases)
        statements.append(f"grant delete on {aliases} to {name}")
    if server_version >= MAINTAIN_VERSION:
        statements.append(
            f"grant maintain on all tables in schema {own} to {name}"
        )
    return statements


def grants_on_schema(name: str, schema_name: str) -> list[str]:
    """Let a role read what dbt has built and will build in a schema."""
    return [
        f"grant usage on schema {schema_name} to {name}",
        f"grant select on all tables in schema {schema_name} to {name}",
        f"alter default privileges in schema {schema_name} "
        f"grant select on tables to {name}",
    ]


def grant_on_tables(connection: sa.Connection, settings: Settings) -> None:
    """Grant what roles may do in `raw` and `ml`, in the owner's transaction."""
    version = _server_version(connection)
    for role in _existing(connection, settings):
        for statement in grants_on_tables(
            settings, role, server_version=version
        ):
            connection.exec_driver_sql(statement)


def acting_as(warehouse: Warehouse, role: str) -> Warehouse:
    """The same warehouse, by sessions that may do what a role may and no more.

    Where there is no such role, this login may not take it on, or the server
    knows no right to maintain tables (before PostgreSQL 17), it is the same.
    What dbt does stays with the login, which owns what it builds.
    """
    name = role_name(warehouse.settings, role)
    with warehouse.begin() as connection:
        may_be_taken_on = _server_version(
            connection
        ) >= MAINTAIN_VERSION and bool(
            connection.scalar(
                sa.text(
                    "select bool_or(pg_has_role(oid, 'SET')) from pg_roles "
                    "where rolname = :name"
                ),
                {"name": name},
            )
        )
    if not may_be_taken_on:
        return warehouse
    warehouse.close()
    return connect(warehouse.settings, replace(warehouse.parameters, role=name))


def grant_on_built(warehouse: Warehouse) -> None:
    """Let roles read what dbt has built, where they cannot yet."""
    with warehouse.begin() as connection:
        for role in _existing(connection, warehouse.settings):
            name = role_name(warehouse.settings, role)
            names: Sequence[str] = (
                connection.execute(
                    sa.text(
                        """
                    select distinct schemas.nspname
                    from pg_namespace as schemas
                    inner join pg_class as relations
                        on schemas.oid = relations.relnamespace
                    where
                        schemas.nspname = any(:schemas)
                        and relations.relkind in ('r', 'v', 'm')
                        and pg_has_role(schemas.nspowner, 'usage')
                        and not (
                            has_table_privilege(
                                :role, relations.oid, 'select'
                            )
                            and has_schema_privilege(
                                :role, schemas.oid, 'usage'
                            )
                        )
                    """
                    ),
                    {
                        "role": name,
                        "schemas": [
                            warehouse.settings.schema(one)
                            for one in READS[role]
                        ],
                    },
                )
                .scalars()
                .all()
            )
            for schema_name in names:
                for statement in grants_on_schema(name, schema_name):
                    connection.exec_driver_sql(statement)


def statements_for_administrator(
    warehouse: Warehouse, role: str, user: str
) -> Sequence[str]:
    """All that makes a user a member of a role that this login cannot make."""
    settings = warehouse.settings
    name = role_name(settings, role)
    with warehouse.begin() as connection:
        version = _server_version(connection)
        found = sa.inspect(connection).get_schema_names()
        quoted = connection.dialect.identifier_preparer.quote(user)
    return [
        f"create role {name} nologin",
        *grants_on_tables(settings, role, server_version=version),
        *(
            statement
            for one in READS[role]
            if settings.schema(one) in found
            for statement in grants_on_schema(name, settings.schema(one))
        ),
        f"grant {name} to {quoted}",
    ]


def grant_role(warehouse: Warehouse, role: str, user: str) -> Sequence[str]:
    """Make a user a member of a role.

    Parameters
    ----------
    warehouse : Warehouse
    role : str
        One of `ROLES`.
    user : str
        Who can log in already.

    Returns
    -------
    sequence of str
        Statements that an administrator has to run, where this login may not;
        empty where it is done.

    Raises
    ------
    SettingsError
        If there is no such user.
    """
    name = role_name(warehouse.settings, role)
    with warehouse.begin() as connection:
        quoted = connection.dialect.identifier_preparer.quote(user)
        names = _found(connection, [user, name])
    if user not in names:
        raise SettingsError(
            f"The server has no user {user}. Make one: swiftbolt db psql -c "
            f"\"create user {quoted} password '...'\""
        )
    if name not in names:
        return statements_for_administrator(warehouse, role, user)
    try:
        with warehouse.begin() as connection:
            connection.exec_driver_sql(f"grant {name} to {quoted}")
    except sa.exc.ProgrammingError:
        return [f"grant {name} to {quoted}"]
    grant_on_built(warehouse)
    return []


def _existing(connection: sa.Connection, settings: Settings) -> list[str]:
    names = {role_name(settings, role): role for role in ROLES}
    return [names[name] for name in sorted(_found(connection, list(names)))]


def _found(connection: sa.Connection, names: Sequence[str]) -> set[str]:
    """Those of some names that are roles of the server."""
    found: Sequence[str] = (
        connection.execute(
            sa.text("select rolname from pg_roles where rolname = any(:names)"),
            {"names": list(names)},
        )
        .scalars()
        .all()
    )
    return set(found)


def _full(settings: Settings, table: sa.Table) -> str:
    return f"{settings.schema(str(table.schema))}.{table.name}"


def _server_version(connection: sa.Connection) -> int:
    return int(
        connection.exec_driver_sql(
            "select current_setting('server_version_num')"
        ).scalar_one()
    )
