"""What multiplies earlier prices, from the forms in which vendors say it.

A factor says it itself: 0.25 for a split of 4 for 1. A ratio is what a holder
has after a split for what was before: 4, or "4:1". The amount of a dividend
becomes a factor by the close before the ex-date.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.screening.values import read_numbers

# "4:1", "4/1", "4 for 1", "4-for-1", "4 to 1"
RATIO = r"^\s*([0-9.]+)\s*(?::|/|-?\s*(?:for|to)\s*-?)\s*([0-9.]+)\s*$"


def read_ratios(values: "pd.Series[Any]") -> NDArray[np.float64]:
    """Ratios as numbers, NaN for what is none.

    Examples
    --------
    >>> read_ratios(pd.Series(["4:1", "3-for-2", "1:10", "4.0", "four", None]))
    array([4. , 1.5, 0.1, 4. , nan, nan])
    """
    numbers = read_numbers(values.to_frame("ratio"))["ratio"].to_numpy()
    if pd.api.types.is_numeric_dtype(values.dtype):
        return numbers
    text = values.astype("str").str.lower()
    parts = read_numbers(text.str.extract(RATIO)).to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        quotients = parts[:, 0] / parts[:, 1]
    return np.where(np.isnan(numbers), quotients, numbers)


def read_factors(adjustments: pd.DataFrame) -> pd.DataFrame:
    """Kind, factor and amount of each row, of the columns that there are.

    Of factor, ratio and amount the first that a row has counts. Without a kind
    a ratio is that of a split, an amount that of a dividend.

    Parameters
    ----------
    adjustments : DataFrame
        Any of the columns kind, factor, ratio and amount.

    Returns
    -------
    DataFrame
        kind (as it came), factor and amount: one of both is NaN, both where
        nothing can be read.
    """
    columns = adjustments.reindex(columns=["kind", "factor", "ratio", "amount"])
    given = {
        name: columns[name].notna()
        & (columns[name].astype("str").str.strip() != "")
        for name in columns
    }
    numbers = read_numbers(columns[["factor", "amount"]])
    ratio = read_ratios(columns["ratio"])
    has_factor = given["factor"]
    has_ratio = given["ratio"] & ~has_factor
    has_amount = given["amount"] & ~has_factor & ~has_ratio
    with np.errstate(divide="ignore"):
        factor = np.where(has_ratio, 1 / ratio, numbers["factor"])
    kind = columns["kind"].astype(object).where(given["kind"], None)
    is_unnamed = ~given["kind"]
    return pd.DataFrame(
        {
            "kind": kind.mask(is_unnamed & has_ratio, "split").mask(
                is_unnamed & has_amount, "dividend"
            ),
            "factor": factor,
            "amount": numbers["amount"].where(has_amount),
        },
        index=adjustments.index,
    )


def factors_of_amounts(
    amount: NDArray[np.float64],
    close_before: NDArray[np.float64],
    split_factor: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What the amount of a dividend makes of earlier prices.

    One less the share of the close before the ex-date that was paid; where a
    split falls on the same day, of that close on the basis after it.

    Examples
    --------
    >>> factors_of_amounts(np.array([1.0]), np.array([80.0]), np.array([0.5]))
    array([0.975])
    """
    return 1 - amount / (close_before * split_factor)


def is_traded_through(
    open_at: NDArray[np.float64],
    close_before: NDArray[np.float64],
    factor: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether prices jump by a split's factor, rather than not at all.

    Examples
    --------
    >>> is_traded_through(
    ...     np.array([26.0, 99.0]), np.full(2, 100.0), np.full(2, 0.25)
    ... ).tolist()
    [True, False]
    """
    jump = np.log(open_at / close_before)
    is_jump: NDArray[np.bool_] = np.abs(jump - np.log(factor)) < np.abs(jump)
    return is_jump
