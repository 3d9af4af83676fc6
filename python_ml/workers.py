"""Fit many series in several processes.

Each process uses one thread, so that there are as many threads as cores. A
process ends with the one that started it, however that ended: otherwise a
killed training would leave its workers waiting for ever, with their memory.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from python_ml.exceptions import TrainingError
from python_ml.fitting import (
    FitFailure,
    FittedHorizon,
    PooledJudgements,
    SeriesExamples,
    fit_series,
)
from python_ml.members import PER_SERIES, Roster
from python_ml.pooled import (
    PooledExamples,
    PooledFailure,
    PooledFit,
    fit_pooled,
)

Outcome = tuple[FittedHorizon, ...] | FitFailure

# A new process costs about as much as two series.
MIN_SERIES_PER_WORKER = 4
MIN_POOLED_ROWS = 40_000
PARENT_CHECK_SECONDS = 1.0

_watched = threading.Event()


def fit_all(
    series: Sequence[SeriesExamples],
    *,
    roster: Roster = PER_SERIES,
    pooled: Mapping[int, PooledJudgements] | None = None,
    n_jobs: int | None = None,
) -> Iterator[Outcome]:
    """Fit every series, in order, in this process or in several.

    Parameters
    ----------
    series : sequence of SeriesExamples
        To fit.
    roster : Roster, optional
        The members that are in.
    pooled : mapping of int to PooledJudgements, optional
        By symbol_id, for the pooled members among them.
    n_jobs : int, optional
        Processes, by default one per core when there is work enough.

    Yields
    ------
    tuple of FittedHorizon, or FitFailure
        As each is done.

    Raises
    ------
    TrainingError
        If a process was killed.
    """
    n_workers = count_workers(len(series), n_jobs)
    tasks = [(one, roster, (pooled or {}).get(one.symbol_id)) for one in series]
    if n_workers <= 1:
        yield from (fit_series(*task) for task in tasks)
        return
    parent = os.getpid()
    yield from _run_in_workers(
        [joblib.delayed(_fit_in_worker)(parent, *task) for task in tasks],
        n_workers,
    )


def fit_all_pooled(
    tasks: Sequence[tuple[str, PooledExamples]], *, n_jobs: int | None = None
) -> Iterator[PooledFit | PooledFailure]:
    """Fit pooled members, in order, in this process or in several.

    Other processes begin at once; the caller may do other things before it
    asks for what they found.

    Parameters
    ----------
    tasks : sequence of (str, PooledExamples)
        Member and what it learns from.
    n_jobs : int, optional
        Processes, by default one per core.

    Returns
    -------
    iterator of PooledFit or PooledFailure
        As each is done. Raises TrainingError if a process was killed.
    """
    n_rows = sum(len(examples.y) for _, examples in tasks)
    n_workers = (
        1
        if n_jobs is None and n_rows < MIN_POOLED_ROWS
        else min(n_jobs or count_cores(), len(tasks))
    )
    if n_workers <= 1:
        return (fit_pooled(*task) for task in tasks)
    parent = os.getpid()
    return _run_in_workers(
        [
            joblib.delayed(_fit_pooled_in_worker)(parent, *task)
            for task in tasks
        ],
        n_workers,
    )


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
        if n_workers <= 1:
            return
        parent = os.getpid()
        # What they can do is found out when they are needed.
        with contextlib.suppress(TrainingError):
            for _ in _run_in_workers(
                [joblib.delayed(_watch)(parent)] * n_workers, n_workers
            ):
                pass

    thread = threading.Thread(target=start, name="warm_up", daemon=True)
    thread.start()
    return thread


def _run_in_workers(calls: Sequence[Any], n_workers: int) -> Iterator[Any]:
    """Begin at once; what is returned yields in order."""
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        outcomes = joblib.Parallel(
            n_jobs=n_workers, return_as="generator", batch_size=1
        )(calls)
    return _explained(outcomes)


def _explained(outcomes: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from outcomes
    except TerminatedWorkerError as error:
        raise TrainingError(
            "A worker process was killed, perhaps for want of memory. "
            "What was finished is kept; run the same command again with "
            "a smaller --jobs."
        ) from error


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


def _fit_in_worker(
    parent: int,
    series: SeriesExamples,
    roster: Roster,
    pooled: PooledJudgements | None,
) -> Outcome:
    _watch(parent)
    return fit_series(series, roster, pooled)


def _fit_pooled_in_worker(
    parent: int, name: str, examples: PooledExamples
) -> PooledFit | PooledFailure:
    _watch(parent)
    return fit_pooled(name, examples)


def _watch(parent: int) -> None:
    if not _watched.is_set():
        _watched.set()
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)
