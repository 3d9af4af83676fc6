"""Commands on the database of the warehouse."""

import datetime
import json
import os
import shlex
import sys

import click

from python_ml.cli.options import json_option
from python_ml.cli.output import print_done, print_summary
from python_ml.cli.warehouse import open_warehouse
from python_ml.exceptions import SettingsError
from python_ml.settings import Settings, load_settings


@click.group()
def db() -> None:
    """Run and reach the warehouse's database."""


@db.command("start", epilog="Example: swiftbolt db start")
@json_option
def db_start(as_json: bool) -> None:
    """Start the embedded server and bring its schemas up to date."""
    from python_ml.warehouse.connection import migrate_to_head
    from python_ml.warehouse.embedded import EmbeddedServer

    settings = _embedded_settings("start")
    was_running = EmbeddedServer(settings).status().is_running
    with open_warehouse(settings, migrate=False) as warehouse:
        before, after = migrate_to_head(warehouse)
        where = str(warehouse.parameters)
    print_done(
        f"{'Already running' if was_running else 'Started'}: {where}\n"
        + (
            f"Schemas are at migration {after}."
            if before == after
            else f"Migrated from {before or 'an empty database'} to {after}."
        ),
        as_json,
        was_running=was_running,
        server=where,
        migration_before=before,
        migration=after,
    )


@db.command("stop", epilog="Example: swiftbolt db stop")
@json_option
def db_stop(as_json: bool) -> None:
    """Stop the embedded server."""
    from python_ml.warehouse.embedded import EmbeddedServer

    was_running = EmbeddedServer(_embedded_settings("stop")).stop()
    print_done(
        "Stopped." if was_running else "It was not running.",
        as_json,
        was_running=was_running,
    )


@db.command("status", epilog="Example: swiftbolt db status --json")
@json_option
def db_status(as_json: bool) -> None:
    """Say whether the database can be used; exit 0 if so, else 1."""
    from python_ml.warehouse.connection import database_status

    status = database_status(load_settings())
    if as_json:
        click.echo(json.dumps(status))
    else:
        for name, value in status.items():
            click.echo(f"{name}: {'-' if value is None else value}")
    sys.exit(0 if status["can_log_in"] else 1)


@db.command("url", epilog='Example: psql "$(swiftbolt db url)"')
@json_option
def db_url(as_json: bool) -> None:
    """Print the database's address, password included."""
    with open_warehouse() as warehouse:
        url = warehouse.parameters.url()
    print_done(url, as_json, url=url)


@db.command(
    "env",
    epilog='Example: eval "$(swiftbolt db env)" && cd dbt_project && dbt build',
)
@json_option
def db_env(as_json: bool) -> None:
    """Print shell lines after which dbt and psql reach the warehouse."""
    from python_ml.warehouse.dbt import dbt_environment

    with open_warehouse() as warehouse:
        values = dbt_environment(warehouse.settings, warehouse.parameters)
    lines = [
        f"export {name}={shlex.quote(value)}" for name, value in values.items()
    ]
    print_done("\n".join(lines), as_json, **values)


@db.command(
    "psql",
    epilog="Example: swiftbolt db psql -c 'select * from ml.job_runs'",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def db_psql(arguments: tuple[str, ...]) -> None:
    """Open psql on the warehouse; ARGUMENTS go to psql."""
    from python_ml.warehouse.embedded import wheel_package

    with open_warehouse() as warehouse:
        environment = os.environ | warehouse.parameters.environment()
    program = str(wheel_package() / "pginstall" / "bin" / "psql")
    sys.stdout.flush()
    os.execve(program, [program, *arguments], environment)


@db.command(
    "verify-ledgers",
    epilog="Example: swiftbolt db verify-ledgers --kept 3f1a...",
)
@click.option(
    "--kept",
    metavar="DIGEST",
    help="A digest that was kept elsewhere; must be in the chain.",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day, UTC, whose rows are compared.  [default: all]",
)
@json_option
def db_verify_ledgers(
    kept: str | None, since: datetime.datetime | None, as_json: bool
) -> None:
    """Compare every ledger with its digests; exit 1 if rows were changed."""
    from python_ml.warehouse.ledgers import verify_ledgers

    with open_warehouse() as warehouse:
        check = verify_ledgers(
            warehouse, kept=kept, since=since and since.date()
        )
    print_summary(check, as_json)
    sys.exit(1 if check.findings else 0)


@db.command("grant", epilog="Example: swiftbolt db grant ann --role analyst")
@click.argument("user")
@click.option(
    "--role",
    type=click.Choice(["loader", "trainer", "analyst"]),
    required=True,
    help="What the user may do.",
)
@json_option
def db_grant(user: str, role: str, as_json: bool) -> None:
    """Let USER, who can log in, load bars, train or read.

    An analyst reads features, forecasting, monitoring and leakage_audit and
    changes nothing. Where this login may not grant that, the statements for an
    administrator are printed, and the exit status is 1.
    """
    from python_ml.warehouse.roles import grant_role

    with open_warehouse() as warehouse:
        left = grant_role(warehouse, role, user)
    statements = [f"{statement};" for statement in left]
    print_done(
        "\n".join(statements) or f"{user} is {role} now.",
        as_json,
        user=user,
        role=role,
        is_granted=not statements,
        statements=statements,
    )
    if statements:
        click.echo(
            "This login may not do that; have an administrator run the above.",
            err=True,
        )
        sys.exit(1)


@db.command(
    "accept-clock",
    epilog="Example: swiftbolt db accept-clock --reason 'was a month ahead'",
)
@click.option("--reason", required=True, help="For the record.")
@json_option
def db_accept_clock(reason: str, as_json: bool) -> None:
    """Say that the server's clock is right now, and was ahead before."""
    from python_ml.warehouse.clock import accept_clock, check_clock

    with open_warehouse() as warehouse:
        accept_clock(warehouse, reason)
        problems = check_clock(warehouse)
    accepted = "Accepted: what was seen of time before counts no more."
    print_done(
        "\n".join([*problems, accepted]),
        as_json,
        reason=reason,
        problems=problems,
    )


def _embedded_settings(verb: str) -> Settings:
    settings = load_settings()
    if settings.target != "embedded":
        raise SettingsError(
            f"SWIFTBOLT_TARGET is {settings.target}, a server that is not "
            f"ours to {verb}. Use SWIFTBOLT_TARGET=embedded for our own."
        )
    return settings
