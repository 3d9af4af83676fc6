"""Databento: CSV or parquet of the schemas ohlcv-1h and ohlcv-1d."""

from python_ml.ingestion.readers.layouts.layout import Layout, known_by, ohlcv

DATABENTO = Layout(
    name="databento",
    columns=ohlcv(symbol=("symbol",), timeframe=("rtype",), ts=("ts event",)),
    known_by=(
        known_by("ts event, rtype, open, high, low, close, volume"),
        known_by("ts event, instrument id, open, high, low, close, volume"),
    ),
    timeframes={"32": "s1", "33": "m1", "34": "h1", "35": "d1", "36": "d1"},
    # Unless prices were asked for with a decimal point.
    fixed_point=9,
)
