"""Which bars of a load cannot be stored, and why."""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from python_ml.ingestion.base import BAR_KEY, BAR_VALUES
from python_ml.ingestion.calendars.grid import (
    DAILY,
    WEEKLY,
    Places,
    SessionGrid,
    place_bars,
    to_utc,
)
from python_ml.ingestion.calendars.stamps import opens_from_closes
from python_ml.ingestion.calendars.times import Times, read_times
from python_ml.ingestion.screening.bounds import (
    LARGEST_VOLUME,
    clamp_range,
    is_jump_between,
    is_jump_within,
    is_price_out_of_bounds,
)
from python_ml.ingestion.screening.misread import (
    is_in_wrong_zone,
    is_on_wrong_day,
    is_stamped_at_close,
)
from python_ml.ingestion.screening.order import out_of_order
from python_ml.ingestion.screening.reasons import (
    Check,
    first_reasons,
    without_repeated,
)
from python_ml.ingestion.screening.values import (
    clean_text,
    is_printable,
    read_numbers,
)

PRICES = ["open", "high", "low", "close"]


def screen_bars(
    bars: pd.DataFrame,
    grid: SessionGrid,
    *,
    now: datetime,
    time_zone: str | None = None,
    stamp: str = "open",
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Part bars that can be stored from those that cannot.

    A row has one reason: the first that holds, in the order of this function.
    Of several good rows for one bar the first is kept, unless it stands out
    of the order of its series.

    Parameters
    ----------
    bars : DataFrame
        `Load.bars`, on a unique index, with all rows of its tickers.
    grid : SessionGrid
        Bars that can exist.
    now : datetime
        Bars that close later are rejected; with a time zone.
    time_zone : str, optional
        Zone of the times that name none.
    stamp : {"open", "close"}, default="open"
        Whether bars are named by their open or by their close.

    Returns
    -------
    accepted : DataFrame
        ticker, timeframe, session_date (of a week: the first), opened_at,
        closed_at, values as floats and is_repaired (high or low widened by
        what rounding took of it), on the index of `bars`.
    reasons : Series of str
        Reason of every other row, on the index of `bars`.
    """
    ticker = clean_text(bars["ticker"])
    timeframe = clean_text(bars["timeframe"])
    series = _numbered(ticker, timeframe)
    values, is_repaired = clamp_range(
        read_numbers(bars[BAR_VALUES]).assign(volume=_volumes(series, bars))
    )
    times = read_times(
        bars["opened_at"],
        time_zone=time_zone,
        may_be_date=timeframe.isin([DAILY, WEEKLY]).to_numpy(bool),
    )
    if stamp == "close":
        opens = opens_from_closes(timeframe, times.moments, grid)
        times = Times(opens, times.reason)
    places = place_bars(timeframe, times.moments, grid)
    reasons = first_reasons(
        [
            ("malformed_row", is_malformed(bars)),
            ("missing_ticker", ticker.isna()),
            ("unreadable_ticker", ~is_printable(ticker)),
            ("unknown_timeframe", ~timeframe.isin(grid.timeframes)),
            *_checks_of_times(
                series,
                timeframe,
                times,
                places,
                grid,
                pd.Timestamp(now).value // 1000,
            ),
            *_checks_of_values(values),
        ],
        bars.index,
    )
    screened = pd.DataFrame(
        {
            "ticker": ticker,
            "timeframe": timeframe,
            "session_date": to_utc(places.session_date).tz_localize(None),
            "opened_at": to_utc(places.opened_at),
            "closed_at": to_utc(places.closed_at),
            **values,
            "is_repaired": is_repaired,
        },
        index=bars.index,
    )
    rows = np.flatnonzero(reasons.isna())
    is_stray = is_jump_between(
        series[rows], places.opened_at[rows], values.iloc[rows]
    )
    reasons.iloc[rows[is_stray]] = "price_jump"
    is_good = reasons.isna().to_numpy()
    is_out = np.zeros(len(bars), bool)
    is_out[is_good] = out_of_order(
        _numbered_by_file(series, bars)[is_good], places.opened_at[is_good]
    )
    return without_repeated(
        screened, reasons, is_out=is_out, key=BAR_KEY, values=BAR_VALUES
    )


def _checks_of_times(
    series: NDArray[np.intp],
    timeframe: "pd.Series[Any]",
    times: Times,
    places: Places,
    grid: SessionGrid,
    now: int,
) -> list[Check]:
    """Whether a row's time names a bar that has closed."""
    moments = times.moments
    return [
        (times.reason, times.reason != None),  # noqa: E711
        ("in_the_future", moments > now),
        (
            "wrong_zone",
            is_in_wrong_zone(series, timeframe, moments, places, grid, now),
        ),
        (
            "stamped_at_close",
            is_stamped_at_close(series, timeframe, moments, grid),
        ),
        (
            "wrong_day",
            is_on_wrong_day(series, timeframe, moments, places, grid),
        ),
        (places.reason, places.reason != None),  # noqa: E711
        ("not_closed_yet", places.closed_at > now),
    ]


def _checks_of_values(values: pd.DataFrame) -> list[Check]:
    """Whether prices and volume can be those of a bar."""
    prices, volume = values[PRICES], values["volume"]
    infinities = [np.inf, -np.inf]
    return [
        ("unreadable_price", prices.isna().any(axis="columns")),
        ("infinite_price", prices.isin(infinities).any(axis="columns")),
        ("price_not_positive", (prices <= 0).any(axis="columns")),
        ("price_out_of_bounds", is_price_out_of_bounds(prices)),
        ("high_below_low", values["high"] < values["low"]),
        ("open_outside_range", _is_outside(values, "open")),
        ("close_outside_range", _is_outside(values, "close")),
        ("unreadable_volume", volume.isna()),
        ("infinite_volume", volume.isin(infinities)),
        ("negative_volume", volume < 0),
        ("volume_out_of_bounds", volume > LARGEST_VOLUME),
        ("price_jump", is_jump_within(values)),
    ]


def _volumes(
    series: NDArray[np.intp], bars: pd.DataFrame
) -> NDArray[np.float64]:
    """Volumes; 0 throughout a series that has none, as an index or currency."""
    volume = read_numbers(bars[["volume"]])["volume"].to_numpy()
    if not np.isnan(volume).any():
        return volume
    given = bars["volume"]
    is_given = given.notna().to_numpy(bool)
    if not pd.api.types.is_numeric_dtype(given.dtype):
        is_blank = given.astype("str").str.strip() == ""
        is_given = is_given & ~is_blank.to_numpy(bool)
    n_given = np.bincount(series[is_given], minlength=series.max() + 1)
    filled: NDArray[np.float64] = np.where(n_given[series] == 0, 0.0, volume)
    return filled


def is_malformed(bars: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark rows that the source could not tell into columns."""
    if "malformed_row" not in bars:
        return np.zeros(len(bars), bool)
    return bars["malformed_row"].notna().to_numpy(bool)


def _numbered(*labels: "pd.Series[Any]") -> NDArray[np.intp]:
    """Number of each row's combination of categories."""
    numbers = np.zeros(len(labels[0]), np.int64)
    for label in labels:
        numbers = numbers * (len(label.cat.categories) + 1) + (
            label.cat.codes.to_numpy(np.int64) + 1
        )
    return pd.factorize(numbers)[0]


def _numbered_by_file(
    series: NDArray[np.intp], bars: pd.DataFrame
) -> NDArray[np.intp]:
    """Tell a series of one file from the same of another."""
    if "file" not in bars:
        return series
    return _numbered(
        pd.Series(pd.Categorical(series)), clean_text(bars["file"])
    )


def _is_outside(values: pd.DataFrame, price: str) -> "pd.Series[bool]":
    return (values[price] < values["low"]) | (values[price] > values["high"])
