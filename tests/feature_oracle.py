"""Features and labels once more in plain pandas, for the SQL to agree with.

Written from the formulas in the feature descriptions, on one series at a time,
with nothing shared with the SQL: rolling windows here, frames there.
"""

import numpy as np
import pandas as pd

LOOKBACK = 60
CLASSES = {-1: "BEARISH", 0: "NEUTRAL", 1: "BULLISH"}


def adjusted_prices(
    bars: pd.DataFrame, adjustments: pd.DataFrame
) -> pd.DataFrame:
    """Bars of one symbol divided by the factors in force at their open."""
    out = bars.copy()
    price_factor = np.ones(len(bars))
    split_factor = np.ones(len(bars))
    for event in adjustments.itertuples():
        is_after = (bars["opened_at"] >= event.effective_at).to_numpy()
        price_factor[is_after] *= event.factor
        if event.kind == "split":
            split_factor[is_after] *= event.factor
    for column in ("open", "high", "low", "close"):
        out[column] = bars[column] / price_factor
    out["volume"] = bars["volume"] * split_factor
    return out


def weekly_bars(daily: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """Whole weeks of adjusted daily bars, numbered as the grid numbers them."""
    week = pd.to_datetime(sessions["session_date"]).dt.to_period("W-SUN")
    numbers = pd.Series(pd.factorize(week)[0] + 1, index=sessions.index)
    calendar = sessions.assign(week=numbers)
    sizes = calendar.groupby("week").size()
    with_week = daily.merge(calendar[["session_date", "week"]])
    grouped = with_week.groupby("week")
    weeks = grouped.agg(
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        volume=("volume", "sum"),
        session_date=("session_date", "last"),
        n_sessions=("close", "size"),
    )
    weeks = weeks[weeks["n_sessions"] == sizes.reindex(weeks.index)]
    return weeks.rename_axis("bar_number").reset_index()


def mean(values: pd.Series, bars: int) -> pd.Series:
    """Mean of the last `bars` values."""
    return values.rolling(bars).mean()


def half_log_ratio(a: pd.Series, b: pd.Series) -> pd.Series:
    """Log ratio of two volatilities, given as variances."""
    return 0.5 * (np.log(a.where(a > 0)) - np.log(b.where(b > 0)))


def own_features(bars: pd.DataFrame) -> pd.DataFrame:
    """Features of one series from its own bars.

    `bars` has bar_number, session_date and adjusted open, high, low, close and
    volume in order; holes in bar_number are allowed and make rows NaN.
    """
    numbers = bars["bar_number"]
    full = bars.set_index("bar_number").reindex(
        range(numbers.min(), numbers.max() + 1)
    )
    opened, high, low, close, volume = (
        full[name] for name in ("open", "high", "low", "close", "volume")
    )
    log_close = np.log(close)
    move = log_close.diff()
    variance = mean(move**2, 20)
    volatility = np.sqrt(variance.where(variance > 1e-10))
    squared_range = np.log(high / low) ** 2
    body = np.log(close / opened)
    garman_klass = 0.5 * squared_range - (2 * np.log(2) - 1) * body**2

    features = pd.DataFrame(index=full.index)
    features["return_1"] = move / volatility
    for bars_back in (5, 20, 60):
        features[f"return_{bars_back}"] = log_close.diff(bars_back) / (
            volatility * np.sqrt(bars_back)
        )
    features["absolute_return_1"] = move.abs() / volatility
    features["absolute_return_5"] = mean(move.abs(), 5) / volatility
    features["overnight_gap"] = np.log(opened / close.shift(1)) / volatility
    features["volatility_ratio_5_20"] = half_log_ratio(
        mean(move**2, 5), mean(move**2, 20)
    )
    features["volatility_ratio_20_60"] = half_log_ratio(
        mean(move**2, 20), mean(move**2, 60)
    )
    features["parkinson_ratio_5_20"] = half_log_ratio(
        mean(squared_range, 5), mean(squared_range, 20)
    )
    features["parkinson_to_realized_20"] = half_log_ratio(
        mean(squared_range, 20) / (4 * np.log(2)), mean(move**2, 20)
    )
    features["garman_klass_ratio_5_20"] = half_log_ratio(
        mean(garman_klass, 5), mean(garman_klass, 20)
    )
    for bars_back in (5, 20, 60):
        features[f"distance_from_average_{bars_back}"] = (
            log_close - np.log(mean(close, bars_back))
        ) / (volatility * np.sqrt(bars_back))
    for bars_back in (20, 60):
        highest = high.rolling(bars_back).max()
        lowest = low.rolling(bars_back).min()
        span = (highest - lowest).replace(0, np.nan)
        features[f"range_place_{bars_back}"] = (close - lowest) / span
    features["rsi_14"] = move.clip(lower=0).rolling(
        14
    ).sum() / move.abs().rolling(14).sum().replace(0, np.nan)
    x = np.arange(20.0)
    features["trend_slope_20"] = (
        log_close.rolling(20).apply(
            lambda y: np.polyfit(x, y - y[0], 1)[0], raw=True
        )
        * np.sqrt(20)
        / volatility
    )
    features["volume_ratio_20"] = np.log(volume.where(volume > 0)) - np.log(
        mean(volume, 20)
    )
    features["candle_body"] = body / volatility
    features["upper_shadow"] = (
        np.log(high / np.maximum(opened, close)) / volatility
    )
    features["lower_shadow"] = (
        np.log(np.minimum(opened, close) / low) / volatility
    )
    features["weekday"] = (
        pd.to_datetime(full["session_date"]).dt.day_of_week + 1
    )
    features["bar_variance"] = volatility**2
    # What a row needs is all of the last 61 bars, whatever a feature looks at.
    is_whole = close.notna().astype(float).rolling(LOOKBACK + 1).sum()
    features["is_whole"] = is_whole == LOOKBACK + 1
    return features.loc[numbers]


def higher_state(features: pd.DataFrame) -> pd.DataFrame:
    """What the next lower timeframe reads of a series at its last close."""
    return features[
        ["return_1", "return_5", "volatility_ratio_5_20", "range_place_20"]
    ].add_prefix("higher_")


def labels(
    bars: pd.DataFrame, variance: pd.Series, *, horizon_bars: int
) -> pd.DataFrame:
    """Labels of one series for one horizon, with k = 0.43.

    Returns
    -------
    DataFrame indexed by bar_number
        label (None without one), label_return, expected_volatility.
    """
    log_close = np.log(bars.set_index("bar_number")["close"])
    ahead = log_close.reindex(log_close.index + horizon_bars).to_numpy()
    volatility = np.sqrt(variance * horizon_bars)
    move = pd.Series(ahead - log_close.to_numpy(), index=log_close.index)
    move = move.where(volatility.notna())
    side = np.sign(move) * (move.abs() > 0.43 * volatility)
    return pd.DataFrame(
        {
            "label": side.map(CLASSES, na_action="ignore"),
            "label_return": move,
            "expected_volatility": volatility,
        }
    )
