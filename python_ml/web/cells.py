"""Values as a reader sees them."""

import datetime
import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd

from python_ml.console.json_text import to_json
from python_ml.console.text_tables import price_text
from python_ml.exceptions import IngestionError
from python_ml.web.content import Column, Kind, Table

MISSING = "\N{EN DASH}"
# Times of bars stand in many rows of many pages.
N_TIMES_KEPT = 20_000
# Words that say how something stands; marks go with the colours.
TONES = {
    "BULLISH": "up",
    "BEARISH": "down",
    "NEUTRAL": "flat",
    "publish": "good",
    "caution": "warn",
    "withhold": "bad",
    "succeeded": "good",
    "failed": "bad",
    "abandoned": "bad",
    "critical": "bad",
    "emergency": "bad",
    "alert": "bad",
    "warning": "warn",
    "monitor": "warn",
    "normal": "good",
    "forecast": "good",
    "quarantined": "bad",
    "not_forecast": "warn",
    "behind": "warn",
    "unusable": "warn",
    "no_version": "warn",
}


class Cell(NamedTuple):
    """A value as text, and what the page does with it.

    Parameters
    ----------
    text : str
    is_number : bool
    tone : str
        Of `TONES`, or empty.
    beside : str
        The exchange's time.
    kind : str
        Of its column.
    value : str
        Of a symbol, what a link to it needs.
    """

    text: str
    is_number: bool
    tone: str = ""
    beside: str = ""
    kind: Kind = "text"
    value: str = ""


@dataclass(frozen=True, slots=True)
class TableView:
    """A table ready for the template."""

    caption: str
    headings: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    n_hidden: int


def table_view(table: Table, *, calendar: str | None) -> TableView:
    """Rows of a table as cells.

    Parameters
    ----------
    table : Table
    calendar : str or None
        Whose clocks stand beside UTC, where the rows name none of their own.

    Examples
    --------
    >>> frame = pd.DataFrame({"bullish": [0.3712, float("nan")]})
    >>> table = Table(frame, {"bullish": Column("Bullish", "share")}, "Rows")
    >>> [row[0].text for row in table_view(table, calendar=None).rows]
    ['37.1%', '\N{EN DASH}']
    """
    shown = table.frame.head(table.at_most)
    calendars = (
        shown["calendar"].tolist()
        if "calendar" in shown
        else [calendar] * len(shown)
    )
    # Whole columns at once: a row at a time costs ten times as much.
    columns = [
        _column_cells(shown[name], column, calendars)
        for name, column in table.columns.items()
    ]
    return TableView(
        table.caption,
        tuple(table.columns.values()),
        tuple(zip(*columns, strict=True)),
        len(table.frame) - len(shown),
    )


def _column_cells(
    values: pd.Series, column: Column, calendars: list[str | None]
) -> list[Cell]:
    missing = Cell(MISSING, column.is_number, kind=column.kind)
    found = zip(values.tolist(), values.isna().tolist(), calendars, strict=True)
    if column.is_number:
        kind = column.kind
        return [
            missing if is_missing else Cell(_text(value, kind), True, kind=kind)
            for value, is_missing, _ in found
        ]
    return [
        missing if is_missing else _worded(value, column.kind, calendar)
        for value, is_missing, calendar in found
    ]


def _worded(value: Any, kind: Kind, calendar: str | None) -> Cell:
    """A cell of what is no number."""
    if kind == "time":
        text, beside = _time_texts(value, calendar)
        return Cell(text, False, beside=beside, kind=kind)
    if kind == "verdict":
        return Cell(
            words(value), False, tone=TONES.get(str(value), ""), kind=kind
        )
    if kind == "symbol":
        return Cell(str(value), False, kind=kind, value=str(value))
    return Cell(_text(value, kind), False, kind=kind)


@functools.lru_cache(N_TIMES_KEPT)
def _time_texts(
    value: "datetime.datetime | pd.Timestamp", calendar: str | None
) -> tuple[str, str]:
    return f"{value:%Y-%m-%d %H:%M}", exchange_time(value, calendar)


def words(value: Any) -> str:
    """A verdict in words.

    Examples
    --------
    >>> words("not_forecast"), words(True), words("BULLISH")
    ('not forecast', 'yes', 'Bullish')
    """
    if isinstance(value, bool) or str(value) in ("True", "False"):
        return "yes" if value else "no"
    text = str(value)
    return text.capitalize() if text.isupper() else text.replace("_", " ")


def _text(value: Any, kind: Kind) -> str:
    if kind in ("text", "symbol", "version"):
        return str(value)
    if kind == "json":
        return _json_text(value)
    if kind == "date":
        return f"{value:%Y-%m-%d}"
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    if kind == "count":
        return f"{number:,.0f}"
    if kind == "share":
        return f"{number:.1%}"
    if kind == "skill":
        return f"{number:+.2%}"
    if kind == "error":
        return f"{number:.2%}"
    if kind == "signed":
        return f"{number:+.3f}"
    if kind == "points":
        return f"{100 * number:+.1f}"
    if kind == "price":
        return price_text(number, is_padded=True)
    if kind == "seconds":
        return f"{number:.1f}"
    return f"{number:.3f}"


def _json_text(value: Any) -> str:
    """Counts and the like in one line."""
    if isinstance(value, dict):
        return ", ".join(
            f"{str(name).replace('_', ' ')} {_plain(item)}"
            for name, item in value.items()
            if item not in (None, 0, [], {})
        )
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)


def _plain(value: Any) -> str:
    if isinstance(value, dict | list):
        return to_json(value)
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def exchange_time(
    time: "datetime.datetime | pd.Timestamp", calendar: str | None
) -> str:
    """The exchange's clock at a time, empty where it is UTC or unknown.

    Examples
    --------
    >>> exchange_time(pd.Timestamp("2013-03-01 21:00", tz="UTC"), "XNYS")
    '16:00 EST'
    """
    zone = _zone(calendar) if calendar else None
    if zone is None or time.tzinfo is None:
        return ""
    local = time.astimezone(zone)
    if local.utcoffset() == datetime.timedelta(0):
        return ""
    day = "" if local.date() == time.date() else f"{local:%m-%d} "
    return f"{day}{local:%H:%M %Z}"


@functools.cache
def _zone(calendar: str) -> ZoneInfo | None:
    # Calendars take a second to import and are not needed for a help text.
    from python_ml.ingestion.calendars.custom import CustomHours
    from python_ml.ingestion.calendars.sessions import calendar_time_zone
    from python_ml.settings import load_settings

    try:
        hours = CustomHours.from_seeds(load_settings())
        return ZoneInfo(calendar_time_zone(calendar, hours=hours))
    except (IngestionError, OSError, ValueError):
        return None


def csv_text(table: Table) -> str:
    """All rows and columns of a table's frame as CSV.

    Text that a spreadsheet would run as a formula gets an apostrophe.

    Examples
    --------
    >>> frame = pd.DataFrame({"ticker": ["=1+1"], "skill": [-0.5]})
    >>> print(csv_text(Table(frame, {}, "Rows")), end="")
    ticker,skill
    '=1+1,-0.5
    """
    frame = table.frame.copy()
    for name in frame:
        values = frame[name]
        if pd.api.types.is_datetime64_any_dtype(values):
            pattern = (
                "%Y-%m-%d" if values.dt.tz is None else "%Y-%m-%dT%H:%M:%SZ"
            )
            frame[name] = values.dt.strftime(pattern)
        elif not pd.api.types.is_numeric_dtype(values):
            frame[name] = values.map(_csv_cell)
    return frame.to_csv(index=False)


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = to_json(value)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
