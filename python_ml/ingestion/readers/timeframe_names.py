"""Timeframes as vendors spell them."""

import re
from collections.abc import Iterable

UNITS = {
    "m": ("m", "t", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours", "hourly"),
    "d": ("d", "day", "days", "daily"),
    "w": ("w", "wk", "wks", "week", "weeks", "weekly"),
    "mo": ("mo", "mn", "mon", "month", "months", "monthly"),
}
UNIT_OF = {name: unit for unit, names in UNITS.items() for name in names}
NUMBER_FIRST = re.compile(r"(\d*)[ _-]?([A-Za-z]+)")
UNIT_FIRST = re.compile(r"([A-Za-z]+)(\d+)")
# Longer units of minutes, by name.
IN_MINUTES = {"h": 60, "d": 1440, "w": 10080}


def timeframe_name(text: str) -> str | None:
    """What a vendor's timeframe is called here; None if it is none.

    A number alone counts minutes. `M` before a number is minutes (MetaTrader),
    after one or alone it is months.

    Examples
    --------
    >>> [timeframe_name(text) for text in ("1Day", "15Min", "1h", "D", "60")]
    ['d1', 'm15', 'h1', 'd1', 'h1']
    >>> [timeframe_name(text) for text in ("M15", "1M", "ohlcv-1d", "soon")]
    ['m15', 'mo1', 'd1', None]
    """
    text = text.strip().removeprefix("ohlcv-")
    if text.isascii() and text.isdecimal():
        return _of_minutes(int(text))
    if found := UNIT_FIRST.fullmatch(text):
        unit, number = found[1], found[2]
        is_month = unit.lower() not in ("m", "t") and unit != "M"
    elif found := NUMBER_FIRST.fullmatch(text):
        number, unit = found[1] or "1", found[2]
        is_month = unit == "M"
    else:
        return None
    name = UNIT_OF.get(unit.lower())
    if name == "m":
        return f"mo{int(number)}" if is_month else _of_minutes(int(number))
    if name in IN_MINUTES:
        return _of_minutes(int(number) * IN_MINUTES[name])
    return f"{name}{int(number)}" if name else None


def timeframe_names(texts: Iterable[str]) -> dict[str, str]:
    """Names of those texts that are timeframes."""
    named = {text: timeframe_name(text) for text in texts}
    return {text: name for text, name in named.items() if name}


def _of_minutes(minutes: int) -> str | None:
    if minutes <= 0:
        return None
    for unit, length in reversed(IN_MINUTES.items()):
        if minutes % length == 0:
            return f"{unit}{minutes // length}"
    return f"m{minutes}"
