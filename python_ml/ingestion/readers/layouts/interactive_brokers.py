"""Interactive Brokers: bars of its API, as its clients save them."""

from python_ml.ingestion.readers.layouts.layout import Layout, known_by, ohlcv

INTERACTIVE_BROKERS = Layout(
    name="interactive-brokers",
    columns=ohlcv(ts=("date",)),
    known_by=(
        known_by("date, open, high, low, close, volume, average, barcount"),
        known_by("date, open, high, low, close, volume, wap, barcount"),
        known_by("date, open, high, low, close, volume, wap, count"),
        known_by("date, open, high, low, close, volume, average, count"),
    ),
    # Bars of quotes, such as those of currencies.
    no_volume="-1",
)
