"""Keep backtests on record, and what they decide apart from what is live.

What a backtest deploys goes to a table of its own, so that nothing that reads
`deployments` can meet it, and its versions and decisions name their run.
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

Timestamp = sa.DateTime(timezone=True)


def upgrade() -> None:
    settings = context.config.attributes["settings"]
    raw, ml = settings.schema("raw"), settings.schema("ml")
    _make_runs(ml)
    _make_steps(ml)
    _make_deployments(raw, ml)
    op.alter_column(
        "training_runs",
        "trigger",
        comment="manual, scheduled, drift, request, backtest or weights",
        existing_type=sa.Text(),
        existing_nullable=False,
        schema=ml,
    )
    for table in ("ensembles", "promotions"):
        op.add_column(
            table,
            sa.Column(
                "run_name",
                sa.Text(),
                comment="Backtest that it belongs to; NULL for live.",
            ),
            schema=ml,
        )
        op.create_foreign_key(
            op.f(f"{table}_run_name_fkey"),
            table,
            "backtest_runs",
            ["run_name"],
            ["run_name"],
            source_schema=ml,
            referent_schema=ml,
        )


def _make_runs(ml: str) -> None:
    op.create_table(
        "backtest_runs",
        sa.Column("run_name", sa.Text(), nullable=False),
        sa.Column(
            "policy",
            sa.Text(),
            nullable=False,
            comment="calendar, drift or both",
        ),
        sa.Column(
            "from_date", sa.Date(), nullable=False, comment="UTC, inclusive."
        ),
        sa.Column(
            "to_date", sa.Date(), nullable=False, comment="UTC, inclusive."
        ),
        sa.Column(
            "retrain",
            sa.Text(),
            nullable=False,
            comment="never, weekly, monthly, quarterly or yearly",
        ),
        sa.Column(
            "weights",
            sa.Text(),
            nullable=False,
            comment="never, weekly, monthly, quarterly or yearly",
        ),
        sa.Column("symbols", JSONB(), comment="Tickers; NULL for all."),
        sa.Column("timeframes", JSONB(), comment="NULL for all."),
        sa.Column(
            "status", sa.Text(), nullable=False, comment="begun or finished"
        ),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            Timestamp,
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.Column("finished_at", Timestamp),
        sa.CheckConstraint(
            "from_date <= to_date", name=op.f("backtest_runs_dates_check")
        ),
        sa.CheckConstraint(
            "policy in ('calendar', 'drift', 'both')",
            name=op.f("backtest_runs_policy_is_known_check"),
        ),
        sa.CheckConstraint(
            "status in ('begun', 'finished')",
            name=op.f("backtest_runs_status_is_known_check"),
        ),
        sa.PrimaryKeyConstraint("run_name", name=op.f("backtest_runs_pkey")),
        schema=ml,
        comment="One row per backtest; status and finished_at change.",
    )


def _make_steps(ml: str) -> None:
    op.create_table(
        "backtest_steps",
        sa.Column("run_name", sa.Text(), nullable=False),
        sa.Column(
            "step_at",
            Timestamp,
            nullable=False,
            comment="What was known then decided it.",
        ),
        sa.Column(
            "step",
            sa.Text(),
            nullable=False,
            comment="retrain, weights or forecast",
        ),
        sa.Column(
            "until_at",
            Timestamp,
            comment="Last close that was forecast; NULL for other steps.",
        ),
        sa.Column(
            "n_done",
            sa.Integer(),
            nullable=False,
            comment="Series trained, weights moved or forecasts issued.",
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "processor_seconds",
            sa.Double(),
            nullable=False,
            comment="Of this process and its workers, not of the server.",
        ),
        sa.Column("peak_memory_mb", sa.Double(), nullable=False),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column(
            "created_at",
            Timestamp,
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.CheckConstraint(
            "step in ('retrain', 'weights', 'forecast')",
            name=op.f("backtest_steps_step_is_known_check"),
        ),
        sa.ForeignKeyConstraint(
            ["run_name"],
            [f"{ml}.backtest_runs.run_name"],
            name=op.f("backtest_steps_run_name_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("backtest_steps_job_run_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "run_name", "step_at", "step", name=op.f("backtest_steps_pkey")
        ),
        schema=ml,
        comment="One row per step of a backtest that is done; append-only.",
    )


def _make_deployments(raw: str, ml: str) -> None:
    op.create_table(
        "backtest_deployments",
        sa.Column("deployment_id", sa.BigInteger(), sa.Identity()),
        sa.Column("run_name", sa.Text(), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column(
            "effective_at",
            Timestamp,
            nullable=False,
            comment="Bars closing at or after this are forecast by it.",
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column(
            "created_at",
            Timestamp,
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.Column("horizons", JSONB(), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [column],
                [target],
                name=op.f(f"backtest_deployments_{column}_fkey"),
            )
            for column, target in (
                ("run_name", f"{ml}.backtest_runs.run_name"),
                ("symbol_id", f"{raw}.symbols.symbol_id"),
                ("version_id", f"{ml}.ensembles.version_id"),
                ("job_run_id", f"{ml}.job_runs.job_run_id"),
            )
        ),
        sa.PrimaryKeyConstraint(
            "deployment_id", name=op.f("backtest_deployments_pkey")
        ),
        schema=ml,
        comment=(
            "One row per decision of a backtest which version takes over; "
            "append-only. Nothing here is live."
        ),
    )
    op.create_index(
        op.f("backtest_deployments_series_idx"),
        "backtest_deployments",
        ["run_name", "symbol_id", "timeframe", "effective_at"],
        schema=ml,
    )
    op.execute(
        f"""
        create view {ml}.backtest_deployment_spans as
        select
            deployments.run_name,
            deployments.deployment_id,
            deployments.symbol_id,
            deployments.version_id,
            deployments.timeframe,
            horizons.horizon,
            deployments.reason,
            deployments.effective_at,
            lead(deployments.effective_at) over (
                partition by
                    deployments.run_name,
                    deployments.symbol_id,
                    deployments.timeframe,
                    horizons.horizon
                order by deployments.effective_at, deployments.deployment_id
            ) as superseded_at,
            deployments.created_at
        from {ml}.backtest_deployments as deployments
        cross join
            lateral jsonb_array_elements_text(deployments.horizons)
                as horizons (horizon)
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
