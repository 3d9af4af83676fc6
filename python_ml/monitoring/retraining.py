"""What a check of drift does about evidence: ask for a training, begin anew.

Who asks and why is `monitoring.retrain_candidates`. An alarm is acted on by a
training of the series as of a time that is not before it, whoever started it
and whether or not its version was promoted; from there on evidence counts anew.
"""

from datetime import UTC, datetime

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

REQUESTED_BY = "check-drift"

# The pooled tests of a timeframe were acted on once half of its series were.
RESTARTS = """
    with
    trained as (
        select symbol_id, timeframe, max(as_of) as as_of
        from {ml}.training_runs
        where status = 'succeeded' and trigger not in ('weights', 'backtest')
        group by symbol_id, timeframe
    ),
    live as (
        select distinct symbol_id, timeframe
        from {ml}.deployment_spans
        where superseded_at is null
    ),
    alarms as (
        select symbol_id, timeframe, min(alarm_since) as alarm_since
        from {monitoring}.drift_evidence
        where is_alarm
        group by symbol_id, timeframe
    ),
    acted as (
        select alarms.symbol_id, alarms.timeframe, trained.as_of
        from alarms
        inner join trained
            on alarms.symbol_id = trained.symbol_id
            and alarms.timeframe = trained.timeframe
        where trained.as_of >= alarms.alarm_since
        union all
        select null, alarms.timeframe, min(trained.as_of)
        from alarms
        inner join live on alarms.timeframe = live.timeframe
        left join trained
            on live.symbol_id = trained.symbol_id
            and live.timeframe = trained.timeframe
            and trained.as_of >= alarms.alarm_since
        where alarms.symbol_id is null
        group by alarms.timeframe
        having 2 * count(trained.as_of) >= count(*)
    )
    insert into {ml}.evidence_restarts
        (symbol_id, timeframe, restarted_at, reason, job_run_id)
    select
        symbol_id, timeframe, as_of,
        'trained as of ' || to_char(as_of at time zone 'UTC', 'YYYY-MM-DD'),
        :job_run_id
    from acted
    where not exists (
        select 1
        from {ml}.evidence_restarts as restarts
        where
            restarts.symbol_id is not distinct from acted.symbol_id
            and restarts.timeframe = acted.timeframe
            and restarts.restarted_at >= acted.as_of
    )
"""

CANDIDATES_QUERY = """
    select symbol_id, timeframe, kind, reason, has_open_request, is_cooling_down
    from {monitoring}.retrain_candidates
"""


def begin_anew(warehouse: Warehouse, *, job_run_id: int) -> int:
    """Have evidence begin anew where an alarm was acted on since.

    Returns
    -------
    int
        Series, and timeframes with pooled tests, that begin anew at the next
        build of evidence.
    """
    with warehouse.begin() as connection:
        n_restarts = connection.execute(
            sa.text(warehouse.sql(RESTARTS)), {"job_run_id": job_run_id}
        ).rowcount
    if n_restarts:
        log_event(logger, "evidence_restarted", series=n_restarts)
    return n_restarts


def read_candidates(warehouse: Warehouse) -> pd.DataFrame:
    """Series that evidence or age asks to train, and whether they may ask.

    Returns
    -------
    DataFrame of shape (n_candidates, n_columns)
        `symbol_id`, `timeframe`, `kind`, `reason`, `has_open_request`,
        `is_cooling_down`.
    """
    return read_frame(warehouse, CANDIDATES_QUERY)


def ask_for_trainings(
    connection: sa.Connection, candidates: pd.DataFrame
) -> pd.DataFrame:
    """File what candidates ask for, in the caller's transaction.

    A series has at most one open request, and asks for none for a time after a
    training (seed `retraining`).

    Parameters
    ----------
    connection : Connection
    candidates : DataFrame
        As `read_candidates` returns them.

    Returns
    -------
    DataFrame of shape (n_candidates, n_columns)
        The same with `action`: retrain_requested, request_is_open or
        cooling_down.
    """
    filed = _file(
        connection,
        candidates[
            ~candidates["has_open_request"].astype(bool)
            & ~candidates["is_cooling_down"].astype(bool)
        ],
    )
    log_event(
        logger, "retrain_asked", candidates=len(candidates), new=len(filed)
    )
    return candidates.assign(
        action=[
            "retrain_requested"
            if (row["symbol_id"], row["timeframe"]) in filed
            else "request_is_open"
            if row["has_open_request"]
            else "cooling_down"
            for row in candidates.to_dict("records")
        ]
    )


def _file(
    connection: sa.Connection, candidates: pd.DataFrame
) -> set[tuple[int, str]]:
    """Write requests, but where one is open by now; those written."""
    if candidates.empty:
        return set()
    table = schema.retrain_requests
    rows = [
        {
            "symbol_id": row["symbol_id"],
            "timeframe": row["timeframe"],
            "kind": row["kind"],
            "reason": row["reason"],
            "requested_at": datetime.now(UTC),
            "requested_by": REQUESTED_BY,
            "status": "open",
            "n_attempts": 0,
        }
        for row in candidates.to_dict("records")
    ]
    written = connection.execute(
        insert(table)
        .values(rows)
        .on_conflict_do_nothing(
            index_elements=["symbol_id", "timeframe"],
            index_where=sa.text("status = 'open'"),
        )
        .returning(table.c.symbol_id, table.c.timeframe)
    )
    return {(row.symbol_id, row.timeframe) for row in written}
