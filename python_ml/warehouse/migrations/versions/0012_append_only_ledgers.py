"""Let no row of a ledger be changed, and show that none was.

Triggers refuse updates, deletes and truncates, for the owner too, and an insert
that names a time of its own. A later migration that has to rewrite rows
disables `ledger_is_append_only` of that table in its own transaction and
enables it (`enable always trigger`) before the end; the digests of the days it
touches will name them, and it says so in its text.
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

Timestamp = sa.DateTime(timezone=True)
LEDGERS = (
    ("raw", "bars"),
    ("raw", "adjustments"),
    ("ml", "pooled_members"),
    ("ml", "ensembles"),
    ("ml", "deployments"),
    ("ml", "promotions"),
    ("ml", "band_states"),
    ("ml", "forecasts"),
    ("ml", "drift_checks"),
)


def upgrade() -> None:
    settings = context.config.attributes["settings"]
    ml = settings.schema("ml")
    _make_digests(ml)
    _make_functions(ml)
    _refuse_changes(ml, ml, "ledger_digests")
    for schema, table in LEDGERS:
        _add_written_at(ml, settings.schema(schema), table)
        _refuse_changes(ml, settings.schema(schema), table)


def _make_digests(ml: str) -> None:
    op.create_table(
        "ledger_digests",
        sa.Column(
            "digest_number",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="From 1, without gaps.",
        ),
        sa.Column(
            "table_name", sa.Text(), nullable=False, comment="As ml.forecasts."
        ),
        sa.Column(
            "written_on",
            sa.Date(),
            nullable=False,
            comment=(
                "Day, UTC, of the rows' written_at; 0001-01-01 of rows from "
                "before it was kept."
            ),
        ),
        sa.Column("n_rows", sa.BigInteger(), nullable=False),
        sa.Column(
            "columns", JSONB(), nullable=False, comment="That were digested."
        ),
        sa.Column(
            "rows_digest",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the rows.",
        ),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of this row and of the digest before it.",
        ),
        sa.Column(
            "created_at",
            Timestamp,
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.PrimaryKeyConstraint(
            "digest_number", name=op.f("ledger_digests_pkey")
        ),
        sa.UniqueConstraint(
            "table_name",
            "written_on",
            name=op.f("ledger_digests_table_name_written_on_key"),
        ),
        schema=ml,
        comment=(
            "One row per day and table on which rows were written; "
            "append-only. Each digest is over its rows and the digest before."
        ),
    )


def _make_functions(ml: str) -> None:
    op.execute(
        f"""
        create function {ml}.refuse_change() returns trigger
        language plpgsql as $function$
        begin
            raise exception
                '%.% is append-only: % was refused',
                tg_table_schema, tg_table_name, lower(tg_op)
                using errcode = 'restrict_violation',
                hint = 'What is wrong is corrected by a new row. Only a '
                    'migration lifts this.';
        end
        $function$
        """
    )
    op.execute(
        f"""
        create function {ml}.refuse_time() returns trigger
        language plpgsql as $function$
        begin
            raise exception
                '%.%.written_at is set by the database; a row of % was refused',
                tg_table_schema, tg_table_name, new.written_at
                using errcode = 'restrict_violation',
                hint = 'Leave written_at out of the insert.';
        end
        $function$
        """
    )


def _add_written_at(ml: str, schema: str, table: str) -> None:
    # Without a default first: older rows have no time that would be true.
    op.add_column(
        table,
        sa.Column(
            "written_at",
            Timestamp,
            comment=(
                "By the database's clock; NULL of rows from before it was kept."
            ),
        ),
        schema=schema,
    )
    op.alter_column(
        table, "written_at", server_default=sa.func.now(), schema=schema
    )
    op.create_index(
        op.f(f"{table}_written_at_idx"),
        table,
        ["written_at"],
        schema=schema,
        postgresql_using="brin",
    )
    # After the row and not before it: bulk copies stay in bulk.
    op.execute(
        f"""
        create trigger written_at_is_of_the_database
        after insert on {schema}.{table}
        for each row when (new.written_at is distinct from now())
        execute function {ml}.refuse_time()
        """
    )


def _refuse_changes(ml: str, schema: str, table: str) -> None:
    op.execute(
        f"""
        create trigger ledger_is_append_only
        before update or delete or truncate on {schema}.{table}
        for each statement execute function {ml}.refuse_change()
        """
    )
    # Also where a session replays what another server has written.
    op.execute(
        f"""
        alter table {schema}.{table}
        enable always trigger ledger_is_append_only
        """
    )


def downgrade() -> None:
    raise NotImplementedError("Migrations only go forward; restore a backup.")
