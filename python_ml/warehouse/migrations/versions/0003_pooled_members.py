"""Pooled members, the window they learn from and who refers to them."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CUT_KEY = (
    "training_cuts_calendar_timeframe_as_of_split_embargo_bars_window_bars"
)


def upgrade() -> None:
    settings = context.config.attributes["settings"]
    ml = settings.schema("ml")
    op.add_column(
        "training_cuts",
        sa.Column(
            "pooled_window_starts_at",
            sa.DateTime(timezone=True),
            comment=(
                "The same of the window of pooled members; NULL where it is "
                "the window's."
            ),
        ),
        schema=ml,
    )
    (key,) = [
        constraint["name"]
        for constraint in sa.inspect(op.get_bind()).get_unique_constraints(
            "training_cuts", schema=ml
        )
    ]
    op.drop_constraint(op.f(str(key)), "training_cuts", schema=ml)
    op.create_unique_constraint(
        op.f(f"{CUT_KEY}_pooled_window_starts_at_scope_key"),
        "training_cuts",
        [
            "calendar",
            "timeframe",
            "as_of",
            "split",
            "embargo_bars",
            "window_bars",
            "pooled_window_starts_at",
            "scope",
        ],
        schema=ml,
    )
    op.add_column(
        "ensembles",
        sa.Column(
            "pooled_members",
            JSONB(),
            nullable=False,
            server_default="[]",
            comment="pooled_member_id of each artifact it refers to.",
        ),
        schema=ml,
    )
    op.create_table(
        "pooled_members",
        sa.Column("pooled_member_id", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("timeframe", sa.Text(), nullable=False),
        sa.Column("horizon", sa.Text(), nullable=False),
        sa.Column("cut_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "artifact_path",
            sa.Text(),
            nullable=False,
            comment="Below SWIFTBOLT_HOME.",
        ),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("data_fingerprint", sa.Text(), nullable=False),
        sa.Column("settings_fingerprint", sa.Text(), nullable=False),
        sa.Column(
            "n_rows", sa.Integer(), nullable=False, comment="After thinning."
        ),
        sa.Column("n_series", sa.Integer(), nullable=False),
        sa.Column(
            "n_effective", sa.Double(), nullable=False, comment="Times / h."
        ),
        sa.Column("duration_seconds", sa.Double(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("library_versions", JSONB(), nullable=False),
        sa.Column("job_run_id", sa.BigInteger()),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["cut_id"],
            [f"{ml}.training_cuts.cut_id"],
            name=op.f("pooled_members_cut_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["job_run_id"],
            [f"{ml}.job_runs.job_run_id"],
            name=op.f("pooled_members_job_run_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "pooled_member_id", name=op.f("pooled_members_pkey")
        ),
        sa.UniqueConstraint("sha256", name=op.f("pooled_members_sha256_key")),
        sa.UniqueConstraint(
            "cut_id",
            "member",
            "horizon",
            "data_fingerprint",
            "settings_fingerprint",
            name=op.f(
                "pooled_members_cut_id_member_horizon_data_fingerprint_settings_"
                "fingerprint_key"
            ),
        ),
        schema=ml,
        comment=(
            "One row per member that was fitted once for all series of a "
            "timeframe and horizon; append-only. Ensembles name them in "
            "pooled_members."
        ),
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
