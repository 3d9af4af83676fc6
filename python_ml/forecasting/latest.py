"""The latest forecasts of every series, for people."""

from collections.abc import Sequence

import pandas as pd

from python_ml.console.text_tables import to_text
from python_ml.forecasting.due import read_series
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse

LATEST_QUERY = """
    select *
    from {forecasting}.latest_forecasts
    where ticker = any(:tickers) and timeframe = any(:timeframes)
    order by ticker, timeframe, horizon_bars
"""


def latest_forecasts(
    warehouse: Warehouse,
    *,
    symbols: Sequence[str] | None = None,
    timeframes: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Rows of `forecasting.latest_forecasts`, by ticker, timeframe, horizon.

    Parameters
    ----------
    warehouse : Warehouse
    symbols, timeframes : sequence of str, optional
        By default all.

    Raises
    ------
    UnknownSeriesError
        If the warehouse has no bars of a symbol or timeframe asked for.
    """
    series = read_series(warehouse, symbols, timeframes)
    return read_frame(
        warehouse,
        LATEST_QUERY,
        {
            "tickers": series["ticker"].unique().tolist(),
            "timeframes": series["timeframe"].unique().tolist(),
        },
    )


def forecast_table(latest: pd.DataFrame) -> str:
    """Text of what `latest_forecasts` returned, but for what is past."""
    ahead = latest[~latest["is_past_target"].astype(bool)]
    has_currency = ahead["currency"].notna().any()
    table = to_text(
        ahead,
        columns={
            "ticker": "ticker",
            "timeframe": "timeframe",
            "horizon": "horizon",
            "closed_at": "closed (UTC)",
            "target_at": "target (UTC)",
            "direction": "direction",
            "probability_bearish": "bearish",
            "probability_neutral": "neutral",
            "probability_bullish": "bullish",
            "confidence": "confidence",
            **({"currency": "prices in"} if has_currency else {}),
            "reference_close": "close",
            "price_target": "target",
            "lower_80": "80% from",
            "upper_80": "to",
            "trust": "trust",
            "run_kind": "kind",
        },
        prices=("reference_close", "price_target", "lower_80", "upper_80"),
    )
    n_past = len(latest) - len(ahead)
    if n_past:
        table += (
            f"\n{n_past} more are past their target time and not shown: their "
            "series have no newer forecast."
        )
    return table
