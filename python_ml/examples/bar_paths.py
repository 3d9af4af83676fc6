"""Bars of a series up to each row's own, for members that model a path."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from python_ml.ensemble import FloatArray
from python_ml.members.base import IntArray
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

BAR_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class BarPath:
    """Bars of one series on the basis of its first, by their number.

    Parameters
    ----------
    first_bar_number : int
        Of the first bar.
    values : ndarray of shape (n_bars, 5)
        `BAR_COLUMNS` of every bar of the grid; NaN where there is none.
    """

    first_bar_number: int
    values: FloatArray

    def windows(self, bar_numbers: IntArray, n_bars: int) -> FloatArray:
        """The last bars that had closed with each bar, its own included.

        Parameters
        ----------
        bar_numbers : ndarray of int of shape (n_samples,)
            Of the rows.
        n_bars : int
            Length of each window.

        Returns
        -------
        ndarray of shape (n_samples, n_bars, 5)
            Oldest bar first; NaN where a bar is missing.

        Examples
        --------
        >>> path = BarPath(7, np.arange(15.0).reshape(3, 5))
        >>> path.windows(np.array([7, 9]), 2)[:, :, 0]
        array([[nan,  0.],
               [ 5., 10.]])
        """
        # Far enough on both sides for every row to have a whole window.
        before = max(0, self.first_bar_number - bar_numbers.min() + n_bars - 1)
        after = max(
            0,
            bar_numbers.max() - self.first_bar_number - len(self.values) + 1,
        )
        padded = np.pad(
            self.values, ((before, after), (0, 0)), constant_values=np.nan
        )
        ends = bar_numbers - self.first_bar_number + before
        found: FloatArray = sliding_window_view(padded, n_bars, axis=0)[
            ends - n_bars + 1
        ].transpose(0, 2, 1)
        return found


def read_bar_paths(
    warehouse: Warehouse,
    timeframe: str,
    symbol_ids: Sequence[int],
    *,
    first_bar_number: int,
    last_bar_number: int,
) -> dict[int, BarPath]:
    """Bars of some series between two numbers, in one query.

    Returns
    -------
    dict of int to BarPath
        By symbol_id; series without bars there are absent.
    """
    columns = ", ".join(f"adjusted_{name}" for name in BAR_COLUMNS)
    bars = read_frame(
        warehouse,
        f"""
        select symbol_id, bar_number, {columns}
        from {{features}}.bars
        where
            timeframe = :timeframe
            and symbol_id = any(:symbol_ids)
            and bar_number between :first_bar_number and :last_bar_number
        order by symbol_id, bar_number
        """,
        {
            "timeframe": timeframe,
            "symbol_ids": list(symbol_ids),
            "first_bar_number": first_bar_number,
            "last_bar_number": last_bar_number,
        },
    )
    paths = {}
    for _, own in bars.groupby("symbol_id"):
        numbers = own["bar_number"].to_numpy(dtype=np.int64)
        values = np.full(
            (numbers[-1] - numbers[0] + 1, len(BAR_COLUMNS)), np.nan
        )
        values[numbers - numbers[0]] = own.iloc[:, 2:]
        paths[int(own["symbol_id"].iloc[0])] = BarPath(int(numbers[0]), values)
    return paths
