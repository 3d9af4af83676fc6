"""Keep the currency that prices of a symbol are in, where somebody says it."""

import sqlalchemy as sa
from alembic import context, op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    raw = context.config.attributes["settings"].schema("raw")
    op.add_column(
        "symbols",
        sa.Column(
            "currency", sa.Text(), comment="Of its prices; NULL if not known."
        ),
        schema=raw,
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
