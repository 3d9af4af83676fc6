"""Commands of the day: build, validate, and all jobs in their order."""

import datetime

import click

from python_ml.cli.options import json_option, parse_as_of
from python_ml.cli.output import print_summary
from python_ml.cli.warehouse import open_warehouse


@click.command("build", epilog="Example: swiftbolt build --as-of 2012-06-29")
@click.option(
    "--as-of",
    callback=parse_as_of,
    metavar="DATE",
    help="Build what was known at the end of this day, or at this time (UTC).",
)
@click.option(
    "--full-refresh",
    is_flag=True,
    help="Build every table anew, not only what has changed.",
)
@json_option
def build(
    as_of: datetime.datetime | None, full_refresh: bool, as_json: bool
) -> None:
    """Build and test features, labels and views with dbt.

    What is wrong with a single series sets it aside: it is listed with the
    reason, kept in ml.quarantined_series and out of training and forecasting
    until it passes again. Exit 1 is for what concerns all of them.

    With --as-of, bars that closed and records that were known by then, into
    schemas of its own such as asof_20120629_features.
    """
    from python_ml.operations import daily as pipeline

    with open_warehouse() as warehouse:
        summary = pipeline.build(
            warehouse, as_of=as_of, full_refresh=full_refresh
        )
    print_summary(summary, as_json)


@click.command("validate", epilog="Example: swiftbolt validate")
@json_option
def validate(as_json: bool) -> None:
    """Run the suites of expectations/ over the warehouse; exit 1 on failure.

    Every expectation's result goes to ml.validation_results, and pages to the
    folder `validation` of SWIFTBOLT_HOME: summary.html needs no network. What
    cannot be judged counts as failed: a suite that did not load whole, an
    empty table.
    """
    from python_ml.warehouse.jobs import job_run
    from python_ml.warehouse.validation import (
        default_pages_dir,
        judge,
        raise_on_failure,
    )

    with (
        open_warehouse() as warehouse,
        job_run(warehouse, "validate", {}) as job,
    ):
        summary = judge(
            warehouse,
            job_run_id=job.job_run_id,
            pages_dir=default_pages_dir(warehouse.settings),
        )
        job.counts.update(summary.counts())
        print_summary(summary, as_json)
        raise_on_failure(summary)


@click.command("run", epilog="Example: swiftbolt run")
@json_option
def run(as_json: bool) -> None:
    """Build, validate, train if nothing is deployed, forecast, check drift.

    The daily command. Run it again after a failure: it goes on where it
    stopped and does nothing twice.
    """
    from python_ml.operations import daily as pipeline

    with open_warehouse() as warehouse:
        summary = pipeline.run(warehouse)
    print_summary(summary, as_json)
