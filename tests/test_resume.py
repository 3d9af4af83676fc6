"""Loads that go on from what is held, in batches that are kept."""

from datetime import date

import pandas as pd
import pytest

from python_ml.exceptions import (
    IngestionError,
    NoBarsError,
    SourceUnavailableError,
)
from python_ml.ingestion.base import ADJUSTMENT_COLUMNS, BAR_COLUMNS, Load
from python_ml.ingestion.known import newest_bars
from python_ml.ingestion.resume import (
    WantedSeries,
    in_batches,
    ingest_batches,
    wanted_series,
)


class OneBar:
    """A source of one symbol, which may fail."""

    name = "test"
    calendar = "XNYS"

    def __init__(self, ticker, error=None, **changes):
        self.ticker, self.error, self.changes = ticker, error, changes

    def read(self):
        if self.error:
            raise self.error
        bar = dict.fromkeys(("open", "high", "low", "close", "volume"), 10.0)
        bar |= {
            "ticker": self.ticker,
            "timeframe": "d1",
            "opened_at": "2012-07-02",
            "source_row_number": 1,
        }
        n_rows = 0 if self.changes.get("is_empty") else 1
        bars = pd.DataFrame([bar | self.changes], columns=BAR_COLUMNS)
        return Load(
            bars.head(n_rows),
            pd.DataFrame(columns=ADJUSTMENT_COLUMNS),
            left_out={"outside_session": 2},
            notes=("Read.",),
        )


def test_batches_before_a_failing_service_are_kept(module_warehouse):
    warehouse = module_warehouse
    failing = OneBar("C", SourceUnavailableError("Gone."))
    sources = [OneBar("A"), OneBar("B"), failing, OneBar("D")]
    with pytest.raises(SourceUnavailableError) as caught:
        ingest_batches(warehouse, sources)
    assert str(caught.value) == "Gone. 2 of 4 batches of symbols are loaded."
    failing.error = None
    summary = ingest_batches(warehouse, sources)
    assert (summary.bars_known, summary.bars_loaded) == (2, 2)
    assert [series.ticker for series in summary.series] == ["A", "B", "C", "D"]
    assert summary.left_out == {"outside_session": 8}
    assert summary.notes == ("Read.",)
    newest = newest_bars(warehouse, ["d1", "w1"])
    assert newest["ticker"].to_list() == ["A", "B", "C", "D"]
    assert set(newest["opened_at"]) == {pd.Timestamp("2012-07-02 13:30Z")}
    assert set(newest["source"]) == {"test"}


def test_batches_that_cannot_be_stored_do_not_stop_the_others(
    module_warehouse,
):
    warehouse = module_warehouse
    bad = OneBar("BAD", close=-1.0)
    empty = OneBar("EMPTY", is_empty=True)
    with pytest.raises(IngestionError, match="every row was rejected"):
        ingest_batches(warehouse, [empty, bad, OneBar("GOOD")])
    summary = ingest_batches(warehouse, [empty, OneBar("GOOD")])
    assert summary.bars_known == 1
    assert "has no bars: nothing was loaded." in summary.notes[-1]
    with pytest.raises(NoBarsError):
        ingest_batches(warehouse, [empty])


def test_a_week_is_read_again_from_its_monday():
    newest = pd.DataFrame(
        {
            "ticker": ["AAPL"],
            "timeframe": ["w1"],
            # The Monday was a holiday.
            "opened_at": pd.to_datetime(["2024-05-28 13:30Z"]),
        }
    )
    wanted = wanted_series(
        newest,
        ["AAPL", "IBM"],
        history_from={"w1": date(2024, 5, 1)},
        time_zone="America/New_York",
    )
    assert [(one.first_date, one.has_bars) for one in wanted] == [
        (date(2024, 5, 27), True),
        (date(2024, 4, 29), False),
    ]


def test_batches_hold_whole_symbols_and_so_many():
    wanted = [
        WantedSeries(f"S{number:03}", timeframe, date(2024, 1, 2), True)
        for number in range(450)
        for timeframe in ("d1", "w1")
    ]
    batches = [
        *in_batches(
            wanted,
            today=date(2024, 1, 5),
            bars_per_session={"d1": 1, "w1": 0.2},
        )
    ]
    assert [len(batch) for batch in batches] == [400, 400, 100]
    assert [series for batch in batches for series in batch] == wanted


def test_what_was_mended_is_counted_over_all_batches(module_warehouse):
    sources = [OneBar(ticker, close=10.0 + 2e-15) for ticker in ("R1", "R2")]

    summary = ingest_batches(module_warehouse, sources)

    assert (summary.bars_loaded, summary.bars_repaired) == (2, 2)
