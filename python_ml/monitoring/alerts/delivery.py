"""Messages on their way: each once to each channel, whatever dies between.

A message is written in the transaction that counts its alerts as told, and
each attempt before anything is sent. So a process that dies before has told
nothing and one that dies after tells no second time: an attempt without an end
is *in doubt* and not repeated, since no service can be asked whether it came.
"""

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.exceptions import AlertChannelError
from python_ml.monitoring.alerts.channels import Channel, Channels, send
from python_ml.monitoring.alerts.digests import Digest
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

MESSAGES = schema.alert_messages
DELIVERIES = schema.alert_deliveries
ATTEMPTS = schema.alert_attempts

# Waits between the attempts of one run; later runs go on with longer ones.
WAITS_OF_A_RUN = (1.0, 4.0)
FIRST_WAIT = datetime.timedelta(minutes=1)
LONGEST_WAIT = datetime.timedelta(hours=1)
GIVEN_UP_AFTER = datetime.timedelta(days=3)
NOT_KNOWN_HERE = (
    "the environment of this process has no address of it; messages wait for "
    "one that has"
)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of the messages that were due.

    Parameters
    ----------
    delivered, waiting, given_up, in_doubt : int
        Number of deliveries.
    failures : tuple of str
        Channel and reason of each that failed, without addresses.
    """

    delivered: int = 0
    waiting: int = 0
    given_up: int = 0
    in_doubt: int = 0
    failures: tuple[str, ...] = ()


def write_message(
    connection: sa.Connection,
    digest: Digest,
    channels: Channels,
    *,
    kind: str,
    now: datetime.datetime,
    job_run_id: int | None,
) -> int:
    """Write a message and its deliveries, in the caller's transaction."""
    message_id = int(
        connection.execute(
            MESSAGES.insert()
            .values(
                kind=kind,
                created_at=now,
                title=digest.title,
                content=digest.to_content(),
                job_run_id=job_run_id,
            )
            .returning(MESSAGES.c.message_id)
        ).scalar_one()
    )
    connection.execute(
        DELIVERIES.insert(),
        [
            {
                "message_id": message_id,
                "channel": channel.label,
                "status": "pending",
                "n_attempts": 0,
                "next_attempt_at": now,
            }
            for channel in channels.usable
        ],
    )
    return message_id


def deliver_pending(
    warehouse: Warehouse,
    channels: Channels,
    *,
    now: datetime.datetime,
    sleep: Callable[[float], None] = time.sleep,
) -> DeliveryReport:
    """Send what is due, oldest first; the caller holds the alerts' lock.

    Parameters
    ----------
    warehouse : Warehouse
    channels : Channels
    now : datetime
        The clock.
    sleep : callable, optional
        Waits between attempts.
    """
    in_doubt = _mark_doubts(warehouse, now)
    by_label = {channel.label: channel for channel in channels.usable}
    delivered = waiting = given_up = 0
    failures = []
    # One that is down is tried once a run, not once a message.
    down: set[str] = set()
    for row in _due(warehouse, now):
        channel = by_label.get(row["channel"])
        is_too_old = now - row["created_at"] > GIVEN_UP_AFTER
        if row["channel"] in down:
            waiting += 1
            continue
        if channel is None:
            # Perhaps another process knows it, so that its time stays as set.
            failures.append(f"{row['channel']}: {NOT_KNOWN_HERE}")
            if is_too_old:
                _set_status(warehouse, row["delivery_id"], "dropped")
            else:
                down.add(row["channel"])
                waiting += 1
            continue
        reason = _attempt_some(warehouse, channel, row, sleep)
        if reason is None:
            delivered += 1
            continue
        down.add(channel.label)
        failures.append(f"{channel.label}: {reason}")
        if is_too_old:
            _set_status(warehouse, row["delivery_id"], "given_up")
            given_up += 1
        else:
            waiting += 1
    for failure in failures:
        log_event(logger, "alert_not_delivered", reason=failure)
    return DeliveryReport(
        delivered, waiting, given_up, in_doubt, tuple(failures)
    )


def _due(warehouse: Warehouse, now: datetime.datetime) -> list[dict[str, Any]]:
    """Deliveries whose time has come, or was set by a clock that was wrong."""
    query = (
        sa.select(
            DELIVERIES.c.delivery_id,
            DELIVERIES.c.channel,
            DELIVERIES.c.n_attempts,
            MESSAGES.c.message_id,
            MESSAGES.c.title,
            MESSAGES.c.content,
            MESSAGES.c.created_at,
        )
        .join(MESSAGES, DELIVERIES.c.message_id == MESSAGES.c.message_id)
        .where(
            DELIVERIES.c.status == "pending",
            sa.or_(
                DELIVERIES.c.next_attempt_at <= now,
                DELIVERIES.c.next_attempt_at > now + LONGEST_WAIT,
            ),
        )
        .order_by(DELIVERIES.c.message_id, DELIVERIES.c.delivery_id)
    )
    with warehouse.begin() as connection:
        return [dict(row) for row in connection.execute(query).mappings().all()]


def _attempt_some(
    warehouse: Warehouse,
    channel: Channel,
    row: dict[str, Any],
    sleep: Callable[[float], None],
) -> str | None:
    """Try a few times; None once it is delivered, else the last reason."""
    reason = None
    for wait in (*WAITS_OF_A_RUN, None):
        reason = _attempt(warehouse, channel, row)
        if reason is None or wait is None:
            break
        sleep(wait)
    return reason


def _attempt(
    warehouse: Warehouse, channel: Channel, row: dict[str, Any]
) -> str | None:
    with warehouse.begin() as connection:
        attempt_id: int = connection.execute(
            ATTEMPTS.insert()
            .values(delivery_id=row["delivery_id"], started_at=_clock())
            .returning(ATTEMPTS.c.attempt_id)
        ).scalar_one()
    reason = None
    try:
        send(
            channel,
            row["title"],
            row["content"]["groups"],
            number=row["message_id"],
        )
    except AlertChannelError as error:
        reason = str(error)
    ended = _clock()
    row["n_attempts"] += 1
    wait = min(FIRST_WAIT * 2 ** min(row["n_attempts"], 10), LONGEST_WAIT)
    with warehouse.begin() as connection:
        connection.execute(
            ATTEMPTS.update()
            .where(ATTEMPTS.c.attempt_id == attempt_id)
            .values(
                finished_at=ended,
                outcome="failed" if reason else "delivered",
                reason=reason,
            )
        )
        connection.execute(
            DELIVERIES.update()
            .where(DELIVERIES.c.delivery_id == row["delivery_id"])
            .values(
                n_attempts=row["n_attempts"],
                **(
                    {"next_attempt_at": ended + wait}
                    if reason
                    else {"status": "delivered", "delivered_at": ended}
                ),
            )
        )
    return reason


def _mark_doubts(warehouse: Warehouse, now: datetime.datetime) -> int:
    """Attempts without an end: we hold the lock, so who made them is gone."""
    with warehouse.begin() as connection:
        deliveries: Sequence[int] = (
            connection.execute(
                ATTEMPTS.update()
                .where(ATTEMPTS.c.outcome.is_(None))
                .values(
                    outcome="in_doubt",
                    finished_at=now,
                    reason="the process died while sending",
                )
                .returning(ATTEMPTS.c.delivery_id)
            )
            .scalars()
            .all()
        )
        if deliveries:
            connection.execute(
                DELIVERIES.update()
                .where(DELIVERIES.c.delivery_id.in_(deliveries))
                .values(status="in_doubt")
            )
    return len(deliveries)


def _set_status(warehouse: Warehouse, delivery_id: int, status: str) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            DELIVERIES.update()
            .where(DELIVERIES.c.delivery_id == delivery_id)
            .values(status=status)
        )


def _clock() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
