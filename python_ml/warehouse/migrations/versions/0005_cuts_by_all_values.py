"""Tell cuts apart by all their times.

A longer horizon leaves the window, and moves where validation starts, where
the history is shorter than what pooled members ask for.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    settings = context.config.attributes["settings"]
    ml = settings.schema("ml")
    (key,) = [
        constraint["name"]
        for constraint in sa.inspect(op.get_bind()).get_unique_constraints(
            "training_cuts", schema=ml
        )
    ]
    op.drop_constraint(op.f(str(key)), "training_cuts", schema=ml)
    op.create_unique_constraint(
        op.f("training_cuts_values_key"),
        "training_cuts",
        [
            "calendar",
            "timeframe",
            "as_of",
            "split",
            "embargo_bars",
            "window_bars",
            "window_starts_at",
            "pooled_window_starts_at",
            "fit_labels_end_before",
            "validation_starts_at",
            "scope",
        ],
        schema=ml,
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
