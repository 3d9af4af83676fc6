"""Times as sources write them, read as moments."""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.exceptions import IngestionError
from python_ml.ingestion.calendars.grid import (
    DAY,
    NO_TIME,
    Microseconds,
    microseconds,
)

# A date, or a date and a time of day, which may end in a zone.
ISO_TIME = (
    r"^\d{4}-\d\d-\d\d"
    r"(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?"
    r"(?: ?(?:Z|z|UTC|[+-]\d\d(?::?\d\d)?))?)?$"
)
ENDS_IN_ZONE = r"\d\d:\d\d.*(?:Z|z|UTC|[+-]\d\d(?::?\d\d)?)$"
# One time in nanoseconds would narrow the range of all others.
BELOW_MICROSECONDS = r"(\.\d{6})\d+"


@dataclass(frozen=True)
class Times:
    """Times of rows, as far as they can be read.

    Parameters
    ----------
    moments : ndarray of shape (n,)
        Microseconds since 1970 UTC, `NO_TIME` where `reason` says why not.
    reason : ndarray of shape (n,)
        `unreadable_time`, `time_without_zone`, `unclear_local_time` (skipped
        or shown twice by the clocks' change), else None.
    """

    moments: Microseconds
    reason: NDArray[np.object_]


def read_times(
    values: "pd.Series[Any]",
    *,
    time_zone: str | None,
    may_be_date: NDArray[np.bool_],
) -> Times:
    """Read times in any of the forms that files and frames hold.

    Parameters
    ----------
    values : Series of shape (n,)
        Timestamps, or text, dates and timestamps mixed; text as in ISO 8601,
        `2012-07-03 09:30:00-04:00`. Numbers are not read: nothing says what
        they count.
    time_zone : str or None
        Zone of the times that name none.
    may_be_date : ndarray of shape (n,)
        Whether a midnight without a zone is the name of a day, whatever
        `time_zone`; it then stands for 00:00 UTC.

    Examples
    --------
    >>> times = read_times(
    ...     pd.Series(["2012-07-03", "2012-07-03 09:30", "3 July"]),
    ...     time_zone="America/New_York",
    ...     may_be_date=np.array([True, True, True]),
    ... )
    >>> from python_ml.ingestion.calendars.grid import to_utc
    >>> print(*to_utc(times.moments[:2]))
    2012-07-03 00:00:00+00:00 2012-07-03 13:30:00+00:00
    >>> times.reason[2]
    'unreadable_time'
    """
    clock, has_zone = _read_clock(values)
    reason = np.full(len(values), None, dtype=object)
    reason[clock == NO_TIME] = "unreadable_time"
    is_date = ~has_zone & may_be_date & (clock % DAY == 0)
    is_local = ~has_zone & ~is_date & (clock != NO_TIME)
    if time_zone is None:
        reason[is_local] = "time_without_zone"
        clock[is_local] = NO_TIME
    elif is_local.any():
        moments = from_local(clock[is_local], time_zone)
        clock[is_local] = moments
        reason[is_local & (clock == NO_TIME)] = "unclear_local_time"
    return Times(clock, reason)


def from_local(clock: Microseconds, time_zone: str) -> Microseconds:
    """Moments at which a zone's clocks show these times.

    `NO_TIME` where they never do, or do twice.
    """
    local = pd.Series(clock.view("datetime64[us]")).dt.tz_localize(
        ZoneInfo(time_zone), ambiguous="NaT", nonexistent="NaT"
    )
    return microseconds(local)


def has_zone(values: "pd.Series[Any]") -> NDArray[np.bool_]:
    """Whether each time says which zone it is in."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return np.full(len(values), True)
    if values.dtype.kind == "M":
        return np.full(len(values), False)
    return _matches(_as_text(values), ENDS_IN_ZONE)


def checked_time_zone(name: str) -> str:
    """Return the name of a time zone if there is one.

    Raises
    ------
    IngestionError
        If there is none.
    """
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise IngestionError(
            f"There is no time zone {name!r}; use a name such as "
            "America/New_York or UTC."
        ) from None
    return name


def _read_clock(
    values: "pd.Series[Any]",
) -> tuple[Microseconds, NDArray[np.bool_]]:
    """What the clock shows, in UTC where a zone is named, and whether it is."""
    if values.dtype.kind == "M" or isinstance(values.dtype, pd.DatetimeTZDtype):
        return microseconds(values), has_zone(values)
    text = _as_text(values)
    moments = pd.to_datetime(
        text.where(_matches(text, ISO_TIME))
        .str.replace(" ?UTC$", "Z", regex=True)
        .str.replace(BELOW_MICROSECONDS, r"\1", regex=True),
        format="ISO8601",
        errors="coerce",
        utc=True,
    )
    return microseconds(moments), _matches(text, ENDS_IN_ZONE)


def _as_text(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Text of times and dates; numbers are missing."""
    if values.dtype == object:
        values = values.where(~values.map(pd.api.types.is_number))
    elif pd.api.types.is_numeric_dtype(values.dtype):
        values = pd.Series(None, index=values.index, dtype="str")
    return values.astype("str").str.strip()


def _matches(text: "pd.Series[Any]", pattern: str) -> NDArray[np.bool_]:
    return text.str.contains(pattern, regex=True).to_numpy(bool, na_value=False)
