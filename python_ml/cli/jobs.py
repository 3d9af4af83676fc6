"""Commands of a schedule."""

import contextlib
import os
import shlex
import sys

import click

from python_ml.cli.options import json_option
from python_ml.cli.output import print_frame, print_summary
from python_ml.cli.warehouse import open_warehouse
from python_ml.exceptions import SettingsError, SwiftBoltError

LOAD_VARIABLE = "SWIFTBOLT_LOAD"
COLUMNS = {
    "job": "job",
    "state": "state",
    "last_success_at": "last success (UTC)",
    "due_since": "due since (UTC)",
    "missed": "missed",
    "does": "does",
}


@click.group()
def jobs() -> None:
    """Jobs of a schedule: what is due, and doing it."""


@jobs.command("list", epilog="Example: swiftbolt jobs list")
@json_option
def jobs_list(as_json: bool) -> None:
    """List the jobs of the schedule and whether they are due.

    daily_run follows every session, weekly_weights the last of a week,
    monthly_retrain the last of a month, emergency_retrain a request.
    """
    from python_ml.operations.schedules.run import list_jobs

    with open_warehouse() as warehouse:
        frame = list_jobs(warehouse)
    print_frame(frame, COLUMNS, as_json)


@jobs.command("run", epilog="Example: swiftbolt jobs run daily_run")
@click.argument("name", metavar="JOB")
@click.option("--force", is_flag=True, help="Also if it is not due.")
@json_option
def jobs_run(name: str, force: bool, as_json: bool) -> None:
    """Run a job of the schedule if it is due; what scripts/JOB calls.

    What was missed is caught up with in one run. The log is also kept in
    SWIFTBOLT_HOME/logs/JOB. daily_run first loads bars as SWIFTBOLT_LOAD
    says: what stands behind `swiftbolt ingest`, for example `alpaca`.
    """
    from python_ml.operations.schedules.run import run_scheduled

    load = os.environ.get(LOAD_VARIABLE) if name == "daily_run" else None
    with open_warehouse() as warehouse:
        summary = run_scheduled(
            warehouse,
            name,
            is_forced=force,
            load=(lambda: _load(load)) if load else None,
        )
    print_summary(summary, as_json)


def _load(arguments: str) -> None:
    """Run `swiftbolt ingest` with arguments from the environment."""
    from python_ml.cli.ingestion import ingest

    try:
        # The result of the job alone goes to stdout.
        with contextlib.redirect_stdout(sys.stderr):
            ingest.main(
                shlex.split(arguments),
                "swiftbolt ingest",
                standalone_mode=False,
            )
    except SwiftBoltError:
        raise
    except (click.ClickException, ValueError) as error:
        message = (
            error.format_message()
            if isinstance(error, click.ClickException)
            else str(error)
        )
        raise SettingsError(
            f"{LOAD_VARIABLE} is no use of swiftbolt ingest: {message} Try: "
            "swiftbolt ingest --help"
        ) from error
