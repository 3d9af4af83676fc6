"""MetaTrader: bars exported from 5 (with a header) or 4 (without)."""

from python_ml.ingestion.readers.layouts.layout import Layout, known_by, ohlcv

NUMBER = r"[\d.]+"

METATRADER = Layout(
    name="metatrader",
    # Trades of a broker's customers are not the market's: ticks are counted.
    columns=ohlcv(ts=("date+time", "date"), volume=("tickvol",)),
    known_by=(known_by("date, open, high, low, close, tickvol"),),
    # EURUSD_M15_202401020000_202401312345.csv, and EURUSD_M15.csv
    path_patterns=("{symbol}_{timeframe}_*_*", "{symbol}_{timeframe}"),
    shapes={
        ("date", "time", "open", "high", "low", "close", "tickvol"): (
            r"\d{4}\.\d\d\.\d\d,\d\d:\d\d,"
            rf"{NUMBER},{NUMBER},{NUMBER},{NUMBER},\d+"
        )
    },
)
