"""Fit many series in several processes.

Each process uses one thread, so that there are as many threads as cores. A
process ends with the one that started it, however that ended: otherwise a
killed training would leave its workers waiting for ever, with their memory.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from python_ml.exceptions import TrainingError
from python_ml.fitting import (
    FitFailure,
    FittedHorizon,
    SeriesExamples,
    fit_series,
)

Outcome = tuple[FittedHorizon, ...] | FitFailure

# A new process costs about as much as two series.
MIN_SERIES_PER_WORKER = 4
PARENT_CHECK_SECONDS = 1.0

_watched = threading.Event()


def fit_all(
    series: Sequence[SeriesExamples], *, n_jobs: int | None = None
) -> Iterator[Outcome]:
    """Fit every series, in order, in this process or in several.

    Parameters
    ----------
    series : sequence of SeriesExamples
        To fit.
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
    if n_workers <= 1:
        yield from map(fit_series, series)
        return
    parent = os.getpid()
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        try:
            yield from joblib.Parallel(
                n_jobs=n_workers, return_as="generator", batch_size=1
            )(joblib.delayed(_fit_in_worker)(one, parent) for one in series)
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
    n_cores = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )
    return min(n_cores, n_series // MIN_SERIES_PER_WORKER)


def _fit_in_worker(series: SeriesExamples, parent: int) -> Outcome:
    if not _watched.is_set():
        _watched.set()
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    return fit_series(series)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)
