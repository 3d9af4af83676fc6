"""Stooq: its bulk text files."""

from python_ml.ingestion.readers.layouts.layout import Layout, known_by, ohlcv

STOOQ = Layout(
    name="stooq",
    columns=ohlcv(
        symbol=("ticker",),
        timeframe=("per",),
        ts=("date+time",),
        volume=("vol",),
    ),
    known_by=(
        known_by("ticker, per, date, time, open, high, low, close, vol"),
    ),
)
