"""Look for what someone should know of, write it down and tell it once."""

import contextlib
import datetime
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from python_ml.console.logs import get_logger, log_event
from python_ml.exceptions import JobRunningError, SettingsError
from python_ml.monitoring.alerts.changes import plan_changes
from python_ml.monitoring.alerts.channels import (
    SLACK_VARIABLE,
    URLS_VARIABLE,
    Channels,
    known_to_apprise,
    read_channels,
)
from python_ml.monitoring.alerts.delivery import (
    DeliveryReport,
    deliver_pending,
    write_message,
)
from python_ml.monitoring.alerts.digests import test_digest
from python_ml.monitoring.alerts.kind import AlertKind
from python_ml.monitoring.alerts.kinds import KINDS
from python_ml.monitoring.alerts.observing import collect
from python_ml.monitoring.alerts.records import (
    read_stored,
    write_changes,
    write_digest,
)
from python_ml.monitoring.alerts.rules import read_rules
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run

logger = get_logger(__name__)

JOB = "alerts"
Sleep = Callable[[float], None]


@dataclass(frozen=True)
class CheckSummary:
    """What a check found and told.

    Parameters
    ----------
    opened, seen, resolved : int
        Alerts that are new, that go on, and that are over.
    unjudged : dict of str to str
        Kinds whose statement could not run, with the reason.
    delivery : DeliveryReport
    problems : tuple of str
        What is wrong with the channels.
    has_channels : bool
    """

    opened: int
    seen: int
    resolved: int
    unjudged: dict[str, str]
    delivery: DeliveryReport
    problems: tuple[str, ...]
    has_channels: bool

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "opened": self.opened,
            "seen": self.seen,
            "resolved": self.resolved,
            "unjudged": self.unjudged,
            "delivered": self.delivery.delivered,
            "waiting": self.delivery.waiting,
            "given_up": self.delivery.given_up,
            "in_doubt": self.delivery.in_doubt,
            "failures": [*self.delivery.failures, *self.problems],
            "has_channels": self.has_channels,
        }

    def to_text(self) -> str:
        """What a person wants to know."""
        lines = [
            f"Alerts: {self.opened} new, {self.seen} going on, "
            f"{self.resolved} over. Messages delivered: "
            f"{self.delivery.delivered}."
        ]
        lines += [
            f"Not judged: {kind} ({reason})"
            for kind, reason in self.unjudged.items()
        ]
        lines += [
            f"Not delivered, will be tried again: {failure}"
            for failure in self.delivery.failures
        ]
        lines += self.problems
        if not self.has_channels:
            lines.append(
                f"Nobody is told: set {URLS_VARIABLE} or {SLACK_VARIABLE}, "
                "then: swiftbolt alerts test"
            )
        return "\n".join(lines)


def check_alerts(
    warehouse: Warehouse,
    *,
    channels: Channels | None = None,
    now: datetime.datetime | None = None,
    kinds: Sequence[AlertKind] = KINDS,
    sleep: Sleep = time.sleep,
) -> CheckSummary:
    """Collect, keep and tell.

    Parameters
    ----------
    warehouse : Warehouse
    channels : Channels, optional
        By default those of the environment.
    now : datetime, optional
        The clock, by default the real one.
    kinds : sequence of AlertKind, optional
    sleep : callable, optional
        Waits between attempts at delivery.

    Raises
    ------
    JobRunningError
        If another check runs.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    channels = read_channels() if channels is None else channels
    rules = read_rules(warehouse.settings)
    with job_run(warehouse, JOB, {}) as job:
        observed, unjudged = collect(warehouse, rules, now=now, kinds=kinds)
        judged = {kind.name for kind in kinds} - set(unjudged)
        with warehouse.begin() as connection:
            changes = plan_changes(
                read_stored(connection), observed, judged_kinds=judged, now=now
            )
            write_changes(connection, changes, now, job.job_run_id)
            channels = write_digest(
                connection, rules, channels, now, job.job_run_id
            )
        report = deliver_pending(warehouse, channels, now=now, sleep=sleep)
        job.counts.update(
            opened=len(changes.opened),
            seen=len(changes.seen),
            resolved=len(changes.resolved),
            delivered=report.delivered,
            not_delivered=len(report.failures),
        )
    return CheckSummary(
        len(changes.opened),
        len(changes.seen),
        len(changes.resolved),
        unjudged,
        report,
        channels.problems,
        bool(channels.usable),
    )


@contextlib.contextmanager
def alerts_told_after(
    warehouse: Warehouse, *, now: datetime.datetime | None = None
) -> Iterator[None]:
    """Check alerts when a job has ended, well or not; that never fails it.

    Whoever ends a job by a signal wants it to end soon, so then the next check
    tells of it.

    Parameters
    ----------
    warehouse : Warehouse
    now : datetime, optional
        The clock of the check, by default the real one.
    """
    try:
        yield
    except Exception:
        _check_quietly(warehouse, now)
        raise
    _check_quietly(warehouse, now)


def _check_quietly(warehouse: Warehouse, now: datetime.datetime | None) -> None:
    try:
        check_alerts(warehouse, now=now)
    except JobRunningError:
        # The check that runs now sees what this one would, or the next.
        log_event(logger, "alerts_checked_by_another")
    except Exception as error:
        log_event(
            logger,
            "alerts_not_checked",
            reason=f"{type(error).__name__}: {error}",
        )


def send_test(
    warehouse: Warehouse,
    *,
    channels: Channels | None = None,
    sleep: Sleep = time.sleep,
) -> CheckSummary:
    """Send a message to every channel that says nothing but that it came.

    Raises
    ------
    SettingsError
        If there is no channel.
    JobRunningError
        If a check runs.
    """
    channels = known_to_apprise(
        read_channels() if channels is None else channels
    )
    if not channels.usable:
        raise SettingsError(
            " ".join(
                channels.problems
                or (
                    "There is no channel to test. Set "
                    f"{URLS_VARIABLE} to addresses as apprise reads them, or "
                    f"{SLACK_VARIABLE}, and run this again.",
                )
            )
        )
    now = datetime.datetime.now(datetime.UTC)
    with job_run(warehouse, JOB, {"test": True}) as job:
        with warehouse.begin() as connection:
            write_message(
                connection,
                test_digest(now, socket.gethostname()),
                channels,
                kind="test",
                now=now,
                job_run_id=job.job_run_id,
            )
        report = deliver_pending(warehouse, channels, now=now, sleep=sleep)
    return CheckSummary(0, 0, 0, {}, report, channels.problems, True)
