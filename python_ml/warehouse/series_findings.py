"""What a build has found of single series: dbt's tests and its findings.

A dbt test with the tag `series` warns where it fails; its rows name the series
at fault. All other tests are about the system and end the build.
"""

from typing import Any

import pandas as pd

from python_ml.exceptions import BuildError
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import DbtSummary
from python_ml.warehouse.quarantine import (
    DBT_TEST,
    FINDINGS,
    Finding,
    SetAside,
    set_aside,
)

# Tag of the tests that are about one series at a time.
SERIES = "series"

FINDINGS_QUERY = """
    select symbol_id, timeframe, reason, details, fault_at
    from {monitoring}.series_findings
"""


def set_aside_what_is_found(
    warehouse: Warehouse, built: DbtSummary, *, job_run_id: int | None
) -> SetAside:
    """Set aside the series that fail a check of their own after a build.

    Parameters
    ----------
    warehouse : Warehouse
    built : DbtSummary
        Of a build of everything.
    job_run_id : int or None
        Of the build.

    Raises
    ------
    BuildError
        If a test on series does not say which series fail.
    """
    rows = read_frame(warehouse, FINDINGS_QUERY)
    findings = [_to_finding(row) for row in rows.itertuples(index=False)]
    for result in built.output.results:
        if str(result.status) == "warn" and SERIES in result.node.tags:
            findings += _findings_of_test(warehouse, result.node)
    return set_aside(
        warehouse,
        findings,
        is_judged=lambda source: source.startswith((FINDINGS, DBT_TEST)),
        job_run_id=job_run_id,
    )


def _findings_of_test(warehouse: Warehouse, test: Any) -> list[Finding]:
    """The series that a dbt test found, from the rows that it selects."""
    with warehouse.begin() as connection:
        # As dbt compiled it: nothing in it is a placeholder of ours.
        rows = connection.exec_driver_sql(
            "select symbol_id, timeframe, count(*) as n_rows "
            f"from ({test.compiled_code}) as failing_rows "
            "group by symbol_id, timeframe"
        ).all()
    if any(row.symbol_id is None or row.timeframe is None for row in rows):
        raise BuildError(
            f"dbt test {test.name} has the tag {SERIES} but found rows that "
            "belong to no series. Take the tag off in its YAML file, so that "
            "it ends the build."
        )
    return [
        Finding(
            symbol_id=row.symbol_id,
            timeframe=row.timeframe,
            source=f"{DBT_TEST} {test.name}",
            reason=test.name,
            details=f"{row.n_rows} rows fail the dbt test",
        )
        for row in rows
    ]


def _to_finding(row: Any) -> Finding:
    is_whole = pd.isna(row.fault_at)
    return Finding(
        symbol_id=row.symbol_id,
        timeframe=row.timeframe,
        source=FINDINGS,
        reason=row.reason,
        details=row.details,
        fault_at=None if is_whole else row.fault_at.to_pydatetime(),
    )
