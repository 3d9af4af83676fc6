"""Binance: public files of klines, with a header or without."""

from python_ml.ingestion.readers.layouts.layout import Layout, known_by, ohlcv

NUMBER = r"-?[\d.]+(?:[eE]-?\d+)?"

BINANCE = Layout(
    name="binance",
    columns=ohlcv(ts=("open time",)),
    known_by=(
        known_by("open time, open, high, low, close, volume, close time"),
    ),
    # BTCUSDT-1h-2024-01.csv
    path_patterns=(
        "{symbol}-{timeframe}-*-*-*",
        "{symbol}-{timeframe}-*-*",
        "{symbol}-{timeframe}",
    ),
    shapes={
        (
            *("open_time", "open", "high", "low", "close", "volume"),
            *("close_time", "quote_volume", "count", "taker_buy_volume"),
            *("taker_buy_quote_volume", "ignore"),
        ): rf"\d{{13,16}},{NUMBER},{NUMBER},{NUMBER},{NUMBER},{NUMBER},"
        rf"\d{{13,16}},{NUMBER},\d+,{NUMBER},{NUMBER},{NUMBER}"
    },
)
