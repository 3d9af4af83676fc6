"""Dividends by their amount, and events that stand beside the bars."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.ingestion.base import ADJUSTMENT_KEY, Load
from python_ml.ingestion.load import ingest
from tests.conftest import run_swiftbolt

NOW = datetime(2013, 3, 4, 22, tzinfo=UTC)
DAYS = ("2012-07-02", "2012-07-03", "2012-07-05", "2012-07-06")


@dataclass
class Source:
    """Bars and adjustments as they are given."""

    bars: pd.DataFrame
    adjustments: tuple = ()
    name: str = "test"
    calendar: str = "XNYS"

    def read(self):
        return Load(
            bars=self.bars.assign(
                source_row_number=range(1, len(self.bars) + 1)
            ),
            adjustments=pd.DataFrame(
                list(self.adjustments),
                columns=None if self.adjustments else ADJUSTMENT_KEY,
            ),
        )


def bars(ticker, *closes, **columns):
    """Bars that open where the one before closed, but for the third.

    That one opens at its own close, as after a split.
    """
    closes = pd.Series(closes, dtype=float)
    opened = closes.shift().fillna(closes)
    opened.iloc[2:3] = closes.iloc[2:3]
    return pd.DataFrame(
        {
            "ticker": ticker,
            "timeframe": "d1",
            "opened_at": DAYS[: len(closes)],
            "open": opened,
            "high": pd.concat([opened, closes], axis="columns").max(axis=1),
            "low": pd.concat([opened, closes], axis="columns").min(axis=1),
            "close": closes,
            "volume": 1000.0,
        }
        | columns
    )


def event(ticker, day=DAYS[2], **values):
    return {"ticker": ticker, "session_date": day, **values}


def stored(warehouse):
    with warehouse.begin() as connection:
        rows = connection.execute(
            sa.select(
                schema.symbols.c.ticker,
                schema.adjustments.c.kind,
                schema.adjustments.c.factor,
            )
            .join_from(schema.adjustments, schema.symbols)
            .order_by("ticker", "kind", "batch_id")
        ).all()
    return [(row.ticker, row.kind, round(row.factor, 9)) for row in rows]


def test_an_amount_is_a_share_of_the_close_before(warehouse):
    ingest(warehouse, Source(bars("OLD", 80, 100)), now=NOW)
    source = Source(
        pd.concat(
            [
                bars("ACME", 80, 100, 99),
                # Paid on the shares after a split of 2 for 1 that day.
                bars("BOTH", 80, 100, 50),
                # The close before is in the warehouse.
                bars("OLD", 80, 100, 98).iloc[2:],
                bars("SMALL", 80, 2, 2),
            ],
            ignore_index=True,
        ),
        (
            event("ACME", kind="dividend", amount=1.0),
            event("BOTH", amount=0.5),
            event("BOTH", ratio="2:1"),
            event("OLD", amount="2"),
            event("SMALL", amount=2.0),
            event("ACME", DAYS[0], amount=1.0),
        ),
    )

    summary = ingest(warehouse, source, now=NOW)

    assert stored(warehouse) == [
        ("ACME", "dividend", 0.99),
        ("BOTH", "dividend", 0.99),
        ("BOTH", "split", 0.5),
        ("OLD", "dividend", 0.98),
    ]
    assert summary.rejected == {
        "amount_beyond_price": 1,
        "no_close_before": 1,
    }
    # The same again is known.
    again = ingest(warehouse, source, now=NOW)
    assert (again.adjustments_known, again.batch_id) == (4, None)


@pytest.mark.parametrize(
    ("columns", "closes", "expected", "n_in_prices"),
    [
        # As yfinance has it with auto_adjust off: prices adjusted for splits.
        (
            {
                "Dividends": [0, 1.0, 0],
                "Stock Splits": [0, 0, 4.0],
                "Adj Close": [79, 100, 99],
            },
            (80, 100, 99),
            [("ACME", "dividend", 0.9875)],
            1,
        ),
        # With it on there is no adjusted close.
        (
            {"Dividends": [0, 1.0, 0], "Stock Splits": [0, 0, 0.0]},
            (80, 100, 99),
            [],
            1,
        ),
        # As traded: the price jumps by the split.
        (
            {"dividends": ["", "1.0", ""], "stock_splits": ["", "", "4"]},
            (80, 100, 25),
            [("ACME", "dividend", 0.9875), ("ACME", "split", 0.25)],
            0,
        ),
        ({"Stock Splits": [0.0, 0, 1]}, (80, 100, 25), [], 0),
    ],
)
def test_events_beside_bars_count_as_far_as_prices_show_them(
    warehouse, columns, closes, expected, n_in_prices
):
    summary = ingest(
        warehouse, Source(bars("ACME", *closes, **columns)), now=NOW
    )

    assert stored(warehouse) == expected
    assert summary.events_in_prices == n_in_prices
    assert ("The file names 1 more" in summary.to_text()) == bool(n_in_prices)
    assert summary.rejected == {}


def test_a_file_of_ratios_and_amounts_is_loaded(warehouse, tmp_path):
    paths = [tmp_path / name for name in ("bars.csv", "events.csv")]
    bars("ACME", 80, 100, 25, 25).rename(
        columns={"ticker": "symbol", "opened_at": "ts"}
    ).to_csv(paths[0], index=False)
    pd.DataFrame(
        [
            event("ACME", kind="split", ratio="4:1"),
            event("ACME", DAYS[3], kind="dividend", amount=0.25),
        ]
    ).to_csv(paths[1], index=False)

    ended = run_swiftbolt(
        warehouse,
        *("ingest", "bars", str(paths[0]), "--adjustments", str(paths[1])),
    )

    assert ended.returncode == 0, ended.stderr
    assert stored(warehouse) == [
        ("ACME", "dividend", 0.99),
        ("ACME", "split", 0.25),
    ]
    shown = run_swiftbolt(warehouse, "ingest", "bars", "--help").stdout
    assert "0.25 for a 4-for-1 split" in " ".join(shown.split())


def test_a_file_without_any_of_them_is_told_what_it_needs(warehouse, tmp_path):
    paths = [tmp_path / name for name in ("bars.csv", "events.csv")]
    bars("ACME", 80, 100).rename(
        columns={"ticker": "symbol", "opened_at": "ts"}
    ).to_csv(paths[0], index=False)
    pd.DataFrame([event("ACME", kind="split")]).to_csv(paths[1], index=False)

    ended = run_swiftbolt(
        warehouse,
        *("ingest", "bars", str(paths[0]), "--adjustments", str(paths[1])),
    )

    assert ended.returncode == 1
    assert "lacks the column factor, ratio or amount" in ended.stderr
