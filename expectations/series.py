"""Expectations of single series: which series fail, and whether it is them.

An expectation with the tag `series` in its suite is about one series at a
time. Where it fails, the series at fault are set aside and the others go on,
unless none is left. With the tag `values` as well it is about numbers that no
market makes: where all of several series of a timeframe have them, that is no
fault of one series and closes the gate like any other.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.expectations.expectation import Expectation
from sqlalchemy import text

from expectations.plugins.keyed_rows import (
    WHOLE_BATCH,
    KeyedRowsExpectation,
    batch_as_sql,
    fill,
)

SERIES = "series"
VALUES = "values"

SeriesKey = tuple[int, str]

POPULATION = """
    select distinct symbol_id, timeframe, calendar
    from features.bars
"""


def has_tag(expectation: Expectation, tag: str) -> bool:
    """Whether the suite gives it the tag."""
    return tag in (expectation.meta or {}).get("tags", ())


def find_series(
    batch: Batch, expectation: Expectation
) -> tuple[SeriesKey, ...]:
    """Every series with a violation; none where some belong to no series."""
    if not isinstance(expectation, KeyedRowsExpectation):
        return ()
    engine: Any = batch.data.execution_engine
    query = fill(
        expectation.violations(),
        {"batch": batch_as_sql(engine, {"batch_id": batch.id, **WHOLE_BATCH})},
    )
    rows = engine.execute_query(
        text(f"select distinct symbol_id, timeframe from ({query}) as found")
    ).fetchall()
    if any(None in tuple(row) for row in rows):
        return ()
    return tuple(sorted((row.symbol_id, row.timeframe) for row in rows))


def is_shared_fault(
    at_fault: Iterable[SeriesKey],
    calendars: Mapping[SeriesKey, str],
    *,
    is_about_values: bool,
) -> bool:
    """Whether so many series fail that it is not about them.

    Parameters
    ----------
    at_fault : iterable of (int, str)
        Symbol and timeframe of each series that fails.
    calendars : mapping of (int, str) to str
        Calendar of every series there is.
    is_about_values : bool
        Whether all of two or more series of a timeframe are enough.

    Examples
    --------
    >>> calendars = {(1, "d1"): "XNYS", (2, "d1"): "XNYS", (9, "d1"): "24/7"}
    >>> is_shared_fault([(9, "d1")], calendars, is_about_values=True)
    False
    >>> both = [(1, "d1"), (2, "d1")]
    >>> is_shared_fault(both, calendars, is_about_values=True)
    True
    >>> is_shared_fault(both, calendars, is_about_values=False)
    False
    """
    failing = set(at_fault)
    if failing.issuperset(calendars):
        return True
    there = Counter(
        (calendar, timeframe) for (_, timeframe), calendar in calendars.items()
    )
    failed = Counter(
        (calendars[key], key[1]) for key in failing if key in calendars
    )
    return is_about_values and any(
        count > 1 and count == there[grid] for grid, count in failed.items()
    )
