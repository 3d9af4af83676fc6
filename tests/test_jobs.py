import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import JobRunningError, ServerError
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse import jobs
from python_ml.warehouse.connection import open_warehouse
from python_ml.warehouse.embedded import EmbeddedServer
from python_ml.warehouse.embedded.processes import find_processes
from python_ml.warehouse.errors import translate_database_error
from python_ml.warehouse.jobs import code_version, job_run, peak_memory_mb
from tests.conftest import embedded_settings, warehouse_environment

ADVISORY_LOCKS = """
    select pg_locks.pid
    from pg_locks
    inner join pg_database on pg_locks.database = pg_database.oid
    where locktype = 'advisory' and datname = current_database()
"""


def rows(warehouse):
    with warehouse.begin() as connection:
        return connection.execute(
            sa.select(schema.job_runs).order_by(schema.job_runs.c.job_run_id)
        ).all()


def test_a_run_is_on_record_while_it_runs_and_after(warehouse):
    with job_run(warehouse, "train", {"symbols": ["AAPL"]}) as job:
        (running,) = rows(warehouse)
        assert running.status == "running"
        assert running.finished_at is None
        job.counts["series"] = 3
    (row,) = rows(warehouse)
    assert row.job_run_id == job.job_run_id
    assert (row.job, row.status) == ("train", "succeeded")
    assert row.arguments == {"symbols": ["AAPL"]}
    assert row.counts == {"series": 3}
    assert row.started_at <= row.finished_at
    assert 0 <= row.duration_seconds < 60
    assert 10 < row.peak_memory_mb < 10_000
    assert row.error_message is None
    assert row.pid == os.getpid()
    assert row.code_version == code_version()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("no bars"), "no bars"),
        (ValueError(), "ValueError"),
        (ValueError("nul \x00 byte"), "nul  byte"),
        (KeyboardInterrupt(), "Interrupted."),
        (SystemExit(1), "1"),
    ],
)
def test_a_failed_run_says_why_and_the_error_goes_on(warehouse, error, message):
    with (  # noqa: PT012
        pytest.raises(type(error)) as caught,
        job_run(warehouse, "train", {}) as job,
    ):
        job.counts["series"] = 1
        raise error
    assert caught.value is error
    (row,) = rows(warehouse)
    assert (row.status, row.error_message) == ("failed", message)
    assert row.counts == {"series": 1}
    assert row.finished_at is not None


def test_the_same_job_cannot_run_twice_and_another_can(warehouse):
    with job_run(warehouse, "train", {}), job_run(warehouse, "ingest", {}):
        expected = (
            rf"'train' is already running: process {os.getpid()} on .*UTC"
        )
        with (
            pytest.raises(JobRunningError, match=expected),
            job_run(warehouse, "train", {}),
        ):
            pass
    assert [row.status for row in rows(warehouse)] == ["succeeded"] * 2
    with job_run(warehouse, "train", {}):
        pass


def test_the_same_job_of_another_prefix_can_run(fresh_warehouse):
    first = fresh_warehouse(schema_prefix="ann_")
    from dataclasses import replace

    from python_ml.warehouse.connection import connect, migrate_to_head

    with connect(
        replace(first.settings, schema_prefix="bob_"), first.parameters
    ) as second:
        migrate_to_head(second)
        with job_run(first, "train", {}), job_run(second, "train", {}):
            pass


def run_and_die(warehouse, job: str) -> "subprocess.Popen[str]":
    """Run a job in another process, which is killed within it."""
    script = f"""
    import os, signal
    from python_ml.warehouse.jobs import job_run
    from python_ml.settings import load_settings
    from python_ml.warehouse.connection import open_warehouse

    warehouse = open_warehouse(load_settings())
    with job_run(warehouse, {job!r}, {{}}):
        os.kill(os.getpid(), signal.SIGKILL)
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=PROJECT_ROOT,
        env=warehouse_environment(warehouse),
        check=False,
    )


def test_a_killed_run_leaves_no_lock_and_is_marked_abandoned(warehouse):
    for job in ("train", "ingest"):
        assert run_and_die(warehouse, job).returncode == -signal.SIGKILL
    assert [row.status for row in rows(warehouse)] == ["running", "running"]
    wait_for_locks(warehouse)
    with job_run(warehouse, "train", {}):
        pass
    assert [(row.job, row.status) for row in rows(warehouse)] == [
        ("train", "abandoned"),
        ("ingest", "running"),
        ("train", "succeeded"),
    ]


def wait_for_locks(warehouse) -> None:
    """Until the server has noticed that the killed process is gone."""
    query = sa.text(f"select count(*) from ({ADVISORY_LOCKS}) as locks")
    while True:
        with warehouse.begin() as connection:
            if connection.execute(query).scalar_one() == 0:
                return


def test_a_server_killed_within_a_job_is_the_error_that_is_told(
    throwaway_home,
):
    server = EmbeddedServer(embedded_settings(throwaway_home()))
    with open_warehouse(server.settings) as warehouse:
        with (  # noqa: PT012
            pytest.raises(sa.exc.OperationalError) as caught,
            job_run(warehouse, "train", {}),
            warehouse.begin() as connection,
        ):
            pid = server.status().pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while find_processes(server.files):
                pass
            connection.exec_driver_sql("select 1")
        translated = translate_database_error(caught.value)
        assert isinstance(translated, ServerError)
        assert "run the same command again" in str(translated)
        # And the same command then runs.
        with open_warehouse(server.settings) as again:
            with job_run(again, "train", {}):
                pass
            assert [row.status for row in rows(again)] == [
                "abandoned",
                "succeeded",
            ]
    server.stop()


def test_a_lock_connection_lost_at_the_end_does_not_hide_success(warehouse):
    with job_run(warehouse, "train", {}), warehouse.begin() as connection:
        connection.exec_driver_sql(
            f"select pg_terminate_backend(pid) from ({ADVISORY_LOCKS}) as locks"
        )
    assert [row.status for row in rows(warehouse)] == ["succeeded"]


def test_the_pool_gets_no_connection_with_a_lock_back(warehouse):
    with job_run(warehouse, "train", {}):
        pass
    query = sa.text(f"select count(*) from ({ADVISORY_LOCKS}) as locks")
    wait_for_locks(warehouse)
    with warehouse.begin() as connection:
        assert connection.execute(query).scalar_one() == 0


def test_code_version_is_the_commit_or_the_packages_version():
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|\d+\.\d+\.\d+", code_version())


def test_code_version_of_a_checkout_tells_whether_it_was_changed(
    tmp_path, monkeypatch
):
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    git("init")
    (tmp_path / "code.py").write_text("a = 1\n")
    git("add", ".")
    git("commit", "-m", "first")
    monkeypatch.setattr(jobs, "PROJECT_ROOT", tmp_path)
    clean = code_version.__wrapped__()
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    (tmp_path / "code.py").write_text("a = 2\n")
    assert code_version.__wrapped__() == f"{clean}-dirty"


def test_peak_memory_grows_with_what_is_held():
    before = peak_memory_mb()
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_memory_mb() > before or before > 300
