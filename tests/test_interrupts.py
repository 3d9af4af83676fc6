"""Signals: the command ends soon, the server's query with it, on record."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import JobRunningError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse import job_lock
from python_ml.warehouse.job_lock import JobLock
from python_ml.warehouse.jobs import job_run
from tests.conftest import warehouse_environment

QUERIES = (
    "select count(*) from pg_stat_activity "
    "where strpos(query, 'pg_sleep(591)') > 0 and state = 'active' "
    "and pid <> pg_backend_pid()"
)
BODIES = {
    "a query": 'warehouse.engine.connect().exec_driver_sql("{sleep}")',
    "a read": 'read_frame(warehouse, "{sleep} as n")',
    "Python": "time.sleep(591)",
    "code that never returns to Python": (
        "hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)"
    ),
    "work in processes": "list(Outcomes(time.sleep, [(591,)] * 2, 2))",
}


def begin(warehouse, body, *, before=""):
    """A command that is amid a job, and says so."""
    script = f"""
    import hashlib
    import time
    from python_ml.cli.root import ErrorReportingGroup
    from python_ml.processes import Outcomes
    from python_ml.settings import load_settings
    from python_ml.warehouse.bulk import read_frame
    from python_ml.warehouse.connection import open_warehouse
    from python_ml.warehouse.jobs import job_run

    group = ErrorReportingGroup("group")

    @group.command()
    def work():
        warehouse = open_warehouse(load_settings())
        with job_run(warehouse, "train", {{}}):
            print("begun", flush=True)
            {body.format(sleep="select pg_sleep(591)")}

    {before}
    group(["work"])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=PROJECT_ROOT,
        env=warehouse_environment(warehouse),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "begun\n"
    time.sleep(1)
    return process


def job_rows(warehouse):
    with warehouse.begin() as connection:
        return connection.execute(
            sa.select(schema.job_runs).order_by(schema.job_runs.c.job_run_id)
        ).all()


def ended_on(process, number):
    """Seconds it took, its exit status and what it said."""
    began = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
    _, said = process.communicate(timeout=30)
    return time.monotonic() - began, process.returncode, said


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ("a query", signal.SIGINT),
        ("a read", signal.SIGTERM),
        ("Python", signal.SIGHUP),
        ("code that never returns to Python", signal.SIGINT),
        ("work in processes", signal.SIGTERM),
    ],
)
def test_a_signal_ends_a_command_its_query_and_its_row(warehouse, body, number):
    process = begin(
        warehouse,
        BODIES[body],
        before="import python_ml.interrupts as interrupts; "
        "interrupts.PATIENCE_SECONDS = 2",
    )
    seconds, status, said = ended_on(process, number)
    assert seconds < 10
    assert status == 128 + number, said
    assert "Traceback" not in said
    (row,) = job_rows(warehouse)
    assert (row.status, row.error_message) == (
        "failed",
        f"Ended by {signal.Signals(number).name}.",
    )
    with warehouse.begin() as connection:
        assert connection.exec_driver_sql(QUERIES).scalar_one() == 0
    # Nobody of its group is left but perhaps on the way out.
    deadline = time.monotonic() + 5
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        pytest.fail("a process is left")


def test_a_signal_that_is_ignored_stays_ignored(warehouse):
    """As by nohup."""
    process = begin(
        warehouse,
        "time.sleep(2)",
        before="import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)",
    )
    assert ended_on(process, signal.SIGHUP)[1] == 0
    assert [row.status for row in job_rows(warehouse)] == ["succeeded"]


LOCKS = (
    "from pg_locks where locktype = 'advisory' "
    "and database = (select oid from pg_database "
    "where datname = current_database())"
)


def lose_locks(warehouse):
    """End the sessions that hold locks, from another one, and see them gone."""
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            f"select pg_terminate_backend(pid, 10000) {LOCKS}"
        )


def n_locks(warehouse):
    with warehouse.begin() as connection:
        return connection.exec_driver_sql(
            f"select count(*) {LOCKS}"
        ).scalar_one()


def test_a_lock_whose_connection_was_lost_is_taken_again(warehouse):
    with job_run(warehouse, "train", {}):
        lose_locks(warehouse)
        deadline = time.monotonic() + 10
        while not n_locks(warehouse) and time.monotonic() < deadline:
            time.sleep(0.1)
        with (
            pytest.raises(JobRunningError, match="already running"),
            job_run(warehouse, "train", {}),
        ):
            pass
    assert [row.status for row in job_rows(warehouse)] == ["succeeded"]


def take_over(warehouse):
    """Another holder of the lock of trainings, whose own was lost."""
    lose_locks(warehouse)
    while n_locks(warehouse):
        time.sleep(0.01)
    other = JobLock(warehouse, "train")
    other.acquire()
    return other


@pytest.fixture
def ignored(request):
    """A signal that is ignored, as in what a script starts with `&`."""
    before = request.param and signal.signal(request.param, signal.SIG_IGN)
    yield
    if request.param:
        signal.signal(request.param, before)


@pytest.mark.parametrize(
    ("ignored", "is_noticed_amid"),
    [(None, True), (signal.SIGINT, True), (None, False)],
    indirect=["ignored"],
)
@pytest.mark.usefixtures("ignored")
def test_a_job_whose_lock_somebody_else_took_ends(
    warehouse, monkeypatch, is_noticed_amid
):
    monkeypatch.setattr(
        job_lock, "CHECK_SECONDS", 2 if is_noticed_amid else 3600
    )
    others = []
    with (  # noqa: PT012
        pytest.raises(JobRunningError, match="has taken the lock since"),
        job_run(warehouse, "train", {}),
    ):
        others.append(take_over(warehouse))
        if is_noticed_amid:
            # An interrupt is heard between two sleeps.
            for _ in range(200):
                time.sleep(0.1)
            others.append("not ended")
    [other] = others
    other.release()
    [row] = job_rows(warehouse)
    assert row.status == "failed"
    assert "another process has taken the lock" in row.error_message
