"""Make the roles of loading, training and reading, where this login may.

Roles are the server's, so they may be there already. What they may do is
granted after every migration; see `python_ml.warehouse.roles`.
"""

from alembic import context, op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    settings = context.config.attributes["settings"]
    for role in ("loader", "trainer", "analyst"):
        name = settings.schema(f"swiftbolt_{role}")
        op.execute(
            f"""
            do $do$
            begin
                if not exists (
                    select from pg_catalog.pg_roles where rolname = '{name}'
                ) then
                    create role {name} nologin;
                    -- Jobs take it on; a superuser may anyway.
                    if not (
                        select rolsuper from pg_catalog.pg_roles
                        where rolname = current_user
                    ) then
                        grant {name} to current_user;
                    end if;
                end if;
            exception
                -- Another warehouse of the server was quicker.
                when duplicate_object or unique_violation then null;
                when insufficient_privilege then null;
            end
            $do$
            """
        )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
