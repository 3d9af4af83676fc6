"""The group of all commands: the log's level, and errors in one line."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from python_ml.exceptions import SwiftBoltError
from python_ml.interrupts import Ended, ending_on_signals

LOG_LEVELS = ("debug", "info", "warning", "error")
CLOSED_OUTPUT = (errno.EPIPE, errno.EBADF)


class ErrorReportingGroup(click.Group):
    """Turns expected errors into one line on stderr and exit status 1."""

    def main(self, *arguments: Any, **keywords: Any) -> Any:
        """Run as a program that ends on signals, with what it has begun."""
        with _output_may_close(), ending_on_signals():
            return super().main(*arguments, **keywords)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with _private_files():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as interrupt:
            ended = interrupt if isinstance(interrupt, Ended) else None
            _end_workers()
            click.echo(
                f"{ended or 'Interrupted.'} What was finished is kept; run the "
                "same command again.",
                err=True,
            )
            ctx.exit(130 if ended is None else ended.exit_status)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in CLOSED_OUTPUT:
                raise
            expected = _expected_error(error)
            if expected is None and ctx.params.get("log_level") == "debug":
                raise
            message = (
                f"{type(error).__name__}: {error}. That should not happen; run "
                "`swiftbolt --log-level debug ...` to see where it did."
                if expected is None
                else str(expected)
            )
            click.echo(f"Error: {' '.join(message.split())}", err=True)
            ctx.exit(1)


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Make what is written readable by its owner alone, whatever the umask."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _output_may_close() -> Iterator[None]:
    """End quietly where nobody reads any more, in a line where none fits.

    `swiftbolt models list --all | head` closes the pipe: that is no error of
    the command, nor is it one that stdout was closed from the start.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in (*CLOSED_OUTPUT, errno.ENOSPC):
            raise
        # What is left in the buffer would be written at the very end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.ENOSPC:
            with contextlib.suppress(OSError):
                click.echo(f"Error: {error.strerror} for the output.", err=True)
        raise SystemExit(1) from None


def _end_workers() -> None:
    """End processes that share the work; none are there if none were used."""
    if "joblib" in sys.modules:
        from python_ml.processes import end_workers

        end_workers()


def _expected_error(error: Exception) -> SwiftBoltError | None:
    if isinstance(error, SwiftBoltError):
        return error
    from python_ml.warehouse.errors import (
        translate_database_error,
        translate_system_error,
    )

    return translate_database_error(error) or translate_system_error(error)


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
