"""The command that looks at everything."""

import sys

import click

from python_ml.cli.options import json_option
from python_ml.cli.output import print_summary
from python_ml.settings import load_settings


@click.command("doctor", epilog="Example: swiftbolt doctor --json")
@json_option
def doctor(as_json: bool) -> None:
    """Look at everything and say what to do; exit 1 if something must be done.

    Server, migrations, seeds, age of bars, series, artifacts, expired
    versions, jobs, requests, alerts, schedules, channels and disk space.
    Nothing is started, changed or sent.
    """
    from python_ml.operations.doctor.examine import examine

    examination = examine(load_settings())
    print_summary(examination, as_json)
    sys.exit(0 if examination.is_healthy else 1)
