"""Which rows of a series stand out of the order of their times."""

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from python_ml.ingestion.calendars.grid import Microseconds


def out_of_order(
    series: NDArray[np.intp], times: Microseconds
) -> NDArray[np.bool_]:
    """Mark the rows that must go for the others to be in order.

    As few as possible of each series. A series may run either way, oldest or
    newest first, as most of it does.

    Parameters
    ----------
    series : ndarray of shape (n,)
        Number of each row's series; series may interleave.
    times : ndarray of shape (n,)

    Examples
    --------
    >>> out_of_order(np.zeros(5, int), np.array([1, 2, 9, 3, 4])).tolist()
    [False, False, True, False, False]
    >>> out_of_order(np.zeros(3, int), np.array([3, 2, 1])).tolist()
    [False, False, False]
    """
    is_out = np.zeros(len(times), bool)
    rows = np.argsort(series, kind="stable")
    grouped, ordered = series[rows], times[rows]
    is_same = grouped[1:] == grouped[:-1]
    rises = is_same & (ordered[1:] > ordered[:-1])
    falls = is_same & (ordered[1:] < ordered[:-1])
    both = np.intersect1d(grouped[1:][rises], grouped[1:][falls])
    for number in both:
        first, last = np.searchsorted(grouped, [number, number + 1])
        own = ordered[first:last]
        in_order = max(
            longest_rise(own), longest_rise(-own), key=np.count_nonzero
        )
        is_out[rows[first:last]] = ~in_order
    return is_out


def longest_rise(times: Microseconds) -> NDArray[np.bool_]:
    """Mark one longest strictly rising subsequence, by patience sorting.

    Of equal times the first of those that fit is marked.

    Examples
    --------
    >>> longest_rise(np.array([1, 2, 9, 3, 3, 4])).tolist()
    [True, True, False, True, False, True]
    """
    values = times.tolist()
    smallest_end: list[int] = []  # of a rise of each length
    ends_at: list[int] = []
    before = np.full(len(values), -1)
    for row, value in enumerate(values):
        length = bisect_left(smallest_end, value)
        if length == len(smallest_end):
            smallest_end.append(value)
            ends_at.append(row)
        elif smallest_end[length] == value:
            continue
        else:
            smallest_end[length] = value
            ends_at[length] = row
        before[row] = ends_at[length - 1] if length else -1
    is_marked = np.zeros(len(values), bool)
    row = ends_at[-1] if ends_at else -1
    while row >= 0:
        is_marked[row] = True
        row = before[row]
    return is_marked
