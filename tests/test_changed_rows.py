"""The incremental strategy `changed_rows`, on a table of five rows."""

import shutil
from pathlib import Path

from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests.test_dbt import model, small

__all__ = ["small"]

CONFIG = (
    "{{ config(materialized='incremental', incremental_strategy="
    "'changed_rows', unique_key=['a', 'b'], on_schema_change='fail') }} "
)
BEFORE = [(1, 1, 10), (1, 2, None), (2, 1, 30), (2, 2, None), (3, 1, 50)]
# One is new, one is gone, and values change, to and from nothing.
AFTER = [(1, 1, 10), (1, 2, None), (2, 1, None), (2, 2, 40), (4, 1, 60)]


def table(warehouse: Warehouse) -> tuple[int, dict[tuple, str]]:
    """Object number of the table, and who wrote each of its rows."""
    with warehouse.begin() as connection:
        number = connection.exec_driver_sql(
            "select cast('features.kept' as regclass)::oid"
        ).scalar_one()
        rows = connection.exec_driver_sql(
            "select a, b, n, cast(xmin as text) from features.kept"
        ).all()
    return number, {(a, b, n): written_by for a, b, n, written_by in rows}


def test_rows_that_differ_are_written_and_all_others_stay(
    small: Warehouse,
) -> None:
    project = small.settings.dbt_project_dir
    macros = Path("macros", "changed_rows.sql")
    (project / "macros").mkdir()
    shutil.copy(PROJECT_ROOT / "dbt_project" / macros, project / macros)
    model(small, "kept").write_text(CONFIG + "select a, b, n from public.rows")
    found = []
    for rows in (BEFORE, AFTER):
        values = ", ".join(
            f"({a}, {b}, cast({'null' if n is None else n} as integer))"
            for a, b, n in rows
        )
        with small.begin() as connection:
            connection.exec_driver_sql(
                "drop table if exists public.rows; create table public.rows "
                f"as select * from (values {values}) as given (a, b, n)"
            )
        run_dbt(small, ["run", "--select", "kept"])
        found.append(table(small))
        assert found[-1][1].keys() == set(rows)
    (number, before), (same_number, after) = found
    assert number == same_number, "the table was replaced"
    stayed = {row for row in before if before[row] == after.get(row)}
    assert stayed == {(1, 1, 10), (1, 2, None)}
