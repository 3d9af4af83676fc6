"""What looks like a split, by the bars and adjustments as they are."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.ingestion.base import ADJUSTMENT_COLUMNS, Load
from python_ml.ingestion.calendars.sessions import calendar_sessions
from python_ml.ingestion.load import ingest

NOW = datetime(2013, 3, 4, 22, tzinfo=UTC)
SESSIONS = calendar_sessions("XNYS", through=NOW.date())[-61:-1]
N_BARS = len(SESSIONS)
SPLIT_AT = 40
SPLIT_DAY = f"{SESSIONS['session_date'].iloc[SPLIT_AT]:%Y-%m-%d}"


@dataclass
class Source:
    """Bars and adjustments as they are given."""

    bars: list
    adjustments: tuple = ()
    name: str = "test"
    calendar: str = "XNYS"

    def read(self):
        bars = pd.concat(self.bars, ignore_index=True)
        return Load(
            bars=bars.assign(source_row_number=range(1, len(bars) + 1)),
            adjustments=pd.DataFrame(
                list(self.adjustments), columns=ADJUSTMENT_COLUMNS
            ),
        )


def series(ticker, ratio=1.0, *, range_times=1.0, volume_times=1.0, seed=0):
    """Daily bars that open at `ratio` times the close before on one day.

    On that day the range and the money traded are so many times the usual.
    """
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.005, N_BARS)))
    is_after = np.arange(N_BARS) >= SPLIT_AT
    is_day = np.arange(N_BARS) == SPLIT_AT
    opened = np.r_[100.0, close[:-1]]
    spread = np.where(is_day, 0.01 * range_times, 0.01)
    basis = np.where(is_after, ratio, 1.0)
    return pd.DataFrame(
        {
            "ticker": ticker,
            "timeframe": "d1",
            "opened_at": SESSIONS["session_date"].to_numpy(),
            "open": opened * basis,
            "high": np.maximum(opened, close) * np.exp(spread / 2) * basis,
            "low": np.minimum(opened, close) * np.exp(-spread / 2) * basis,
            "close": close * basis,
            "volume": 1e6 * np.where(is_day, volume_times, 1.0) / basis,
        }
    )


def intraday(ticker, ratio):
    """Six hours of each session, the first of them wild as first hours are."""
    daily = series(ticker, ratio)
    return pd.concat(
        daily.assign(
            timeframe="h1",
            opened_at=SESSIONS["opened_at"].to_numpy()
            + pd.Timedelta(hours=hour),
            open=daily["open"] if hour == 0 else daily["close"],
            volume=daily["volume"] * (5 if hour == 0 else 1),
        )
        for hour in range(6)
    ).sort_values("opened_at")


def split(ticker, factor, kind="split"):
    return {
        "ticker": ticker,
        "session_date": SPLIT_DAY,
        "kind": kind,
        "factor": factor,
    }


def suspected(warehouse):
    with warehouse.begin() as connection:
        rows = connection.execute(
            sa.text(
                "select ticker, kind, suggested_factor, session_date "
                "from raw.suspected_splits inner join raw.symbols "
                "using (symbol_id) order by ticker, opened_at"
            )
        ).all()
    assert {f"{row.session_date}" for row in rows} <= {SPLIT_DAY}
    return {
        row.ticker: (row.kind, round(row.suggested_factor, 6)) for row in rows
    }


@pytest.mark.parametrize("shape", ["whole", "in_two_loads"])
def test_jumps_near_a_split_are_told_from_crashes(warehouse, shape):
    bars = [
        series("PLAIN"),
        series("SPLIT2", 1 / 2, seed=1),
        series("SPLIT4", 1 / 4 * 1.02, seed=2),
        series("SPLIT3FOR2", 2 / 3, seed=3),
        series("REVERSE10", 10.0, seed=4),
        series("UNSCALED", 1 / 4, volume_times=1 / 4, seed=5),
        series("NOVOLUME", 1 / 2, seed=6).assign(volume=0.0),
        intraday("HOURLY", 1 / 2),
        # A crash comes with a wide range or with much money.
        series("CRASH", 0.5, range_times=6, seed=7),
        series("PANIC", 0.5, volume_times=10, seed=8),
        series("TAKEOVER", 1.5, volume_times=20, seed=9),
        # No split's ratio, or too small for one that could be told.
        series("ODD", 0.57, seed=10),
        series("FALL", 0.8, seed=11),
    ]
    if shape == "whole":
        summary = ingest(warehouse, Source(bars), now=NOW)
    else:
        day = pd.Timestamp(SPLIT_DAY)
        times = [pd.to_datetime(part["opened_at"], utc=True) for part in bars]
        is_before = [time < day.tz_localize("UTC") for time in times]
        first = ingest(
            warehouse,
            Source(
                [
                    part[is_in]
                    for part, is_in in zip(bars, is_before, strict=True)
                ]
            ),
            now=NOW,
        )
        assert first.suspected_splits == ()
        summary = ingest(
            warehouse,
            Source(
                [
                    part[~is_in]
                    for part, is_in in zip(bars, is_before, strict=True)
                ]
            ),
            now=NOW,
        )

    expected = {
        "HOURLY": 1 / 2,
        "NOVOLUME": 1 / 2,
        "REVERSE10": 10.0,
        "SPLIT2": 1 / 2,
        "SPLIT3FOR2": 2 / 3,
        "SPLIT4": 1 / 4,
        "UNSCALED": 1 / 4,
    }
    assert suspected(warehouse) == {
        ticker: ("unexplained_jump", round(factor, 6))
        for ticker, factor in expected.items()
    }
    assert [found.ticker for found in summary.suspected_splits] == [*expected]
    assert f"SPLIT4,{SPLIT_DAY},split,0.25" in summary.to_text()
    assert summary.counts["splits_suspected"] == len(expected)


def test_what_is_mended_is_suspected_no_more(warehouse):
    bars = [
        series("RIGHT", 1 / 4),
        series("INVERSE", 1 / 4, seed=1),
        series("ADJUSTED", seed=2),
        series("HALF", 1 / 4, seed=3),
        series("PAID", 1 / 4, seed=4),
    ]
    events = [
        split("RIGHT", 0.25),
        split("INVERSE", 4.0),
        split("ADJUSTED", 0.25),
        split("HALF", 0.5),
        split("PAID", 0.25),
        split("PAID", 0.99, "dividend"),
    ]
    wrong = ingest(warehouse, Source(bars, events), now=NOW)

    assert suspected(warehouse) == {
        "ADJUSTED": ("factor_without_jump", 1.0),
        "HALF": ("unexplained_jump", 0.25),
        "INVERSE": ("factor_on_wrong_side", 0.25),
    }
    text = wrong.to_text()
    assert "Suspected splits: 3." in text
    assert f"INVERSE,{SPLIT_DAY},split,0.25" in text
    assert "the wrong way round" in text
    assert f"ADJUSTED,{SPLIT_DAY},split,1" in text

    # As the warning says; ADJUSTED is mended by bars as they were traded.
    mended = ingest(
        warehouse,
        Source(
            [series("ADJUSTED", 1 / 4, seed=2)],
            [split("INVERSE", 0.25), split("HALF", 0.25)],
        ),
        now=NOW,
    )

    assert suspected(warehouse) == {}
    assert mended.suspected_splits == ()
    assert mended.adjustments_restated == 2


def test_over_a_long_hole_a_price_may_have_gone_anywhere(warehouse):
    bars = series("HOLE", 1 / 2)
    is_hole = (np.arange(N_BARS) >= SPLIT_AT - 12) & (
        np.arange(N_BARS) < SPLIT_AT
    )

    ingest(warehouse, Source([bars[~is_hole]]), now=NOW)

    assert suspected(warehouse) == {}


def test_a_split_that_comes_after_its_bars_is_judged_as_well(warehouse):
    bars = [series("FIRST", 1 / 4)]
    ingest(warehouse, Source(bars), now=NOW)

    wrong = ingest(warehouse, Source(bars, [split("FIRST", 4.0)]), now=NOW)
    right = ingest(warehouse, Source(bars, [split("FIRST", 0.25)]), now=NOW)

    (found,) = wrong.suspected_splits
    assert (found.kind, found.factor) == ("factor_on_wrong_side", 4.0)
    assert right.suspected_splits == ()


def test_a_bar_that_fills_a_hole_changes_what_its_neighbours_say(warehouse):
    bars = series("LATE", 1 / 2)
    is_late = np.arange(N_BARS) == SPLIT_AT - 1
    ingest(warehouse, Source([bars[~is_late]]), now=NOW)
    assert list(suspected(warehouse)) == ["LATE"]

    # The late bar is on the new basis: the jump is a day earlier, and known.
    late = bars[is_late].assign(
        **{name: bars[name] / 2 for name in ("open", "high", "low", "close")}
    )
    summary = ingest(warehouse, Source([late]), now=NOW)

    with warehouse.begin() as connection:
        jumps = connection.execute(
            sa.select(schema.price_jumps.c.opened_at).order_by("opened_at")
        ).all()
        (found,) = connection.execute(
            sa.text("select session_date from raw.suspected_splits")
        ).all()
    assert len(jumps) == 2
    day_before = SESSIONS["session_date"].iloc[SPLIT_AT - 1]
    assert found.session_date == day_before.date()
    assert len(summary.suspected_splits) == 1
