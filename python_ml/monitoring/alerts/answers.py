"""What people do about alerts: look, acknowledge, silence, resolve."""

import datetime
from collections.abc import Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import UnknownAlertError
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

ALERTS = schema.alerts

LIST_QUERY = """
    select
        alert_id,
        kind,
        alert_group,
        subject,
        severity,
        state,
        silenced_until,
        first_seen_at,
        last_seen_at,
        n_seen,
        announced_at,
        resolved_at,
        changed_by,
        note,
        message,
        advice
    from {ml}.alerts
    where state <> 'resolved' or :is_all
    order by
        state = 'resolved',
        case severity when 'critical' then 0 else 1 end,
        first_seen_at desc,
        alert_id desc
"""

MESSAGES_QUERY = """
    select
        messages.message_id,
        messages.created_at,
        messages.title,
        deliveries.channel,
        deliveries.status,
        deliveries.n_attempts,
        deliveries.delivered_at,
        last_attempts.reason as last_reason
    from {ml}.alert_messages as messages
    inner join {ml}.alert_deliveries as deliveries
        on messages.message_id = deliveries.message_id
    left join lateral (
        select attempts.reason
        from {ml}.alert_attempts as attempts
        where attempts.delivery_id = deliveries.delivery_id
        order by attempts.attempt_id desc
        limit 1
    ) as last_attempts on true
    where
        messages.content -> 'alert_ids'
        @> to_jsonb(cast(:alert_id as bigint))
    order by messages.message_id, deliveries.channel
"""


def list_alerts(warehouse: Warehouse, *, is_all: bool = False) -> pd.DataFrame:
    """Alerts that are not resolved, or all; the gravest and newest first."""
    return read_frame(warehouse, LIST_QUERY, {"is_all": is_all})


def read_alert(warehouse: Warehouse, alert_id: int) -> dict[str, Any]:
    """One alert, all columns.

    Raises
    ------
    UnknownAlertError
        If there is none of this number.
    """
    with warehouse.begin() as connection:
        row = (
            connection.execute(
                sa.select(ALERTS).where(ALERTS.c.alert_id == alert_id)
            )
            .mappings()
            .one_or_none()
        )
    if row is None:
        raise UnknownAlertError(
            f"There is no alert {alert_id}. List them: swiftbolt alerts list "
            "--all"
        )
    return dict(row)


def read_messages(warehouse: Warehouse, alert_id: int) -> pd.DataFrame:
    """Messages that an alert was in, with their deliveries."""
    return read_frame(warehouse, MESSAGES_QUERY, {"alert_id": alert_id})


def acknowledge(
    warehouse: Warehouse,
    alert_ids: Sequence[int],
    *,
    by: str,
    note: str | None = None,
) -> None:
    """Say that someone has it in hand: told no more until it is over.

    Raises
    ------
    UnknownAlertError
        If one is not on record or is over; then none is changed.
    """
    _answer(
        warehouse,
        alert_ids,
        {
            "state": "acknowledged",
            "silenced_until": None,
            "changed_by": by,
            "note": note,
        },
    )


def silence(
    warehouse: Warehouse,
    alert_ids: Sequence[int],
    *,
    until: datetime.datetime,
    by: str,
    note: str | None = None,
) -> None:
    """Tell nothing of them until a time, not even that they are over.

    Raises
    ------
    UnknownAlertError
        As `acknowledge`.
    """
    _answer(
        warehouse,
        alert_ids,
        {
            "state": "silenced",
            "silenced_until": until,
            "changed_by": by,
            "note": note,
        },
    )


def resolve(
    warehouse: Warehouse, alert_ids: Sequence[int], *, by: str, note: str
) -> None:
    """Close them: they come back with another cause, or after they were gone.

    Raises
    ------
    UnknownAlertError
        As `acknowledge`.
    """
    _answer(
        warehouse,
        alert_ids,
        {
            "state": "resolved",
            "silenced_until": None,
            "resolved_at": datetime.datetime.now(datetime.UTC),
            "changed_by": by,
            "note": note,
        },
    )


def _answer(
    warehouse: Warehouse, alert_ids: Sequence[int], values: dict[str, Any]
) -> None:
    wanted = set(alert_ids)
    with warehouse.begin() as connection:
        changed: set[int] = set(
            connection.execute(
                ALERTS.update()
                .where(
                    ALERTS.c.alert_id.in_(wanted), ALERTS.c.state != "resolved"
                )
                .values(**values)
                .returning(ALERTS.c.alert_id)
            ).scalars()
        )
        if missing := sorted(wanted - changed):
            raise UnknownAlertError(
                f"No alert is open under {', '.join(map(str, missing))}; "
                "nothing was changed. List what is: swiftbolt alerts list"
            )
