"""Forms of dates and times in text, beyond ISO 8601."""

from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from python_ml.ingestion.calendars.grid import NO_TIME, Microseconds
from python_ml.ingestion.calendars.times import from_local

TIME_OF_DAY = (
    r"(?:[T ]+(?P<hour>\d{1,2})(?::?(?P<minute>\d\d)"
    r"(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
    r"(?: ?(?P<zone>Z|z|UTC|[+-]\d\d(?::?\d\d)?"
    r"|[A-Z][A-Za-z]+(?:/[A-Za-z_+-]+)+|[A-Z]{3,4}(?:\d[A-Z]{3})?))?)?"
)
YEAR, MONTH, DAY = (
    r"(?P<year>\d{4})",
    r"(?P<month>\d{1,2})",
    r"(?P<day>\d{1,2})",
)
MONTH_NAME = r"(?P<name>[A-Za-z]{3})[a-z]*\.?"
FORMS: Mapping[str, str] = {
    "year-month-day": f"{YEAR}-{MONTH}-{DAY}",
    "yearmonthday": r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
    "yearmonthdayhourminute": (
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
        r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?"
    ),
    "year.month.day": rf"{YEAR}\.{MONTH}\.{DAY}",
    "year/month/day": f"{YEAR}/{MONTH}/{DAY}",
    "day.month.year": rf"{DAY}\.{MONTH}\.{YEAR}",
    "day/month/year": f"{DAY}/{MONTH}/{YEAR}",
    "month/day/year": f"{MONTH}/{DAY}/{YEAR}",
    "day-month-year": f"{DAY}-{MONTH}-{YEAR}",
    "month-day-year": f"{MONTH}-{DAY}-{YEAR}",
    "day month-name year": f"{DAY}[ -]{MONTH_NAME}[ -]{YEAR}",
    "month-name day year": f"{MONTH_NAME} {DAY},? {YEAR}",
}
MONTHS = {
    name: number + 1
    for number, name in enumerate(
        (
            *("jan", "feb", "mar", "apr", "may", "jun"),
            *("jul", "aug", "sep", "oct", "nov", "dec"),
        )
    )
}


def read_form(
    text: "pd.Series[Any]", name: str
) -> tuple[Microseconds, NDArray[np.bool_]]:
    """Clock or, where a zone is named, moment; `NO_TIME` for what is none."""
    pattern = rf"^\s*{FORMS[name]}"
    if "hour" not in FORMS[name]:
        pattern += TIME_OF_DAY
    found = pc.extract_regex(pa.array(text, pa.string()), rf"{pattern}\s*$")
    is_found = pc.is_valid(found).to_numpy(zero_copy_only=False)

    def number(field: str, default: int = 0) -> NDArray[np.int64]:
        if found.type.get_field_index(field) < 0:
            return np.full(len(text), default)
        part = pc.struct_field(found, field)
        part = pc.if_else(pc.equal(part, ""), None, part).cast(pa.int64())
        numbers: NDArray[np.int64] = pc.fill_null(part, default).to_numpy()
        return numbers

    month = _months(found) if "name" in FORMS[name] else number("month", 0)
    year, day = number("year"), number("day")
    hour, is_hour = _hours(number("hour"), found)
    minute, second = number("minute"), number("second")
    is_time = (
        is_found
        & _is_date(year, month, day)
        & (hour < 24)
        & is_hour
        & (minute < 60)
        & (second < 60)
    )
    days = _days(year, month, day, is_time)
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    clock = seconds * 1_000_000 + _fraction(found)
    return _in_zone(np.where(is_time, clock, NO_TIME), found)


def _is_date(
    year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]
) -> NDArray[np.bool_]:
    is_date: NDArray[np.bool_] = (
        (year >= 1800)
        & (year < 2200)
        & (month >= 1)
        & (month <= 12)
        & (day >= 1)
        & (day <= 31)
    )
    start = _days(year, month, np.ones_like(day), is_date)
    following = _days(
        year + (month == 12),
        month % 12 + 1,
        np.ones_like(day),
        is_date,
    )
    return is_date & (day <= following - start)


def _days(
    year: NDArray[np.int64],
    month: NDArray[np.int64],
    day: NDArray[np.int64],
    is_date: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Days since 1970."""
    months = np.where(is_date, (year - 1970) * 12 + month - 1, 0)
    first = months.astype("datetime64[M]").astype("datetime64[D]")
    days: NDArray[np.int64] = first.astype(np.int64) + day - 1
    return days


def _months(found: pa.Array) -> NDArray[np.int64]:
    names = pd.Series(pc.utf8_lower(pc.struct_field(found, "name")).to_pandas())
    months: NDArray[Any] = names.map(MONTHS).fillna(0).to_numpy()
    return months.astype(np.int64)


def _text_of(found: pa.Array, field: str) -> "pd.Series[Any] | None":
    """Text of a group; None where the pattern lacks it or it never stands."""
    if found.type.get_field_index(field) < 0:
        return None
    text = pc.fill_null(pc.struct_field(found, field), "")
    if not pc.any(pc.not_equal(text, "")).as_py():
        return None
    values: pd.Series[Any] = text.to_pandas()
    return values


def _hours(
    hour: NDArray[np.int64], found: pa.Array
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Hours of the day, and whether they are hours of their half of it."""
    halves = _text_of(found, "half")
    if halves is None:
        return hour, np.full(len(hour), True)
    half = halves.str.lower()
    is_half = (half != "").to_numpy(bool)
    is_known = ~is_half | ((hour >= 1) & (hour <= 12))
    shifted = hour % 12 + 12 * (half == "p").to_numpy(bool)
    return np.where(is_half, shifted, hour), is_known


def _fraction(found: pa.Array) -> NDArray[np.int64]:
    """Microseconds."""
    fraction = _text_of(found, "fraction")
    if fraction is None:
        return np.zeros(len(found), np.int64)
    digits = fraction.str.pad(6, "right", "0").str.slice(0, 6)
    microseconds: NDArray[Any] = digits.to_numpy(object)
    return microseconds.astype(np.int64)


def _in_zone(
    clock: Microseconds, found: pa.Array
) -> tuple[Microseconds, NDArray[np.bool_]]:
    """Moments where a zone is named that exists; else `NO_TIME`."""
    zones = _text_of(found, "zone")
    if zones is None:
        return clock, np.full(len(clock), False)
    for zone in zones.unique():
        if zone:
            rows = (zones == zone).to_numpy(bool) & (clock != NO_TIME)
            clock[rows] = _zone_reader(zone)(clock[rows])
    return clock, (zones != "").to_numpy(bool)


def _zone_reader(zone: str) -> Callable[[Microseconds], Microseconds]:
    if zone in ("Z", "z", "UTC", "GMT"):
        return lambda clock: clock
    if zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = int(digits[:2]) * 60 + int(digits[2:])
        if int(digits[:2]) > 14 or int(digits[2:]) > 59:
            return lambda clock: np.full(len(clock), NO_TIME)
        shift = offset * 60_000_000 * (1 if zone[0] == "+" else -1)
        return lambda clock: clock - shift
    try:
        ZoneInfo(zone)
    except (KeyError, OSError, ValueError):
        return lambda clock: np.full(len(clock), NO_TIME)
    return lambda clock: from_local(clock, zone)
