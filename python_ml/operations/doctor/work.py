"""Checks of what is left to do: requests, alerts, schedules."""

import datetime
from collections.abc import Iterator

from python_ml.console.text_tables import some_names
from python_ml.monitoring.alerts.answers import list_alerts
from python_ml.operations.doctor.finding import NOTICE, PROBLEM, Finding
from python_ml.operations.schedules.run import list_jobs
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

LONGEST_WAIT = datetime.timedelta(days=1)

REQUESTS_QUERY = """
    select
        symbols.ticker || ' ' || requests.timeframe as series,
        requests.requested_at
    from {ml}.retrain_requests as requests
    inner join {raw}.symbols as symbols
        on requests.symbol_id = symbols.symbol_id
    inner join {features}.timeframes as timeframes
        on requests.timeframe = timeframes.timeframe
    where requests.status = 'open'
    order by series
"""


def check_requests(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether trainings were asked for that nobody has done."""
    rows = read_frame(warehouse, REQUESTS_QUERY)
    if rows.empty:
        return
    waited = datetime.datetime.now(datetime.UTC) - rows["requested_at"].min()
    yield Finding(
        "requests",
        PROBLEM if waited > LONGEST_WAIT else NOTICE,
        f"{len(rows)} requests to train are open, the oldest since "
        f"{rows['requested_at'].min():%Y-%m-%d %H:%M} UTC: "
        f"{some_names(rows['series'].tolist())}",
        "scripts/emergency_retrain",
    )


def check_alerts(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether alerts are open that nobody has in hand."""
    alerts = list_alerts(warehouse)
    alerts = alerts[alerts["state"] == "open"]
    if alerts.empty:
        return
    n_critical = int((alerts["severity"] == "critical").sum())
    yield Finding(
        "alerts",
        PROBLEM if n_critical else NOTICE,
        f"{len(alerts)} alerts are open, {n_critical} of them critical",
        "swiftbolt alerts list, then ack, silence or resolve each",
    )


def check_schedules(warehouse: Warehouse) -> Iterator[Finding]:
    """Whether a job of the schedule should have run and did not."""
    jobs = list_jobs(warehouse)
    never = jobs["last_success_at"].isna() & jobs["due_since"].notna()
    overdue = jobs[(jobs["state"] == "overdue") & ~never]
    for row in overdue.to_dict("records"):
        yield Finding(
            "schedules",
            PROBLEM,
            f"{row['job']} is due since {row['due_since']:%Y-%m-%d %H:%M} UTC "
            f"and ran last at {row['last_success_at']:%Y-%m-%d %H:%M} UTC",
            f"scripts/{row['job']}, and see why its timer did not start it: "
            "docs/runbook.md",
        )
    if never.any():
        names = jobs["job"][never].tolist()
        yield Finding(
            "schedules",
            NOTICE,
            f"No timer has run these yet: {some_names(names)}",
            "install them as docs/runbook.md says, or run scripts/daily_run",
        )
