"""Times as vendors write them, read as times.

Which form a file has is decided once, from its first rows.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.calendars.grid import NO_TIME, Microseconds
from python_ml.ingestion.calendars.times import ISO_TIME
from python_ml.ingestion.readers.clock_forms import FORMS, read_form
from python_ml.ingestion.readers.epochs import (
    UNITS,
    AmbiguousTimesError,
    epoch_units,
    numbers_of,
    read_epochs,
)

SHARE_READ = 0.5
# Whatever is in the first is in the second, with the same meaning.
OF_ONE_KIND = ("ISO 8601", "year-month-day")
ROWS_THAT_TELL = 50_000


@dataclass(frozen=True)
class ClockForm:
    """How times of a file are written.

    Parameters
    ----------
    name : str
        "ISO 8601", a form of `FORMS`, "epoch s", "epoch ms", "epoch us",
        "epoch ns", or a format of `strptime` that was asked for.
    """

    name: str

    def read(self, text: "pd.Series[Any]") -> "pd.Series[Any]":
        """Times of text; text that is no time stays as it is.

        Returns
        -------
        Series of shape (n,)
            Times with or without a zone if all could be read and are alike,
            else text as in ISO 8601, and what could not be read.
        """
        if self.name == "ISO 8601":
            return text
        if self.name.startswith("epoch "):
            clock, has_zone = read_epochs(
                text, self.name.removeprefix("epoch ")
            )
        elif "%" in self.name:
            clock, has_zone = _read_format(text, self.name)
        else:
            clock, has_zone = read_form(text, self.name)
        return _as_times(text, clock, has_zone)


def find_clock_form(text: "pd.Series[Any]") -> ClockForm:
    """Find out how times are written.

    Raises
    ------
    AmbiguousTimesError
        If they can be read in two ways.
    """
    text = text.dropna().str.strip()
    text = text[text != ""].head(ROWS_THAT_TELL)
    if text.empty:
        return ClockForm("ISO 8601")
    is_iso = text.str.contains(ISO_TIME, regex=True).to_numpy(bool)
    shares = {"ISO 8601": float(is_iso.mean())}
    if shares["ISO 8601"] < 1:
        shares |= {
            name: float((read_form(text, name)[0] != NO_TIME).mean())
            for name in FORMS
        }
        shares |= _shares_of_units(text)
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < SHARE_READ:
        if _are_small_numbers(text):
            raise AmbiguousTimesError(
                f"such as {text.iloc[0]}, which count from 1970 in no unit"
            )
        return ClockForm("ISO 8601")
    rivals = [
        name
        for name, share in shares.items()
        if name != best and share == shares[best] and name not in OF_ONE_KIND
    ]
    if rivals and not _agree(text, [best, *rivals]):
        raise AmbiguousTimesError(
            f"such as {text.iloc[0]}, which may be "
            f"{' or '.join([best, *rivals])}"
        )
    return ClockForm(best)


def asked_clock_form(text: str) -> ClockForm:
    """Form of a `--date-format`: a unit of `UNITS` or a `strptime` format.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if text in UNITS:
        return ClockForm(f"epoch {text}")
    if not re.search(r"%[YyjfsdmbBHIMSpzZ]", text):
        raise ValueError(text)
    return ClockForm(text)


def _shares_of_units(text: "pd.Series[Any]") -> dict[str, float]:
    values, _ = numbers_of(text)
    return {
        f"epoch {unit}": count / len(text)
        for unit, count in epoch_units(values).items()
    }


def _are_small_numbers(text: "pd.Series[Any]") -> bool:
    return bool(text.str.fullmatch(r"[+-]?\d+(?:\.\d*)?").mean() >= SHARE_READ)


def _agree(text: "pd.Series[Any]", names: list[str]) -> bool:
    """Whether all forms read the same."""
    read = [ClockForm(name).read(text).astype("str") for name in names]
    return all((read[0] == other).all() for other in read[1:])


def _read_format(
    text: "pd.Series[Any]", wanted: str
) -> tuple[Microseconds, NDArray[np.bool_]]:
    has_zone = "%z" in wanted or "%Z" in wanted
    times = pd.to_datetime(
        text.str.strip(), format=wanted, errors="coerce", utc=True
    )
    clock = times.dt.tz_localize(None).to_numpy("datetime64[us]")
    return clock.astype(np.int64), np.full(len(text), has_zone)


def _as_times(
    text: "pd.Series[Any]", clock: Microseconds, has_zone: NDArray[np.bool_]
) -> "pd.Series[Any]":
    is_time = clock != NO_TIME
    times = pd.Series(clock.view("datetime64[us]"), index=text.index)
    if is_time.all() and not has_zone.any():
        return times
    if is_time.all() and has_zone.all():
        return times.dt.tz_localize("UTC")
    zoned = is_time & has_zone
    local = is_time & ~has_zone
    result = text.astype(object)
    result[zoned] = times[zoned].dt.strftime("%Y-%m-%d %H:%M:%S.%fZ")
    result[local] = times[local].dt.strftime("%Y-%m-%d %H:%M:%S.%f")
    return result.astype("str")
