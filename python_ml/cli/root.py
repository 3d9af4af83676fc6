"""The group of all commands: the log's level, and errors in one line."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import click

from python_ml.exceptions import SwiftBoltError

LOG_LEVELS = ("debug", "info", "warning", "error")


class ErrorReportingGroup(click.Group):
    """Turns expected errors into one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with _private_files():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            expected = _expected_error(error)
            if expected is None:
                raise
            message = " ".join(str(expected).split())
            click.echo(f"Error: {message}", err=True)
            ctx.exit(1)


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Make what is written readable by its owner alone, whatever the umask."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _expected_error(error: Exception) -> SwiftBoltError | None:
    if isinstance(error, SwiftBoltError):
        return error
    from python_ml.warehouse.errors import translate_database_error

    return translate_database_error(error)


@click.group(cls=ErrorReportingGroup)
@click.version_option(package_name="swiftbolt-ml", prog_name="swiftbolt")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="info",
    envvar="SWIFTBOLT_LOG_LEVEL",
    show_default=True,
    show_envvar=True,
    help="Least level of the log on stderr.",
)
def main(log_level: str) -> None:
    """Forecast market prices from the warehouse."""
    from python_ml.console.logs import configure_logging

    configure_logging(log_level)
