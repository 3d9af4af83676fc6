import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_ml.ingestion.screening.order import longest_rise, out_of_order

small_times = st.lists(st.integers(0, 6), max_size=8)


def mask(times, series=None):
    times = np.array(times, dtype=np.int64)
    if series is None:
        series = np.zeros(len(times), dtype=np.int64)
    return out_of_order(np.array(series), times)


def rises(times):
    return all(one < other for one, other in itertools.pairwise(times))


def length_by_trying_all(times):
    return max(
        len(chosen)
        for size in range(len(times) + 1)
        for chosen in itertools.combinations(times, size)
        if rises(chosen)
    )


@given(small_times)
def test_no_rise_is_longer_than_the_marked_one(times):
    marked = longest_rise(np.array(times, dtype=np.int64))

    kept = [
        time for time, is_kept in zip(times, marked, strict=True) if is_kept
    ]
    assert rises(kept)
    assert len(kept) == length_by_trying_all(times)


@pytest.mark.parametrize(
    ("times", "out"),
    [
        ([], []),
        ([5], []),
        ([1, 2, 3, 4], []),
        ([4, 3, 2, 1], []),  # newest first
        ([1, 1, 2, 2], []),  # duplicates are another matter
        ([2, 2, 1], []),
        ([1, 2, 9, 3, 4], [2]),
        ([1, 2, 0, 3, 4], [2]),
        ([9, 1, 2, 3], [0]),
        ([4, 3, 9, 2, 1], [2]),
        ([1, 2, 3, 1, 2], [3, 4]),
        ([1, 2, 9, 3, 3, 4], [2, 4]),  # the first of two equals stays
    ],
)
def test_as_few_rows_as_possible_are_out_of_order(times, out):
    assert np.flatnonzero(mask(times)).tolist() == out


@given(small_times, small_times, st.randoms())
def test_series_that_interleave_are_judged_apart(one, other, random):
    owners = [0] * len(one) + [1] * len(other)
    random.shuffle(owners)
    rows = {0: iter(one), 1: iter(other)}
    times = [next(rows[owner]) for owner in owners]

    found = mask(times, owners)

    for owner, own in ((0, one), (1, other)):
        assert found[np.array(owners) == owner].tolist() == mask(own).tolist()
