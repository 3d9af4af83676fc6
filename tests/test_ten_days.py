"""Ten days of thirty sound series, alone and beside each odd kind.

What `test_odd_market.py` tries in three days with less of everything. The table
of `monitoring.series_health` is printed: `scripts/test -m slow -s
tests/test_ten_days.py`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time

import numpy as np
import pandas as pd
import pytest

from python_ml.console.text_tables import to_text
from python_ml.examples.catalog import read_row_feature_names
from python_ml.exceptions import NoBarsError
from python_ml.forecasting.issue import forecast
from python_ml.ingestion.load import ingest
from python_ml.operations.daily import build
from python_ml.training.train import train
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from tests.conftest import run_swiftbolt
from tests.odd_market import steps_learnt
from tests.ten_day_market import (
    CALENDARS,
    DELISTED_ON,
    HOLE_ON,
    LAST_OF_GONE,
    N_DAYS,
    RENAMED_ON,
    SOUND,
    SPLIT_ON,
    DaySource,
    day,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

HEALTH = """
    select ticker, calendar, timeframe, status, reason, details, recovers_on,
        newest_session_date, n_bars, n_missing_bars, n_suspected_splits
    from {monitoring}.series_health
    order by ticker, timeframe_order
"""


@dataclass(frozen=True)
class TenDays:
    """A warehouse after ten days, and what `run` said on each."""

    warehouse: Warehouse
    runs: tuple[dict, ...]

    def not_forecast(self, number: int) -> dict[tuple[str, str], str]:
        return {
            (row["ticker"], row["timeframe"]): row["reason"]
            for row in self.runs[number]["health"]["not_forecast"]
        }


@pytest.fixture(scope="module")
def together(fresh_warehouse: Callable[..., Warehouse]) -> TenDays:
    """All series, loaded and run day by day; every command succeeds."""
    warehouse = fresh_warehouse()

    def command(*arguments: str) -> str:
        ended = run_swiftbolt(warehouse, *arguments)
        assert ended.returncode == 0, ended.stderr[-2000:]
        return ended.stdout

    runs = []
    for number in range(N_DAYS):
        if number == RENAMED_ON:
            command("symbols", "rename", "OLD", "NEW")
        if number == DELISTED_ON:
            command("symbols", "delist", "GONE")
        for calendar, tickers in CALENDARS.items():
            try:
                ingest(warehouse, DaySource(number, calendar, tickers))
            except NoBarsError:
                # A holiday of that calendar alone.
                assert calendar != "XNYS"
        runs.append(json.loads(command("run", "--json")))
    table = read_frame(warehouse, HEALTH)
    is_told = (table["timeframe"] == "d1") | ~table["ticker"].isin(SOUND)
    columns = {name: name for name in table.columns if name != "details"}
    print("\n" + to_text(table[is_told], columns=columns, at_most=len(table)))
    return TenDays(warehouse, tuple(runs))


@pytest.fixture(scope="module")
def alone(fresh_warehouse: Callable[..., Warehouse]) -> Warehouse:
    """The sound series by themselves: all days at once, replayed."""
    warehouse = fresh_warehouse()
    for number in range(N_DAYS):
        ingest(warehouse, DaySource(number, "XNYS", SOUND))
    build(warehouse)
    # What `run` trains on the first day, it trains as of its newest close.
    close = datetime.combine(day(0), time(20), UTC)
    train(warehouse, timeframes=["d1"], as_of=close)
    forecast(warehouse, replay_from=day(0))
    return warehouse


def test_the_sound_series_have_the_features_they_have_alone(
    together: TenDays, alone: Warehouse
) -> None:
    names = ", ".join(read_row_feature_names(alone))
    query = (
        f"select ticker, timeframe, bar_number, is_usable, {names} "
        "from {features}.feature_rows where ticker = any(:tickers) "
        "order by ticker, timeframe, bar_number"
    )
    arguments = {"tickers": list(SOUND)}
    expected = read_frame(alone, query, arguments)
    assert expected["is_usable"].sum() > len(SOUND) * 250
    pd.testing.assert_frame_equal(
        read_frame(together.warehouse, query, arguments), expected
    )


def test_their_own_members_say_what_they_say_alone(
    together: TenDays, alone: Warehouse
) -> None:
    query = (
        "select symbols.ticker, forecasts.closed_at, forecasts.horizon, "
        "forecasts.member_probabilities "
        "from {ml}.forecasts as forecasts "
        "inner join {raw}.symbols as symbols "
        "on forecasts.symbol_id = symbols.symbol_id "
        "where forecasts.timeframe = 'd1' and symbols.ticker = any(:tickers) "
        "order by symbols.ticker, forecasts.closed_at, forecasts.horizon_bars"
    )
    said = [
        read_frame(each, query, {"tickers": list(SOUND)})
        for each in (together.warehouse, alone)
    ]
    keys = ["ticker", "closed_at", "horizon"]
    pd.testing.assert_frame_equal(said[0][keys], said[1][keys])
    assert len(said[0]) == N_DAYS * 3 * len(SOUND)
    steps = [steps_learnt(rows) for rows in said]
    differences = steps[0] - steps[1]
    assert np.allclose(differences[:, 0], differences[:, 1], atol=1e-9)
    assert np.ptp(steps[0][:, 0] - steps[0][:, 1]) > 1e-3


def test_the_sound_series_are_forecast_every_day(together: TenDays) -> None:
    for number in range(N_DAYS):
        missing = {
            ticker
            for ticker, timeframe in together.not_forecast(number)
            if timeframe == "d1"
        }
        assert not missing & {*SOUND}, number


def test_every_odd_one_is_told_of_from_its_day_on(together: TenDays) -> None:
    told = [together.not_forecast(number) for number in range(N_DAYS)]

    def days_of(ticker: str, timeframe: str = "d1") -> list[int]:
        return [
            number
            for number in range(N_DAYS)
            if (ticker, timeframe) in told[number]
        ]

    assert days_of("SPLIT") == [*range(SPLIT_ON, N_DAYS)]
    assert told[-1]["SPLIT", "d1"] == "suspected_split"
    assert days_of("HOLEY") == [HOLE_ON]
    # Behind the others, until it is said to trade no more.
    assert days_of("GONE") == [*range(LAST_OF_GONE + 1, DELISTED_ON)]
    assert days_of("IDX") == days_of("NEW") == days_of("OLD") == []
    assert days_of("TOKYO") == []
    # Trained as of its newest hour, which is after its newest day: the first
    # version forecasts the next one.
    assert days_of("EURUSD") == [0]


def test_series_health_at_the_end(together: TenDays) -> None:
    table = read_frame(together.warehouse, HEALTH)
    daily = table[table["timeframe"] == "d1"].set_index("ticker")
    status = daily["status"].to_dict()
    assert {status[ticker] for ticker in SOUND} == {"forecast"}
    assert {ticker: status[ticker] for ticker in status.keys() - {*SOUND}} == {
        "IDX": "forecast",
        "HOLEY": "forecast",
        "SPLIT": "quarantined",
        "GONE": "delisted",
        "NEW": "forecast",
        "TOKYO": "forecast",
        "EURUSD": "forecast",
        "COIN": "forecast",
    }
