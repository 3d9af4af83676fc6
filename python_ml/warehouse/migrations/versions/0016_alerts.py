"""Keep what someone should know of, and how they were told.

Messages are written with the alerts that they tell, so that a process that
dies tells nothing twice; and every job leaves what it took of the processor.
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

Timestamp = sa.DateTime(timezone=True)


def upgrade() -> None:
    settings = context.config.attributes["settings"]
    raw, ml = settings.schema("raw"), settings.schema("ml")
    op.add_column(
        "job_runs",
        sa.Column(
            "processor_seconds",
            sa.Double(),
            comment=(
                "Of its process and of those that it started and that have "
                "ended, the database server not counted; NULL while it runs."
            ),
        ),
        schema=ml,
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=False,
            comment=(
                "Kind and subject; at most one alert of it is not resolved."
            ),
        ),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="As in seed alert_rules."
        ),
        sa.Column(
            "alert_group",
            sa.Text(),
            nullable=False,
            comment=("Timeframe, or all: what a digest puts together."),
        ),
        sa.Column("symbol_id", sa.Integer()),
        sa.Column(
            "subject", sa.Text(), nullable=False, comment="What it is about."
        ),
        sa.Column(
            "severity", sa.Text(), nullable=False, comment="warning or critical"
        ),
        sa.Column(
            "message", sa.Text(), nullable=False, comment="As last seen."
        ),
        sa.Column("advice", sa.Text(), nullable=False, comment="What to do."),
        sa.Column(
            "cause",
            sa.Text(),
            nullable=False,
            comment=(
                "What it rests on; one that was resolved by "
                "hand comes back with another."
            ),
        ),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment=("open, acknowledged, silenced or resolved"),
        ),
        sa.Column("silenced_until", Timestamp),
        sa.Column("first_seen_at", Timestamp, nullable=False),
        sa.Column("last_seen_at", Timestamp, nullable=False),
        sa.Column(
            "n_seen",
            sa.Integer(),
            nullable=False,
            comment="Checks that saw it.",
        ),
        sa.Column(
            "announced_at",
            Timestamp,
            comment=("Last digest that it was in; NULL before the first."),
        ),
        sa.Column(
            "recovery_announced_at",
            Timestamp,
            comment=("Digest that said it is over; NULL if none did or will."),
        ),
        sa.Column("resolved_at", Timestamp),
        sa.Column(
            "cleared_at",
            Timestamp,
            comment=("When no check saw it any more; NULL while one does."),
        ),
        sa.Column(
            "changed_by",
            sa.Text(),
            comment=("Who acknowledged, silenced or resolved it last."),
        ),
        sa.Column("note", sa.Text(), comment="What they said."),
        sa.Column(
            "job_run_id", sa.BigInteger(), comment="Check that saw it last."
        ),
        sa.CheckConstraint(
            "(state = 'resolved') = (resolved_at is not null)",
            name=op.f("alerts_resolved_has_a_time_check"),
        ),
        sa.CheckConstraint(
            "severity in ('warning', 'critical')",
            name=op.f("alerts_severity_is_known_check"),
        ),
        sa.CheckConstraint(
            "state <> 'silenced' or silenced_until is not null",
            name=op.f("alerts_silence_has_an_end_check"),
        ),
        sa.CheckConstraint(
            "state in ('open', 'acknowledged', 'silenced', 'resolved')",
            name=op.f("alerts_state_is_known_check"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("alerts_job_run_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            [f"{raw}.symbols.symbol_id"],
            name=op.f("alerts_symbol_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("alerts_pkey")),
        schema=ml,
        comment=(
            "One row per cause that someone should know "
            "of, from the check that first saw it to its "
            "end."
        ),
    )
    op.create_index(
        "alerts_one_open_per_fingerprint_idx",
        "alerts",
        ["fingerprint"],
        unique=True,
        schema=ml,
        postgresql_where=sa.text("state <> 'resolved'"),
    )
    op.create_table(
        "alert_messages",
        sa.Column("message_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="digest or test"),
        sa.Column("created_at", Timestamp, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column(
            "content",
            postgresql.JSONB(),
            nullable=False,
            comment=(
                "Groups with their lines, and the alerts that they are about."
            ),
        ),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.CheckConstraint(
            "kind in ('digest', 'test')",
            name=op.f("alert_messages_kind_is_known_check"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("alert_messages_job_run_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("alert_messages_pkey")),
        schema=ml,
        comment=(
            "One row per message that was to be sent, "
            "written in the transaction that counts its "
            "alerts as told; append-only."
        ),
    )
    op.create_table(
        "alert_deliveries",
        sa.Column(
            "delivery_id", sa.BigInteger(), sa.Identity(), nullable=False
        ),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "channel",
            sa.Text(),
            nullable=False,
            comment=("Kind of service and part of a digest of its address."),
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment=(
                "pending, delivered, in_doubt (the process "
                "died while sending), given_up, or dropped "
                "(the channel is gone)"
            ),
        ),
        sa.Column("n_attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", Timestamp, nullable=False),
        sa.Column("delivered_at", Timestamp),
        sa.CheckConstraint(
            "status in ('pending', 'delivered', "
            "'in_doubt', 'given_up', 'dropped')",
            name=op.f("alert_deliveries_status_is_known_check"),
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            [f"{ml}.alert_messages.message_id"],
            name=op.f("alert_deliveries_message_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "delivery_id", name=op.f("alert_deliveries_pkey")
        ),
        sa.UniqueConstraint(
            "message_id",
            "channel",
            name=op.f("alert_deliveries_message_id_channel_key"),
        ),
        schema=ml,
        comment=("One row per message and channel that it goes to."),
    )
    op.create_table(
        "alert_attempts",
        sa.Column("attempt_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", Timestamp, nullable=False),
        sa.Column("finished_at", Timestamp),
        sa.Column(
            "outcome",
            sa.Text(),
            comment=("delivered, failed or in_doubt; NULL while it is sent."),
        ),
        sa.Column(
            "reason", sa.Text(), comment="Why it failed; holds no address."
        ),
        sa.CheckConstraint(
            "outcome in ('delivered', 'failed', 'in_doubt')",
            name=op.f("alert_attempts_outcome_is_known_check"),
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            [f"{ml}.alert_deliveries.delivery_id"],
            name=op.f("alert_attempts_delivery_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("alert_attempts_pkey")),
        schema=ml,
        comment=(
            "One row per attempt at a delivery, written "
            "before anything is sent."
        ),
    )
    op.create_index(
        op.f("alert_attempts_delivery_id_idx"),
        "alert_attempts",
        ["delivery_id"],
        unique=False,
        schema=ml,
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
