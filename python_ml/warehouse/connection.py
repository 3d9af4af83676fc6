"""The warehouse: one database, its schemas and the way in."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psycopg2
import sqlalchemy as sa
from sqlalchemy.schema import CreateSchema

from python_ml.console.json_text import to_json
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.exceptions import SchemaError, ServerError
from python_ml.interrupts import cancel_on_end
from python_ml.schema import ML, RAW
from python_ml.settings import Settings
from python_ml.warehouse.backtest_run import BacktestRun, fill_relations
from python_ml.warehouse.embedded import EmbeddedServer
from python_ml.warehouse.login import log_in, resolve_parameters
from python_ml.warehouse.parameters import ConnectionParameters

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection, Cursor
    from alembic.config import Config

logger = get_logger(__name__)

SCHEMAS = (
    RAW,
    ML,
    "staging",
    "intermediate",
    "features",
    "forecasting",
    "monitoring",
    "leakage_audit",
)
MIGRATIONS = Path(__file__).parent / "migrations"
# Any number that nothing else in the database uses.
MIGRATION_LOCK = 5_318_008_001


@dataclass(frozen=True)
class Warehouse:
    """An open warehouse.

    Parameters
    ----------
    settings : Settings
    parameters : ConnectionParameters
        Where it is, as the server itself was reached.
    engine : sqlalchemy.Engine
        Its tables of schemas `raw` and `ml` are those of this warehouse, with
        the schema prefix. Sessions run in UTC.
    backtest : BacktestRun, optional
        Whose deployments, forecasts and outcomes are read and written; by
        default those that are live.
    """

    settings: Settings
    parameters: ConnectionParameters
    engine: sa.Engine
    backtest: BacktestRun | None = None

    def begin(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """One transaction: committed at the end, rolled back on an error."""
        return self.engine.begin()

    def sql(self, text: str) -> str:
        """Fill in the schema names of this warehouse.

        Parameters
        ----------
        text : str
            SQL with names like `{features}.bars`, and with `{deployments}`
            and the like for what a backtest has its own of. Other braces
            stay.

        Raises
        ------
        SchemaError
            If a name in braces is none of the schemas.
        """
        return fill_schemas(fill_relations(text, self.backtest), self.settings)

    def during(self, backtest: BacktestRun) -> "Warehouse":
        """The same warehouse as a backtest sees it; connections are shared."""
        other = replace(self, backtest=backtest)
        vars(other)["_readers"] = self._readers
        return other

    @contextlib.contextmanager
    def reader(self) -> Iterator["Cursor"]:
        """Cursor of ADBC in UTC, every statement its own transaction."""
        connection = self._readers.connect()
        try:
            with contextlib.closing(connection.cursor()) as cursor:
                yield cast("Cursor", cursor)
        except BaseException:
            connection.invalidate()
            raise
        finally:
            connection.close()

    @cached_property
    def _readers(self) -> sa.Pool:
        """Connections of ADBC, which take long to make."""
        from python_ml.warehouse.adbc import dbapi

        pool = sa.QueuePool(
            partial(dbapi.connect, self.parameters.url(), autocommit=True),
            reset_on_return=None,
        )

        @sa.event.listens_for(pool, "connect")
        def register(connection: "Connection", *_: object) -> None:
            cancel_on_end(connection, "adbc_cancel")

        @sa.event.listens_for(pool, "checkout")
        def check(connection: "Connection", *_: object) -> None:
            # Types without a time zone depend on it, and a server that has
            # been restarted does not answer.
            try:
                with connection.cursor() as cursor:
                    cursor.execute("set timezone to 'UTC'")
            except dbapi.Error as error:
                raise sa.exc.DisconnectionError from error

        return pool

    @contextlib.contextmanager
    def with_prefix(self, schema_prefix: str) -> Iterator["Warehouse"]:
        """The same database as dbt builds it with another schema prefix."""
        other = replace(
            self, settings=replace(self.settings, schema_prefix=schema_prefix)
        )
        try:
            yield other
        finally:
            other.close_readers()

    def close_readers(self) -> None:
        """Close what `reader` has opened; `engine` stays."""
        if "_readers" in vars(self):
            self._readers.dispose()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
        self.close_readers()

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def fill_schemas(text: str, settings: Settings) -> str:
    """Replace `{features}` and the like by the full schema names.

    Examples
    --------
    >>> from python_ml.settings import load_settings
    >>> settings = load_settings({"SWIFTBOLT_SCHEMA_PREFIX": "ann_"})
    >>> fill_schemas("select '{}' from {ml}.forecasts", settings)
    "select '{}' from ann_ml.forecasts"
    """

    def name(match: re.Match[str]) -> str:
        if match[1] not in SCHEMAS:
            raise SchemaError(
                f"The query names {match[0]}, which is no schema; use one of "
                f"{', '.join(SCHEMAS)}."
            )
        return settings.schema(match[1])

    return re.sub(r"\{([a-z_]+)\}", name, text)


def open_warehouse(settings: Settings, *, migrate: bool = True) -> Warehouse:
    """Reach the database, starting the embedded server if it does not run.

    Parameters
    ----------
    settings : Settings
    migrate : bool, default=True
        Bring the schemas `raw` and `ml` up to date.

    Raises
    ------
    ServerError
        If there is no server, no such database or no such login.
    SchemaError
        If the warehouse was migrated by newer code.
    """
    if settings.target == "embedded":
        parameters = EmbeddedServer(settings).start()
    else:
        parameters = resolve_parameters()
    warehouse = connect(settings, parameters)
    if migrate:
        try:
            migrate_to_head(warehouse)
        except BaseException:
            warehouse.close()
            raise
    return warehouse


def database_status(settings: Settings) -> dict[str, Any]:
    """Say whether the database can be used, without changing anything.

    Returns
    -------
    dict of str to object
        `is_running`, `can_log_in`, why not (`reason`), `target`, and what is
        known of the server.
    """
    if settings.target == "embedded":
        server = EmbeddedServer(settings)
        status = server.status()
        reason = None
        if status.is_running:
            try:
                connect(settings, server.parameters()).close()
            except ServerError as error:
                reason = str(error)
        return {
            "is_running": status.is_running,
            "can_log_in": status.is_running and reason is None,
            "reason": reason,
            "target": settings.target,
            "home": str(settings.home),
            "pid": status.pid,
            "socket": (
                str(status.socket_directory)
                if status.socket_directory
                else None
            ),
            "data": str(status.data_directory),
            "log": str(status.log_path),
            "postgres_version": status.version,
        }
    found: dict[str, Any] = {
        "is_running": False,
        "can_log_in": False,
        "target": settings.target,
    }
    try:
        parameters = resolve_parameters()
    except ServerError as error:
        return {**found, "reason": str(error)}
    return {
        **found,
        "is_running": True,
        "can_log_in": True,
        "server": str(parameters),
    }


def connect(settings: Settings, parameters: ConnectionParameters) -> Warehouse:
    """Open a warehouse where `parameters` say.

    Raises
    ------
    ServerError
        If the server cannot be reached or refuses the login.
    """
    keywords = {
        "host": parameters.host,
        "port": parameters.port,
        "user": parameters.user,
        "password": parameters.password or None,
        "dbname": parameters.database,
        "options": parameters.options,
    }
    engine = sa.create_engine(
        "postgresql+psycopg2://",
        creator=lambda: log_in(keywords, settings.target),
        # A server that was killed and started anew leaves dead connections.
        pool_pre_ping=True,
        json_serializer=to_json,
    )
    if settings.schema_prefix:
        engine = engine.execution_options(
            schema_translate_map={
                name: settings.schema(name) for name in (RAW, ML)
            }
        )
    with engine.connect():
        pass
    return Warehouse(settings, parameters, engine)


def alembic_config(warehouse: Warehouse, connection: sa.Connection) -> "Config":
    """Alembic's configuration for this warehouse; there is no `alembic.ini`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option(
        "script_location", str(MIGRATIONS).replace("%", "%%")
    )
    config.set_main_option("path_separator", "os")
    config.attributes["settings"] = warehouse.settings
    config.attributes["connection"] = connection
    return config


def migrate_to_head(warehouse: Warehouse) -> tuple[str | None, str]:
    """Bring the schemas `raw` and `ml` up to date, in one transaction.

    Returns
    -------
    (str or None, str)
        Number of the last migration before and after.

    Raises
    ------
    SchemaError
        If the warehouse was migrated by newer code.
    ServerError
        If the login may not create schemas or tables.
    """
    from alembic import command
    from alembic.script import ScriptDirectory

    from python_ml.warehouse.roles import grant_on_tables

    settings = warehouse.settings
    try:
        with warehouse.begin() as connection:
            connection.execute(
                sa.text("select pg_advisory_xact_lock(:key)"),
                {"key": MIGRATION_LOCK},
            )
            config = alembic_config(warehouse, connection)
            scripts = ScriptDirectory.from_config(config)
            head = scripts.get_current_head()
            if head is None:
                raise SchemaError(f"There are no migrations in {MIGRATIONS}.")
            found = _current_revision(connection, settings)
            if found == head:
                return found, head
            known = {script.revision for script in scripts.walk_revisions()}
            if found is not None and found not in known:
                raise SchemaError(
                    f"The warehouse is at migration {found}, but this code "
                    f"ends at {head}. Update the checkout, or use another "
                    "database."
                )
            inspector = sa.inspect(connection)
            for name in (RAW, ML):
                # Even `if not exists` asks for the privilege to create.
                if not inspector.has_schema(settings.schema(name)):
                    connection.execute(CreateSchema(settings.schema(name)))
            command.upgrade(config, "head")
            grant_on_tables(connection, settings)
    except sa.exc.ProgrammingError as error:
        if not isinstance(error.orig, psycopg2.errors.InsufficientPrivilege):
            raise
        parameters = warehouse.parameters
        raise ServerError(
            f"User {parameters.user} may not make the schemas "
            f"{settings.schema(RAW)} and {settings.schema(ML)} in database "
            f"{parameters.database}: "
            f"{error.orig.diag.message_primary}. Grant it with: grant create "
            f"on database {parameters.database} to {parameters.user}"
        ) from error
    log_event(logger, "migrated", before=found or "empty", after=head)
    return found, head


def _current_revision(
    connection: sa.Connection, settings: Settings
) -> str | None:
    schema = settings.schema(ML)
    if not sa.inspect(connection).has_table("alembic_version", schema=schema):
        return None
    return connection.execute(
        sa.text(f"select version_num from {schema}.alembic_version")
    ).scalar_one_or_none()
