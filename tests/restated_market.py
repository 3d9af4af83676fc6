"""Two synthetic markets as they are told later, and an as-of time before."""

import dataclasses
import datetime

from python_ml.examples.cuts import end_of_day
from python_ml.ingestion.base import Load
from tests import intraday_market
from tests.intraday_market import IntradaySource
from tests.synthetic_market import SPLIT, SyntheticSource, sessions

# A session after the split and the dividend, with bars to come.
AS_OF = datetime.date.fromisoformat(sessions()[490])
LATER = end_of_day(AS_OF) + datetime.timedelta(days=200)
RESTATED = (300, SPLIT - 2, SPLIT + 20)

# The same of the intraday market, in the middle of a bar of every timeframe.
INTRADAY_AS_OF_SESSION, INTRADAY_AS_OF_PLACE = 435, 9
INTRADAY_RESTATED = ((120, 25), (300, 3), (357, 25), (379, 14), (425, 0))


class RestatedSource(SyntheticSource):
    """PAIR closes otherwise on the sessions `RESTATED` and pays otherwise."""

    def read(self) -> Load:
        pair = self.prices["PAIR"].copy()
        pair.loc[list(RESTATED), "close"] = pair.loc[list(RESTATED), "high"]
        load = SyntheticSource(prices=self.prices | {"PAIR": pair}).read()
        factors = load.adjustments["factor"].replace(0.95, 0.9)
        return dataclasses.replace(
            load, adjustments=load.adjustments.assign(factor=factors)
        )


def intraday_as_of() -> datetime.datetime:
    """Seven minutes into a bar of the intraday market."""
    bars = intraday_market.grid()
    is_bar = (bars["session"] == INTRADAY_AS_OF_SESSION) & (
        bars["place"] == INTRADAY_AS_OF_PLACE
    )
    opened_at: datetime.datetime = bars.loc[is_bar, "opened_at"].iloc[0]
    return opened_at + datetime.timedelta(minutes=7)


class RestatedIntradaySource(IntradaySource):
    """PAIR closes otherwise in the bars `INTRADAY_RESTATED`; pays otherwise."""

    def read(self) -> Load:
        load = super().read()
        bars = intraday_market.grid().set_index(["session", "place"])
        times = bars.loc[list(INTRADAY_RESTATED), "opened_at"]
        is_restated = (load.bars["ticker"] == "PAIR") & load.bars[
            "opened_at"
        ].isin(times)
        close = load.bars["close"].where(~is_restated, load.bars["high"])
        factors = load.adjustments["factor"].replace(0.98, 0.9)
        return dataclasses.replace(
            load,
            bars=load.bars.assign(close=close),
            adjustments=load.adjustments.assign(factor=factors),
        )
