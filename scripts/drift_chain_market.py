"""Bars of the sample whose weeks are told by the size of their moves."""

import numpy as np
import pandas as pd

from python_ml.ingestion.readers.sample import sample_prices

PRICES = ["open", "high", "low", "close"]


def read_bars() -> pd.DataFrame:
    """Daily bars of the sample, adjusted backwards."""
    prices = sample_prices()
    factor = prices["adjusted_close"] / prices["close"]
    bars = prices[PRICES].mul(factor, axis=0)
    # What rounding took from the ends of the range is given back.
    bars["high"], bars["low"] = bars.max(axis=1), bars[PRICES].min(axis=1)
    return bars.assign(
        symbol=prices["ticker"],
        timeframe="d1",
        ts=pd.to_datetime(prices["session_date"]),
        volume=prices["volume"].astype(float),
    )


def in_weeks(bars: pd.DataFrame, changes_at: pd.Timestamp) -> pd.DataFrame:
    """Date the sessions of each week anew, by the size of their moves.

    Parameters
    ----------
    bars : DataFrame of shape (n_sessions, n_columns)
        Of one symbol; the first is left out, since it has no move.
    changes_at : Timestamp
        Until then the largest move comes first, from then on last.
    """
    before = bars["close"].shift()
    moves = bars.assign(**{name: bars[name] / before for name in PRICES})[1:]
    size = np.log(moves["close"]).abs()
    weeks = moves["ts"].dt.to_period("W")
    is_changed = moves["ts"] >= changes_at
    order = pd.DataFrame(
        {
            "week": weeks,
            "change": is_changed,
            "by": size.where(is_changed, -size),
        }
    ).sort_values(["week", "change", "by"])
    made = moves.loc[order.index].assign(ts=moves["ts"].to_numpy())
    closes = float(bars["close"].iloc[0]) * made["close"].cumprod()
    last = closes.shift(fill_value=float(bars["close"].iloc[0]))
    return made.assign(**{name: made[name] * last for name in PRICES})
