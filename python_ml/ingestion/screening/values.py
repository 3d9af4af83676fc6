"""Text, numbers and dates of a source, missing where a value is none."""

import contextlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray


def clean_text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Text without surrounding space as categories, missing if nothing is left.

    Examples
    --------
    >>> clean_text(pd.Series([" IBM", "IBM", "", None])).tolist()
    ['IBM', 'IBM', nan, nan]
    """
    codes, found = pd.factorize(values)
    text = pd.Series(found).astype("str").str.strip()
    text_codes, names = pd.factorize(text.where(text != ""))
    # A further code for what was missing.
    clean_codes = np.append(text_codes, -1)[codes]
    return pd.Series(
        pd.Categorical.from_codes(clean_codes, pd.Index(names, dtype="str")),
        index=values.index,
        name=values.name,
    )


def storable(text: str) -> str:
    r"""Text as PostgreSQL can hold it: without NUL and half characters.

    Examples
    --------
    >>> storable(f"1{chr(0)}2").encode()
    b'1\\x002'
    """
    return text.replace("\x00", "\\x00").encode("utf-8", "replace").decode()


def storable_text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """`clean_text` of which every value is `storable`."""
    text = clean_text(values)
    names = [storable(str(name)) for name in text.cat.categories]
    if names == text.cat.categories.tolist():
        return text
    return clean_text(
        text.map(dict(zip(text.cat.categories, names, strict=True)))
    )


def is_printable(text: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Whether each category is of characters that can be shown, and missing."""
    is_good = np.array(
        [str(name).isprintable() for name in text.cat.categories] + [True]
    )
    return is_good[text.cat.codes]


def read_dates(values: "pd.Series[Any]") -> "pd.Series[pd.Timestamp]":
    """Dates from ISO text, dates or midnights; missing if anything else."""
    if values.dtype == object:
        values = values.where(~values.map(pd.api.types.is_number))
    dates = pd.to_datetime(
        values.astype("string").str.strip().str.removesuffix(" 00:00:00"),
        format="%Y-%m-%d",
        errors="coerce",
    )
    return dates.astype("datetime64[us]").rename("session_date")


def read_numbers(values: pd.DataFrame) -> pd.DataFrame:
    """Columns as floats, NaN for what is no number."""
    return pd.DataFrame(
        {name: _floats(values[name]) for name in values}, index=values.index
    )


def _floats(values: "pd.Series[Any]") -> NDArray[np.float64]:
    """Numbers, NaN for what is none."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(np.float64, na_value=np.nan)
    if values.dtype == "str":
        # Text of numbers alone is read ten times as fast.
        with contextlib.suppress(pa.ArrowInvalid):
            numbers: NDArray[np.float64] = (
                pa.array(values).cast(pa.float64()).to_numpy(False)
            )
            return numbers
    return pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
