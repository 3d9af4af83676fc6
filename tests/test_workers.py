import errno
import os
import subprocess
import sys
import time

import joblib
import numpy as np
import psutil
import pytest

from python_ml.exceptions import WorkerError
from python_ml.processes import Outcomes, count_workers
from python_ml.settings import PROJECT_ROOT
from python_ml.training.fitting import (
    FitFailure,
    fit_series,
)
from python_ml.training.workers import fit_all
from tests.training_arrays import make_series


def make_market(n_series):
    return [
        make_series(symbol_id=i, ticker=f"S{i}", seed=i)
        for i in range(n_series)
    ]


def test_processes_give_what_one_process_gives_in_the_same_order():
    market = make_market(3)
    market[1].horizons[0].X[7] = np.nan
    alone = [fit_series(one) for one in market]
    together = list(fit_all(market, n_jobs=2))
    assert isinstance(together[1], FitFailure)
    assert together[1] == alone[1]
    for number in (0, 2):
        np.testing.assert_array_equal(
            together[number][0].validation.probabilities,
            alone[number][0].validation.probabilities,
        )


def test_little_work_starts_no_process():
    assert count_workers(3, least_per_worker=4) <= 1
    assert count_workers(1, 8, least_per_worker=4) == 1
    assert count_workers(170, 3, least_per_worker=4) == 3


def test_a_killed_worker_is_told():
    with pytest.raises(WorkerError, match="smaller --jobs"):
        list(Outcomes(os._exit, [(9,)] * 2, 2))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_error_of_a_task_is_its_own_and_not_of_the_sharing(n_workers):
    tasks = [("/there/is/no/such/file",)] * 2
    with pytest.raises(FileNotFoundError):
        list(Outcomes(open, tasks, n_workers))


@pytest.mark.parametrize(
    ("number", "expected", "message"),
    [
        (errno.ENOSPC, WorkerError, "/dev/shm"),
        (errno.EACCES, WorkerError, "/dev/shm"),
        (errno.ENOMEM, WorkerError, "smaller --jobs"),
        (errno.EMFILE, OSError, "^.Errno"),
    ],
)
def test_what_keeps_processes_from_sharing_is_told_apart(
    monkeypatch, number, expected, message
):
    def fail(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(joblib, "Parallel", fail)
    with pytest.raises(expected, match=message):
        Outcomes(abs, [(1,)] * 2, 2)


def test_what_is_closed_ends_and_leaves_the_next_alone():
    begun = fit_all(make_market(12), n_jobs=2)
    next(begun)
    begun.close()
    assert len(list(fit_all(make_market(3), n_jobs=2))) == 3
    assert list(begun) == []


def test_workers_end_with_a_training_that_was_killed():
    script = (
        "from tests.test_workers import make_market\n"
        "from python_ml.training.workers import fit_all\n"
        "results = fit_all(make_market(60), n_jobs=2)\n"
        "next(results)\n"
        "print('fitting', flush=True)\n"
        "list(results)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "fitting\n"
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(workers) >= 2
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(map(is_alive, workers)):
        time.sleep(0.1)
    assert not any(map(is_alive, workers))


def test_workers_end_with_a_parent_that_was_killed_before_their_first_task():
    script = (
        "import time\n"
        "from python_ml.processes import Outcomes\n"
        "outcomes = Outcomes(time.sleep, [(600,)] * 2, 2)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT
    ) as process:
        parent = psutil.Process(process.pid)
        # The tracker of resources and the first worker.
        while len(workers := parent.children(recursive=True)) < 2:
            time.sleep(0.01)
        process.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert [worker for worker in alive if is_alive(worker)] == []


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
