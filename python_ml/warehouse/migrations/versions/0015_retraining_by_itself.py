"""Say why a training was asked for, and what a check of drift knew and did."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CHECKED: tuple[tuple[str, sa.types.TypeEngine[Any], str], ...] = (
    ("accuracy_lower", sa.Double(), "Lower end of the 95% interval."),
    ("accuracy_upper", sa.Double(), "Upper end of the 95% interval."),
    ("n_effective", sa.Double(), "Independent predictions."),
    ("drift_detected", sa.Boolean(), "NULL where data are insufficient."),
    ("evidence_share", sa.Double(), "Largest evidence / its threshold."),
    ("evidence_test", sa.Text(), "Test of the largest."),
    ("evidence_horizon", sa.Text(), "Horizon of the largest."),
    ("is_alarm", sa.Boolean(), "Any test of the series."),
    ("is_discovery", sa.Boolean(), "Any test of the series."),
    (
        "action",
        sa.Text(),
        "What the check did: none, retrain_requested, request_is_open or "
        "cooling_down; NULL of checks before it was written.",
    ),
)


def upgrade() -> None:
    ml = context.config.attributes["settings"].schema("ml")
    op.add_column(
        "retrain_requests",
        sa.Column(
            "kind",
            sa.Text(),
            server_default="manual",
            nullable=False,
            comment=(
                "manual, evidence, pooled_evidence, accuracy_loss or expired"
            ),
        ),
        schema=ml,
    )
    for name, type_, comment in CHECKED:
        op.add_column(
            "drift_checks", sa.Column(name, type_, comment=comment), schema=ml
        )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
