"""Add evidence of drift up, and keep what was done about it.

The aggregate is the sum of Shiryaev and Roberts, one product and one sum a
row. Its closed form through exp overflows, and plain SQL has no other.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

Timestamp = sa.DateTime(timezone=True)


def upgrade() -> None:
    settings = context.config.attributes["settings"]
    raw, ml = settings.schema("raw"), settings.schema("ml")
    op.execute(
        f"""
        create function {ml}.add_evidence(
            evidence double precision, bet double precision,
            evidence_before double precision
        )
        returns double precision
        language plpgsql immutable parallel safe
        as $$
        begin
            if bet is null then
                return coalesce(evidence, evidence_before, 0);
            end if;
            -- Far beyond any alarm, and far from what would end the build.
            return least(
                (1 + coalesce(evidence, evidence_before, 0)) * bet, 1e100
            );
        end
        $$
        """
    )
    op.execute(
        f"""
        create aggregate {ml}.evidence_after(
            bet double precision, evidence_before double precision
        ) (
            sfunc = {ml}.add_evidence,
            stype = double precision,
            parallel = safe
        )
        """
    )
    op.create_table(
        "evidence_restarts",
        sa.Column(
            "evidence_restart_id",
            sa.BigInteger(),
            sa.Identity(),
            nullable=False,
        ),
        sa.Column(
            "symbol_id",
            sa.Integer(),
            comment="NULL for the pooled tests of the timeframe.",
        ),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column(
            "restarted_at",
            Timestamp,
            nullable=False,
            comment="Forecasts from bars closing at or after this count.",
        ),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="What was done about the alarm.",
        ),
        sa.Column("retrain_request_id", sa.BigInteger()),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column(
            "created_at",
            Timestamp,
            server_default=sa.func.now(),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            [f"{raw}.symbols.symbol_id"],
            name=op.f("evidence_restarts_symbol_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["retrain_request_id"],
            [f"{ml}.retrain_requests.retrain_request_id"],
            name=op.f("evidence_restarts_retrain_request_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("evidence_restarts_job_run_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "evidence_restart_id", name=op.f("evidence_restarts_pkey")
        ),
        schema=ml,
        comment=(
            "One row per time that evidence of drift began anew, because an "
            "alarm was acted on; append-only."
        ),
    )
    op.create_index(
        op.f("evidence_restarts_symbol_id_timeframe_idx"),
        "evidence_restarts",
        ["symbol_id", "timeframe"],
        schema=ml,
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
