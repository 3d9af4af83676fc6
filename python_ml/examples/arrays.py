"""Training rows as arrays, one object a series, and what divides them."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from python_ml.ensemble import FloatArray
from python_ml.examples.bar_paths import BarPath
from python_ml.exceptions import NotEnoughDataError
from python_ml.members.base import IntArray

TimeArray = npt.NDArray[np.datetime64]

FIT, VALIDATION, PURGED = 0, 1, 2
SPLIT_PARTS = {"fit": FIT, "validation": VALIDATION, "purged": PURGED}


@dataclass(frozen=True)
class HorizonExamples:
    """Rows of `features.training_examples` of one series and horizon.

    Parameters
    ----------
    horizon : str
        For example `5d`.
    horizon_bars : int
        The same in grid bars.
    X : ndarray of shape (n_samples, n_features)
        Features in catalog order, ascending in time.
    y : ndarray of int of shape (n_samples,)
        Positions in `CLASSES`.
    moves : ndarray of shape (n_samples,)
        label_return / expected_volatility.
    bar_numbers : ndarray of int of shape (n_samples,)
        On the grid.
    closed_at, label_end_at : ndarray of datetime64[us] of shape (n_samples,)
        UTC.
    split_parts : ndarray of int of shape (n_samples,)
        `FIT`, `VALIDATION` or `PURGED`.
    fit_climatology, window_climatology : ndarray of shape (3,)
        Class shares known from `fit`, and from everything up to the as-of
        time, over the long window of pooled members.
    session_bars : int, default=1
        Grid bars of a full session.
    bars : BarPath, optional
        Bars of the series, from those that the first row looks back at to the
        last row's own; None where no member asks for them.
    """

    horizon: str
    horizon_bars: int
    X: FloatArray
    y: IntArray
    moves: FloatArray
    bar_numbers: IntArray
    closed_at: TimeArray
    label_end_at: TimeArray
    split_parts: IntArray
    fit_climatology: FloatArray
    window_climatology: FloatArray
    session_bars: int = 1
    bars: BarPath | None = None

    def paths(self, n_bars: int) -> FloatArray:
        """The last bars that had closed with each row's; see `BarPath`.

        Returns
        -------
        ndarray of shape (n_samples, n_bars, 5)
        """
        if self.bars is None:
            raise NotEnoughDataError(
                f"No bars were read beside the rows of {self.horizon}: no "
                "member of the roster has n_path_bars above 0."
            )
        return self.bars.windows(self.bar_numbers, n_bars)

    def count(self, part: int) -> int:
        """Number of rows in a part of the split."""
        return int((self.split_parts == part).sum())


@dataclass(frozen=True)
class SeriesExamples:
    """Training rows of one series.

    Parameters
    ----------
    symbol_id : int
        Key of `raw.symbols`.
    ticker, calendar, timeframe : str
        For people, and for its cut.
    feature_names : tuple of str
        Columns of every `X`.
    horizons : tuple of HorizonExamples
        Shortest first.
    """

    symbol_id: int
    ticker: str
    calendar: str
    timeframe: str
    feature_names: tuple[str, ...]
    horizons: tuple[HorizonExamples, ...]

    def fingerprint(self) -> str:
        """SHA-256 of every value that fitting reads."""
        digest = hashlib.sha256()
        for rows in self.horizons:
            digest.update(f"{rows.horizon} {rows.horizon_bars}".encode())
            for array in (
                rows.X,
                rows.y,
                rows.moves,
                rows.bar_numbers,
                rows.closed_at,
                rows.label_end_at,
                rows.split_parts,
                rows.fit_climatology,
                rows.window_climatology,
                *([] if rows.bars is None else [rows.bars.values]),
            ):
                digest.update(str(array.shape).encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
