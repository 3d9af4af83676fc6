"""When a job is due: once a span of sessions has ended since it last ran."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from python_ml import schema
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

# Ends of days, weeks or months of each calendar that a symbol is traded on.
# Sessions are stored far ahead, so the last of a week is known before it.
ENDS_QUERY = """
    select ended_at
    from (
        select max(sessions.closed_at) as ended_at
        from {raw}.sessions as sessions
        where
            sessions.calendar in (
                select symbols.calendar
                from {raw}.symbols as symbols
                where
                    symbols.delisted_at is null
                    and symbols.deactivated_at is null
            )
        group by
            sessions.calendar, date_trunc(:span, sessions.session_date)
    ) as spans
    where
        ended_at <= :now
        and ended_at > coalesce(
            cast(:since as timestamptz), '-infinity'
        )
    order by ended_at
"""
OPEN_REQUESTS_QUERY = """
    select requested_at as ended_at
    from {ml}.retrain_requests
    where status = 'open' and requested_at <= :now
    order by requested_at
"""


@dataclass(frozen=True, slots=True)
class DueState:
    """Whether a job is due, and what it has missed.

    Parameters
    ----------
    last_success_at : datetime or None
        Start of the last run that succeeded.
    due_since : datetime or None
        End of the first span that no run has followed; None if there is none.
    n_missed : int
        Spans that have ended since; one run catches up with all of them.
    """

    last_success_at: datetime.datetime | None
    due_since: datetime.datetime | None
    n_missed: int


def judge_due(
    ends: Sequence[datetime.datetime],
    last_success_at: datetime.datetime | None,
) -> DueState:
    """Say whether a job is due.

    Parameters
    ----------
    ends : sequence of datetime
        Ends of spans after the last success, in order. What never ran is due
        since the last of them: it has missed nothing.
    last_success_at : datetime or None

    Examples
    --------
    >>> day = datetime.datetime(2024, 3, 8, 21, tzinfo=datetime.UTC)
    >>> judge_due([], day).due_since is None
    True
    >>> judge_due([day, day + datetime.timedelta(days=3)], None).n_missed
    1
    """
    if not ends:
        return DueState(last_success_at, None, 0)
    if last_success_at is None:
        return DueState(None, ends[-1], 1)
    return DueState(last_success_at, ends[0], len(ends))


def read_due(
    warehouse: Warehouse, job: str, span: str, *, now: datetime.datetime
) -> DueState:
    """Ask the warehouse whether a job is due.

    Parameters
    ----------
    warehouse : Warehouse
    job : str
        Name in `ml.job_runs`.
    span : {"day", "week", "month", "request"}
        What it follows: the end of a day, week or month of sessions, or a
        request to train.
    now : datetime
    """
    runs = schema.job_runs
    with warehouse.begin() as connection:
        last: datetime.datetime | None = connection.execute(
            sa.select(sa.func.max(runs.c.started_at)).where(
                runs.c.job == job, runs.c.status == "succeeded"
            )
        ).scalar_one()
    if last is not None and last > now:
        # A clock that was ahead then must not hold the job up now.
        last = None
    parameters: dict[str, Any] = {"now": now}
    query = OPEN_REQUESTS_QUERY
    if span != "request":
        query = ENDS_QUERY
        parameters |= {"span": span, "since": last}
    ends = [
        time.to_pydatetime()
        for time in read_frame(warehouse, query, parameters)["ended_at"]
    ]
    return judge_due(ends, last)
