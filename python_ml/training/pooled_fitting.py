"""Fit members once for all series of a timeframe and horizon, on arrays alone.

The rows obey the same cut as every series' own, only the window begins
earlier. Rows of one time weigh 1 / (series at that time), and rows that repeat
each other are thinned out.
"""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from python_ml.ensemble import CLASSES, FloatArray
from python_ml.examples.arrays import FIT
from python_ml.examples.pooled import PooledExamples
from python_ml.exceptions import NotEnoughDataError
from python_ml.members import make_member
from python_ml.members.base import IntArray, Member


@dataclass(frozen=True)
class PooledFit:
    """A pooled member, fitted on `fit` and on the whole window.

    Parameters
    ----------
    name : str
        In the roster.
    horizon : str
        For example `5d`.
    validated, deployed : Member
        Fitted on `fit` alone, and on everything that had settled.
    n_rows, n_series : int
        Of the whole window.
    n_effective : float
        Times over the horizon.
    seconds : float
        Spent on both fits.
    """

    name: str
    horizon: str
    validated: Member
    deployed: Member
    n_rows: int
    n_series: int
    n_effective: float
    seconds: float


@dataclass(frozen=True)
class PooledFailure:
    """A pooled member that could not be fitted, and why.

    Parameters
    ----------
    name, horizon : str
        Which.
    message : str
        For people.
    """

    name: str
    horizon: str
    message: str


def fit_pooled(
    name: str, examples: PooledExamples
) -> PooledFit | PooledFailure:
    """Fit one pooled member; a failure is returned, not raised.

    Uses one thread, so that the result does not depend on the machine.
    """
    started = time.monotonic()
    try:
        with threadpool_limits(limits=1):
            validated = _fit(name, examples, examples.split_parts == FIT)
            deployed = _fit(name, examples, np.ones(len(examples.y), bool))
    except Exception as error:
        # Series still have their own members.
        return PooledFailure(
            name, examples.horizon, f"{type(error).__name__}: {error}"
        )
    return PooledFit(
        name=name,
        horizon=examples.horizon,
        validated=validated,
        deployed=deployed,
        n_rows=len(examples.y),
        n_series=len(np.unique(examples.symbol_ids)),
        n_effective=deployed.n_effective_,
        seconds=time.monotonic() - started,
    )


def _fit(
    name: str, examples: PooledExamples, used: npt.NDArray[np.bool_]
) -> Member:
    if not used.any():
        raise NotEnoughDataError("there is no row to fit on")
    member = make_member(
        name,
        horizon_bars=examples.horizon_bars,
        prior_shares=np.full(len(CLASSES), 1 / len(CLASSES)),
    )
    return member.fit(
        examples.X[used],
        examples.y[used],
        sample_weight=time_weights(examples.bar_numbers[used]),
    )


def time_weights(bar_numbers: IntArray) -> FloatArray:
    """1 / (rows at that time), so that every time counts once.

    Examples
    --------
    >>> time_weights(np.array([7, 7, 8])).tolist()
    [0.5, 0.5, 1.0]
    """
    _, inverse, counts = np.unique(
        bar_numbers, return_inverse=True, return_counts=True
    )
    weights: FloatArray = 1.0 / counts[inverse]
    return weights
