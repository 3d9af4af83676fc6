"""Symbols are added, renamed, delisted, deactivated, and their findings
accepted."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
import pytest

from python_ml.exceptions import IngestionError, UnknownSeriesError
from python_ml.ingestion import symbol_changes
from python_ml.ingestion.base import Load
from python_ml.ingestion.load import ingest
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from tests.conftest import run_swiftbolt

DAYS = ("2022-06-07", "2022-06-08", "2022-06-09", "2022-06-10")


@dataclass(frozen=True)
class FewBars:
    """One daily bar of 100 on each day for each ticker."""

    tickers: tuple[str, ...]
    days: tuple[str, ...] = DAYS
    name: str = "few"
    calendar: str = "XNYS"
    adjustments: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            columns=["ticker", "session_date", "kind", "factor"]
        )
    )

    def read(self) -> Load:
        bars = pd.DataFrame(
            [
                {"ticker": ticker, "timeframe": "d1", "opened_at": day}
                for ticker in self.tickers
                for day in self.days
            ]
        ).assign(open=100.0, high=101.0, low=99.0, close=100.0, volume=1000.0)
        bars["source_row_number"] = range(1, len(bars) + 1)
        return Load(bars=bars, adjustments=self.adjustments)


@pytest.fixture
def loaded(warehouse: Warehouse) -> Warehouse:
    ingest(warehouse, FewBars(("FB", "IBM"), DAYS[:2]))
    return warehouse


def tickers_of_bars(warehouse: Warehouse) -> dict[str, int]:
    rows = read_frame(
        warehouse,
        "select symbols.ticker, count(*) as n from {raw}.bars as bars "
        "inner join {raw}.symbols as symbols "
        "on bars.symbol_id = symbols.symbol_id group by symbols.ticker",
    )
    return dict(zip(rows["ticker"], rows["n"], strict=True))


def test_bars_under_the_old_or_the_new_ticker_go_to_the_same_symbol(
    loaded: Warehouse,
) -> None:
    symbol_changes.rename_symbol(loaded, "FB", "META")
    ingest(loaded, FewBars(("FB",), DAYS[:3]))
    ingest(loaded, FewBars(("META",), DAYS[3:]))
    assert tickers_of_bars(loaded) == {"META": 4, "IBM": 2}
    assert symbol_changes.show_symbol(loaded, "FB")["ticker"] == "META"
    listed = symbol_changes.list_symbols(loaded).set_index("ticker")
    assert listed.loc["META", "former_tickers"] == "FB"


def test_adjustments_under_the_old_ticker_go_to_the_same_symbol(
    loaded: Warehouse,
) -> None:
    symbol_changes.rename_symbol(loaded, "FB", "META")
    split = pd.DataFrame(
        {
            "ticker": ["FB"],
            "session_date": [DAYS[2]],
            "kind": ["split"],
            "factor": [0.5],
        }
    )
    summary = ingest(loaded, FewBars(("FB",), DAYS, adjustments=split))
    assert summary.adjustments_loaded == 1


def test_a_ticker_that_is_or_was_anothers_is_refused(loaded: Warehouse) -> None:
    with pytest.raises(IngestionError, match="the ticker of a symbol already"):
        symbol_changes.rename_symbol(loaded, "FB", "IBM")
    symbol_changes.rename_symbol(loaded, "FB", "META")
    with pytest.raises(IngestionError, match="a former ticker of META"):
        symbol_changes.add_symbol(loaded, "FB", calendar="XNYS")
    with pytest.raises(UnknownSeriesError, match="former ticker of META"):
        symbol_changes.rename_symbol(loaded, "FB", "FBK")


def test_a_symbol_can_take_its_ticker_back(loaded: Warehouse) -> None:
    symbol_changes.rename_symbol(loaded, "FB", "META")
    symbol_changes.rename_symbol(loaded, "META", "FB")
    ingest(loaded, FewBars(("META",), DAYS))
    assert tickers_of_bars(loaded) == {"FB": 4, "IBM": 2}


def test_a_symbol_is_added_on_its_calendar_before_its_bars(
    warehouse: Warehouse,
) -> None:
    symbol_changes.add_symbol(warehouse, "BTC", calendar="24/7")
    with pytest.raises(IngestionError, match="on '24/7'"):
        ingest(warehouse, FewBars(("BTC",)))


def test_a_symbol_is_delisted_at_the_close_of_its_newest_bar(
    loaded: Warehouse,
) -> None:
    closed_at = symbol_changes.delist_symbol(loaded, "IBM")
    assert f"{closed_at:%Y-%m-%d %H:%M}" == "2022-06-08 20:00"
    symbol_changes.activate_symbol(loaded, "IBM")
    states = symbol_changes.list_symbols(loaded)["state"]
    assert states.tolist() == ["active", "active"]


def test_a_delisting_without_its_last_price_is_refused(
    loaded: Warehouse,
) -> None:
    day = pd.Timestamp(DAYS[3]).date()
    with pytest.raises(IngestionError, match="its newest bar is of 2022-06-08"):
        symbol_changes.delist_symbol(loaded, "IBM", on=day)
    symbol_changes.add_symbol(loaded, "NEW", calendar="XNYS")
    with pytest.raises(IngestionError, match="swiftbolt symbols deactivate"):
        symbol_changes.delist_symbol(loaded, "NEW")


def test_the_commands_change_and_print_symbols(loaded: Warehouse) -> None:
    def run(*arguments: str, status: int = 0) -> str:
        ended = run_swiftbolt(loaded, "symbols", *arguments)
        assert ended.returncode == status, ended.stderr
        return ended.stdout if status == 0 else ended.stderr

    run("rename", "FB", "META", "--on", "2022-06-09")
    run("delist", "META")
    run("deactivate", "IBM")
    accept = ("--kind", "suspected_split", "--session", DAYS[0])
    for _ in range(2):
        run("accept", "IBM", *accept, "--reason", "a takeover bid")
    listed = json.loads(run("list", "--json"))
    assert [(row["ticker"], row["state"]) for row in listed] == [
        ("IBM", "deactivated"),
        ("META", "delisted"),
    ]
    (accepted,) = json.loads(run("show", "IBM", "--json"))["accepted"]
    assert accepted["reason"] == "a takeover bid"
    assert "former_tickers: FB" in run("show", "META")
    assert "There is no symbol XYZ" in run("show", "XYZ", status=1)
    assert "Did you mean META?" in run("show", "meta", status=1)
    jobs = read_frame(
        loaded, "select arguments from {ml}.job_runs where job = 'symbols'"
    )
    assert jobs["arguments"][0] == {
        "verb": "rename",
        "ticker": "FB",
        "to": "META",
        "on": "2022-06-09",
    }


def test_the_same_change_twice_changes_nothing(
    fresh_warehouse: Callable[..., Warehouse],
) -> None:
    with fresh_warehouse() as made:
        ingest(made, FewBars(("IBM",)))
        symbol_changes.deactivate_symbol(made, "IBM")
        before = symbol_changes.list_symbols(made)
        symbol_changes.deactivate_symbol(made, "IBM")
        pd.testing.assert_frame_equal(symbol_changes.list_symbols(made), before)
