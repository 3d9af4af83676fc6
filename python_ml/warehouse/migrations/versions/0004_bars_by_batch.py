"""Find the bars of the last loads without a look at all others."""

from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Batches stand in the order that they were loaded in: a block range index
    # takes a few pages for millions of bars.
    settings = context.config.attributes["settings"]
    op.create_index(
        op.f("bars_batch_id_idx"),
        "bars",
        ["batch_id"],
        schema=settings.schema("raw"),
        postgresql_using="brin",
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
