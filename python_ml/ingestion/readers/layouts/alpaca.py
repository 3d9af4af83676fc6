"""Alpaca: the data frame of its Python client, saved."""

from python_ml.ingestion.readers.layouts.layout import Layout, known_by, ohlcv

ALPACA = Layout(
    name="alpaca",
    columns=ohlcv(symbol=("symbol",), ts=("timestamp",)),
    known_by=(
        known_by("timestamp, open, high, low, close, trade count, vwap"),
    ),
)
