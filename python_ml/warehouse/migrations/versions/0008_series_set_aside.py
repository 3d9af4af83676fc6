"""Keep which series are set aside, since when and why; and what symbols were.

A renamed symbol keeps its history under its former tickers, a deactivated one
is out of every job, and a finding that a person has accepted sets nothing
aside any more.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Timestamp = sa.DateTime(timezone=True)


def upgrade() -> None:
    settings = context.config.attributes["settings"]
    raw, ml = settings.schema("raw"), settings.schema("ml")
    op.add_column(
        "symbols",
        sa.Column("deactivated_at", Timestamp, comment="NULL while active."),
        schema=raw,
    )
    op.create_table(
        "symbol_aliases",
        sa.Column("ticker", sa.Text(), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column(
            "valid_until",
            sa.Date(),
            nullable=False,
            comment="First session under the next ticker.",
        ),
        sa.Column(
            "created_at",
            Timestamp,
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.PrimaryKeyConstraint("ticker", name=op.f("symbol_aliases_pkey")),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            [f"{raw}.symbols.symbol_id"],
            name=op.f("symbol_aliases_symbol_id_fkey"),
        ),
        schema=raw,
        comment="One row per former ticker of a symbol that was renamed.",
    )
    op.create_table(
        "quarantined_series",
        sa.Column("quarantine_id", sa.BigInteger(), sa.Identity()),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="The check: series_findings, a dbt test, a suite.",
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column(
            "fault_at",
            Timestamp,
            comment=(
                "Close of the first bar at fault; what lies before it may be "
                "used. NULL where the whole series is."
            ),
        ),
        sa.Column("quarantined_at", Timestamp, nullable=False),
        sa.Column(
            "released_at", Timestamp, comment="NULL while it is set aside."
        ),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column("released_by_job_run_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint(
            "quarantine_id", name=op.f("quarantined_series_pkey")
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            [f"{raw}.symbols.symbol_id"],
            name=op.f("quarantined_series_symbol_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("quarantined_series_job_run_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["released_by_job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("quarantined_series_released_by_job_run_id_fkey"),
        ),
        sa.CheckConstraint(
            "released_at is null or released_at >= quarantined_at",
            name=op.f("quarantined_series_times_are_ordered_check"),
        ),
        schema=ml,
        comment=(
            "One row per series, reason and span of time in which it is out "
            "of training and forecasting; only released_at is ever changed."
        ),
    )
    op.create_index(
        op.f("quarantined_series_open_key"),
        "quarantined_series",
        ["symbol_id", "timeframe", "source", "reason"],
        unique=True,
        schema=ml,
        postgresql_where=sa.text("released_at is null"),
    )
    op.create_table(
        "accepted_findings",
        sa.Column("accepted_finding_id", sa.BigInteger(), sa.Identity()),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("session_date", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("accepted_by", sa.Text(), nullable=False),
        sa.Column("accepted_at", Timestamp, nullable=False),
        sa.PrimaryKeyConstraint(
            "accepted_finding_id", name=op.f("accepted_findings_pkey")
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            [f"{raw}.symbols.symbol_id"],
            name=op.f("accepted_findings_symbol_id_fkey"),
        ),
        sa.UniqueConstraint(
            "symbol_id",
            "kind",
            "session_date",
            name=op.f("accepted_findings_symbol_id_kind_session_date_key"),
        ),
        schema=ml,
        comment=(
            "One row per finding on a symbol's bars that a person has "
            "accepted; append-only."
        ),
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
