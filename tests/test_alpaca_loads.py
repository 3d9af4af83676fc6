"""Loading from Alpaca into the warehouse: again, onwards, after failures."""

import json
import re
import sys
from datetime import UTC, datetime

import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.cli.alpaca import ingest_alpaca
from python_ml.settings import PROJECT_ROOT
from tests.alpaca_server import (
    BARS,
    DAYS,
    KEY_ID,
    NO_RECENT_BARS,
    SECRET_KEY,
    daily_bars,
    quarters,
    running,
    server,
)
from tests.conftest import run_swiftbolt

__all__ = ["running", "server"]


@pytest.fixture
def load(warehouse, server):
    """Run `swiftbolt ingest alpaca` and return how it ended."""

    def run(*arguments, **environment):
        return run_swiftbolt(
            warehouse,
            "ingest",
            "alpaca",
            "--timeout=0.2",
            "--attempts=1",
            *arguments,
            **{
                "APCA_API_KEY_ID": KEY_ID,
                "APCA_API_SECRET_KEY": SECRET_KEY,
                "APCA_API_DATA_URL": server.url,
            }
            | environment,
        )

    return run


def loaded(ended):
    """What a load with --json says."""
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def starts_of(server, timeframe="1Day"):
    """From when on the bars of symbols were asked for, query by query."""
    return [
        (query["symbols"], query["start"][:10])
        for query in server.queries_of(BARS)
        if query["timeframe"] == timeframe
    ]


def stored(warehouse, table):
    with warehouse.begin() as connection:
        return connection.execute(sa.select(table)).all()


def test_a_series_is_loaded_once_and_then_from_its_newest_bar(
    warehouse, server, load
):
    symbols = "--symbols=aapl,IBM", "--from=2024-03-01", "--json"
    server.bars["AAPL", "1Day"] = daily_bars(DAYS[:3])
    server.bars["IBM", "1Day"] = daily_bars(DAYS[:2])
    first = loaded(load(*symbols))
    assert (first["source"], first["bars_loaded"]) == ("alpaca_sip", 5)
    assert starts_of(server) == [("AAPL,IBM", "2024-03-01")]

    server.queries.clear()
    again = loaded(load(*symbols))
    assert (again["bars_loaded"], again["bars_known"]) == (0, 2)
    assert again["batch_id"] is None
    assert starts_of(server) == [("AAPL", DAYS[2]), ("IBM", DAYS[1])]

    # The newest bar is corrected, and there is a next one; without --symbols
    # what was loaded goes on.
    server.bars["AAPL", "1Day"] = [
        *daily_bars(DAYS[:2]),
        *daily_bars(DAYS[2:], first_close=102.5),
    ]
    onwards = loaded(load("--json"))
    assert (onwards["bars_loaded"], onwards["bars_restated"]) == (1, 1)
    assert {series["ticker"] for series in onwards["series"]} == {"AAPL", "IBM"}
    assert len(stored(warehouse, schema.bars)) == 7

    server.queries.clear()
    loaded(load("--again", *symbols))
    assert starts_of(server) == [("AAPL,IBM", "2024-03-01")]


def test_quarters_and_days_are_stored_on_the_grid_with_their_splits(
    warehouse, server, load
):
    server.bars |= {
        ("AAPL", "1Day"): daily_bars(DAYS),
        ("AAPL", "15Min"): quarters("2024-03-12 08:00", "2024-03-12 23:45"),
    }
    server.actions["forward_splits"] = [
        {
            "symbol": "AAPL",
            "ex_date": DAYS[2],
            "process_date": DAYS[2],
            "new_rate": 4,
            "old_rate": 1,
        }
    ]
    ended = load(
        "--symbols=AAPL,NONE", "--timeframes=m15,d1", "--from=2024-03-01"
    )
    assert ended.returncode == 0, ended.stderr
    assert "Left out: outside_session (38)." in ended.stdout
    assert "has no bars that have closed of: NONE." in ended.stdout
    assert stored(warehouse, schema.rejected_bars) == []
    bars = pd.DataFrame(stored(warehouse, schema.bars))
    opens = bars.groupby("timeframe")["opened_at"].agg(["size", "min", "max"])
    assert opens.loc["m15"].to_list() == [
        26,
        pd.Timestamp("2024-03-12 13:30Z"),
        pd.Timestamp("2024-03-12 19:45Z"),
    ]
    # Summer time began on the 10th.
    assert opens.loc["d1"].to_list() == [
        4,
        pd.Timestamp("2024-03-07 14:30Z"),
        pd.Timestamp("2024-03-12 13:30Z"),
    ]
    (split,) = stored(warehouse, schema.adjustments)
    assert (split.kind, split.factor) == ("split", 0.25)
    assert split.effective_at == datetime(2024, 3, 11, 13, 30, tzinfo=UTC)
    assert split.is_backfill


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (401, "APCA_API_KEY_ID"),
        ((403, {}, NO_RECENT_BARS), "--feed iex"),
        (429, "run this again"),
        (500, "run this again"),
        ("hang", "--timeout"),
        ("cut", "Check the network"),
        (b"{", "run this again"),
    ],
    ids=str,
)
def test_a_failure_is_one_line_that_says_what_to_do_and_loads_nothing(
    warehouse, server, load, fault, message
):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    server.page_size = 2
    # The first page is complete; half a series is not loaded.
    server.faults.extend([None, fault])
    server.fault_stays = True
    ended = load("--symbols=AAPL", "--from=2024-03-01")
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = [
        line for line in ended.stderr.splitlines() if line.startswith("Error: ")
    ]
    assert message in line
    assert SECRET_KEY not in ended.stderr
    assert stored(warehouse, schema.bars) == []
    (run,) = stored(warehouse, schema.job_runs)
    assert run.status == "failed"
    assert SECRET_KEY not in str(run)


def test_what_cannot_be_asked_for_is_told(server, load, monkeypatch):
    hours = load("--symbols=AAPL", "--timeframes=h1,d1")
    assert hours.returncode == 1
    assert "has no h1 that fits the sessions" in hours.stderr
    assert "Load m15, from which h1 and h4 are rolled up" in hours.stderr
    keyless = load("--symbols=AAPL", APCA_API_SECRET_KEY="")
    assert keyless.returncode == 1
    assert "export APCA_API_SECRET_KEY=..." in keyless.stderr
    nothing = load()
    assert nothing.returncode == 1
    assert "name the symbols, for example --symbols AAPL,MSFT" in nothing.stderr
    none = load("--symbols=NONE")
    assert none.returncode == 1
    assert "no bars that have closed of: NONE." in none.stderr
    assert load("--feed=free").returncode == 2

    # As if the extra were not installed.
    module = "python_ml.ingestion.readers.alpaca_service"
    monkeypatch.delattr(module)
    monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "alpaca.common.exceptions", None)
    bare = load("--symbols=AAPL")
    assert bare.returncode == 1
    assert "package alpaca-py, which is not installed (alpaca" in bare.stderr
    assert "requirements-dev.lock alpaca-py" in bare.stderr


def test_the_page_names_the_options_and_variables_that_there_are():
    page = (PROJECT_ROOT / "docs" / "alpaca.md").read_text()
    commands = re.findall(r"`?(--[a-z-]+)", page)
    options = {name for option in ingest_alpaca.params for name in option.opts}
    of_pip = {"--constraint"}
    assert set(commands) - of_pip <= options
    assert options - set(commands) == {"--json"}
    variables = set(re.findall(r"APCA_[A-Z_]+", page))
    assert variables == {
        "APCA_API_KEY_ID",
        "APCA_API_SECRET_KEY",
        "APCA_API_DATA_URL",
    }
