"""Say in one view from when until when each deployment holds.

Python reads it to know what is live, which no build may stand in the way of;
dbt reads it for the history of weights and the audits.
"""

from alembic import context, op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ml = context.config.attributes["settings"].schema("ml")
    # Of two that take effect at one time the last written holds, so the first
    # was never live: its span is empty.
    op.execute(
        f"""
        create view {ml}.deployment_spans as
        select
            deployments.deployment_id,
            deployments.symbol_id,
            deployments.version_id,
            deployments.timeframe,
            horizons.horizon,
            deployments.reason,
            deployments.effective_at,
            lead(deployments.effective_at) over (
                partition by
                    deployments.symbol_id,
                    deployments.timeframe,
                    horizons.horizon
                order by deployments.effective_at, deployments.deployment_id
            ) as superseded_at,
            deployments.created_at
        from {ml}.deployments as deployments
        cross join
            lateral jsonb_array_elements_text(deployments.horizons)
                as horizons (horizon)
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
