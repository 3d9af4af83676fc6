"""Columns of files as columns of bars."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from python_ml.ingestion.screening.values import clean_text

DICTIONARY = pa.dictionary(pa.int32(), pa.string())
# Of fixed-point prices, what Databento writes for none.
UNDEFINED = 2**63 - 1


def names_of(
    columns: Sequence[pa.ChunkedArray] | None, name: str | None, n_rows: int
) -> "pd.Series[Any]":
    """Categories of a column, or one for all rows."""
    if columns is None:
        return pd.Series(
            pd.Categorical.from_codes(
                np.zeros(n_rows, int), pd.Index([name], dtype="str")
            )
        )
    column = columns[0].cast(pa.string()).cast(DICTIONARY)
    return clean_text(column.to_pandas())


def renamed(
    values: "pd.Series[Any]", names: Mapping[str, str]
) -> "pd.Series[Any]":
    """Categories by other names, of which several may be one."""
    old = values.cat.categories
    codes, new = pd.factorize(pd.Index([names.get(text, text) for text in old]))
    return pd.Series(
        pd.Categorical.from_codes(
            np.append(codes, -1)[values.cat.codes], pd.Index(new, dtype="str")
        ),
        index=values.index,
    )


def joined(dates: pa.ChunkedArray, times: pa.ChunkedArray) -> "pd.Series[Any]":
    """Date and time of day in one text; digits alone are filled with zeros."""
    if pa.types.is_timestamp(dates.type):
        dates = pc.strftime(dates, "%Y-%m-%d")
    date = dates.cast(pa.string()).to_pandas().str.strip()
    time = times.cast(pa.string()).to_pandas().str.strip()
    is_digits = time.str.fullmatch(r"\d{1,6}").fillna(False)
    filled = time.str.zfill(4).where(time.str.len() <= 4, time.str.zfill(6))
    both: pd.Series[Any] = date.str.cat(
        time.where(~is_digits, filled), sep=" ", na_rep=""
    )
    return both


def unscaled(column: pa.ChunkedArray, decimals: int) -> pa.ChunkedArray:
    """Prices that are written as whole numbers of their last decimal."""
    if pa.types.is_string(column.type):
        is_whole = pc.match_substring_regex(column, r"^[+-]?\d{1,19}$")
        if not pc.any(is_whole).as_py():
            return column
        whole = pc.if_else(is_whole, column, None)
        scaled = unscaled(whole.cast(pa.uint64()), decimals)
        return pc.if_else(is_whole, scaled.cast(pa.string()), column)
    if not pa.types.is_integer(column.type):
        return column
    is_price = pc.not_equal(column, UNDEFINED)
    prices = pc.divide(column.cast(pa.float64(), safe=False), 10.0**decimals)
    return pc.if_else(is_price, prices, None)


def without(column: pa.ChunkedArray, text: str) -> pa.ChunkedArray:
    """Volumes, 0 where they are said not to exist."""
    if pa.types.is_string(column.type):
        is_none = pc.match_substring_regex(column, rf"^\s*{text}(\.0*)?\s*$")
        return pc.if_else(is_none, "0", column)
    return pc.if_else(pc.equal(column, float(text)), 0, column).cast(
        column.type
    )


def is_true(values: pa.ChunkedArray) -> Any:
    """Truth of each value, false where it is missing."""
    return pc.fill_null(values, False).to_numpy()
