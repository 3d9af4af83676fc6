"""Rows of all series of a timeframe, from which pooled members learn."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from python_ml.examples.arrays import TimeArray
from python_ml.examples.labelled_rows import (
    POOLED,
    count_rows,
    read_labelled_rows,
)
from python_ml.examples.series import Series
from python_ml.members.base import IntArray
from python_ml.members.settings import (
    POOLED_FEW_ROWS,
    POOLED_MAX_ROWS,
    POOLED_ROWS_PER_LABEL,
)
from python_ml.warehouse.connection import Warehouse


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


def read_pooled_examples(
    warehouse: Warehouse,
    cut_id: int,
    series: Sequence[Series],
    feature_names: Sequence[str],
) -> list[PooledExamples]:
    """What pooled members learn from under a cut, thinned out.

    Returns
    -------
    list of PooledExamples
        Shortest horizon first; those without rows are absent.
    """
    keys: dict[str, Any] = {
        "cut_id": cut_id,
        "timeframe": series[0].timeframe,
        "symbol_ids": [one.symbol_id for one in series],
    }
    step = thinning(count_rows(warehouse, POOLED, keys), 0)
    rows = read_labelled_rows(
        warehouse,
        POOLED,
        keys,
        feature_names,
        order_by="horizon_bars, bar_number, symbol_id",
        dtype=np.float32,
        step=step,
    )
    # One series with a number that no market makes spoils no pool; validation
    # names it.
    is_finite = rows.is_finite()
    symbol_ids = rows.integers("symbol_id")
    bar_numbers = rows.integers("bar_number")
    examples = []
    for first, last in rows.runs("horizon_bars"):
        horizon_bars = int(rows.labels["horizon_bars"].iloc[first])
        further = max(1, thinning((last - first) * step, horizon_bars) // step)
        places = bar_numbers[first:last] + symbol_ids[first:last]
        used = first + np.flatnonzero(
            (places % (step * further) == 0) & is_finite[first:last]
        )
        examples.append(
            PooledExamples(
                horizon=str(rows.labels["horizon"].iloc[first]),
                horizon_bars=horizon_bars,
                X=rows.features(used),
                y=rows.y[used],
                symbol_ids=symbol_ids[used],
                bar_numbers=bar_numbers[used],
                label_end_at=rows.label_end_at[used],
                split_parts=rows.split_parts[used],
            )
        )
    return examples
