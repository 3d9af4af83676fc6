"""Rows under a cut: the features of each once, its labels beside them.

A row has a label for every horizon. Its features are read once and matched
with the labels here, by series and bar number; what each horizon has its own
number of comes with the labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from python_ml.console.logs import get_logger, log_event
from python_ml.ensemble import CLASSES
from python_ml.examples.arrays import SPLIT_PARTS, TimeArray
from python_ml.examples.catalog import read_horizon_feature_names
from python_ml.examples.frames import codes_of, runs, to_times
from python_ml.members.base import IntArray
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """A window of a cut.

    Parameters
    ----------
    view : str
        Of the schema features, with the labels of its rows.
    starts_at : str
        Column of the cut with its first close.
    """

    view: str
    starts_at: str


EXAMPLES = Window("training_examples", "window_starts_at")
POOLED = Window("pooled_examples", "pooled_window_starts_at")


@dataclass(frozen=True)
class LabelledRows:
    """Features of rows, and their labels over all horizons.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_row_features)
        Features in catalog order, each row once, every column contiguous.
    X_by_horizon : ndarray of shape (n_labels, n_horizon_features)
        Those that follow them, of each label its own.
    places : ndarray of int of shape (n_labels,)
        Row of `X` that each label is of.
    labels : DataFrame of shape (n_labels, n_columns)
        Keys, `horizon`, `horizon_bars` and what else was asked for.
    y, split_parts : ndarray of int of shape (n_labels,)
        Positions in `CLASSES`; `FIT`, `VALIDATION` or `PURGED`.
    label_end_at : ndarray of datetime64[us] of shape (n_labels,)
        UTC.
    """

    X: npt.NDArray[np.floating[Any]]
    X_by_horizon: npt.NDArray[np.floating[Any]]
    places: IntArray
    labels: pd.DataFrame
    y: IntArray
    split_parts: IntArray
    label_end_at: TimeArray

    def runs(self, *columns: str) -> list[tuple[int, int]]:
        """First and past-the-last label of each run of equal `columns`."""
        return runs(self.labels[list(columns)].to_numpy())

    def integers(self, column: str) -> IntArray:
        """A whole-numbered column of the labels."""
        return self.labels[column].to_numpy(dtype=np.int64)

    def features(self, used: IntArray) -> npt.NDArray[Any]:
        """All features of some labels.

        Returns
        -------
        ndarray of shape (n_used, n_features)
            Every column contiguous.
        """
        n_of_row = self.X.shape[1]
        n_features = n_of_row + self.X_by_horizon.shape[1]
        X = np.empty((n_features, len(used)), self.X.dtype)
        # Places are valid; told to clip, numpy writes without a copy.
        places = self.places[used]
        np.take(self.X.T, places, axis=1, out=X[:n_of_row], mode="clip")
        X[n_of_row:] = self.X_by_horizon[used].T
        return X.T

    def is_finite(self) -> npt.NDArray[np.bool_]:
        """Whether every feature of a label is a number, shape (n_labels,)."""
        of_rows: npt.NDArray[np.bool_] = np.isfinite(self.X).all(axis=1)
        of_labels: npt.NDArray[np.bool_] = np.isfinite(self.X_by_horizon).all(
            axis=1
        )
        return of_rows[self.places] & of_labels


def count_rows(
    warehouse: Warehouse, window: Window, keys: Mapping[str, Any]
) -> int:
    """Usable feature rows in the window of a cut, labelled or not."""
    counted = read_frame(
        warehouse, f"select count(*) as n_rows {_rows_in(window)}", keys
    )
    return int(counted["n_rows"].iloc[0])


def read_labelled_rows(
    warehouse: Warehouse,
    window: Window,
    keys: Mapping[str, Any],
    feature_names: Sequence[str],
    *,
    measures: Sequence[str] = (),
    order_by: str,
    dtype: type[np.floating[Any]] = np.float64,
    step: int = 1,
) -> LabelledRows:
    """Read features once a row and the labels of all horizons beside them.

    Parameters
    ----------
    warehouse : Warehouse
    window : Window
    keys : mapping of str to object
        `cut_id`, `timeframe` and `symbol_ids`.
    feature_names : sequence of str
        In catalog order.
    measures : sequence of str, optional
        More columns of the view.
    order_by : str
        Order of the labels.
    dtype : type, default=numpy.float64
        Of `X`.
    step : int, default=1
        Every how manyth bar is read, not the same ones of every series, so
        that all times stay.
    """
    every = "and mod(bar_number + symbol_id, :step) = 0" if step > 1 else ""
    keys = {**keys, "step": step}
    by_horizon = [
        name
        for name in read_horizon_feature_names(warehouse)
        if name in feature_names
    ]
    of_row = [name for name in feature_names if name not in by_horizon]
    rows = _read_rows(warehouse, window, keys, of_row, every)
    labels = _read_labels(
        warehouse,
        window,
        keys,
        (*measures, *by_horizon),
        f"{every} order by {order_by}",
    )
    log_event(
        logger,
        "rows_read",
        table=f"features.{window.view}",
        rows=len(labels),
        feature_rows=len(rows),
        first=labels["label_end_at"].min() if len(labels) else None,
        last=labels["label_end_at"].max() if len(labels) else None,
        step=step,
        cut_id=keys["cut_id"],
        timeframe=keys["timeframe"],
    )
    X = rows[of_row].to_numpy(dtype=dtype)
    places, is_found = _match(_row_keys(rows), _row_keys(labels))
    if not is_found.all():
        labels, places = labels[is_found], places[is_found]
    classes = dict(zip(CLASSES, range(len(CLASSES)), strict=True))
    return LabelledRows(
        X=X,
        X_by_horizon=labels[by_horizon].to_numpy(dtype=dtype),
        places=places,
        labels=labels,
        y=codes_of(labels["label"], classes),
        split_parts=codes_of(labels["split_part"], SPLIT_PARTS),
        label_end_at=to_times(labels["label_end_at"]),
    )


def _read_rows(
    warehouse: Warehouse,
    window: Window,
    keys: Mapping[str, Any],
    names: Sequence[str],
    condition: str,
) -> pd.DataFrame:
    """Features of the usable rows in a window, in the order of their keys."""
    columns = ", ".join(f'feature_rows."{name}"' for name in names)
    return read_frame(
        warehouse,
        f"""
        select feature_rows.symbol_id, feature_rows.bar_number, {columns}
        {_rows_in(window)} {condition}
        order by feature_rows.symbol_id, feature_rows.bar_number
        """,
        keys,
    )


def _read_labels(
    warehouse: Warehouse,
    window: Window,
    keys: Mapping[str, Any],
    names: Sequence[str],
    ending: str,
) -> pd.DataFrame:
    """Labels of all horizons with further columns of the window's view."""
    columns = ", ".join(
        (
            "symbol_id, bar_number, horizon, horizon_bars",
            "label, label_end_at, split_part",
            *names,
        )
    )
    return read_frame(
        warehouse,
        f"""
        select {columns}
        from {{features}}.{window.view}
        where
            cut_id = :cut_id
            and timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
            {ending}
        """,
        keys,
    )


def _rows_in(window: Window) -> str:
    """From and where of the usable feature rows in a window."""
    return f"""
        from {{features}}.feature_rows as feature_rows
        inner join {{staging}}.stg_ml__training_cuts as cuts
            on
                feature_rows.calendar = cuts.calendar
                and feature_rows.timeframe = cuts.timeframe
                and feature_rows.closed_at >= cuts.{window.starts_at}
                and feature_rows.closed_at <= cuts.as_of
        where
            cuts.cut_id = :cut_id
            and feature_rows.timeframe = :timeframe
            and feature_rows.symbol_id = any(:symbol_ids)
            and feature_rows.is_usable
    """


def _row_keys(frame: pd.DataFrame) -> IntArray:
    """Series and bar as one number, in the order of both."""
    numbers = frame["bar_number"].to_numpy(dtype=np.int64)
    keys: IntArray = (
        frame["symbol_id"].to_numpy(dtype=np.int64) * (1 << 32) + numbers
    )
    return keys


def _match(
    sorted_keys: IntArray, keys: IntArray
) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Place of each key among sorted ones, and whether it is there."""
    places = np.searchsorted(sorted_keys, keys)
    if len(sorted_keys) == 0:
        return places, np.zeros(len(keys), bool)
    places = np.minimum(places, len(sorted_keys) - 1)
    return places, sorted_keys[places] == keys
