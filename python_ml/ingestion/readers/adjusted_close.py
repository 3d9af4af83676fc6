"""Splits and dividends, read out of a vendor's adjusted close.

Adjusted close over close is one constant between two events and jumps at each.
What moves it less than rounding can is no event.
"""

from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.base import ADJUSTMENT_COLUMNS

FloatArray = NDArray[np.float64]

# Splits are for small whole numbers: 2 for 1, 3 for 2, 11 for 10, 1 for 25.
LARGEST_SPLIT_NUMBER = 11
LARGEST_SPLIT_INTO_ONE = 50
# A distribution of more than this share of the price is taken for a split and
# a dividend on one day.
LARGEST_DIVIDEND_SHARE = 0.2

SPLIT_RATIOS = sorted(
    {
        Fraction(before, after)
        for before in range(1, LARGEST_SPLIT_INTO_ONE + 1)
        for after in range(1, LARGEST_SPLIT_INTO_ONE + 1)
        if before != after
        and (
            min(before, after) == 1
            or max(before, after) <= LARGEST_SPLIT_NUMBER
        )
    },
    key=lambda ratio: (ratio.numerator + ratio.denominator, ratio),
)


def derive_adjustments(prices: pd.DataFrame) -> pd.DataFrame:
    """Splits and dividends that explain `adjusted_close`.

    Parameters
    ----------
    prices : DataFrame
        Columns ticker, session_date, close (as traded) and adjusted_close.
        Rows without two positive finite prices are passed over.

    Returns
    -------
    DataFrame of shape (n_events, 4)
        ticker, session_date (first session without it), kind, factor: what
        earlier prices are multiplied by. A day may have a split and a
        dividend.

    Examples
    --------
    >>> prices = pd.DataFrame(
    ...     {
    ...         "ticker": "ACME",
    ...         "session_date": pd.date_range("2012-01-03", periods=4),
    ...         "close": [80.0, 82.0, 41.0, 40.0],
    ...         "adjusted_close": [39.0, 39.975, 39.975, 40.0],
    ...     }
    ... )
    >>> derive_adjustments(prices)[["session_date", "kind", "factor"]]
      session_date      kind  factor
    0   2012-01-05     split   0.500
    1   2012-01-06  dividend   0.975
    """
    events = [
        (ticker, session_date, kind, factor)
        for ticker, series in prices.groupby("ticker", sort=True)
        for session_date, kind, factor in _events(series)
    ]
    return pd.DataFrame(events, columns=ADJUSTMENT_COLUMNS)


def rounding_error(values: FloatArray) -> FloatArray:
    """Largest error that rounding can have left in each value.

    The column is taken to be rounded to the most decimals, or to the most
    significant digits, that any of its values shows.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Positive and finite.

    Returns
    -------
    ndarray of shape (n,)
        In the unit of `values`; at least that of floating point itself.

    Examples
    --------
    >>> rounding_error(np.array([20.0, 20.25]))
    array([0.005, 0.005])
    """
    shown = [_shown_digits(value) for value in values]
    decimals = max(after for _, after in shown)
    significant = max(digits for digits, _ in shown)
    last_place = np.floor(np.log10(values)) + 1 - significant
    return np.maximum(
        np.maximum(0.5 * 10.0**-decimals, 0.5 * 10.0**last_place),
        np.spacing(values),
    )


def _shown_digits(value: float) -> tuple[int, int]:
    """Significant digits and decimals of the shortest text of `value`."""
    text = np.format_float_scientific(value, trim="-", unique=True)
    mantissa, _, exponent = text.partition("e")
    significant = len(mantissa.replace(".", ""))
    return significant, max(0, significant - 1 - int(exponent))


def _events(series: pd.DataFrame) -> list[tuple[pd.Timestamp, str, float]]:
    """Dated events of one symbol."""
    usable = series[["close", "adjusted_close"]].apply(
        pd.to_numeric, errors="coerce"
    )
    is_usable = (np.isfinite(usable) & (usable > 0)).all(axis="columns")
    series = series.loc[is_usable].sort_values("session_date")
    if series.empty:
        return []
    close = usable.loc[series.index, "close"].to_numpy(np.float64)
    adjusted = usable.loc[series.index, "adjusted_close"].to_numpy(np.float64)

    ratio = adjusted / close
    error = rounding_error(close) / close + rounding_error(adjusted) / adjusted
    step = ratio[:-1] / ratio[1:]
    tolerance = error[:-1] + error[1:]
    is_event = np.abs(step - 1) > tolerance
    # A level is known better than a day: its median is over all its days.
    level_number = np.concatenate([[0], np.cumsum(is_event)])
    level = pd.Series(ratio).groupby(level_number).median().to_numpy()
    factors = level[:-1] / level[1:]
    dates = series["session_date"].iloc[1:][is_event]
    return [
        (session_date, kind, factor)
        for session_date, total, slack in zip(
            dates, factors, tolerance[is_event], strict=True
        )
        for kind, factor in split_and_dividend(float(total), float(slack))
    ]


def split_and_dividend(
    factor: float, tolerance: float
) -> list[tuple[str, float]]:
    """Kinds and factors of one day's event, which multiply to `factor`.

    A ratio of small whole numbers is a split. Otherwise a factor below 1 is a
    dividend, and one too large for a dividend is the simplest split that
    leaves a dividend.

    Examples
    --------
    >>> split_and_dividend(0.4999999, 1e-6)
    [('split', 0.5)]
    >>> split_and_dividend(0.897, 1e-6)
    [('dividend', 0.897)]
    >>> split_and_dividend(0.4985, 1e-6)
    [('split', 0.5), ('dividend', 0.997)]
    """
    for ratio in SPLIT_RATIOS:
        if abs(factor / float(ratio) - 1) <= tolerance:
            return [("split", float(ratio))]
    if 1 - LARGEST_DIVIDEND_SHARE < factor < 1:
        return [("dividend", factor)]
    for ratio in SPLIT_RATIOS:
        if 1 - LARGEST_DIVIDEND_SHARE < factor / float(ratio) < 1:
            return [
                ("split", float(ratio)),
                ("dividend", factor / float(ratio)),
            ]
    return [("split", factor)]
