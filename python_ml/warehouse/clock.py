"""Whether the clocks can be believed that say when something was issued.

When a forecast was issued is told by the database's clock, never by that of the
process. A server whose clock was set back would make late forecasts look as if
they were in time; but its own jobs are on record, and time does not run
backwards: what is earlier than the last job's end cannot be now.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from python_ml import schema
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run

# By how much clocks may differ. Also in the macro `clock_tolerance`.
TOLERANCE = datetime.timedelta(minutes=10)
# A run of this job says that times on record from before it were wrong.
ACCEPT_JOB = "accept_clock"


@dataclass(frozen=True)
class ClockReading:
    """What clocks said at one moment.

    Parameters
    ----------
    database : datetime
        Of the server.
    process : datetime
        Of this process.
    known : datetime or None
        Latest time that jobs on record have seen; None if there is none.
    """

    database: datetime.datetime
    process: datetime.datetime
    known: datetime.datetime | None

    @property
    def is_set_back(self) -> bool:
        """Whether the server's clock is behind what it has said before.

        Examples
        --------
        >>> from datetime import UTC, datetime
        >>> now = datetime(2024, 3, 1, 22, tzinfo=UTC)
        >>> ClockReading(now, now, now - TOLERANCE).is_set_back
        False
        >>> ClockReading(now, now, datetime(2024, 4, 1, tzinfo=UTC)).is_set_back
        True
        """
        return self.known is not None and self.database < self.known - TOLERANCE

    @property
    def problems(self) -> Sequence[str]:
        """What is wrong, in sentences; empty where nothing is."""
        found = []
        if self.is_set_back:
            found.append(
                f"The database's clock says {_text(self.database)}, but a job "
                f"has seen {_text(self.known)}: it was set back, or was ahead "
                "before. Until it is right, forecasts count as late. If it is "
                "right now: swiftbolt db accept-clock --reason ..."
            )
        if abs(self.database - self.process) > TOLERANCE:
            found.append(
                f"This machine's clock says {_text(self.process)}, the "
                f"database's {_text(self.database)}; the database's counts. "
                "Set the one that is wrong."
            )
        return found


def read_clock(connection: sa.Connection) -> ClockReading:
    """Ask the clocks, and what jobs have seen of time so far.

    Parameters
    ----------
    connection : Connection
    """
    runs = schema.job_runs
    accepted = (
        sa.select(sa.func.max(runs.c.job_run_id))
        .where(runs.c.job == ACCEPT_JOB)
        .scalar_subquery()
    )
    row = connection.execute(
        sa.select(
            sa.func.clock_timestamp(),
            sa.func.max(
                sa.func.greatest(runs.c.started_at, runs.c.finished_at)
            ),
        ).where(runs.c.job_run_id >= sa.func.coalesce(accepted, 0))
    ).one()
    return ClockReading(row[0], datetime.datetime.now(datetime.UTC), row[1])


def check_clock(warehouse: Warehouse) -> Sequence[str]:
    """What is wrong with the clocks now; empty where nothing is."""
    with warehouse.begin() as connection:
        return read_clock(connection).problems


def accept_clock(warehouse: Warehouse, reason: str) -> None:
    """Put on record that the database's clock is right now.

    Times that jobs have seen before count no more: they were written by a
    clock that was ahead.
    """
    with job_run(warehouse, ACCEPT_JOB, {"reason": reason}):
        pass


def _text(time: datetime.datetime | None) -> str:
    return "nothing" if time is None else f"{time:%Y-%m-%d %H:%M} UTC"
