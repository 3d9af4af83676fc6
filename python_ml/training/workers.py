"""Fit many series in several processes."""

from collections.abc import Sequence
from threading import Thread

from python_ml.examples.arrays import SeriesExamples
from python_ml.examples.pooled import PooledExamples
from python_ml.members import PER_SERIES, Roster
from python_ml.processes import (
    Outcomes,
    count_cores,
    count_workers,
    warm_up,
)
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

# A new process costs about as much as two series.
MIN_SERIES_PER_WORKER = 4
MIN_POOLED_ROWS = 40_000


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
        count_workers(
            len(series), n_jobs, least_per_worker=MIN_SERIES_PER_WORKER
        ),
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


def warm_up_to_fit(n_series: int, n_jobs: int | None) -> Thread:
    """Start the processes of `fit_all` and have them import, meanwhile.

    Parameters
    ----------
    n_series : int
        How many are to be fitted; none are started for 0.
    n_jobs : int, optional
        As in `fit_all`.

    Returns
    -------
    Thread
        To be joined before anything is fitted.
    """
    n_workers = count_workers(
        n_series, n_jobs, least_per_worker=MIN_SERIES_PER_WORKER
    )
    return warm_up(n_workers, _ready)


def _ready() -> None:
    """Nothing: what a task needs was imported with this module."""
