"""yfinance: `Ticker.history` and `download`, saved."""

from python_ml.ingestion.readers.layouts.layout import Layout, known_by, ohlcv

YFINANCE = Layout(
    name="yfinance",
    columns=ohlcv(ts=("date", "datetime")),
    known_by=(
        known_by("date, open, high, low, close, adj close, volume"),
        known_by("datetime, open, high, low, close, adj close, volume"),
        known_by("date, open, high, low, close, volume, dividends"),
        known_by("datetime, open, high, low, close, volume, dividends"),
    ),
)
