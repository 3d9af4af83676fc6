"""Thirty sound daily series beside one of each kind that real markets have.

On the days that follow the history: OLD trades as NEW from the third day on,
GONE ceases to trade after the fourth, SPLIT splits unannounced on the sixth,
COIN stops for most of the seventh and HOLEY misses the eighth, besides one bar
in a hundred at random. IDX has no volume, TOKYO is on a calendar of which the
warehouse has heard nothing, EURUSD trades by the hour in the week of
currencies, without volume.
"""

import datetime
from dataclasses import dataclass
from functools import cache

import exchange_calendars as xcals
import numpy as np
import pandas as pd

from python_ml.ingestion.base import Load

SOUND = tuple(f"GOOD{number:02}" for number in range(30))
ODD_DAILY = ("IDX", "HOLEY", "SPLIT", "GONE", "OLD")
CALENDARS = {
    "XNYS": (*SOUND, *ODD_DAILY),
    "XTKS": ("TOKYO",),
    "fx": ("EURUSD",),
    "24/7": ("COIN",),
}
N_DAYS, N_SESSIONS = 10, 330
RENAMED_ON, LAST_OF_GONE, DELISTED_ON, SPLIT_ON, PARTIAL_ON, HOLE_ON = (
    2,
    3,
    6,
    5,
    6,
    7,
)
HOURS_OF_PARTIAL_DAY = 9
SHARE_MISSING = 0.01


@cache
def days() -> tuple[datetime.date, ...]:
    """Sessions of New York, of which the last are the days of the story."""
    calendar = xcals.get_calendar("XNYS", start="2017-01-01", end="2018-12-31")
    return tuple(day.date() for day in calendar.sessions[:N_SESSIONS])


def day(number: int) -> datetime.date:
    """Date of a day of the story, counted from 0."""
    return days()[N_SESSIONS - N_DAYS + number]


def evening(number: int) -> pd.Timestamp:
    """Time at which the bars of a day are loaded."""
    return pd.Timestamp(day(number), tz="UTC") + pd.Timedelta(hours=22)


@cache
def bars_of(ticker: str) -> pd.DataFrame:
    """All bars of a symbol, each with the time from which it can be loaded."""
    if ticker in ("EURUSD", "COIN"):
        opened_at = hours(ticker)
        timeframe, names = "h1", opened_at.strftime("%Y-%m-%dT%H:%MZ")
        known_at = opened_at + pd.Timedelta(hours=1)
    else:
        dates = pd.DatetimeIndex(days())
        if ticker == "TOKYO":
            dates = xcals.get_calendar(
                "XTKS", start="2017-01-01", end=f"{days()[-1]}"
            ).sessions
        timeframe, names = "d1", dates.strftime("%Y-%m-%d")
        known_at = dates.tz_localize("UTC") + pd.Timedelta(hours=22)
    random = np.random.default_rng([ord(letter) for letter in ticker])
    n_bars = len(names)
    scale = 0.015 if timeframe == "d1" else 0.003
    close = 50 * np.exp(np.cumsum(random.normal(0, scale, n_bars)))
    opened = close * np.exp(random.normal(0, scale / 4, n_bars))
    reach = np.abs(random.normal(0, scale / 4, (2, n_bars)))
    bars = pd.DataFrame(
        {
            "ticker": ticker,
            "timeframe": timeframe,
            "opened_at": names,
            "open": opened,
            "high": np.maximum(opened, close) * np.exp(reach[0]),
            "low": np.minimum(opened, close) * np.exp(-reach[1]),
            "close": close,
            "volume": np.round(random.lognormal(13, 0.4, n_bars)),
            "known_at": known_at,
        }
    )
    return as_it_happened(ticker, bars, random)


def hours(ticker: str) -> pd.DatetimeIndex:
    """Opens of hour bars: of every hour, or of a week of currencies."""
    every = pd.date_range(
        "2017-01-02", f"{days()[-1]} 23:00", freq="h", tz="UTC"
    )
    if ticker == "COIN":
        return every
    local = every.tz_convert("America/New_York")
    weekday, hour = local.day_of_week, local.hour
    is_open = (
        (weekday < 4)
        | ((weekday == 4) & (hour < 17))
        | ((weekday == 6) & (hour >= 17))
    )
    return every[is_open]


def as_it_happened(
    ticker: str, bars: pd.DataFrame, random: np.random.Generator
) -> pd.DataFrame:
    """What is odd about a symbol, done to its bars."""
    date = pd.to_datetime(bars["opened_at"]).dt.date
    if ticker in ("IDX", "EURUSD"):
        bars["volume"] = 0.0
    if ticker == "SPLIT":
        is_after = date >= day(SPLIT_ON)
        bars.loc[is_after, ["open", "high", "low", "close"]] /= 4
    if ticker == "HOLEY":
        is_missing = random.random(len(bars)) < SHARE_MISSING
        # Which of the last days it misses, is said.
        is_missing &= date < day(0)
        bars = bars[~is_missing & (date != day(HOLE_ON))]
    if ticker == "GONE":
        bars = bars[date <= day(LAST_OF_GONE)]
    if ticker == "OLD":
        bars["ticker"] = np.where(date < day(RENAMED_ON), "OLD", "NEW")
    if ticker == "COIN":
        hour = pd.to_datetime(bars["opened_at"]).dt.hour
        is_lost = (date == day(PARTIAL_ON)) & (hour >= HOURS_OF_PARTIAL_DAY)
        bars = bars[~is_lost]
    return bars


@dataclass(frozen=True)
class DaySource:
    """Bars of one calendar that a day of the story brings."""

    day_number: int
    calendar: str
    tickers: tuple[str, ...]
    name: str = "ten_days"

    def read(self) -> Load:
        """Everything before and on the first day, then day by day."""
        bars = pd.concat([bars_of(ticker) for ticker in self.tickers])
        since, until = (
            evening(self.day_number - 1),
            evening(self.day_number),
        )
        is_new = bars["known_at"] <= until
        if self.day_number:
            is_new &= bars["known_at"] > since
        bars = bars[is_new].drop(columns="known_at")
        bars["source_row_number"] = range(1, len(bars) + 1)
        return Load(
            bars=bars,
            adjustments=pd.DataFrame(
                columns=["ticker", "session_date", "kind", "factor"]
            ),
        )
