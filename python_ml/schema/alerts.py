"""What someone should know of, and how they were told."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from python_ml.schema.columns import ML, Timestamp, metadata
from python_ml.schema.jobs import job_runs
from python_ml.schema.market import symbols

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", BigInteger, Identity(), primary_key=True),
    Column(
        "fingerprint",
        Text,
        nullable=False,
        comment="Kind and subject; at most one alert of it is not resolved.",
    ),
    Column("kind", Text, nullable=False, comment="As in seed alert_rules."),
    Column(
        "alert_group",
        Text,
        nullable=False,
        comment="Timeframe, or all: what a digest puts together.",
    ),
    Column("symbol_id", Integer, ForeignKey(symbols.c.symbol_id)),
    Column("subject", Text, nullable=False, comment="What it is about."),
    Column("severity", Text, nullable=False, comment="warning or critical"),
    Column("message", Text, nullable=False, comment="As last seen."),
    Column("advice", Text, nullable=False, comment="What to do."),
    Column(
        "cause",
        Text,
        nullable=False,
        comment=(
            "What it rests on; one that was resolved by hand comes back with "
            "another."
        ),
    ),
    Column(
        "state",
        Text,
        nullable=False,
        comment="open, acknowledged, silenced or resolved",
    ),
    Column("silenced_until", Timestamp),
    Column("first_seen_at", Timestamp, nullable=False),
    Column("last_seen_at", Timestamp, nullable=False),
    Column("n_seen", Integer, nullable=False, comment="Checks that saw it."),
    Column(
        "announced_at",
        Timestamp,
        comment="Last digest that it was in; NULL before the first.",
    ),
    Column(
        "recovery_announced_at",
        Timestamp,
        comment="Digest that said it is over; NULL if none did or will.",
    ),
    Column("resolved_at", Timestamp),
    Column(
        "cleared_at",
        Timestamp,
        comment="When no check saw it any more; NULL while one does.",
    ),
    Column(
        "changed_by",
        Text,
        comment="Who acknowledged, silenced or resolved it last.",
    ),
    Column("note", Text, comment="What they said."),
    Column(
        "job_run_id",
        BigInteger,
        ForeignKey(job_runs.c.job_run_id),
        comment="Check that saw it last.",
    ),
    CheckConstraint(
        "state in ('open', 'acknowledged', 'silenced', 'resolved')",
        name="state_is_known",
    ),
    CheckConstraint(
        "severity in ('warning', 'critical')", name="severity_is_known"
    ),
    CheckConstraint(
        "(state = 'resolved') = (resolved_at is not null)",
        name="resolved_has_a_time",
    ),
    CheckConstraint(
        "state <> 'silenced' or silenced_until is not null",
        name="silence_has_an_end",
    ),
    Index(
        "alerts_one_open_per_fingerprint_idx",
        "fingerprint",
        unique=True,
        postgresql_where=text("state <> 'resolved'"),
    ),
    schema=ML,
    comment=(
        "One row per cause that someone should know of, from the check that "
        "first saw it to its end."
    ),
)

alert_messages = Table(
    "alert_messages",
    metadata,
    Column("message_id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False, comment="digest or test"),
    Column("created_at", Timestamp, nullable=False),
    Column("title", Text, nullable=False),
    Column(
        "content",
        JSONB,
        nullable=False,
        comment="Groups with their lines, and the alerts that they are about.",
    ),
    Column("job_run_id", BigInteger, ForeignKey(job_runs.c.job_run_id)),
    CheckConstraint("kind in ('digest', 'test')", name="kind_is_known"),
    schema=ML,
    comment=(
        "One row per message that was to be sent, written in the transaction "
        "that counts its alerts as told; append-only."
    ),
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("delivery_id", BigInteger, Identity(), primary_key=True),
    Column(
        "message_id",
        BigInteger,
        ForeignKey(alert_messages.c.message_id),
        nullable=False,
    ),
    Column(
        "channel",
        Text,
        nullable=False,
        comment="Kind of service and part of a digest of its address.",
    ),
    Column(
        "status",
        Text,
        nullable=False,
        comment=(
            "pending, delivered, in_doubt (the process died while sending), "
            "given_up, or dropped (the channel is gone)"
        ),
    ),
    Column("n_attempts", Integer, nullable=False),
    Column("next_attempt_at", Timestamp, nullable=False),
    Column("delivered_at", Timestamp),
    UniqueConstraint("message_id", "channel"),
    CheckConstraint(
        "status in ('pending', 'delivered', 'in_doubt', 'given_up', 'dropped')",
        name="status_is_known",
    ),
    schema=ML,
    comment="One row per message and channel that it goes to.",
)

alert_attempts = Table(
    "alert_attempts",
    metadata,
    Column("attempt_id", BigInteger, Identity(), primary_key=True),
    Column(
        "delivery_id",
        BigInteger,
        ForeignKey(alert_deliveries.c.delivery_id),
        nullable=False,
    ),
    Column("started_at", Timestamp, nullable=False),
    Column("finished_at", Timestamp),
    Column(
        "outcome",
        Text,
        comment="delivered, failed or in_doubt; NULL while it is sent.",
    ),
    Column("reason", Text, comment="Why it failed; holds no address."),
    CheckConstraint(
        "outcome in ('delivered', 'failed', 'in_doubt')",
        name="outcome_is_known",
    ),
    Index(None, "delivery_id"),
    schema=ML,
    comment=(
        "One row per attempt at a delivery, written before anything is sent."
    ),
)
