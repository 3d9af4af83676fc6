"""A seeded market with the awkward things that real bars hold.

HALT misses one session, then trades nothing on one and does not move for a
month; PAIR splits two for one and pays a dividend between two windows. INDEX
has no volume until late, lacks some sessions at random, as many in a row as are
carried and one more.
"""

from dataclasses import dataclass, field

import exchange_calendars as xcals
import numpy as np
import pandas as pd

from python_ml.ingestion.base import Load

N_SESSIONS = 520
MISSING, NO_VOLUME, FLAT_FROM, FLAT_TO = 400, 470, 480, 510
SPLIT, DIVIDEND = 450, 455
VOLUME_FROM = 400
HOLES = {"random": range(100, 260), "carried": range(320, 323)}
HOLES["long"] = range(390, 394)


def sessions() -> list[str]:
    """Dates of the market's sessions, oldest first."""
    calendar = xcals.get_calendar("XNYS", start="2015-01-01", end="2018-01-01")
    return [f"{day:%Y-%m-%d}" for day in calendar.sessions[:N_SESSIONS]]


def walk(seed: int) -> pd.DataFrame:
    """Prices of one share with volatility that comes in waves."""
    random = np.random.default_rng(seed)
    scale = 0.01 * np.exp(0.5 * np.sin(np.arange(N_SESSIONS) / 20))
    close = 100 * np.exp(np.cumsum(scale * random.standard_normal(N_SESSIONS)))
    opened = np.roll(close, 1) * np.exp(
        0.003 * random.standard_normal(N_SESSIONS)
    )
    opened[0] = close[0]
    reach = np.abs(0.005 * random.standard_normal((2, N_SESSIONS)))
    return pd.DataFrame(
        {
            "session_date": sessions(),
            "open": opened,
            "high": np.maximum(opened, close) * np.exp(reach[0]),
            "low": np.minimum(opened, close) * np.exp(-reach[1]),
            "close": close,
            "volume": np.round(
                1e6 * np.exp(0.3 * random.standard_normal(N_SESSIONS))
            ),
        }
    )


def missing_sessions() -> list[int]:
    """Sessions that INDEX lacks, counted from 0."""
    random = np.random.default_rng(4)
    sometimes = [
        session for session in HOLES["random"] if random.random() < 0.05
    ]
    return [*sometimes, *HOLES["carried"], *HOLES["long"]]


@dataclass(frozen=True)
class SyntheticSource:
    """HALT, PAIR and INDEX, daily, as a `BarSource`."""

    name: str = "synthetic"
    calendar: str = "XNYS"
    n_sessions: int = N_SESSIONS
    prices: dict[str, pd.DataFrame] = field(
        default_factory=lambda: {
            "HALT": walk(1),
            "PAIR": walk(2),
            "INDEX": walk(3),
        }
    )

    def read(self) -> Load:
        halt = self.prices["HALT"].copy()
        flat = slice(FLAT_FROM, FLAT_TO - 1)
        halt.loc[flat, ["open", "high", "low", "close"]] = halt.loc[
            FLAT_FROM, "close"
        ]
        halt.loc[NO_VOLUME, "volume"] = 0.0
        halt = halt.drop(index=MISSING)

        pair = self.prices["PAIR"].copy()
        price_columns = ["open", "high", "low", "close"]
        pair.loc[DIVIDEND:, price_columns] *= 0.95
        pair.loc[SPLIT:, price_columns] *= 0.5
        pair.loc[SPLIT:, "volume"] *= 2
        day = pair["session_date"]

        index = self.prices["INDEX"].copy()
        index.loc[: VOLUME_FROM - 1, "volume"] = 0.0
        index = index.drop(index=missing_sessions())
        bars = pd.concat(
            [
                halt.assign(ticker="HALT"),
                pair.assign(ticker="PAIR"),
                index.assign(ticker="INDEX"),
            ]
        )
        bars = (
            bars[bars["session_date"] < self._end()]
            .rename(columns={"session_date": "opened_at"})
            .assign(
                timeframe="d1",
                source_row_number=lambda rows: range(1, len(rows) + 1),
            )
        )
        adjustments = pd.DataFrame(
            {
                "ticker": "PAIR",
                "session_date": [day[SPLIT], day[DIVIDEND]],
                "kind": ["split", "dividend"],
                "factor": [0.5, 0.95],
            }
        )
        return Load(
            bars=bars,
            adjustments=adjustments[adjustments["session_date"] < self._end()],
        )

    def _end(self) -> str:
        days = sessions()
        return days[self.n_sessions] if self.n_sessions < len(days) else "9999"
