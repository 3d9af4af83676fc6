"""What was known at a time beside what the live tables say of it, in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

# Two computations of a number agree within this, relative to it or
# to 1, whichever is larger.
TOLERANCE = 1e-9
# Rows told of each column that differs.
N_TOLD = 5
FLOATS = ("double precision", "real", "numeric")
# Of the load, not of the market.
NOT_COMPARED = {"batch_id"}
FINDING_COLUMNS = [
    *("table", "column", "ticker", "timeframe", "horizon", "bar_number"),
    *("closed_at", "then", "now", "n_rows"),
]


@dataclass(frozen=True)
class Comparison:
    """One table, and what of it must not depend on what came later.

    Parameters
    ----------
    table : str
        In schema `features`.
    key : tuple of str
    has_ended : tuple of str
        Columns that are known only once `label_end_at` has passed.
    """

    table: str
    key: tuple[str, ...]
    has_ended: tuple[str, ...] = field(default=())


BAR = ("symbol_id", "timeframe", "bar_number")
COMPARISONS = (
    Comparison("feature_rows", BAR),
    Comparison(
        "labels",
        (*BAR, "horizon"),
        has_ended=("label", "label_return", "label_reason"),
    ),
    Comparison("scoring_examples", (*BAR, "horizon")),
)

COLUMNS_QUERY = """
    select column_name, data_type
    from information_schema.columns
    where table_schema = :schema and table_name = :table
    order by ordinal_position
"""

# Records of the past that came in later change what live tables say of it, and
# rightly so. A first record counts as known at its bar's close.
PAIRED_QUERY = """
    with

    restated as (
        select symbol_id, min(changed_at) as changed_at
        from (
            select symbol_id, closed_at as changed_at
            from {raw}.bars
            where recorded_at > :at and closed_at <= :at
            union all
            select symbol_id, effective_at as changed_at
            from {raw}.adjustments
            where recorded_at > :at and effective_at <= :at
        ) as changes
        group by symbol_id
    ),

    chosen as (
        select symbol_id, ticker
        from {raw}.symbols
        where cast(:symbols as text[]) is null or ticker = any(:symbols)
    ),

    then_rows as (
        select * from THEN.TABLE
        where
            closed_at <= :at
            and (
                cast(:timeframes as text[]) is null
                or timeframe = any(:timeframes)
            )
    ),

    now_rows as (
        select * from {features}.TABLE
        where
            closed_at <= :at
            and (
                cast(:timeframes as text[]) is null
                or timeframe = any(:timeframes)
            )
    ),

    paired as (
        select
            chosen.ticker,
            KEYS,
            COLUMNS,
            coalesce(then_rows.closed_at, now_rows.closed_at) as closed_at,
            then_rows.symbol_id is null as is_unknown_then,
            now_rows.symbol_id is null as is_unknown_now,
            ENDED as has_ended
        from then_rows
        full join now_rows
            on ON_KEYS
        inner join chosen
            on
                coalesce(then_rows.symbol_id, now_rows.symbol_id)
                = chosen.symbol_id
        left join restated
            on chosen.symbol_id = restated.symbol_id
        where
            restated.changed_at is null
            or restated.changed_at
            > coalesce(then_rows.closed_at, now_rows.closed_at)
    )
"""


def compare_tables(
    warehouse: Warehouse,
    then_schema: str,
    comparison: Comparison,
    *,
    at: datetime,
    symbols: Sequence[str] | None,
    timeframes: Sequence[str] | None,
) -> tuple[int, pd.DataFrame]:
    """Compare a table up to a time with what was built as of it.

    Parameters
    ----------
    warehouse : Warehouse
    then_schema : str
        Full name of the schema that was built as of the time.
    comparison : Comparison
    at : datetime
        Rows of bars that had closed by then are compared.
    symbols, timeframes : sequence of str or None
        Which series, None for all.

    Returns
    -------
    (int, DataFrame)
        How many rows were compared; and the findings, `FINDING_COLUMNS`: the
        first rows of each column that differs, with what was known then, what
        the live table says and in how many rows it differs.
    """
    columns = _columns(warehouse, comparison)
    paired = _paired(then_schema, comparison, columns)
    parameters = {
        "at": at,
        "symbols": None if symbols is None else list(symbols),
        "timeframes": None if timeframes is None else list(timeframes),
    }
    conditions = {
        name: _differs(comparison, name, kind) for name, kind in columns.items()
    }
    sums = ",\n".join(
        f"count(*) filter (where {condition}) as n_{number}"
        for number, condition in enumerate(conditions.values())
    )
    counts = read_frame(
        warehouse,
        f"{paired} select count(*) as n, "
        "count(*) filter (where is_unknown_then or is_unknown_now) as n_alone, "
        f"{sums} from paired",
        parameters,
    ).iloc[0]
    found = []
    if counts["n_alone"]:
        rows = _read_rows(
            warehouse,
            paired,
            "is_unknown_then or is_unknown_now",
            "case when is_unknown_then then 'no row' else 'a row' end",
            "case when is_unknown_now then 'no row' else 'a row' end",
            parameters,
        )
        found.append(
            rows.assign(column="(the row itself)", n_rows=counts["n_alone"])
        )
    for number, (name, condition) in enumerate(conditions.items()):
        if counts[f"n_{number}"]:
            rows = _read_rows(
                warehouse,
                paired,
                condition,
                f"cast(then_{name} as text)",
                f"cast(now_{name} as text)",
                parameters,
            )
            found.append(rows.assign(column=name, n_rows=counts[f"n_{number}"]))
    findings = (
        pd.concat(found, ignore_index=True).assign(table=comparison.table)
        if found
        else pd.DataFrame(columns=FINDING_COLUMNS)
    )
    return int(counts["n"]), findings[FINDING_COLUMNS]


def _columns(warehouse: Warehouse, comparison: Comparison) -> dict[str, str]:
    """Columns to compare, with their types."""
    found = read_frame(
        warehouse,
        COLUMNS_QUERY,
        {
            "schema": warehouse.settings.schema("features"),
            "table": comparison.table,
        },
    )
    left_out = {*comparison.key, *NOT_COMPARED, "ticker", "closed_at"}
    return {
        str(name): str(kind)
        for name, kind in zip(
            found["column_name"], found["data_type"], strict=True
        )
        if name not in left_out
    }


def _paired(
    then_schema: str, comparison: Comparison, columns: dict[str, str]
) -> str:
    keys = ",\n".join(
        f"coalesce(then_rows.{name}, now_rows.{name}) as {name}"
        for name in comparison.key
    )
    if "horizon" not in comparison.key:
        keys += ",\ncast(null as text) as horizon"
    values = ",\n".join(
        f"then_rows.{name} as then_{name}, now_rows.{name} as now_{name}"
        for name in columns
    )
    ended = (
        "coalesce(now_rows.label_end_at <= :at and ("
        "restated.changed_at is null "
        "or restated.changed_at > now_rows.label_end_at), false)"
        if comparison.has_ended
        else "true"
    )
    on_keys = " and ".join(
        f"then_rows.{name} = now_rows.{name}" for name in comparison.key
    )
    text = PAIRED_QUERY
    for name, value in (
        ("ON_KEYS", on_keys),
        ("KEYS", keys),
        ("COLUMNS", values),
        ("ENDED", ended),
        ("THEN.TABLE", f"{then_schema}.{comparison.table}"),
        ("TABLE", comparison.table),
    ):
        text = text.replace(name, value)
    return text


def _differs(comparison: Comparison, name: str, kind: str) -> str:
    """Condition on a pair of rows that a column is not the same."""
    then, now = f"then_{name}", f"now_{name}"
    differs = f"{then} is distinct from {now}"
    if kind in FLOATS:
        differs += (
            f" and not coalesce(abs({then} - {now}) <= {TOLERANCE!r} "
            f"* greatest(1, abs({now})), false)"
        )
    if name in comparison.has_ended:
        # What had not ended then shows nothing yet.
        nothing = "false" if name == "label_reason" else f"{then} is not null"
        differs = f"case when has_ended then {differs} else {nothing} end"
    return f"not is_unknown_then and not is_unknown_now and ({differs})"


def _read_rows(
    warehouse: Warehouse,
    paired: str,
    condition: str,
    then: str,
    now: str,
    parameters: dict[str, Any],
) -> pd.DataFrame:
    # Not named "then", which SQL keeps for itself.
    rows = read_frame(
        warehouse,
        f"{paired} select ticker, timeframe, horizon, bar_number, closed_at, "
        f"{then} as then_value, {now} as now_value from paired "
        f"where {condition} "
        "order by closed_at, ticker, timeframe, horizon "
        f"limit {N_TOLD}",
        parameters,
    )
    return rows.rename(columns={"then_value": "then", "now_value": "now"})
