"""A load's bars in parts that are screened and stored one after the other."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.base import BarParts
from python_ml.ingestion.screening.values import clean_text

# Enough that a part's own cost is nothing, few enough to hold several copies.
ROWS_AT_ONCE = 100_000


class FrameParts:
    """Parts of bars that are in memory as a whole.

    Parameters
    ----------
    bars : DataFrame
        `Load.bars`.
    """

    def __init__(self, bars: pd.DataFrame) -> None:
        self._bars = bars.reset_index(drop=True)
        tickers = clean_text(self._bars["ticker"])
        self.tickers: frozenset[str] = frozenset(tickers.cat.categories)
        self._rows = _split_by_ticker(tickers)

    def __len__(self) -> int:
        """Count the parts."""
        return len(self._rows)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Go through the parts by name of ticker."""
        for rows in self._rows:
            yield self._bars.iloc[rows]

    def renamed(self, names: Mapping[str, str]) -> BarParts:
        """Give the same bars with other names of some tickers."""
        if not self.tickers & names.keys():
            return self
        return FrameParts(with_names(self._bars, names))


def as_parts(
    bars: pd.DataFrame | BarParts, names: Mapping[str, str] | None = None
) -> BarParts:
    """Bars of any load as parts.

    Parameters
    ----------
    bars : DataFrame or BarParts
        `Load.bars`.
    names : mapping of str to str, optional
        Present names of former tickers.
    """
    parts = FrameParts(bars) if isinstance(bars, pd.DataFrame) else bars
    return parts.renamed(names or {})


def with_names(bars: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Bars with other names of some tickers."""
    former = clean_text(bars["ticker"])
    present = former.astype(object).map(dict(names))
    tickers = former.astype(object).mask(present.notna(), present)
    return bars.assign(ticker=clean_text(tickers))


def assign_parts(
    counts: Mapping[str, int], at_once: int | None = None
) -> dict[str, int]:
    """Number of the part that each ticker's rows go to, by name of ticker.

    Parameters
    ----------
    counts : mapping of str to int
        Rows of each ticker.
    at_once : int, optional
        Rows that a part holds at most, unless one ticker has more; by default
        `ROWS_AT_ONCE`.

    Examples
    --------
    >>> assign_parts({"B": 60, "A": 50, "C": 200, "D": 1}, at_once=120)
    {'A': 0, 'B': 0, 'C': 1, 'D': 2}
    """
    at_once = ROWS_AT_ONCE if at_once is None else at_once
    parts: dict[str, int] = {}
    number, size = 0, 0
    for ticker in sorted(counts):
        if size and size + counts[ticker] > at_once:
            number, size = number + 1, 0
        parts[ticker] = number
        size += counts[ticker]
    return parts


def order_by_ticker(tickers: "pd.Series[Any]") -> NDArray[np.intp]:
    """Row numbers by name of ticker, those of one in their order."""
    ordered = tickers.cat.reorder_categories(sorted(tickers.cat.categories))
    # The code of a missing ticker is -1; as an unsigned number it is the last.
    codes = ordered.cat.codes.to_numpy(np.int64).view(np.uint64)
    return np.argsort(codes, kind="stable")


def _split_by_ticker(tickers: "pd.Series[Any]") -> list[NDArray[np.intp]]:
    """Row numbers in parts that hold all rows of their tickers.

    Tickers go by name, so that new ones get ids that rise with it and bars
    arrive in the order of their key; the rows of each stay in order. Rows
    without a ticker are a part of their own, the last.
    """
    rows = order_by_ticker(tickers)
    names = tickers.cat.categories
    n_rows = np.bincount(
        tickers.cat.codes[tickers.notna()], minlength=len(names)
    )
    counts = dict(zip(names, n_rows.tolist(), strict=True))
    part_of = assign_parts(counts)
    numbers = np.array([part_of[name] for name in names], int)
    sizes = np.bincount(numbers, weights=n_rows).astype(int)
    ends = [*np.cumsum(sizes).tolist(), len(rows)]
    starts = [0, *ends[:-1]]
    return [
        rows[start:end]
        for start, end in zip(starts, ends, strict=True)
        if end > start
    ]
