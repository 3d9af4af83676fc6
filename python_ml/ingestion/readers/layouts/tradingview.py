"""TradingView: "Export chart data"."""

from python_ml.ingestion.readers.layouts.layout import Layout, known_by, ohlcv

TRADINGVIEW = Layout(
    name="tradingview",
    columns=ohlcv(ts=("time",)),
    known_by=(known_by("time, open, high, low, close"),),
    not_with=known_by("date, timestamp, datetime"),
    # BATS_AAPL, 1D.csv; a second export of it has a suffix.
    path_patterns=("*_{symbol}, {timeframe}_*", "*_{symbol}, {timeframe}"),
)
