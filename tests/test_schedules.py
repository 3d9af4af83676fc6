"""Jobs of a schedule: due by sessions, caught up, logged, one at a time."""

import datetime
import json
import logging
import os
import subprocess

import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.console import logs
from python_ml.console.logs import ROOT_LOGGER, LogFile, get_logger, log_event
from python_ml.exceptions import (
    IngestionError,
    JobRunningError,
    NotEnoughDataError,
    SettingsError,
)
from python_ml.operations.schedules import run as schedule
from python_ml.operations.schedules.due import read_due
from python_ml.operations.schedules.jobs import JOBS, ScheduledJob
from python_ml.operations.schedules.run import list_jobs, run_scheduled
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.jobs import job_run
from tests.conftest import run_swiftbolt
from tests.forecast_market import sessions

HOUR = datetime.timedelta(hours=1)
# Sessions are weekdays from 2019-01-01 on, each closing at 21:00 UTC.
FRIDAY = datetime.datetime(2019, 3, 29, 21, tzinfo=datetime.UTC)


@pytest.fixture
def market(warehouse):
    """A warehouse with a symbol and its sessions, none of them built."""
    with warehouse.begin() as connection:
        insert_frame(connection, schema.sessions, sessions())
        connection.execute(
            schema.symbols.insert().values(
                ticker="AAA", calendar="XNYS", source="test"
            )
        )
    return warehouse


def succeed_at(warehouse, job, time) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            schema.job_runs.insert().values(
                job=job,
                arguments={},
                status="succeeded",
                started_at=time,
                host="here",
                pid=1,
                code_version="test",
            )
        )


@pytest.mark.parametrize(
    ("job", "now", "missed"),
    [
        ("daily_run", FRIDAY - HOUR, 0),
        ("daily_run", FRIDAY, 1),
        # A weekend holds no session.
        ("daily_run", FRIDAY + 48 * HOUR, 1),
        ("daily_run", FRIDAY + 72 * HOUR, 2),
        ("weekly_weights", FRIDAY - HOUR, 0),
        ("weekly_weights", FRIDAY, 1),
        ("weekly_weights", FRIDAY + 24 * 13 * HOUR, 2),
        # The last session of March 2019 is that Friday.
        ("monthly_retrain", FRIDAY - HOUR, 0),
        ("monthly_retrain", FRIDAY, 1),
        ("emergency_retrain", FRIDAY, 0),
    ],
)
def test_a_job_is_due_once_its_span_of_sessions_has_ended(
    market, job, now, missed
):
    succeed_at(market, job, FRIDAY - 2 * HOUR)
    due = read_due(market, job, JOBS[job].span, now=now)
    assert due.n_missed == missed
    assert (due.due_since is None) == (missed == 0)


def test_what_never_ran_has_missed_nothing(market):
    due = read_due(market, "daily_run", "day", now=FRIDAY)
    assert (due.due_since, due.n_missed) == (FRIDAY, 1)


def test_a_run_by_a_clock_that_was_ahead_holds_nothing_up(market):
    succeed_at(market, "daily_run", FRIDAY + 24 * 3650 * HOUR)
    assert read_due(market, "daily_run", "day", now=FRIDAY).n_missed == 1


def test_without_symbols_nothing_is_due(warehouse):
    states = list_jobs(warehouse, now=FRIDAY)
    assert states["state"].tolist() == ["done"] * len(JOBS)


def test_a_job_becomes_overdue_when_its_grace_is_over(market):
    succeed_at(market, "daily_run", FRIDAY - 2 * HOUR)
    for hours, state in ((0, "due"), (24, "due"), (25, "overdue")):
        listed = list_jobs(market, now=FRIDAY + hours * HOUR)
        assert listed.set_index("job")["state"]["daily_run"] == state


class Summary:
    def to_dict(self):
        return {"done": 1}

    def to_text(self):
        return "done: 1"


@pytest.fixture
def work(monkeypatch):
    """A job named daily_run whose work is what the test puts there."""
    done = []

    def do(warehouse):
        done.append(warehouse)
        if isinstance(done[0], Exception):
            raise done[0]
        return Summary()

    job = ScheduledJob("daily_run", "day", HOUR, "test", do)
    monkeypatch.setattr(schedule, "find_job", lambda name: job)
    return done


def log_of(warehouse) -> str:
    path = warehouse.settings.logs_dir / "daily_run" / "daily_run.log"
    return path.read_text()


def test_a_job_runs_once_a_session_and_catches_up_with_all(market, work):
    succeed_at(market, "daily_run", FRIDAY - 24 * 4 * HOUR)
    logging.getLogger(ROOT_LOGGER).setLevel("INFO")
    first = run_scheduled(market, "daily_run", now=FRIDAY)
    assert (first.due.n_missed, len(work)) == (4, 1)
    assert "event=catching_up job=daily_run spans=4" in log_of(market)
    assert "done: 1" in log_of(market)
    with market.begin() as connection:
        connection.execute(
            schema.job_runs.update()
            .where(schema.job_runs.c.job == "daily_run")
            .values(started_at=FRIDAY)
        )
    again = run_scheduled(market, "daily_run", now=FRIDAY + HOUR)
    assert (again.result, len(work)) == (None, 1)
    assert "nothing to do" in again.to_text()
    run_scheduled(market, "daily_run", is_forced=True, now=FRIDAY)
    assert len(work) == 2


def test_a_failure_is_logged_told_and_leaves_the_job_due(market, work):
    work.append(NotEnoughDataError("too few bars"))
    logging.getLogger(ROOT_LOGGER).setLevel("INFO")
    with pytest.raises(NotEnoughDataError):
        run_scheduled(market, "daily_run", now=FRIDAY)
    assert "too few bars" in log_of(market)
    assert read_due(market, "daily_run", "day", now=FRIDAY).n_missed == 1
    told = read_frame(
        market, "select subject, kind, first_seen_at from {ml}.alerts"
    )
    # By the job's clock, not by the machine's.
    assert told.to_dict("records") == [
        {
            "subject": "daily_run",
            "kind": "job_failed",
            "first_seen_at": pd.Timestamp(FRIDAY),
        }
    ]


def test_a_load_that_fails_stops_nothing_and_is_raised_at_the_end(market, work):
    def load():
        raise IngestionError("vendor is down")

    with pytest.raises(IngestionError, match="vendor"):
        run_scheduled(market, "daily_run", load=load, now=FRIDAY)
    assert len(work) == 1


def test_a_second_one_at_a_time_is_refused(market, work):
    with (
        job_run(market, "daily_run", {}),
        pytest.raises(JobRunningError, match="'daily_run' is already running"),
    ):
        run_scheduled(market, "daily_run", now=FRIDAY)
    assert work == []


def test_logs_are_rotated(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 10)
    monkeypatch.setattr(logs, "KEPT_LOGS", 2)
    logging.getLogger(ROOT_LOGGER).setLevel("INFO")
    for number in range(5):
        with LogFile(tmp_path / "job" / "job.log") as log:
            log.rotate()
            log_event(get_logger(ROOT_LOGGER), "ran", number=number)
    kept = {
        path.name: path.read_text() for path in (tmp_path / "job").iterdir()
    }
    assert sorted(kept) == ["job.log", "job.log.1", "job.log.2"]
    assert "number=4" in kept["job.log"]
    assert "number=2" in kept["job.log.2"]


@pytest.mark.parametrize("job", list(JOBS))
def test_each_job_has_a_script_that_runs_it(job):
    script = PROJECT_ROOT / "scripts" / job
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith(f'jobs run {job} "$@"')
    subprocess.run(["bash", "-n", script], check=True)


def test_an_unknown_job_is_refused_with_the_known_ones(warehouse):
    with pytest.raises(SettingsError, match="there are daily_run, weekly_"):
        run_scheduled(warehouse, "dayly_run")


def test_the_commands_list_run_and_load(market):
    listed = json.loads(run_swiftbolt(market, "jobs", "list", "--json").stdout)
    assert [row["job"] for row in listed] == list(JOBS)
    done = run_swiftbolt(market, "jobs", "run", "emergency_retrain", "--json")
    assert json.loads(done.stdout)["is_due"] is False
    assert run_swiftbolt(market, "jobs", "run", "x").returncode == 1


def test_what_swiftbolt_load_says_is_loaded_first(warehouse, work):
    failed = run_swiftbolt(
        warehouse, "jobs", "run", "daily_run", SWIFTBOLT_LOAD="no_such_source"
    )
    assert failed.returncode == 1
    assert "SWIFTBOLT_LOAD is no use of swiftbolt ingest" in failed.stderr
    # The first load brings the symbols that make the job due.
    loaded = run_swiftbolt(
        *(warehouse, "jobs", "run", "daily_run", "--json"),
        SWIFTBOLT_LOAD="sample",
    )
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout)["result"] == {"done": 1}
    with warehouse.begin() as connection:
        n_symbols = connection.execute(
            sa.select(sa.func.count()).select_from(schema.symbols)
        ).scalar_one()
    assert n_symbols == 4
    assert len(work) == 2
