"""Good daily series beside one of each kind of trouble that real ones have.

GOOD and FINE are sound. IDX has no volume, HOLEY misses bars at random and one
of the last, LOST a week of them, SPLIT splits unannounced, GONE ceases to
trade, OLD is renamed to NEW, STALE stops without a word and SHORT has only
begun.
"""

import datetime
from dataclasses import dataclass

import exchange_calendars as xcals
import numpy as np
import pandas as pd

from python_ml.ingestion.base import Load

SOUND = ("GOOD", "FINE")
ODD = ("IDX", "HOLEY", "LOST", "SPLIT", "GONE", "OLD", "STALE", "SHORT")
# Members that learn from a series alone.
OWN_MEMBERS = ("random_forest", "gradient_boosting")
N_SESSIONS = 330
# Sessions loaded at first; then one by one.
N_FIRST = N_SESSIONS - 2
N_SHORT, N_STALE = 150, 12
LOST_WEEK = N_FIRST - 20, N_FIRST - 15
SPLIT_AT, RECENT_HOLE = N_FIRST - 40, N_FIRST - 5


def recovery_of_lost() -> datetime.date:
    """Session of the bar whose longest window begins behind the lost week."""
    calendar = xcals.get_calendar("XNYS", start="2017-01-01", end="2020-12-31")
    session: pd.Timestamp = calendar.sessions[LOST_WEEK[1] + 60]
    return session.date()


def sessions() -> list[datetime.date]:
    """Dates of the sessions, oldest first."""
    calendar = xcals.get_calendar("XNYS", start="2017-01-01", end="2020-12-31")
    return [day.date() for day in calendar.sessions[:N_SESSIONS]]


def bars_of(ticker: str) -> pd.DataFrame:
    """All bars of a symbol, with their place among the sessions."""
    random = np.random.default_rng([ord(letter) for letter in ticker])
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.015, N_SESSIONS)))
    opened = close * np.exp(random.normal(0, 0.004, N_SESSIONS))
    reach = np.abs(random.normal(0, 0.004, (2, N_SESSIONS)))
    bars = pd.DataFrame(
        {
            "ticker": ticker,
            "timeframe": "d1",
            "opened_at": [f"{day:%Y-%m-%d}" for day in sessions()],
            "open": opened,
            "high": np.maximum(opened, close) * np.exp(reach[0]),
            "low": np.minimum(opened, close) * np.exp(-reach[1]),
            "close": close,
            "volume": np.round(random.lognormal(13, 0.4, N_SESSIONS)),
            "place": range(N_SESSIONS),
        }
    )
    if ticker == "IDX":
        bars["volume"] = 0.0
    if ticker == "SPLIT":
        is_after = bars["place"] >= SPLIT_AT
        bars.loc[is_after, ["open", "high", "low", "close"]] /= 4
    if ticker == "HOLEY":
        holes = {RECENT_HOLE, *random.integers(1, N_FIRST - 60, 3).tolist()}
        bars = bars[~bars["place"].isin(holes)]
    if ticker == "LOST":
        bars = bars[~bars["place"].isin(range(*LOST_WEEK))]
    if ticker == "GONE":
        bars = bars[bars["place"] < N_FIRST]
    if ticker == "STALE":
        bars = bars[bars["place"] < N_FIRST - N_STALE]
    if ticker == "SHORT":
        bars = bars[bars["place"] >= N_FIRST - N_SHORT]
    return bars


@dataclass(frozen=True)
class OddSource:
    """Bars of some symbols from one session on, up to another, exclusive."""

    tickers: tuple[str, ...]
    first: int = 0
    last: int = N_FIRST
    renamed: tuple[tuple[str, str], ...] = ()
    name: str = "odd"
    calendar: str = "XNYS"

    def read(self) -> Load:
        bars = pd.concat([bars_of(ticker) for ticker in self.tickers])
        bars = bars[bars["place"].between(self.first, self.last - 1)]
        bars["ticker"] = bars["ticker"].replace(dict(self.renamed))
        bars["source_row_number"] = range(1, len(bars) + 1)
        return Load(
            bars=bars.drop(columns="place"),
            adjustments=pd.DataFrame(
                columns=["ticker", "session_date", "kind", "factor"]
            ),
        )


def steps_learnt(forecasts: pd.DataFrame) -> np.ndarray:
    """Step in log odds that each own member says for NEUTRAL, (n, 2).

    What a member has learnt is a step from climatology, which is that of all
    series. So between warehouses with other series beside, all own members of a
    series and horizon differ by the same: by climatology alone.
    """
    neutral = np.array(
        [
            [members[name][1] for name in OWN_MEMBERS]
            for members in forecasts["member_probabilities"]
        ]
    )
    return np.log((1 - neutral) / neutral)
