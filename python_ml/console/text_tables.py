"""Frames as text for people and as records for machines."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

MISSING = "-"


def to_text(
    frame: pd.DataFrame,
    *,
    columns: Mapping[str, str],
    decimals: int = 3,
    prices: Collection[str] = (),
    at_most: int = 60,
) -> str:
    """Write the first rows of a frame as an aligned table.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
    columns : mapping of str to str
        Columns to show, in order, with their headings.
    decimals : int, default=3
        Of numbers that are not whole by type.
    prices : collection of str, optional
        Columns of prices, which have as many decimals as they need.
    at_most : int, default=60
        Rows to show; a last line counts the others.

    Examples
    --------
    >>> frame = pd.DataFrame({"ticker": ["AAPL", "IBM"], "skill": [0.5, None]})
    >>> print(to_text(frame, columns={"ticker": "ticker", "skill": "skill"}))
    ticker  skill
    AAPL    0.500
    IBM         -
    """
    shown = frame[list(columns)].head(at_most)
    cells = {
        heading: [heading]
        + [
            _to_cell(value, None if name in prices else decimals)
            for value in shown[name].astype(object)
        ]
        for name, heading in columns.items()
    }
    is_number = {
        heading: pd.api.types.is_numeric_dtype(shown[name])
        for name, heading in columns.items()
    }
    widths = {heading: max(map(len, texts)) for heading, texts in cells.items()}
    lines = [
        "  ".join(
            texts[row].rjust(widths[heading])
            if is_number[heading]
            else texts[row].ljust(widths[heading])
            for heading, texts in cells.items()
        ).rstrip()
        for row in range(len(shown) + 1)
    ]
    if len(frame) > at_most:
        lines.append(f"... and {len(frame) - at_most} more")
    return "\n".join(lines)


def to_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Write a frame as one dict per row, ready for JSON; missing is None.

    Examples
    --------
    >>> to_records(pd.DataFrame({"closed_at": [pd.Timestamp("2024-01-02")]}))
    [{'closed_at': '2024-01-02T00:00:00'}]
    """
    plain = frame.astype(object).where(frame.notna(), None)
    return [
        {
            str(name): value.isoformat()
            if isinstance(value, pd.Timestamp)
            else value
            for name, value in row.items()
        }
        for row in plain.to_dict("records")
    ]


def some_names(names: Sequence[object], *, at_most: int = 8) -> str:
    """The first names, and how many there are besides.

    Examples
    --------
    >>> some_names(["AAPL", "IBM", "MSFT"], at_most=2)
    'AAPL, IBM and 1 more'
    """
    shown = ", ".join(map(str, names[:at_most]))
    hidden = len(names) - at_most
    return f"{shown} and {hidden} more" if hidden > 0 else shown


def price_text(price: float, *, is_padded: bool = False) -> str:
    """Write a price with five digits that tell, and at least two decimals.

    Parameters
    ----------
    price : float
    is_padded : bool, default=False
        Keep zeros at the end, so that prices of one size stand point below
        point.

    Examples
    --------
    >>> print(*map(price_text, (0.00001234, 1.0823, 182.31, 4567.5, 57.63)))
    0.00001234 1.0823 182.31 4567.50 57.63
    >>> price_text(57.63, is_padded=True)
    '57.630'
    """
    if price == 0 or not math.isfinite(price):
        return f"{price:.2f}"
    decimals = max(2, 4 - math.floor(math.log10(abs(price))))
    text = f"{price:.{decimals}f}"
    if is_padded:
        return text
    whole, fraction = text.split(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def _to_cell(value: Any, decimals: int | None) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if value is None or pd.isna(value):
        return MISSING
    if isinstance(value, pd.Timestamp):
        # Dates come without a zone, times never do.
        return (
            f"{value:%Y-%m-%d}"
            if value.tz is None
            else f"{value:%Y-%m-%d %H:%M}"
        )
    if isinstance(value, float):
        if decimals is None:
            return price_text(value)
        return f"{value:.{decimals}f}"
    return str(value)
