"""A job whose last run failed, or whose process died."""

from collections.abc import Mapping
from typing import Any

from python_ml.monitoring.alerts.kind import ALL, AlertKind, Wording

# A running job holds an advisory lock; one that holds none is dead. Of a job
# within another the inner one is told, since the outer failed with it.
QUERY = f"""
    with
    last_runs as (
        select distinct on (job)
            job,
            job_run_id,
            status,
            started_at,
            finished_at,
            error_message,
            host,
            pid
        from {{ml}}.job_runs
        where
            job <> 'alerts'
            and started_at > :now - make_interval(days => :threshold)
            -- That another one runs is no fault of a job.
            and position(
                'is already running: ' in coalesce(error_message, '')
            ) = 0
        order by job asc, job_run_id desc
    ),

    locks as (
        select (cast(classid as bigint) << 32) | cast(objid as bigint) as key
        from pg_catalog.pg_locks
        where
            locktype = 'advisory'
            and objsubid = 1
            and database = (
                select oid
                from pg_catalog.pg_database
                where datname = current_database()
            )
    ),

    broken as (
        select *
        from last_runs
        where
            status in ('failed', 'abandoned')
            or (
                status = 'running'
                and not exists (
                    select 1
                    from locks
                    where
                        locks.key = hashtextextended(
                            'swiftbolt job ' || :schema_prefix || last_runs.job,
                            0
                        )
                )
            )
    )

    select
        job as subject,
        '{ALL}' as alert_group,
        cast(null as integer) as symbol_id,
        cast(job_run_id as text) as cause,
        status,
        started_at,
        finished_at,
        error_message
    from broken
    where
        not exists (
            select 1
            from broken as within
            where
                within.job_run_id > broken.job_run_id
                and within.host = broken.host
                and within.pid = broken.pid
                and within.started_at
                <= coalesce(broken.finished_at, 'infinity')
        )
    order by job
"""
# Names of jobs that are commands under another name.
COMMANDS = {
    "serve-requests": "train --requested",
    "ingest": "ingest bars PATH",
    "promote": "models promote VERSION --reason ...",
}
MAX_CHARACTERS = 400


def _describe(row: Mapping[str, Any]) -> Wording:
    job = row["subject"]
    if row["status"] == "failed":
        error = " ".join(str(row["error_message"] or "no reason").split())
        if len(error) > MAX_CHARACTERS:
            error = error[:MAX_CHARACTERS].rstrip() + " ..."
        message = (
            f"Job {job} failed at {row['finished_at']:%Y-%m-%d %H:%M} UTC: "
            f"{error}"
        )
    else:
        message = (
            f"Job {job}, started at {row['started_at']:%Y-%m-%d %H:%M} UTC, "
            "died before its end"
        )
    return Wording(
        message.rstrip("."),
        "mend that and run it again: swiftbolt " + COMMANDS.get(job, job),
    )


JOB_FAILED = AlertKind("job_failed", QUERY, _describe)
