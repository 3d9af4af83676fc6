"""What a warehouse holds when all is done, to be compared with another.

Numbers given out by the database, names of versions and times at which
something was done differ from run to run; all else is to be the same to the
last bit.
"""

import re

import sqlalchemy as sa

from python_ml.warehouse.connection import Warehouse

SCHEMAS = ("raw", "ml", "features", "forecasting")
# Of runs, not of what they came to; and the chain over rows that differ.
LEFT_OUT = {
    "raw.ingest_batches",
    "ml.job_runs",
    "ml.alembic_version",
    "ml.ledger_digests",
    "ml.backtest_steps",
}
# A run that was killed has added its own, and the next adds them again; what it
# did (`action`, `n_attempts`) hangs on what was asked for before, which is
# compared itself.
ADDED_BY_EVERY_RUN = {"ml.validation_results", "ml.drift_checks"}
OF_THE_RUN = re.compile(
    r"(\w+_)?ids?|(created|written|issued|ingested|found|rejected|validated"
    r"|checked|quarantined|released|requested|served|removed)_at|run_date"
    r"|\w+_seconds|\w+_mb|pid|host|code_version|\w*artifact_path|sha256"
    r"|pooled_members|row_hash|details|reason|effective_at|action|n_attempts"
    r"|served_by"
)

State = dict[str, tuple[int, str]]


def end_state(warehouse: Warehouse) -> State:
    """Rows of every table and a digest of them.

    Parameters
    ----------
    warehouse : Warehouse

    Returns
    -------
    dict of str to (int, str)
        By table: how many rows and what they come to, in any order.
    """
    with warehouse.begin() as connection:
        columns = connection.execute(
            sa.text(
                """
                select
                    tables.schemaname || '.' || tables.tablename as name,
                    columns.attname
                from pg_tables as tables
                inner join pg_attribute as columns
                    on columns.attrelid = (
                        quote_ident(tables.schemaname)
                        || '.' || quote_ident(tables.tablename)
                    )::regclass
                where
                    tables.schemaname = any(:schemas)
                    and columns.attnum > 0
                    and not columns.attisdropped
                order by 1, 2
                """
            ),
            {"schemas": list(SCHEMAS)},
        ).all()
        by_table: dict[str, list[str]] = {}
        for name, column in columns:
            if name not in LEFT_OUT and not OF_THE_RUN.fullmatch(column):
                by_table.setdefault(name, []).append(f'"{column}"')
        return {
            name: _digest(connection, name, compared)
            for name, compared in by_table.items()
        }


def differences(expected: State, found: State) -> list[str]:
    """What differs, a line for each table."""
    lines = []
    for name in sorted(expected.keys() | found.keys()):
        before, after = expected.get(name), found.get(name)
        if before != after:
            counts = [
                "none" if each is None else str(each[0])
                for each in (before, after)
            ]
            lines.append(
                f"{name}: {counts[1]} rows, {counts[0]} in a clean run"
            )
    return lines


def _digest(
    connection: sa.Connection, name: str, columns: list[str]
) -> tuple[int, str]:
    distinct = "distinct" if name in ADDED_BY_EVERY_RUN else ""
    row = connection.exec_driver_sql(
        f"select count(*), coalesce(md5(string_agg(h, '' order by h)), '') "
        f"from (select {distinct} md5(cast(row({', '.join(columns)}) as text)) "
        f"as h from {name}) as hashed"
    ).one()
    return int(row[0]), str(row[1])
