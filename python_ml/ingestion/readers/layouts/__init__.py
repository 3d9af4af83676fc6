"""Layouts of vendors' files, one module each, and what they share.

`LAYOUTS` lists them in the order in which a file is compared with them.
"""

from python_ml.ingestion.readers.layouts.alpaca import ALPACA
from python_ml.ingestion.readers.layouts.binance import BINANCE
from python_ml.ingestion.readers.layouts.databento import DATABENTO
from python_ml.ingestion.readers.layouts.interactive_brokers import (
    INTERACTIVE_BROKERS,
)
from python_ml.ingestion.readers.layouts.layout import Layout
from python_ml.ingestion.readers.layouts.massive import MASSIVE
from python_ml.ingestion.readers.layouts.metatrader import METATRADER
from python_ml.ingestion.readers.layouts.named_columns import NAMED_COLUMNS
from python_ml.ingestion.readers.layouts.stooq import STOOQ
from python_ml.ingestion.readers.layouts.tradingview import TRADINGVIEW
from python_ml.ingestion.readers.layouts.yfinance import YFINANCE

LAYOUTS: tuple[Layout, ...] = (
    DATABENTO,
    MASSIVE,
    ALPACA,
    BINANCE,
    STOOQ,
    METATRADER,
    INTERACTIVE_BROKERS,
    YFINANCE,
    TRADINGVIEW,
    NAMED_COLUMNS,
)
LAYOUT_NAMES = tuple(layout.name for layout in LAYOUTS[:-1])


def layout_named(name: str) -> Layout:
    """Layout of a name out of `LAYOUT_NAMES`."""
    return next(layout for layout in LAYOUTS if layout.name == name)
