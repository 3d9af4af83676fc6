"""Numbers that count from 1970, told apart by their magnitude."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.calendars.grid import NO_TIME, Microseconds

# What counts from 1970, in seconds.
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
LAST_SECOND = 4_102_444_800  # 2100-01-01
# Below, a number of any unit is in early 1970, and may be a date.
FIRST_TELLING = 100_000_000


class AmbiguousTimesError(ValueError):
    """Times that can be read in two ways; the message says which."""


def epoch_moments(
    values: NDArray[Any], unit: str | None = None
) -> Microseconds:
    """Moments of numbers that count from 1970.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Whole numbers, or floats with NaN where missing.
    unit : str, optional
        One of `UNITS`; by default that of most of the numbers.

    Returns
    -------
    ndarray of shape (n,)
        Microseconds; `NO_TIME` where a number is in no plausible year.

    Raises
    ------
    AmbiguousTimesError
        If the unit cannot be told.

    Examples
    --------
    >>> epoch_moments(np.array([1704153600000])).tolist()
    [1704153600000000]
    """
    if unit is None:
        units = epoch_units(values)
        if not units:
            raise AmbiguousTimesError("which count from 1970 in no unit")
        unit = max(units, key=lambda name: units[name])
    is_own = _is_of_unit(values, unit)
    known = np.where(is_own, values, 0)
    if unit == "ns":
        if known.dtype.kind == "f":
            known = np.round(known / 1000)
        else:
            known = known // 1000
    elif unit in ("s", "ms"):
        known = np.round(known * {"s": 1_000_000, "ms": 1000}[unit])
    return np.where(is_own, known.astype(np.int64), NO_TIME)


def epoch_units(values: NDArray[Any]) -> dict[str, int]:
    """How many numbers are plausible in each unit."""
    counts = {unit: int(_is_of_unit(values, unit).sum()) for unit in UNITS}
    return {unit: count for unit, count in counts.items() if count}


def _is_of_unit(values: NDArray[Any], unit: str) -> NDArray[np.bool_]:
    """Numbers between 1973 and 2100, which no two units share."""
    factor = round(1 / UNITS[unit])
    with np.errstate(invalid="ignore"):
        is_own: NDArray[np.bool_] = (values >= FIRST_TELLING * factor) & (
            values < LAST_SECOND * factor
        )
    return is_own


def numbers_of(
    text: "pd.Series[Any]",
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Numbers of text, and which are whole.

    Whole ones exactly if all are, else as floats, NaN for what is none.
    """
    is_whole = text.str.fullmatch(r"\s*\d{1,18}\s*|\s*[1-8]\d{18}\s*").to_numpy(
        bool, na_value=False
    )
    if is_whole.all():
        return text.str.strip().astype(np.int64).to_numpy(), is_whole
    is_number = text.str.fullmatch(r"\s*\d{1,19}(?:\.\d*)?\s*").to_numpy(
        bool, na_value=False
    )
    values = pd.to_numeric(text.where(is_number), errors="coerce")
    return values.to_numpy(np.float64), is_number


def read_epochs(
    text: "pd.Series[Any]", unit: str
) -> tuple[Microseconds, NDArray[np.bool_]]:
    """Moments of text, all with a zone; `NO_TIME` for what is none."""
    values, _ = numbers_of(text)
    return epoch_moments(values, unit), np.full(len(text), True)
