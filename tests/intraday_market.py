"""A seeded market of quarter hours with the awkward things that these hold.

Both symbols move most at the open and at the close, on sessions from October
2015 on: four of them close early, one of these just before the first profile
of a session is known, and the clocks change four times. The first week is cut
short.

GAPS is away for 25 sessions, trades nothing in one bar, does not move for two
hours and later for 22 sessions, and lacks one bar, in some sessions one in
twenty-five, and as many in a row as are carried and one more. PAIR splits two
for one in the middle of a week and pays a dividend some sessions later.
"""

from dataclasses import dataclass

import exchange_calendars as xcals
import numpy as np
import pandas as pd

from python_ml.ingestion.base import Load

N_SESSIONS = 450
# Sessions of GAPS, and places in them, both counted from 0.
AWAY = range(60, 85)
HALTED = range(330, 352)
NO_VOLUME = (310, 7)
FLAT = (315, range(9, 17))
MISSING = (430, 13)
HOLES = range(120, 170)
CARRIED, LONG_HOLE = (400, range(4, 12)), (415, range(4, 13))
SPLIT, DIVIDEND = 359, 364

FIRST_DAY, PLACES = "2015-10-30", 26
LENGTH = pd.Timedelta(minutes=15)
PRICES = ["open", "high", "low", "close"]


def session_opens() -> pd.DataFrame:
    """Sessions of the market: session_date, open, close (UTC), n_bars."""
    calendar = xcals.get_calendar("XNYS", start="2015-01-01", end="2018-01-01")
    days = calendar.schedule.loc[FIRST_DAY:, ["open", "close"]]
    days = days.head(N_SESSIONS).rename_axis("session_date").reset_index()
    return days.assign(n_bars=(days["close"] - days["open"]) // LENGTH)


def grid() -> pd.DataFrame:
    """Quarter hours of the market: session and place from 0, opened_at."""
    days = session_opens()
    bars = days.loc[days.index.repeat(days["n_bars"])]
    place = bars.groupby(level=0).cumcount()
    return pd.DataFrame(
        {
            "session": bars.index,
            "place": place.to_numpy(),
            "session_date": bars["session_date"].to_numpy(),
            "opened_at": (bars["open"] + place * LENGTH).array,
        }
    )


def walk(bars: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Bars of one share with volatility in a U over the session and in waves.

    Adjusted: splits and dividends are not in it.
    """
    random = np.random.default_rng(seed)
    n_bars = len(bars)
    place, session = bars["place"].to_numpy(), bars["session"].to_numpy()
    from_noon = (place - 12) / 13
    scale = (
        0.001
        * (1 + 2 * from_noon**2)
        * np.where(place == 0, 3, 1)
        * np.exp(0.4 * np.sin(session / 15))
    )
    move = scale * random.standard_t(5, n_bars)
    close = 50 * np.exp(np.cumsum(move))
    gap = (
        np.where(place == 0, 0.6, 0.1) * scale * random.standard_normal(n_bars)
    )
    opened = np.concatenate([close[:1], close[:-1]]) * np.exp(gap)
    reach = np.abs(scale * random.standard_normal((2, n_bars)))
    return bars.assign(
        open=opened,
        high=np.maximum(opened, close) * np.exp(reach[0]),
        low=np.minimum(opened, close) * np.exp(-reach[1]),
        close=close,
        volume=np.round(
            1e4 * (1 + from_noon**2) * np.exp(random.normal(0, 0.4, n_bars))
        ),
    )


def gaps(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars of GAPS, awkward things and all."""
    bars = walk(bars, 11)
    session, place = bars["session"], bars["place"]
    for is_flat in (
        (session == FLAT[0]) & place.isin(FLAT[1]),
        session.isin(HALTED),
    ):
        before = bars["close"][is_flat.idxmax() - 1]
        bars.loc[is_flat, PRICES] = before
    bars.loc[(session == NO_VOLUME[0]) & (place == NO_VOLUME[1]), "volume"] = 0
    is_missing = (session == MISSING[0]) & (place == MISSING[1])
    for hole in (CARRIED, LONG_HOLE):
        is_missing |= (session == hole[0]) & place.isin(hole[1])
    chance = np.random.default_rng(15).random(len(bars))
    is_missing |= session.isin(HOLES) & (chance < 0.04)
    return bars[~is_missing & ~session.isin(AWAY)]


def pair(bars: pd.DataFrame) -> pd.DataFrame:
    """Bars of PAIR, as traded."""
    bars = walk(bars, 12)
    bars.loc[bars["session"] >= SPLIT, PRICES] *= 0.5
    bars.loc[bars["session"] >= SPLIT, "volume"] *= 2
    bars.loc[bars["session"] >= DIVIDEND, PRICES] *= 0.98
    return bars


@dataclass(frozen=True)
class IntradaySource:
    """GAPS and PAIR in quarter hours, as a `BarSource`.

    Parameters
    ----------
    n_sessions : int
        Whole sessions.
    n_more_bars : int
        Bars of the session after these.
    """

    name: str = "intraday"
    calendar: str = "XNYS"
    n_sessions: int = N_SESSIONS
    n_more_bars: int = 0

    def read(self) -> Load:
        bars = grid()
        traded = pd.concat(
            [
                gaps(bars).assign(ticker="GAPS"),
                pair(bars).assign(ticker="PAIR"),
            ],
            ignore_index=True,
        )
        is_in = (traded["session"] < self.n_sessions) | (
            (traded["session"] == self.n_sessions)
            & (traded["place"] < self.n_more_bars)
        )
        traded = traded[is_in].assign(
            timeframe="m15",
            source_row_number=lambda rows: range(1, len(rows) + 1),
        )
        dates = session_opens()["session_date"]
        events = pd.DataFrame(
            {
                "ticker": "PAIR",
                "session_date": dates[[SPLIT, DIVIDEND]].dt.strftime(
                    "%Y-%m-%d"
                ),
                "kind": ["split", "dividend"],
                "factor": [0.5, 0.98],
            }
        )
        last = f"{traded['session_date'].max():%Y-%m-%d}"
        return Load(
            bars=traded.drop(columns=["session", "place", "session_date"]),
            adjustments=events[events["session_date"] <= last],
        )
