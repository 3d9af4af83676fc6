"""Run one job of a schedule, if it is due."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from python_ml.console.logs import LogFile, get_logger, log_event
from python_ml.exceptions import SwiftBoltError
from python_ml.monitoring.alerts.check import alerts_told_after
from python_ml.operations.schedules.due import DueState, read_due
from python_ml.operations.schedules.jobs import (
    JOBS,
    ScheduledJob,
    Summary,
    find_job,
)
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run

logger = get_logger(__name__)


@dataclass(frozen=True)
class ScheduledSummary:
    """What became of a start.

    Parameters
    ----------
    job : str
    due : DueState
        As it was before.
    result : Summary or None
        None where there was nothing to do.
    """

    job: str
    due: DueState
    result: Summary | None

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "job": self.job,
            "is_due": self.due.due_since is not None,
            "missed": self.due.n_missed,
            "result": self.result and self.result.to_dict(),
        }

    def to_text(self) -> str:
        """What a person wants to know."""
        if self.result is None:
            last = self.due.last_success_at
            return (
                f"{self.job}: nothing to do"
                + (f", done {last:%Y-%m-%d %H:%M} UTC" if last else "")
                + ". Do it all the same: swiftbolt jobs run "
                f"{self.job} --force"
            )
        return self.result.to_text()


def run_scheduled(
    warehouse: Warehouse,
    name: str,
    *,
    is_forced: bool = False,
    load: Callable[[], None] | None = None,
    now: datetime.datetime | None = None,
) -> ScheduledSummary:
    """Run a job if it is due, with a log of its own.

    Parameters
    ----------
    warehouse : Warehouse
    name : str
    is_forced : bool
        Also if it is not due.
    load : callable, optional
        Loads new bars first. If that fails the job goes on with the bars there
        are, and the failure is raised at the end.
    now : datetime, optional
        The clock, of alerts as well; by default the real one.

    Raises
    ------
    SettingsError
        If there is no such job.
    JobRunningError
        If it runs already.
    SwiftBoltError
        As its work raises it; alerts are told all the same.
    """
    job = find_job(name)
    clock = now or datetime.datetime.now(datetime.UTC)
    folder = warehouse.settings.logs_dir / job.name
    with LogFile(folder / f"{job.name}.log") as log:
        due = read_due(warehouse, job.name, job.span, now=clock)
        # The first load may bring the first symbols and with them sessions.
        is_first = load is not None and due.last_success_at is None
        if due.due_since is None and not (is_forced or is_first):
            log_event(
                logger,
                "nothing_to_do",
                job=job.name,
                last_success_at=due.last_success_at,
            )
            return ScheduledSummary(job.name, due, None)
        with alerts_told_after(warehouse, now=now):
            result = _run(warehouse, job, due, load, log)
    return ScheduledSummary(job.name, due, result)


def _run(
    warehouse: Warehouse,
    job: ScheduledJob,
    due: DueState,
    load: Callable[[], None] | None,
    log: LogFile,
) -> Summary:
    try:
        with job_run(warehouse, job.name, {"missed": due.n_missed}) as run:
            # Nobody else writes to it while the job's lock is ours.
            log.rotate()
            if due.n_missed > 1:
                log_event(
                    logger, "catching_up", job=job.name, spans=due.n_missed
                )
            failure = _load(load)
            result = job.work(warehouse)
            run.counts["caught_up"] = due.n_missed
            log.write(result.to_text())
            if failure is not None:
                raise failure
    except Exception as error:
        log_event(logger, "scheduled_job_failed", job=job.name, reason=error)
        raise
    return result


def _load(load: Callable[[], None] | None) -> SwiftBoltError | None:
    """Why nothing was loaded; the job goes on with the bars there are."""
    if load is None:
        return None
    try:
        load()
    except SwiftBoltError as error:
        log_event(logger, "load_failed", reason=error)
        return error
    return None


def list_jobs(
    warehouse: Warehouse, *, now: datetime.datetime | None = None
) -> pd.DataFrame:
    """Each job of the schedule, when it ran and whether it is due.

    Returns
    -------
    DataFrame
        `job`, `does`, `last_success_at`, `due_since`, `missed`, `state`: done,
        due, or overdue, once its grace is over.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    rows = []
    for job in JOBS.values():
        due = read_due(warehouse, job.name, job.span, now=now)
        state = "done"
        if due.due_since is not None:
            is_over = now - due.due_since > job.grace
            state = "overdue" if is_over else "due"
        rows.append(
            {
                "job": job.name,
                "does": job.does,
                "last_success_at": due.last_success_at,
                "due_since": due.due_since,
                "missed": due.n_missed,
                "state": state,
            }
        )
    frame = pd.DataFrame(rows)
    for column in ("last_success_at", "due_since"):
        frame[column] = pd.to_datetime(frame[column], utc=True)
    return frame
