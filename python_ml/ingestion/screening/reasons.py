"""The reason for which a row cannot be stored."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Name of a reason, or one for each row, and which rows it holds for.
Check = tuple[str | NDArray[np.object_], Any]


def first_reasons(checks: Sequence[Check], index: pd.Index) -> "pd.Series[str]":
    """Reason of the first check that each row fails, missing where none."""
    reasons = np.full(len(index), None, dtype=object)
    is_open = np.full(len(index), True)
    for reason, failed in checks:
        found = is_open & np.asarray(failed, dtype=bool)
        if found.any():
            reasons[found] = (
                reason if isinstance(reason, str) else reason[found]
            )
            is_open &= ~found
    return pd.Series(reasons, index=index, dtype=object)


def without_repeated(
    screened: pd.DataFrame,
    reasons: "pd.Series[str]",
    *,
    is_out: NDArray[np.bool_],
    key: list[str],
    values: list[str],
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Keep one row of each key, the first in order; say why not the others."""
    is_good = reasons.isna().to_numpy()
    rows = np.flatnonzero(is_good)
    rows = rows[np.argsort(is_out[rows], kind="stable")]
    good = screened.iloc[rows]
    is_repeated = good.duplicated(key).to_numpy()
    if is_repeated.any():
        is_shared = good.duplicated(key, keep=False)
        shared = good.loc[is_shared]
        first = shared.groupby(key, sort=False, observed=True)[
            values
        ].transform("first")
        is_identical = (shared[values] == first).all(axis="columns")
        reasons.loc[good.index[is_repeated]] = np.where(
            is_identical.reindex(good.index[is_repeated]),
            "identical_duplicate",
            "conflicting_duplicate",
        )
    reasons.loc[good.index[~is_repeated & is_out[rows]]] = "out_of_order"
    return screened.loc[reasons.isna()], reasons.dropna()
