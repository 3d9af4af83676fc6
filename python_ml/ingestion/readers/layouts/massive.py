"""Massive, formerly Polygon: flat files of aggregates."""

from python_ml.ingestion.readers.layouts.layout import Layout, known_by, ohlcv

MASSIVE = Layout(
    name="massive",
    columns=ohlcv(symbol=("ticker",), ts=("window start",)),
    known_by=(
        known_by("ticker, window start, open, high, low, close, volume"),
    ),
    # us_stocks_sip/day_aggs_v1/2024/01/2024-01-02.csv.gz
    path_patterns=("{timeframe}_aggs_v1/*/*/*", "{timeframe}_aggs_v1/*"),
)
