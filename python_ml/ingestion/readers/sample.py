"""The sample: daily bars of four shares, real and in the public domain."""

from dataclasses import dataclass

import pandas as pd

from python_ml.ingestion.base import Load
from python_ml.ingestion.readers.adjusted_close import derive_adjustments

# FB of the same package has 196 bars, fewer than one training window.
TICKERS = ("AAPL", "GOOG", "IBM", "MSFT")


@dataclass(frozen=True)
class SampleSource:
    """AAPL, GOOG, IBM and MSFT from `bokeh_sampledata.stocks`.

    Bars are as traded, 2000-03-01 (GOOG 2004-08-19) to 2013-03-01. Splits and
    dividends are derived from the package's adjusted close; it also holds
    later events, which change it by a constant and are none of ours.
    """

    name: str = "sample"
    calendar: str = "XNYS"

    def read(self) -> Load:
        """Read the package's file."""
        prices = sample_prices()
        return Load(
            bars=prices.rename(columns={"session_date": "opened_at"}).assign(
                timeframe="d1",
                source_row_number=range(1, len(prices) + 1),
            ),
            adjustments=derive_adjustments(prices),
            currency="USD",
        )


def sample_prices() -> pd.DataFrame:
    """Daily prices of `TICKERS`.

    Returns
    -------
    DataFrame of shape (11958, 8)
        ticker, session_date (ISO text), open, high, low, close, volume as
        traded, and adjusted_close.
    """
    from bokeh_sampledata import stocks  # reads its file when imported

    return pd.concat(
        [
            pd.DataFrame(getattr(stocks, ticker)).assign(ticker=ticker)
            for ticker in TICKERS
        ],
        ignore_index=True,
    ).rename(columns={"date": "session_date", "adj_close": "adjusted_close"})
