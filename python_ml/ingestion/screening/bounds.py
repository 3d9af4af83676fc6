"""What prices and volumes can be, and what rounding leaves of their order."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.calendars.grid import Microseconds

# First row of each and the row after its last.
Pieces = list[tuple[int, int]]

# Beyond these a number is a slip of a vendor's: no market has such prices, and
# squares and sums of them leave the range in which digits are kept.
LARGEST_PRICE = 1e12
SMALLEST_PRICE = 1e-12
LARGEST_VOLUME = 1e15
# Within a bar, or from one to the next, as a quotient.
LARGEST_JUMP = 1e4
# Adjusting divides every price by the same number and rounds each on its own.
ROUNDING = 1e-9
# A series in more pieces than this has no scale that could be told.
MOST_PIECES = 200


def clamp_range(
    values: pd.DataFrame,
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Widen high and low where rounding put open or close outside of them.

    Parameters
    ----------
    values : DataFrame of shape (n_bars, 5)
        open, high, low, close and volume as floats.

    Returns
    -------
    values : DataFrame of shape (n_bars, 5)
        With high and low widened where the breach is at most `ROUNDING` of the
        price; a larger breach stays as it is.
    is_repaired : ndarray of shape (n_bars,)

    Examples
    --------
    >>> bar = {"open": 10.0, "high": 11.0, "low": 9.0, "volume": 5.0}
    >>> values, is_repaired = clamp_range(
    ...     pd.DataFrame([bar | {"close": 11.0 + 1e-15}])
    ... )
    >>> bool(values.loc[0, "high"] == values.loc[0, "close"])
    True
    >>> is_repaired.tolist()
    [True]
    """
    opened, high, low, close = (
        values[name].to_numpy() for name in ("open", "high", "low", "close")
    )
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    with np.errstate(invalid="ignore", over="ignore"):
        is_short = (high < top) & (high >= top * (1 - ROUNDING))
        is_long = (low > bottom) & (low <= bottom * (1 + ROUNDING))
    is_repaired = is_short | is_long
    if not is_repaired.any():
        return values, is_repaired
    clamped = values.assign(
        high=np.where(is_short, top, high), low=np.where(is_long, bottom, low)
    )
    return clamped, is_repaired


def is_price_out_of_bounds(prices: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark bars with a price that no market has."""
    is_out = (prices > LARGEST_PRICE) | (prices < SMALLEST_PRICE)
    return is_out.any(axis="columns").to_numpy(bool)


def is_jump_within(values: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark bars whose high and low are further apart than a price can move."""
    return (values["high"] >= LARGEST_JUMP * values["low"]).to_numpy(bool)


def is_jump_between(
    series: NDArray[np.intp], times: Microseconds, values: pd.DataFrame
) -> NDArray[np.bool_]:
    """Mark the bars that must go for no price to jump by `LARGEST_JUMP`.

    A jump parts a series into pieces, of which the shortest go first: one bar
    in another unit goes alone, and what stands before and after it is compared
    anew. Of a series in more than `MOST_PIECES` pieces nothing is kept.

    Parameters
    ----------
    series : ndarray of shape (n_bars,)
        Number of each bar's series.
    times : ndarray of shape (n_bars,)
    values : DataFrame of shape (n_bars, 5)
        Positive, finite, low at most high.

    Examples
    --------
    >>> close = np.array([10.0, 11.0, 1.1e6, 12.0])
    >>> values = pd.DataFrame({"high": close, "low": close, "close": close})
    >>> is_jump_between(np.zeros(4, int), np.arange(4), values).tolist()
    [False, False, True, False]
    """
    order = np.lexsort((times, series))
    ordered = series[order]
    high, low, close = (
        values[name].to_numpy()[order] for name in ("high", "low", "close")
    )
    is_break = (ordered[1:] == ordered[:-1]) & _is_jump(
        close[:-1], low[1:], high[1:]
    )
    is_stray = np.zeros(len(series), bool)
    for number in np.unique(ordered[1:][is_break]):
        first, last = np.searchsorted(ordered, [number, number + 1])
        starts = np.flatnonzero(is_break[first : last - 1]) + 1 + first
        edges = [int(first), *starts.tolist(), int(last)]
        pieces = list(itertools.pairwise(edges))
        for start, end in _pieces_to_go(pieces, high, low, close):
            is_stray[order[start:end]] = True
    return is_stray


def _is_jump(
    close: Any,
    low: Any,
    high: Any,
) -> NDArray[np.bool_]:
    """Whether a bar reaches prices out of reach of the close before it."""
    is_jump: NDArray[np.bool_] = (high >= LARGEST_JUMP * close) | (
        LARGEST_JUMP * low <= close
    )
    return is_jump


def _pieces_to_go(
    pieces: Pieces,
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
) -> Pieces:
    """Pieces that are given up."""
    if len(pieces) > MOST_PIECES:
        return pieces

    def fits(before: Pieces, after: Pieces) -> bool:
        last, first = before[-1][1] - 1, after[0][0]
        return not _is_jump(close[last], low[first], high[first])

    def order(place: int) -> tuple[int, bool, int]:
        """Short ones first, then what parts two that fit, then late ones."""
        size = sum(end - start for start, end in runs[place])
        is_between = 0 < place < len(runs) - 1
        parts = is_between and fits(runs[place - 1], runs[place + 1])
        return size, not parts, -place

    gone: Pieces = []
    # Runs of pieces that fit together.
    runs = [[piece] for piece in pieces]
    while len(runs) > 1:
        place = min(range(len(runs)), key=order)
        gone += runs.pop(place)
        if 0 < place < len(runs) and fits(runs[place - 1], runs[place]):
            runs[place - 1] += runs.pop(place)
    return gone
