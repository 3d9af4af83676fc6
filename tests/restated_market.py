"""The synthetic market as it is told later, and an as-of date before that."""

import dataclasses
import datetime

from python_ml.cuts import end_of_day
from python_ml.ingestion.base import Load
from tests.synthetic_market import SPLIT, SyntheticSource, sessions

# A session after the split and the dividend, with bars to come.
AS_OF = datetime.date.fromisoformat(sessions()[490])
LATER = end_of_day(AS_OF) + datetime.timedelta(days=200)
RESTATED = (300, SPLIT - 2, SPLIT + 20)


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
