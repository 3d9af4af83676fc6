"""The lock under which one job of a kind runs at a time.

It is the database's, so it goes with the connection: a process that was killed
leaves none. A connection can also be lost while its process goes on. Then the
lock is taken again at once; where somebody else was quicker, the job that lost
it ends before it writes any more.
"""

import contextlib
import threading
from typing import Any

import psycopg2
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.exceptions import JobRunningError
from python_ml.interrupts import interrupt_main
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

CHECK_SECONDS = 1.0


class JobLock:
    """An advisory lock that is looked after while it is held.

    Parameters
    ----------
    warehouse : Warehouse
    job : str
        Two locks of one job exclude each other.

    Attributes
    ----------
    is_lost : bool
        Whether somebody else holds it though this one did before.
    """

    def __init__(self, warehouse: Warehouse, job: str) -> None:
        self.warehouse = warehouse
        self.job = job
        self.is_lost = False
        self._connection: Any = None
        self._mutex = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name=f"lock of {job}", daemon=True
        )

    def acquire(self) -> None:
        """Take the lock and look after it from now on.

        Raises
        ------
        JobRunningError
            If somebody else holds it.
        """
        if not self._take():
            self._close()
            raise JobRunningError(_describe_running(self.warehouse, self.job))
        self._thread.start()

    def check(self) -> None:
        """See that the lock is held, and take it again if it was lost.

        Raises
        ------
        JobRunningError
            If somebody else has it.
        """
        with self._mutex:
            if not self.is_lost and not self._is_held():
                log_event(logger, "job_lock_lost", job=self.job)
                self.is_lost = not self._take()
            if self.is_lost:
                raise JobRunningError(
                    f"The connection that held the lock of job {self.job!r} "
                    "was lost, and another process has taken the lock since. "
                    "What was finished is kept; run the same command again "
                    "when the other has ended."
                )

    def release(self) -> None:
        """Let go of the lock; the session ends with it."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()
        # The server notices an ended session only a little later, too late for
        # a run that starts at once.
        with contextlib.suppress(Exception):
            self._ask("select pg_advisory_unlock_all()")
        self._close()

    def _watch(self) -> None:
        while not self._is_over.wait(CHECK_SECONDS):
            try:
                self.check()
            except JobRunningError:
                # The main thread says why; see `jobs.job_run`.
                interrupt_main()
                return
            except Exception:
                # Nobody can be reached; the job finds that out by itself.
                continue

    def _is_held(self) -> bool:
        try:
            self._ask("select 1")
        except psycopg2.Error:
            return False
        return True

    def _take(self) -> bool:
        self._close()
        pooled = self.warehouse.engine.raw_connection()
        pooled.detach()
        self._connection = pooled.dbapi_connection
        self._connection.autocommit = True
        name = f"swiftbolt job {self.warehouse.settings.schema(self.job)}"
        return bool(
            self._ask(
                "select pg_try_advisory_lock(hashtextextended(%s, 0))", name
            )
        )

    def _ask(self, query: str, *values: str) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone()[0]

    def _close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()


def _describe_running(warehouse: Warehouse, job: str) -> str:
    runs = schema.job_runs
    with warehouse.begin() as connection:
        row = connection.execute(
            sa.select(runs.c.pid, runs.c.host, runs.c.started_at)
            .where(runs.c.job == job, runs.c.status == "running")
            .order_by(runs.c.job_run_id.desc())
            .limit(1)
        ).one_or_none()
    where = (
        f"process {row.pid} on {row.host} since "
        f"{row.started_at:%Y-%m-%d %H:%M} UTC"
        if row
        else "another process"
    )
    return (
        f"Job {job!r} is already running: {where}. Wait until it ends, or end "
        "it, and run the same command again."
    )
