"""Fit many series in several processes.

Each process uses one thread, so that there are as many threads as cores. A
process ends with the one that started it, however that ended: otherwise a
killed training would leave its workers waiting for ever, with their memory.
"""

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from python_ml.examples.arrays import SeriesExamples
from python_ml.examples.pooled import PooledExamples
from python_ml.exceptions import TrainingError
from python_ml.members import PER_SERIES, Roster
from python_ml.training.fitting import (
    FitFailure,
    FittedHorizon,
    fit_series,
)
from python_ml.training.pooled_fitting import (
    PooledFailure,
    PooledFit,
    fit_pooled,
)

Outcome = tuple[FittedHorizon, ...] | FitFailure
T = TypeVar("T")

# A new process costs about as much as two series.
MIN_SERIES_PER_WORKER = 4
MIN_POOLED_ROWS = 40_000
PARENT_CHECK_SECONDS = 1.0

_watched = threading.Event()


class Outcomes(Iterator[T]):
    """What becomes of tasks, in order, as each is done.

    Other processes have begun when it exists, so that the caller may do other
    things before it asks. Close one that is not used up: until then they go
    on, and the collector of garbage would end what was begun after it.

    Parameters
    ----------
    function : callable
        Of a task's values; importable.
    tasks : sequence of tuple
        Its arguments.
    n_workers : int
        Processes; 1 or less means this one, when asked.
    """

    def __init__(
        self,
        function: Callable[..., T],
        tasks: Sequence[tuple[Any, ...]],
        n_workers: int,
    ) -> None:
        self._found: Generator[T, None, None]
        if n_workers <= 1 or not tasks:
            self._found = (function(*task) for task in tasks)
            return
        parent = os.getpid()
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            self._found = joblib.Parallel(
                n_jobs=n_workers, return_as="generator", batch_size=1
            )(
                joblib.delayed(_in_worker)(parent, function, *task)
                for task in tasks
            )

    def __next__(self) -> T:
        """The next one; raises TrainingError if a process was killed."""
        try:
            return next(self._found)
        except TerminatedWorkerError as error:
            raise TrainingError(
                "A worker process was killed, perhaps for want of memory. "
                "What was finished is kept; run the same command again with "
                "a smaller --jobs."
            ) from error

    def close(self) -> None:
        """End what is still being done."""
        with warnings.catch_warnings():
            # That results were not used is why it is closed.
            warnings.simplefilter("ignore", UserWarning)
            self._found.close()


def fit_all(
    series: Sequence[SeriesExamples],
    *,
    roster: Roster = PER_SERIES,
    n_jobs: int | None = None,
) -> Outcomes[Outcome]:
    """Begin to fit every series, in this process or in several.

    Parameters
    ----------
    series : sequence of SeriesExamples
        To fit.
    roster : Roster, optional
        The members that are in; see `fit_series`.
    n_jobs : int, optional
        Processes, by default one per core when there is work enough.

    Returns
    -------
    Outcomes of tuple of FittedHorizon, or FitFailure
        In order.
    """
    return Outcomes(
        fit_series,
        [(one, roster) for one in series],
        count_workers(len(series), n_jobs),
    )


def fit_all_pooled(
    tasks: Sequence[tuple[str, PooledExamples]], *, n_jobs: int | None = None
) -> Outcomes[PooledFit | PooledFailure]:
    """Begin to fit pooled members, in this process or in several.

    Parameters
    ----------
    tasks : sequence of (str, PooledExamples)
        Member and what it learns from.
    n_jobs : int, optional
        Processes, by default one per core when there is work enough.

    Returns
    -------
    Outcomes of PooledFit or PooledFailure
        In order.
    """
    n_rows = sum(len(examples.y) for _, examples in tasks)
    n_workers = (
        1
        if n_jobs is None and n_rows < MIN_POOLED_ROWS
        else n_jobs or count_cores()
    )
    # As many as fit the series meanwhile: they are the same processes.
    return Outcomes(fit_pooled, tasks, n_workers)


def warm_up(n_workers: int) -> threading.Thread:
    """Start processes and have them import what they need, meanwhile.

    Parameters
    ----------
    n_workers : int
        As `count_workers` counts them; none are started for 1 or less.

    Returns
    -------
    Thread
        To be joined before anything is fitted.
    """

    def start() -> None:
        if n_workers > 1:
            # What they can do is found out when they are needed.
            with contextlib.suppress(TrainingError):
                for _ in Outcomes(_ready, [()] * n_workers, n_workers):
                    pass

    thread = threading.Thread(target=start, name="warm_up", daemon=True)
    thread.start()
    return thread


def count_workers(n_series: int, n_jobs: int | None) -> int:
    """Processes to fit in; 1 or less means this one.

    Examples
    --------
    >>> count_workers(170, 2), count_workers(3, 8)
    (2, 3)
    """
    if n_jobs is not None:
        return min(n_jobs, n_series)
    return min(count_cores(), n_series // MIN_SERIES_PER_WORKER)


def count_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_worker(parent: int, function: Callable[..., T], *task: Any) -> T:
    _watch(parent)
    return function(*task)


def _ready() -> None:
    """Nothing: what a task needs was imported with this module."""


def _watch(parent: int) -> None:
    if not _watched.is_set():
        _watched.set()
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)
