"""Show that no row of a ledger was changed since it was written.

Every day on which rows were written has a digest by table, and each digest is
over the one before it as well. Whoever keeps one digest elsewhere can tell
later that everything up to it is as it was: rows can be changed behind the
triggers' back, and digests made anew, but not to the same end.
"""

import contextlib
import datetime
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from python_ml import schema
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.ledger_digests import (
    BEFORE_THE_FIRST,
    UNDATED,
    DayDigest,
    chain,
    digest_days,
)

TRIGGER = "ledger_is_append_only"


@dataclass(frozen=True)
class LedgerFinding:
    """One day of one table that is not as it was.

    Parameters
    ----------
    table_name : str
        As `ml.forecasts`.
    written_on : date or None
        Day, UTC; None where it is about the chain.
    problem : str
        What differs, as a sentence.
    """

    table_name: str
    written_on: datetime.date | None
    problem: str

    def __str__(self) -> str:
        day = "" if self.written_on is None else f" of {self.written_on}"
        return f"{self.table_name}{day}: {self.problem}"


@dataclass(frozen=True)
class LedgerCheck:
    """What a comparison of all ledgers with their digests found.

    Parameters
    ----------
    n_digests : int
        Days and tables compared.
    n_rows : int
        Rows that they cover.
    covers_until : date or None
        Last day that has a digest; what was written later has none yet.
    last_digest : str or None
        To be kept elsewhere.
    findings : sequence of LedgerFinding
        Empty where nothing has changed.
    """

    n_digests: int
    n_rows: int
    covers_until: datetime.date | None
    last_digest: str | None
    findings: Sequence[LedgerFinding]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        found: dict[str, Any] = json.loads(
            json.dumps(asdict(self), default=str)
        )
        return found

    def to_text(self) -> str:
        """What a person wants to know."""
        lines = [str(finding) for finding in self.findings]
        if not self.n_digests:
            lines.append(
                "There are no digests yet: a day gets its own once it is over, "
                "with the next `swiftbolt forecast` or `run`."
            )
            return "\n".join(lines)
        state = f"{len(lines)} changed" if lines else "none changed"
        lines.append(
            f"{self.n_digests} days of ledgers with {self.n_rows:,} rows up to "
            f"{self.covers_until} compared, {state}."
        )
        lines.append(f"Keep elsewhere: {self.last_digest}")
        return "\n".join(lines)


def verify_ledgers(
    warehouse: Warehouse,
    *,
    kept: str | None = None,
    since: datetime.date | None = None,
) -> LedgerCheck:
    """Compare every ledger with its digests.

    Parameters
    ----------
    warehouse : Warehouse
    kept : str, optional
        A digest that was kept elsewhere; not in the chain is a finding.
    since : date, optional
        First day, UTC, whose rows are compared; by default all are. The chain
        is looked at as a whole.

    Returns
    -------
    LedgerCheck
    """
    ledger = schema.ledger_digests
    with warehouse.begin() as connection:
        # One state of all tables.
        connection.execute(
            sa.text("set transaction isolation level repeatable read")
        )
        digests = connection.execute(
            sa.select(ledger).order_by(ledger.c.digest_number)
        ).all()
        findings = _broken_links(digests)
        if kept is not None and kept not in {row.digest for row in digests}:
            findings.append(
                LedgerFinding(
                    ledger.fullname,
                    None,
                    f"digest {kept} that was kept is not among them, so what "
                    "it was over is gone or was changed",
                )
            )
        for table in schema.LEDGERS:
            own = [
                row
                for row in digests
                if row.table_name == table.fullname
                and (since is None or row.written_on >= since)
            ]
            findings += _changed_days(connection, table, own)
    return LedgerCheck(
        n_digests=len(digests),
        n_rows=sum(row.n_rows for row in digests),
        covers_until=max((row.written_on for row in digests), default=None),
        last_digest=digests[-1].digest if digests else None,
        findings=findings,
    )


@contextlib.contextmanager
def rewriting(warehouse: Warehouse) -> Iterator[sa.Connection]:
    """Lift the triggers of all ledgers, in one transaction of their owner.

    For benchmarks that date rows back and tests that plant faults: no job does
    this, and the digests name every day that is touched. A migration that has
    to rewrite rows does the same to its one table.
    """
    with warehouse.begin() as connection:
        _set_triggers(connection, warehouse, "disable trigger")
        yield connection
        _set_triggers(connection, warehouse, "enable always trigger")


def _set_triggers(
    connection: sa.Connection, warehouse: Warehouse, verb: str
) -> None:
    for table in schema.APPEND_ONLY:
        name = f"{warehouse.settings.schema(str(table.schema))}.{table.name}"
        connection.exec_driver_sql(f"alter table {name} {verb} {TRIGGER}")


def _broken_links(digests: Sequence[sa.Row[Any]]) -> list[LedgerFinding]:
    findings = []
    before = BEFORE_THE_FIRST
    for number, row in enumerate(digests, 1):
        expected = chain(
            before,
            row.table_name,
            row.written_on,
            row.columns,
            DayDigest(row.n_rows, row.rows_digest),
        )
        if row.digest_number != number or row.digest != expected:
            findings.append(
                LedgerFinding(
                    row.table_name,
                    row.written_on,
                    "its digest does not follow from the one before it",
                )
            )
            break
        before = row.digest
    return findings


def _changed_days(
    connection: sa.Connection, table: sa.Table, digests: Sequence[sa.Row[Any]]
) -> list[LedgerFinding]:
    """Days of one table whose rows are not those of their digest."""
    if not digests:
        return []
    by_columns: dict[tuple[str, ...], dict[datetime.date, DayDigest]]
    by_columns = defaultdict(dict)
    for row in digests:
        by_columns[tuple(row.columns)][row.written_on] = DayDigest(
            row.n_rows, row.rows_digest
        )
    findings = []
    seen = set().union(*by_columns.values())
    for columns, expected in by_columns.items():
        first, last = min(expected), max(expected)
        condition = "written_at >= :since and written_at < :until"
        if first == UNDATED:
            condition = f"(written_at is null or ({condition}))"
        found = digest_days(
            connection,
            table,
            columns,
            condition,
            since=first,
            until=last + datetime.timedelta(days=1),
        )
        findings += [
            LedgerFinding(table.fullname, day, problem)
            for day in sorted({*expected, *(found.keys() - seen)})
            if (problem := _compare(expected.get(day), found.get(day)))
        ]
    return findings


def _compare(expected: DayDigest | None, found: DayDigest | None) -> str | None:
    """What differs, or None."""
    if expected == found:
        return None
    if expected is None:
        return f"{found and found.n_rows} rows that no digest covers"
    if found is None:
        return f"its {expected.n_rows} rows are gone"
    if expected.n_rows != found.n_rows:
        return f"{found.n_rows} rows, {expected.n_rows} when it was digested"
    return f"rows were changed since it was digested ({found.n_rows} rows)"
