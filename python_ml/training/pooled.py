"""Fit members once for all series of a timeframe and horizon, on arrays alone.

The rows obey the same cut as every series' own, only the window begins
earlier. Rows of one time weigh 1 / (series at that time), and rows that repeat
each other are thinned out.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from python_ml.ensemble import CLASSES, FloatArray
from python_ml.exceptions import LeakageError, NotEnoughDataError
from python_ml.members import make_member
from python_ml.members.base import IntArray, Member
from python_ml.members.settings import (
    POOLED_FEW_ROWS,
    POOLED_MAX_ROWS,
    POOLED_ROWS_PER_LABEL,
)
from python_ml.training.fitting import (
    FIT,
    TimeArray,
)


@dataclass(frozen=True)
class PooledExamples:
    """Rows of all series of a timeframe and horizon under one cut.

    Parameters
    ----------
    horizon : str
        For example `5d`.
    horizon_bars : int
        The same in grid bars.
    X : ndarray of float32 of shape (n_samples, n_features)
        Features in catalog order.
    y : ndarray of int of shape (n_samples,)
        Positions in `CLASSES`.
    symbol_ids, bar_numbers : ndarray of int of shape (n_samples,)
        Keys of each row.
    label_end_at : ndarray of datetime64[us] of shape (n_samples,)
        UTC.
    split_parts : ndarray of int of shape (n_samples,)
        `FIT`, `VALIDATION` or `PURGED`.
    """

    horizon: str
    horizon_bars: int
    X: npt.NDArray[np.floating[Any]]
    y: IntArray
    symbol_ids: IntArray
    bar_numbers: IntArray
    label_end_at: TimeArray
    split_parts: IntArray

    def fingerprint(self) -> str:
        """SHA-256 of every value that fitting reads."""
        digest = hashlib.sha256(f"{self.horizon} {self.horizon_bars}".encode())
        for array in (
            self.X,
            self.y,
            self.symbol_ids,
            self.bar_numbers,
            self.label_end_at,
            self.split_parts,
        ):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class PooledFit:
    """A pooled member, fitted on `fit` and on the whole window.

    Parameters
    ----------
    name : str
        In the roster.
    horizon : str
        For example `5d`.
    judged, deployed : Member
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
    judged: Member
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


def thinning(n_rows: int, horizon_bars: int) -> int:
    """Every how manyth row is used, so that few repeat each other.

    Parameters
    ----------
    n_rows : int
        Rows there are, of all series.
    horizon_bars : int
        Grid bars a label looks ahead; 0 for what all horizons share.

    Examples
    --------
    >>> thinning(30_000, 20), thinning(400_000, 20), thinning(1_300_000, 0)
    (1, 5, 5)
    """
    needed = -(-n_rows // POOLED_MAX_ROWS)
    repeated = min(
        horizon_bars // POOLED_ROWS_PER_LABEL, n_rows // POOLED_FEW_ROWS
    )
    return max(1, needed, repeated)


def check_cut(
    label_end_at: TimeArray,
    split_parts: IntArray,
    *,
    fit_labels_end_before: datetime,
    as_of: datetime,
    what: str,
) -> None:
    """Refuse rows that the cut does not allow, whoever let them through.

    Parameters
    ----------
    label_end_at : ndarray of datetime64[us] of shape (n_samples,)
        When each label was known, UTC.
    split_parts : ndarray of int of shape (n_samples,)
        `FIT`, `VALIDATION` or `PURGED`.
    fit_labels_end_before, as_of : datetime
        Of the cut.
    what : str
        For messages.

    Raises
    ------
    LeakageError
        If a label of `fit` ends within the embargo or later, or any label
        after the as-of time.
    """
    if len(label_end_at) == 0:
        return
    boundary, known = _utc(fit_labels_end_before), _utc(as_of)
    crossing = int(((split_parts == FIT) & (label_end_at >= boundary)).sum())
    unknown = int((label_end_at > known).sum())
    if crossing or unknown:
        raise LeakageError(
            f"{what}: {crossing} rows to fit on have labels that end at or "
            f"after {boundary}, where the cut ends fit, and {unknown} rows "
            f"have labels that ended after the as-of time {known}. Nothing was "
            "trained. Find them in leakage_audit: swiftbolt build"
        )


def fit_pooled(
    name: str, examples: PooledExamples
) -> PooledFit | PooledFailure:
    """Fit one pooled member; a failure is returned, not raised.

    Uses one thread, so that the result does not depend on the machine.
    """
    started = time.monotonic()
    try:
        with threadpool_limits(limits=1):
            judged = _fit(name, examples, examples.split_parts == FIT)
            deployed = _fit(name, examples, np.ones(len(examples.y), bool))
    except Exception as error:
        # Series still have their own members.
        return PooledFailure(
            name, examples.horizon, f"{type(error).__name__}: {error}"
        )
    return PooledFit(
        name=name,
        horizon=examples.horizon,
        judged=judged,
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


def _utc(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
