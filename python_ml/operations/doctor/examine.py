"""All checks in their order."""

import functools
from collections.abc import Callable, Iterator

from python_ml.exceptions import SwiftBoltError
from python_ml.operations.doctor import data, honesty, machine, work
from python_ml.operations.doctor.finding import PROBLEM, Examination, Finding
from python_ml.settings import Settings
from python_ml.warehouse.connection import Warehouse, open_warehouse

Check = Callable[[Warehouse], Iterator[Finding]]

# Without these two, nothing else can be looked at.
SERVER, MIGRATIONS = "server", "migrations"

CHECKS: dict[str, Check] = {
    "seeds": data.check_seeds,
    "bars": functools.partial(
        data.check_alert_kinds, check="bars", kinds=("data_stale",)
    ),
    "forecasts": functools.partial(
        data.check_alert_kinds, check="forecasts", kinds=("no_forecast",)
    ),
    "series": data.check_series,
    "artifacts": data.check_artifacts,
    "expiry": data.check_expiry,
    "jobs": functools.partial(
        data.check_alert_kinds,
        check="jobs",
        kinds=("job_failed", "audit_finding"),
    ),
    "requests": work.check_requests,
    "alerts": work.check_alerts,
    "schedules": work.check_schedules,
    "channels": machine.check_channels,
    "clock": honesty.check_clock,
    "ledgers": honesty.check_ledgers,
}


def examine(settings: Settings) -> Examination:
    """Look at everything; start, change and send nothing.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    Examination
        Without a server, or with schemas of other code, what depends on them
        is not looked at and not listed.
    """
    findings = _found("disk", lambda: machine.check_disk(settings))
    lacking = _found(SERVER, lambda: machine.check_server(settings))
    if lacking:
        return Examination(("disk", SERVER), (*findings, *lacking))
    with open_warehouse(settings, migrate=False) as warehouse:
        lacking = _found(
            MIGRATIONS, lambda: machine.check_migrations(warehouse)
        )
        findings += lacking
        names: tuple[str, ...] = ()
        if not lacking:
            names = tuple(CHECKS)
            for name, check in CHECKS.items():
                findings += _found(name, functools.partial(check, warehouse))
    return Examination(("disk", SERVER, MIGRATIONS, *names), tuple(findings))


def _found(name: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a check found; that it could not look is a finding as well."""
    try:
        return list(look())
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        if not isinstance(error, SwiftBoltError):
            reason = f"{type(error).__name__}: {reason}"
        return [
            Finding(
                name,
                PROBLEM,
                f"It could not be looked at: {reason}".rstrip("."),
                "swiftbolt build, where a view is missing",
            )
        ]
