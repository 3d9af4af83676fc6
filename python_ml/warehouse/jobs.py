"""Runs of jobs: one at a time of each kind, all on record."""

import contextlib
import functools
import importlib.metadata
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psutil
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.interrupts import last_words
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.job_lock import JobLock

logger = get_logger(__name__)

DISTRIBUTION = "swiftbolt-ml"
MAX_ERROR_CHARACTERS = 2000


@dataclass(slots=True)
class JobRun:
    """The run in progress.

    Parameters
    ----------
    job_run_id : int
        Key in `ml.job_runs`.
    counts : dict of str to int
        What the job did; written when it ends.
    started, processor_started : float
        Clocks at its start, in seconds: `time.monotonic` and
        `processor_seconds`.
    """

    job_run_id: int
    counts: dict[str, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    processor_started: float = field(
        default_factory=lambda: processor_seconds()
    )


@contextlib.contextmanager
def job_run(
    warehouse: Warehouse, job: str, arguments: Mapping[str, Any]
) -> Iterator[JobRun]:
    """Hold the job's lock and keep its row in `ml.job_runs`.

    The lock is the database's, so it goes with the connection: a process that
    was killed leaves none, and the row it left as `running` is set to
    `abandoned` by the next run.

    Parameters
    ----------
    warehouse : Warehouse
    job : str
        Name of the job; two runs of one job exclude each other.
    arguments : mapping of str to object
        Written to the row as JSON.

    Raises
    ------
    JobRunningError
        If another process runs the job.
    """
    with (
        _lock(warehouse, job) as lock,
        _on_record(warehouse, job, arguments) as run,
    ):
        try:
            yield run
        except KeyboardInterrupt:
            # Perhaps not a person's, but the lock's own.
            if lock.is_lost:
                lock.check()
            raise
        lock.check()


@contextlib.contextmanager
def _on_record(
    warehouse: Warehouse, job: str, arguments: Mapping[str, Any]
) -> Iterator[JobRun]:
    """Keep the row of a run, however it ends."""
    run = JobRun(_insert(warehouse, job, arguments))
    log_event(logger, "job_started", job=job, job_run_id=run.job_run_id)

    def finish(status: str, message: str | None) -> None:
        _finish(warehouse, run, status, message)

    try:
        with last_words(partial(finish, "failed")):
            yield run
    except BaseException as error:
        # The cause may be that the database is gone; that is the news.
        with contextlib.suppress(Exception):
            finish("failed", _describe(error))
        log_event(
            logger,
            "job_failed",
            job=job,
            job_run_id=run.job_run_id,
            seconds=round(time.monotonic() - run.started, 1),
        )
        raise
    finish("succeeded", None)
    log_event(
        logger,
        "job_succeeded",
        job=job,
        job_run_id=run.job_run_id,
        seconds=round(time.monotonic() - run.started, 1),
        **run.counts,
    )


@contextlib.contextmanager
def excluding(warehouse: Warehouse, job: str) -> Iterator[None]:
    """Hold the lock of another job, so that it does not run meanwhile.

    Raises
    ------
    JobRunningError
        If it runs.
    """
    with _lock(warehouse, job):
        yield


@contextlib.contextmanager
def _lock(warehouse: Warehouse, job: str) -> Iterator[JobLock]:
    lock = JobLock(warehouse, job)
    lock.acquire()
    try:
        yield lock
    finally:
        lock.release()


def _insert(
    warehouse: Warehouse, job: str, arguments: Mapping[str, Any]
) -> int:
    runs = schema.job_runs
    with warehouse.begin() as connection:
        # We hold the lock, so whoever wrote these is gone.
        abandoned: Sequence[int] = (
            connection.execute(
                runs.update()
                .where(runs.c.job == job, runs.c.status == "running")
                .values(status="abandoned")
                .returning(runs.c.job_run_id)
            )
            .scalars()
            .all()
        )
        for job_run_id in abandoned:
            log_event(logger, "job_abandoned", job=job, job_run_id=job_run_id)
        return int(
            connection.execute(
                runs.insert()
                .values(
                    job=job,
                    arguments=dict(arguments),
                    status="running",
                    started_at=sa.func.clock_timestamp(),
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    code_version=code_version(),
                )
                .returning(runs.c.job_run_id)
            ).scalar_one()
        )


def _finish(
    warehouse: Warehouse,
    run: JobRun,
    status: str,
    error_message: str | None,
) -> None:
    runs = schema.job_runs
    with warehouse.begin() as connection:
        connection.execute(
            runs.update()
            .where(runs.c.job_run_id == run.job_run_id)
            .values(
                status=status,
                finished_at=sa.func.clock_timestamp(),
                duration_seconds=time.monotonic() - run.started,
                processor_seconds=max(
                    processor_seconds() - run.processor_started, 0.0
                ),
                counts=run.counts,
                peak_memory_mb=peak_memory_mb(),
                error_message=error_message,
            )
        )


def _describe(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "Interrupted."
    message = str(error) or type(error).__name__
    return message[:MAX_ERROR_CHARACTERS].replace("\x00", "")


def processor_seconds() -> float:
    """Processor time of this process and all that it has started, in seconds.

    The database server is none of them. A worker that has gone without being
    waited for is missing.

    Examples
    --------
    >>> 0 < processor_seconds() < 1e9
    True
    """
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                times = child.cpu_times()
                total += times.user + times.system
    return total


def peak_memory_mb() -> float:
    """Most memory this process, or one of its ended children, has held, in MB.

    Of the whole life of the process, not of one job.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return (
        max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        * unit
        / 1e6
    )


@functools.cache
def code_version() -> str:
    """Git commit of the checkout, `-dirty` if changed, else the version."""
    if (PROJECT_ROOT / ".git").exists():
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            commit = _git("rev-parse", "HEAD").strip()
            changes = _git("status", "--porcelain").strip()
            return f"{commit}-dirty" if changes else commit
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "--no-optional-locks", "-C", str(PROJECT_ROOT), *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
