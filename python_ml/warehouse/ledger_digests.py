"""Digests of what ledgers hold, chained day by day.

A digest is over the rows of one table that were written on one day, and over
the digest before it, whatever table that is of: one of them stands for all that
were made before.
"""

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

BEFORE_THE_FIRST = "0" * 64
# Of rows from before `written_at` was kept.
UNDATED = datetime.date(1, 1, 1)
# Any number that nothing else in the database uses.
LOCK = 5_318_008_002
# Rows belong to the day on which their transaction began; one that is open
# longer than this after midnight is waited for where it can be seen.
GRACE = datetime.timedelta(hours=1)

# Text of values depends on these. Days of several tables are counted by UTC.
SESSION = """
    select
        set_config('timezone', 'UTC', true),
        set_config('datestyle', 'ISO, YMD', true),
        set_config('intervalstyle', 'postgres', true),
        set_config('bytea_output', 'hex', true),
        set_config('extra_float_digits', '1', true)
"""
# In 256 parts by the first byte, so that no text comes near the limit of 1 GB;
# in the order of the rows' own digests, so that no key is needed.
DIGEST_DAYS = """
    with

    hashed as (
        select
            coalesce(cast(written_at as date), :undated) as written_on,
            sha256(convert_to(cast(row({columns}) as text), 'UTF8')) as row_hash
        from {table}
        where {condition}
    ),

    parts as (
        select
            written_on,
            get_byte(row_hash, 0) as part,
            count(*) as n_rows,
            sha256(string_agg(row_hash, '' order by row_hash)) as part_hash
        from hashed
        group by written_on, get_byte(row_hash, 0)
    )

    select
        written_on,
        cast(sum(n_rows) as bigint) as n_rows,
        encode(sha256(string_agg(part_hash, '' order by part)), 'hex')
            as rows_digest
    from parts
    group by written_on
"""
# Midnight before the oldest transaction that may still write, an hour back.
CLOSED_UNTIL = """
    select
        cast(
            least(now() - cast(:grace as interval), min(xact_start)) as date
        )
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class DayDigest:
    """What a day's rows of one table come to.

    Parameters
    ----------
    n_rows : int
    rows_digest : str
        SHA-256, whatever the order of the rows.
    """

    n_rows: int
    rows_digest: str


def chain(
    before: str,
    table_name: str,
    written_on: datetime.date,
    columns: Sequence[str],
    day: DayDigest,
) -> str:
    """Digest of a day's rows and of the digest before it.

    Parameters
    ----------
    before : str
        The digest before it, `BEFORE_THE_FIRST` for the first one.
    table_name : str
    written_on : date
    columns : sequence of str
        That were digested, in their order.
    day : DayDigest

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    parts = (
        before,
        table_name,
        written_on.isoformat(),
        ",".join(columns),
        str(day.n_rows),
        day.rows_digest,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def extend_digests(
    warehouse: Warehouse, *, until: datetime.date | None = None
) -> int:
    """Digest the days that are over and have no digest yet.

    Parameters
    ----------
    warehouse : Warehouse
    until : date, optional
        First day, UTC, that is left out; by default today, or the day on which
        the oldest transaction began that is still open.

    Returns
    -------
    int
        Digests that are new.
    """
    ledger = schema.ledger_digests
    with warehouse.begin() as connection:
        connection.execute(
            sa.text("select pg_advisory_xact_lock(:key)"), {"key": LOCK}
        )
        if until is None:
            until = connection.execute(
                sa.text(CLOSED_UNTIL), {"grace": GRACE}
            ).scalar_one()
        last = connection.execute(
            sa.select(ledger).order_by(ledger.c.digest_number.desc()).limit(1)
        ).one_or_none()
        number, before = (
            (0, BEFORE_THE_FIRST)
            if last is None
            else (last.digest_number, last.digest)
        )
        rows = []
        for written_on, table, columns, day in _new_days(connection, until):
            number += 1
            before = chain(before, table.fullname, written_on, columns, day)
            rows.append(
                {
                    "digest_number": number,
                    "table_name": table.fullname,
                    "written_on": written_on,
                    "n_rows": day.n_rows,
                    "columns": columns,
                    "rows_digest": day.rows_digest,
                    "digest": before,
                }
            )
        if rows:
            connection.execute(ledger.insert(), rows)
            log_event(
                logger,
                "ledgers_digested",
                digests=len(rows),
                first=rows[0]["written_on"],
                last=rows[-1]["written_on"],
                digest=before,
            )
    return len(rows)


def _new_days(
    connection: sa.Connection, until: datetime.date
) -> list[tuple[datetime.date, sa.Table, list[str], DayDigest]]:
    """Days before `until` without a digest, in the order of the chain."""
    ledger = schema.ledger_digests
    last: dict[str, datetime.date] = {
        str(row[0]): row[1]
        for row in connection.execute(
            sa.select(
                ledger.c.table_name, sa.func.max(ledger.c.written_on)
            ).group_by(ledger.c.table_name)
        )
    }
    found = []
    for table in schema.LEDGERS:
        columns = [column.name for column in table.columns]
        condition = "written_at < :until"
        after = last.get(table.fullname)
        if after is None:
            condition = f"(written_at is null or {condition})"
        else:
            condition += " and written_at >= :since"
        days = digest_days(
            connection,
            table,
            columns,
            condition,
            until=until,
            since=(after or UNDATED) + datetime.timedelta(days=1),
        )
        found += [(day, table, columns, days[day]) for day in days]
    return sorted(found, key=lambda each: (each[0], each[1].fullname))


def digest_days(
    connection: sa.Connection,
    table: sa.Table,
    columns: Sequence[str],
    condition: str,
    **parameters: datetime.date,
) -> Mapping[datetime.date, DayDigest]:
    """Digests of the rows of a table that meet a condition, by day."""
    quote = connection.dialect.identifier_preparer.quote
    names = connection.get_execution_options().get("schema_translate_map", {})
    schema_name = str(names.get(table.schema, table.schema))
    connection.execute(sa.text(SESSION))
    rows = connection.execute(
        sa.text(
            DIGEST_DAYS.format(
                columns=", ".join(map(quote, columns)),
                table=f"{quote(schema_name)}.{quote(table.name)}",
                condition=condition,
            )
        ),
        {"undated": UNDATED, **parameters},
    )
    return {
        row.written_on: DayDigest(row.n_rows, row.rows_digest) for row in rows
    }
