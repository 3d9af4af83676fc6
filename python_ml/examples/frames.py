"""Frames as they are read, turned into arrays."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from python_ml.examples.arrays import TimeArray
from python_ml.members.base import IntArray


def runs(keys: np.ndarray[Any, Any]) -> list[tuple[int, int]]:
    """Start and end of each run of equal rows."""
    if len(keys) == 0:
        return []
    changes = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), len(keys)]
    return list(itertools.pairwise(edges))


def codes_of(column: "pd.Series[Any]", codes: Mapping[str, int]) -> IntArray:
    """Integer code of each word of a column."""
    return np.asarray(column.map(codes), dtype=np.int64)


def to_times(column: "pd.Series[Any]") -> TimeArray:
    """UTC times of a column, without their zone."""
    times: TimeArray = (
        column.dt.tz_convert("UTC")
        .dt.tz_localize(None)
        .to_numpy(dtype="datetime64[us]")
    )
    return times
