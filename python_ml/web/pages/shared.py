"""What sections of several pages need."""

from collections.abc import Mapping

import pandas as pd

from python_ml.web.content import Block, Column, Content, Empty, Kind, Table

FORECAST_COMMAND = "swiftbolt run"
# What was live then is what is replayed, so something has to be.
HISTORY_COMMAND = (
    "swiftbolt train --all --as-of DATE && "
    "swiftbolt forecast --replay-from DATE && swiftbolt check-drift"
)


def spelled(value: object) -> str:
    """A name of the warehouse as words.

    Examples
    --------
    >>> spelled("not_forecast_lately")
    'not forecast lately'
    """
    return str(value).replace("_", " ")


def sentence(reason: object) -> str:
    """What a table says in a clause, as a sentence.

    Examples
    --------
    >>> sentence("nothing is live")
    'Nothing is live.'
    """
    text = str(reason)
    return f"{text[:1].upper()}{text[1:]}."


def inferred_columns(frame: pd.DataFrame) -> dict[str, Column]:
    """Columns of a frame that nobody has described, by their types."""
    return {
        str(name): Column(spelled(name), _kind(str(name), frame[name]))
        for name in frame
    }


def _kind(name: str, values: pd.Series) -> Kind:
    if name == "ticker":
        return "symbol"
    if pd.api.types.is_datetime64_any_dtype(values):
        return "date" if values.dt.tz is None else "time"
    if pd.api.types.is_bool_dtype(values):
        return "verdict"
    if pd.api.types.is_integer_dtype(values):
        return "count"
    if pd.api.types.is_numeric_dtype(values):
        return "number"
    if len(values) and isinstance(
        values.dropna().head(1).squeeze(), list | dict
    ):
        return "json"
    return "text"


def listing(
    rows: pd.DataFrame,
    columns: Mapping[str, Column],
    caption: str,
    *,
    empty: Empty,
    at_most: int = 60,
) -> Content:
    """A table and nothing else, or why there is none.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, n_columns)
    columns, caption, at_most
        Those of `Table`.
    empty : Empty
        Shown in place of a table without rows.
    """
    if rows.empty:
        return empty
    return (Block(table=Table(rows, columns, caption, at_most=at_most)),)
