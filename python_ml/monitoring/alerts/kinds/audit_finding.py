"""An audit that the last build found something by."""

from collections.abc import Mapping
from typing import Any

from python_ml.monitoring.alerts.kind import ALL, AlertKind, Wording

# Every build tests that each audit is empty, so what it said last is read and
# no audit is computed a second time.
QUERY = f"""
    with
    last_build as (
        select job_run_id, status, finished_at, error_message
        from {{ml}}.job_runs
        where job = 'build' and status in ('succeeded', 'failed')
        order by job_run_id desc
        limit 1
    )

    select distinct
        audits.match[1] as subject,
        '{ALL}' as alert_group,
        cast(null as integer) as symbol_id,
        cast(last_build.job_run_id as text) as cause,
        last_build.finished_at
    from last_build
    cross join
        lateral regexp_matches(
            last_build.error_message, '(audit_[a-z_]*[a-z])', 'g'
        ) as audits (match)
    where last_build.status = 'failed'
    order by subject
"""


def _describe(row: Mapping[str, Any]) -> Wording:
    audit = row["subject"]
    return Wording(
        f"The build of {row['finished_at']:%Y-%m-%d %H:%M} UTC found rows in "
        f"{audit}: forecasts made from such data may know the future",
        "look at them: swiftbolt db psql -c 'select * from "
        f"leakage_audit.{audit} limit 20'",
    )


AUDIT_FINDING = AlertKind("audit_finding", QUERY, _describe)
