"""Alerts in `ml.alerts`: what is there, what changes, what is told."""

import datetime

import sqlalchemy as sa

from python_ml import schema
from python_ml.monitoring.alerts.changes import (
    CHECK,
    Announcements,
    Changes,
    StoredAlert,
    due_announcements,
)
from python_ml.monitoring.alerts.channels import Channels, known_to_apprise
from python_ml.monitoring.alerts.delivery import write_message
from python_ml.monitoring.alerts.digests import make_digest
from python_ml.monitoring.alerts.rules import AlertRule

ALERTS = schema.alerts


def read_stored(connection: sa.Connection) -> list[StoredAlert]:
    """Alerts that are not over, or whose cause is; held until the commit."""
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


def write_changes(
    connection: sa.Connection,
    changes: Changes,
    now: datetime.datetime,
    job_run_id: int,
) -> None:
    """Write what a check changes of alerts."""
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


def write_digest(
    connection: sa.Connection,
    rules: dict[str, AlertRule],
    channels: Channels,
    now: datetime.datetime,
    job_run_id: int,
) -> Channels:
    """Write the message, and that its alerts are told, in one transaction.

    Returns
    -------
    Channels
        Those that it is for. Where there is none, nothing counts as told.
    """
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
        return channels
    channels = known_to_apprise(channels)
    if not channels.usable:
        return channels
    write_message(
        connection,
        make_digest(announcements),
        channels,
        kind="digest",
        now=now,
        job_run_id=job_run_id,
    )
    _mark_told(connection, announcements, now)
    return channels


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
