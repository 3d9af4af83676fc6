"""Deployments by horizon, promotions, removals and retrain requests."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Alembic's own statements, which add and alter columns, are not translated
    # to a prefix.
    settings = context.config.attributes["settings"]
    ml, raw = settings.schema("ml"), settings.schema("raw")
    op.add_column(
        "deployments",
        sa.Column(
            "horizons",
            JSONB(),
            comment="Names of those of the version that the row is about.",
        ),
        schema=ml,
    )
    # Until now a deployment was about all horizons of its version.
    deployments = sa.table(
        "deployments",
        sa.column("version_id"),
        sa.column("horizons"),
        schema=ml,
    )
    ensembles = sa.table(
        "ensembles",
        sa.column("version_id"),
        sa.column("horizons"),
        schema=ml,
    )
    op.execute(
        sa.update(deployments)
        .values(horizons=ensembles.c.horizons)
        .where(deployments.c.version_id == ensembles.c.version_id)
    )
    op.alter_column("deployments", "horizons", nullable=False, schema=ml)
    op.create_table_comment(
        "deployments",
        "One row per decision which version is live; append-only. At a time t "
        "the live version of a horizon is that of the row with the greatest "
        "effective_at not after t whose horizons hold it, the last written "
        "among equals.",
        schema=ml,
    )
    op.add_column(
        "ensembles",
        sa.Column(
            "members_version_id",
            sa.Text(),
            comment="Version whose fitted members it shares; NULL for its own.",
        ),
        schema=ml,
    )
    op.create_foreign_key(
        op.f("ensembles_members_version_id_fkey"),
        "ensembles",
        "ensembles",
        ["members_version_id"],
        ["version_id"],
        source_schema=ml,
        referent_schema=ml,
    )
    op.alter_column(
        "training_runs",
        "trigger",
        comment="manual, scheduled, drift, request or weights",
        schema=ml,
    )
    op.create_table(
        "promotions",
        sa.Column(
            "promotion_id", sa.BigInteger(), sa.Identity(), nullable=False
        ),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("horizon", sa.Text(), nullable=False),
        sa.Column("cut_id", sa.BigInteger()),
        sa.Column(
            "as_of",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Of the challengers.",
        ),
        sa.Column("mode", sa.Text(), nullable=False, comment="judge or always"),
        sa.Column(
            "verdict",
            sa.Text(),
            nullable=False,
            comment="See reason for people.",
        ),
        sa.Column("is_promoted", sa.Boolean(), nullable=False),
        sa.Column(
            "version_ids",
            JSONB(),
            nullable=False,
            comment="Challengers decided on.",
        ),
        sa.Column(
            "deployed_version_ids",
            JSONB(),
            nullable=False,
            comment="Those of them that were deployed for the horizon.",
        ),
        sa.Column(
            "champion_version_ids",
            JSONB(),
            nullable=False,
            comment="Versions live at as_of that could have gone on.",
        ),
        sa.Column(
            "n_series", sa.Integer(), nullable=False, comment="Compared."
        ),
        sa.Column(
            "n_rows", sa.Integer(), nullable=False, comment="Series and bars."
        ),
        sa.Column(
            "n_bars",
            sa.Integer(),
            nullable=False,
            comment="Different closes.",
        ),
        sa.Column("n_blocks", sa.Integer(), nullable=False),
        sa.Column("challenger_log_loss", sa.Double()),
        sa.Column("champion_log_loss", sa.Double()),
        sa.Column("climatology_log_loss", sa.Double()),
        sa.Column(
            "mean_difference",
            sa.Double(),
            comment=(
                "Challenger's log loss less the champions'; below 0 is better."
            ),
        ),
        sa.Column("mean_difference_se", sa.Double()),
        sa.Column(
            "climatology_difference",
            sa.Double(),
            comment="Challenger's log loss less climatology's.",
        ),
        sa.Column("climatology_difference_se", sa.Double()),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("promotions_job_run_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["cut_id"],
            [f"{ml}.training_cuts.cut_id"],
            name=op.f("promotions_cut_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("promotion_id", name=op.f("promotions_pkey")),
        schema=ml,
        comment=(
            "One row per decision whether the versions of a training are "
            "deployed for a horizon; append-only."
        ),
    )
    op.create_index(
        op.f("promotions_calendar_timeframe_horizon_as_of_idx"),
        "promotions",
        ["calendar", "timeframe", "horizon", "as_of"],
        schema=ml,
    )
    op.create_table(
        "artifact_removals",
        sa.Column(
            "artifact_removal_id",
            sa.BigInteger(),
            sa.Identity(),
            nullable=False,
        ),
        sa.Column("artifact_path", sa.Text(), nullable=False),
        sa.Column(
            "version_id",
            sa.Text(),
            comment="NULL for a file that versions shared.",
        ),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"],
            [f"{ml}.ensembles.version_id"],
            name=op.f("artifact_removals_version_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("artifact_removals_job_run_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "artifact_removal_id", name=op.f("artifact_removals_pkey")
        ),
        sa.UniqueConstraint(
            "artifact_path", name=op.f("artifact_removals_artifact_path_key")
        ),
        schema=ml,
        comment="One row per artifact that was pruned; append-only.",
    )
    op.create_table(
        "retrain_requests",
        sa.Column(
            "retrain_request_id",
            sa.BigInteger(),
            sa.Identity(),
            nullable=False,
        ),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("symbol_id", sa.Integer(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column(
            "status", sa.Text(), nullable=False, comment="open or served"
        ),
        sa.Column("n_attempts", sa.Integer(), nullable=False),
        sa.Column(
            "error_message",
            sa.Text(),
            comment="Why the last attempt did not serve it.",
        ),
        sa.Column("served_by", sa.BigInteger()),
        sa.Column("served_version_id", sa.Text()),
        sa.Column("served_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "status in ('open', 'served')",
            name=op.f("retrain_requests_status_is_known_check"),
        ),
        sa.ForeignKeyConstraint(
            ["symbol_id"],
            [f"{raw}.symbols.symbol_id"],
            name=op.f("retrain_requests_symbol_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["served_by"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("retrain_requests_served_by_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["served_version_id"],
            [f"{ml}.ensembles.version_id"],
            name=op.f("retrain_requests_served_version_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "retrain_request_id", name=op.f("retrain_requests_pkey")
        ),
        schema=ml,
        comment=(
            "One row per request to train a series again, at most one of them "
            "open."
        ),
    )
    op.create_index(
        "retrain_requests_one_open_per_series_idx",
        "retrain_requests",
        ["symbol_id", "timeframe"],
        unique=True,
        schema=ml,
        postgresql_where=sa.text("status = 'open'"),
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
