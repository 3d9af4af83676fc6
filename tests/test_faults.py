"""Ten kills amid jobs, followed by the same jobs: as if nothing had been.

`scripts/check_faults.py` does the same with a hundred, over all commands.
"""

import importlib.util
import multiprocessing
import random
import time

import pytest

from python_ml.exceptions import JobRunningError
from python_ml.forecasting.issue import forecast
from python_ml.ingestion.load import ingest
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse, connect
from tests.forecast_market import (
    close_of,
    deploy,
    make_ensemble,
)
from tests.synthetic_market import SyntheticSource

_specification = importlib.util.spec_from_file_location(
    "end_state", PROJECT_ROOT / "scripts" / "end_state.py"
)
end_state = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(end_state)

LOCKS = (
    "select pg_terminate_backend(pid) from pg_locks "
    "where locktype = 'advisory' and database = (select oid from pg_database "
    "where datname = current_database())"
)


def load(warehouse: Warehouse) -> None:
    ingest(warehouse, SyntheticSource())


def issue(warehouse: Warehouse) -> None:
    forecast(warehouse, replay_from=close_of(-12).date())


JOBS = {"ingest": load, "forecast": issue}


def do(job, warehouse):
    """Do a job, once the server has noticed that a killed one is gone."""
    while True:
        try:
            return JOBS[job](warehouse)
        except JobRunningError:
            time.sleep(0.1)


def work(job, settings, parameters, begun):
    """Do a job in a process of its own, with connections of its own."""
    with connect(settings, parameters) as warehouse:
        begun.set()
        do(job, warehouse)


@pytest.fixture(scope="module")
def processes():
    """Processes that begin in no time: what they import is there."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_faults"])
    return context


def begin(processes, job, warehouse):
    """Begin a job; also the time at which it began."""
    is_begun = processes.Event()
    process = processes.Process(
        target=work,
        args=(job, warehouse.settings, warehouse.parameters, is_begun),
    )
    process.start()
    assert is_begun.wait(60)
    return process, time.monotonic()


@pytest.fixture(scope="module")
def begun(fresh_warehouse, market_database, processes):
    """By job, a database to begin it with and what it comes to."""
    empty = fresh_warehouse()
    market = fresh_warehouse(template=market_database)
    for ticker in ("AAA", "BBB"):
        deploy(
            market, make_ensemble(market, ticker=ticker, as_of=close_of(-30))
        )
    found = {}
    for job, before in (("ingest", empty), ("forecast", market)):
        before.close()
        name = before.parameters.database
        with fresh_warehouse(template=name) as clean:
            process, started = begin(processes, job, clean)
            process.join()
            seconds = time.monotonic() - started
            found[job] = name, end_state.end_state(clean), seconds
    return found


CHANCE = random.Random(17)
# One after the other on the same warehouse, as a scheduler that never gives up
# would have them; what they come to is compared once.
KILLS = [
    (job, [(victim, round(CHANCE.uniform(0, 0.9), 2)) for victim in victims])
    for job, victims in (
        ("ingest", ("python", "lock", "python")),
        ("forecast", ("python", "lock", "python", "python")),
        ("forecast", ("python", "python", "lock")),
    )
]


@pytest.mark.parametrize(("job", "kills"), KILLS)
def test_a_job_killed_at_any_moments_is_finished_by_the_next(
    begun, fresh_warehouse, processes, job, kills
):
    template, expected, seconds = begun[job]
    with fresh_warehouse(template=template) as made:
        for victim, share in kills:
            process, _ = begin(processes, job, made)
            time.sleep(share * seconds)
            if victim == "python":
                process.kill()
            else:
                with made.begin() as connection:
                    connection.exec_driver_sql(LOCKS)
            process.join(60)
            assert process.exitcode is not None
        do(job, made)
        found = end_state.end_state(made)
        assert end_state.differences(expected, found) == []
        assert "running" not in set(
            read_frame(made, "select status from {ml}.job_runs")["status"]
        )
