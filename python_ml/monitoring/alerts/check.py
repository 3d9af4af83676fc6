"""Look for what someone should know of, write it down and tell it once."""

import contextlib
import datetime
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.exceptions import JobRunningError, SettingsError
from python_ml.monitoring.alerts.changes import (
    CHECK,
    Announcements,
    Changes,
    StoredAlert,
    due_announcements,
    plan_changes,
)
from python_ml.monitoring.alerts.channels import (
    SLACK_VARIABLE,
    URLS_VARIABLE,
    Channels,
    read_channels,
)
from python_ml.monitoring.alerts.delivery import (
    DeliveryReport,
    deliver_pending,
    write_message,
)
from python_ml.monitoring.alerts.digests import make_digest, test_digest
from python_ml.monitoring.alerts.kind import AlertKind, Observation
from python_ml.monitoring.alerts.kinds import KINDS
from python_ml.monitoring.alerts.rules import AlertRule, read_rules
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run

logger = get_logger(__name__)

JOB = "alerts"
ALERTS = schema.alerts
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
                _read_stored(connection), observed, judged_kinds=judged, now=now
            )
            _write_changes(connection, changes, now, job.job_run_id)
            if channels.usable:
                _write_digest(connection, rules, channels, now, job.job_run_id)
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
def alerts_told_after(warehouse: Warehouse) -> Iterator[None]:
    """Check alerts when a job has ended, well or not; that never fails it.

    Whoever ends a job by a signal wants it to end soon, so then the next check
    tells of it.
    """
    try:
        yield
    except Exception:
        _check_quietly(warehouse)
        raise
    _check_quietly(warehouse)


def _check_quietly(warehouse: Warehouse) -> None:
    try:
        check_alerts(warehouse)
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
    channels = read_channels() if channels is None else channels
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


def collect(
    warehouse: Warehouse,
    rules: dict[str, AlertRule],
    *,
    now: datetime.datetime,
    kinds: Sequence[AlertKind] = KINDS,
) -> tuple[list[Observation], dict[str, str]]:
    """Ask the warehouse, one statement a kind.

    Returns
    -------
    observed : list of Observation
    unjudged : dict of str to str
        Kinds without an answer, with the reason: a view that is not built
        yet, or a build that is broken, hides no other kind.
    """
    observed: list[Observation] = []
    unjudged: dict[str, str] = {}
    for kind in kinds:
        rule = rules.get(kind.name)
        if rule is None:
            unjudged[kind.name] = "it has no row in the seed alert_rules"
            continue
        try:
            observed += _observe(warehouse, kind, rule, now)
        except Exception as error:
            # The driver repeats the whole query behind its first line.
            reason = str(error).partition("\nLINE ")[0]
            unjudged[kind.name] = " ".join(reason.split())[:200]
            log_event(
                logger,
                "alert_kind_not_judged",
                kind=kind.name,
                reason=unjudged[kind.name],
            )
    return observed, unjudged


def _observe(
    warehouse: Warehouse,
    kind: AlertKind,
    rule: AlertRule,
    now: datetime.datetime,
) -> list[Observation]:
    rows = read_frame(
        warehouse,
        kind.query,
        {
            "now": now,
            "threshold": _plain(rule.threshold),
            "schema_prefix": warehouse.settings.schema_prefix,
        },
    )
    observed = []
    for row in rows.to_dict("records"):
        words = kind.describe({str(name): value for name, value in row.items()})
        observed.append(
            Observation(
                kind.name,
                str(row["subject"]),
                str(row["alert_group"]),
                rule.severity,
                words.message,
                words.advice,
                str(row["cause"]),
                None if pd.isna(row["symbol_id"]) else int(row["symbol_id"]),
            )
        )
    return observed


def _plain(threshold: float | None) -> float | int | None:
    """A whole number as one, as `make_interval` wants it."""
    if threshold is not None and threshold == int(threshold):
        return int(threshold)
    return threshold


def _read_stored(connection: sa.Connection) -> list[StoredAlert]:
    columns = [
        ALERTS.c[name]
        for name in (
            "alert_id",
            "kind",
            "fingerprint",
            "severity",
            "message",
            "cause",
            "state",
            "silenced_until",
        )
    ]
    rows = connection.execute(
        sa.select(*columns)
        .where(
            sa.or_(ALERTS.c.state != "resolved", ALERTS.c.cleared_at.is_(None))
        )
        .with_for_update()
    )
    return [StoredAlert(**row) for row in rows.mappings()]


def _write_changes(
    connection: sa.Connection,
    changes: Changes,
    now: datetime.datetime,
    job_run_id: int,
) -> None:
    if changes.opened:
        connection.execute(
            ALERTS.insert(),
            [
                {
                    "fingerprint": one.fingerprint,
                    "kind": one.kind,
                    "alert_group": one.group,
                    "symbol_id": one.symbol_id,
                    "subject": one.subject,
                    "severity": one.severity,
                    "message": one.message,
                    "advice": one.advice,
                    "cause": one.cause,
                    "state": "open",
                    "first_seen_at": now,
                    "last_seen_at": now,
                    "n_seen": 1,
                    "job_run_id": job_run_id,
                }
                for one in changes.opened
            ],
        )
    if changes.seen:
        connection.execute(
            ALERTS.update()
            .where(ALERTS.c.alert_id.in_(changes.seen))
            .values(
                last_seen_at=now,
                n_seen=ALERTS.c.n_seen + 1,
                job_run_id=job_run_id,
            )
        )
    for alert_id, values in changes.updates.items():
        connection.execute(
            ALERTS.update()
            .where(ALERTS.c.alert_id == alert_id)
            .values(**values)
        )
    if changes.resolved:
        connection.execute(
            ALERTS.update()
            .where(ALERTS.c.alert_id.in_(changes.resolved))
            .values(
                state="resolved",
                resolved_at=now,
                cleared_at=now,
                changed_by=CHECK,
                # Who silenced it wants to hear no more of it.
                recovery_announced_at=sa.case(
                    (ALERTS.c.state == "silenced", now), else_=None
                ),
            )
        )
    if changes.cleared:
        connection.execute(
            ALERTS.update()
            .where(ALERTS.c.alert_id.in_(changes.cleared))
            .values(cleared_at=now)
        )


def _write_digest(
    connection: sa.Connection,
    rules: dict[str, AlertRule],
    channels: Channels,
    now: datetime.datetime,
    job_run_id: int,
) -> None:
    """Write the message, and that its alerts are told, in one transaction."""
    rows = connection.execute(
        sa.select(ALERTS)
        .where(
            sa.or_(
                ALERTS.c.state == "open",
                sa.and_(
                    ALERTS.c.state == "resolved",
                    ALERTS.c.changed_by == CHECK,
                    ALERTS.c.announced_at.is_not(None),
                    ALERTS.c.recovery_announced_at.is_(None),
                ),
            )
        )
        .order_by(ALERTS.c.alert_id)
    )
    announcements = due_announcements(
        [dict(row) for row in rows.mappings()], rules, now=now
    )
    if not announcements:
        return
    write_message(
        connection,
        make_digest(announcements),
        channels,
        kind="digest",
        now=now,
        job_run_id=job_run_id,
    )
    _mark_told(connection, announcements, now)


def _mark_told(
    connection: sa.Connection,
    announcements: Announcements,
    now: datetime.datetime,
) -> None:
    for alerts, column in (
        ([*announcements.new, *announcements.repeated], "announced_at"),
        (announcements.recovered, "recovery_announced_at"),
    ):
        if alerts:
            connection.execute(
                ALERTS.update()
                .where(
                    ALERTS.c.alert_id.in_(
                        [alert["alert_id"] for alert in alerts]
                    )
                )
                .values({column: now})
            )
