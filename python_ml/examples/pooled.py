"""Rows of all series of a timeframe, from which pooled members learn."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import CLASSES
from python_ml.examples.arrays import (
    SPLIT_PARTS,
    TimeArray,
)
from python_ml.examples.frames import codes_of, runs, to_times
from python_ml.examples.series import Series
from python_ml.members.base import IntArray
from python_ml.members.settings import (
    POOLED_FEW_ROWS,
    POOLED_MAX_ROWS,
    POOLED_ROWS_PER_LABEL,
)
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)


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

    Features are read once, labels of all horizons beside them.

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
    rows_of_cut = """
        from {features}.feature_rows as feature_rows
        inner join {ml}.training_cuts as cuts
            on
                feature_rows.calendar = cuts.calendar
                and feature_rows.timeframe = cuts.timeframe
                and feature_rows.closed_at >= coalesce(
                    cuts.pooled_window_starts_at, cuts.window_starts_at
                )
                and feature_rows.closed_at <= cuts.as_of
        where
            cuts.cut_id = :cut_id
            and feature_rows.timeframe = :timeframe
            and feature_rows.symbol_id = any(:symbol_ids)
            and feature_rows.is_usable
    """
    n_rows = int(
        read_frame(warehouse, f"select count(*) as n_rows {rows_of_cut}", keys)[
            "n_rows"
        ].iloc[0]
    )
    keys["step"] = step = thinning(n_rows, 0)
    # Not every series at the same times: all times stay.
    every = "mod(bar_number + symbol_id, :step) = 0"
    columns = ",\n".join(f'feature_rows."{name}"' for name in feature_names)
    features = read_frame(
        warehouse,
        f"""
        select
            feature_rows.symbol_id,
            feature_rows.bar_number,
            {columns}
        {rows_of_cut}
            and {every}
        """,
        keys,
    )
    labels = read_frame(
        warehouse,
        f"""
        select
            symbol_id,
            bar_number,
            horizon,
            horizon_bars,
            label,
            label_end_at,
            split_part
        from {{features}}.pooled_examples
        where
            cut_id = :cut_id
            and timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
            and {every}
        order by horizon_bars, bar_number, symbol_id
        """,
        keys,
    )
    log_event(
        logger,
        "rows_read",
        table="features.pooled_examples",
        rows=len(labels),
        feature_rows=len(features),
        step=step,
        cut_id=cut_id,
        timeframe=series[0].timeframe,
    )
    X = features[list(feature_names)].to_numpy(dtype=np.float32)
    order, found = _positions(features, labels)
    labels, positions = labels[found], order[found]
    examples = []
    codes = dict(zip(CLASSES, range(len(CLASSES)), strict=True))
    for first, last in runs(labels[["horizon_bars"]].to_numpy()):
        rows = labels.iloc[first:last]
        horizon_bars = int(rows["horizon_bars"].iloc[0])
        further = max(1, thinning(len(rows) * step, horizon_bars) // step)
        places = rows["bar_number"] + rows["symbol_id"]
        used = (places % (step * further) == 0).to_numpy()
        rows = rows[used]
        examples.append(
            PooledExamples(
                horizon=str(rows["horizon"].iloc[0]),
                horizon_bars=horizon_bars,
                X=X[positions[first:last][used]],
                y=codes_of(rows["label"], codes),
                symbol_ids=rows["symbol_id"].to_numpy(dtype=np.int64),
                bar_numbers=rows["bar_number"].to_numpy(dtype=np.int64),
                label_end_at=to_times(rows["label_end_at"]),
                split_parts=codes_of(rows["split_part"], SPLIT_PARTS),
            )
        )
    return examples


def _positions(
    features: pd.DataFrame, labels: pd.DataFrame
) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Row of `features` of each label, and whether there is one."""
    width = 1 << 32

    def keys(frame: pd.DataFrame) -> IntArray:
        symbol_ids = frame["symbol_id"].to_numpy(dtype=np.int64)
        found: IntArray = symbol_ids * width + frame["bar_number"].to_numpy(
            dtype=np.int64
        )
        return found

    of_features, of_labels = keys(features), keys(labels)
    order = np.argsort(of_features, kind="stable")
    if len(order) == 0:
        return np.zeros(len(labels), np.int64), np.zeros(len(labels), bool)
    places = np.searchsorted(of_features[order], of_labels)
    rows = order[np.minimum(places, len(order) - 1)]
    found: npt.NDArray[np.bool_] = of_features[rows] == of_labels
    return rows, found
