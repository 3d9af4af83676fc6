"""Checks of whether what is on record can be believed."""

import datetime
from collections.abc import Iterator

from python_ml.operations.doctor.finding import PROBLEM, Finding
from python_ml.warehouse.clock import check_clock as clock_problems
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.ledgers import verify_ledgers

# All of five million forecasts take a minute.
COMPARED_DAYS = 7


def check_clock(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether clocks agree, and none was set back."""
    for problem in clock_problems(warehouse):
        yield Finding(
            "clock",
            PROBLEM,
            problem.rstrip("."),
            "set the clock that is wrong; then swiftbolt db accept-clock",
        )


def check_ledgers(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether rows of the last days were changed since they were written."""
    since = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(
        days=COMPARED_DAYS
    )
    for finding in verify_ledgers(warehouse, since=since).findings:
        yield Finding(
            "ledgers",
            PROBLEM,
            str(finding),
            "find out who changed it; swiftbolt db verify-ledgers looks at all "
            "days, a backup holds what was there",
        )
