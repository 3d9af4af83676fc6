"""What is wrong with single series: found, set aside, told and released."""

from collections.abc import Callable, Iterator

import pandas as pd
import pytest

from python_ml.examples.series import resolve_series
from python_ml.forecasting.issue import forecast
from python_ml.forecasting.latest import forecast_table, latest_forecasts
from python_ml.monitoring.health import read_health
from python_ml.operations import daily as pipeline
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.ledgers import rewriting
from python_ml.warehouse.quarantine import EXPECTATION, Finding, set_aside
from tests import forecast_market
from tests.forecast_market import close_of, deploy, make_ensemble

# The fifth bar from the end of AAA holds what overflows in every sum.
N_BEHIND = 5
POISON = """
    update raw.bars set volume = 1e308
    where
        symbol_id = (select symbol_id from raw.symbols where ticker = 'AAA')
        and closed_at = '{closed_at}'
"""


def execute(warehouse: Warehouse, statement: str) -> None:
    with rewriting(warehouse) as connection:
        connection.exec_driver_sql(warehouse.sql(statement))


@pytest.fixture(scope="module")
def poisoned(shared_template: Callable[..., str], market_database: str) -> str:
    """Name of the market's database with one value that overflows, built."""

    def fill(warehouse: Warehouse) -> None:
        execute(warehouse, POISON.format(closed_at=close_of(-N_BEHIND)))
        pipeline.build(warehouse, full_refresh=True)

    return shared_template("poisoned", fill, template=market_database)


@pytest.fixture
def market(
    fresh_warehouse: Callable[..., Warehouse], poisoned: str
) -> Iterator[Warehouse]:
    with fresh_warehouse(template=poisoned) as made:
        yield made


def quarantines(warehouse: Warehouse) -> pd.DataFrame:
    return read_frame(
        warehouse,
        "select symbols.ticker, quarantined.* "
        "from {ml}.quarantined_series as quarantined "
        "inner join {raw}.symbols as symbols "
        "on quarantined.symbol_id = symbols.symbol_id "
        "order by symbols.ticker, quarantined.timeframe",
    )


def reasons(warehouse: Warehouse) -> set[tuple[str, str, str]]:
    rows = quarantines(warehouse)
    rows = rows[rows["released_at"].isna()]
    return set(
        rows[["ticker", "timeframe", "reason"]].itertuples(
            index=False, name=None
        )
    )


SHORT_WEEKS = {("AAA", "w1", "too_few_rows"), ("BBB", "w1", "too_few_rows")}


def test_a_value_that_overflows_sets_its_series_aside_and_the_build_goes_on(
    market: Warehouse,
) -> None:
    assert reasons(market) == {("AAA", "d1", "impossible_value")} | SHORT_WEEKS
    usable = read_frame(
        market,
        "select ticker, count(*) as n from {features}.feature_rows "
        "where is_usable and timeframe = 'd1' group by ticker order by ticker",
    )
    assert usable["n"].min() > 300
    found = quarantines(market).iloc[0]
    assert found["fault_at"] == close_of(-N_BEHIND)
    assert "1 bars with a price or volume that cannot be" in found["details"]


def test_a_value_that_was_mended_takes_the_series_back(
    market: Warehouse,
) -> None:
    execute(
        market,
        "update {raw}.bars set volume = 1000 where volume > 1e300",
    )
    findings = read_frame(
        market, "select ticker, reason from {monitoring}.series_findings"
    )
    assert set(findings["reason"]) == {"too_few_rows"}


def test_a_training_leaves_out_what_is_at_fault_by_its_as_of_time(
    market: Warehouse,
) -> None:
    _, _, now = resolve_series(
        market, symbols=None, timeframes=["d1"], as_of=None
    )
    assert {str(series) for series in now} == {"AAA d1"}
    (message,) = now.values()
    assert "set aside since" in message
    assert "impossible_value" in message
    _, _, before = resolve_series(
        market,
        symbols=None,
        timeframes=["d1"],
        as_of=close_of(-N_BEHIND - 1).to_pydatetime(),
    )
    assert before == {}


def test_nothing_is_forecast_of_a_series_from_the_bar_at_fault_on(
    market: Warehouse,
) -> None:
    for ticker in ("AAA", "BBB"):
        deploy(
            market,
            make_ensemble(market, ticker=ticker, as_of=close_of(-30)),
        )
    live = forecast(market)
    assert live.n_series == 1
    replayed = forecast(
        market,
        symbols=["AAA"],
        timeframes=["d1"],
        replay_from=close_of(-10).date(),
    )
    assert replayed.last_closed_at == close_of(-N_BEHIND - 1)

    health = read_health(market, timeframes=["d1"])
    (missing,) = health.missing.to_dict("records")
    assert (missing["ticker"], missing["status"]) == ("AAA", "quarantined")
    text = health.to_text()
    assert "1 of 2 series are not forecast" in text
    assert "AAA d1: 1 bars with a price or volume that cannot be" in text
    assert "WARNING: all bars are old" in text
    (record,) = health.to_dict()["not_forecast"]
    assert record["reason"] == "impossible_value"


def test_what_is_past_its_target_is_marked_and_not_shown(
    market: Warehouse,
) -> None:
    for ticker in ("AAA", "BBB"):
        deploy(
            market,
            make_ensemble(market, ticker=ticker, as_of=close_of(-30)),
        )
    forecast(market, timeframes=["d1"])
    forecast(
        market,
        symbols=["AAA"],
        timeframes=["d1"],
        replay_from=close_of(-10).date(),
    )
    latest = latest_forecasts(market)
    past = latest[latest["is_past_target"]]
    assert past[["ticker", "horizon"]].to_numpy().tolist() == [
        ["AAA", "1d"],
        ["AAA", "5d"],
    ]
    table = forecast_table(latest)
    assert "2 more are past their target time and not shown" in table
    assert table.count("AAA") == 1
    assert table.count("BBB") == 3


def test_the_bars_are_as_old_as_the_sessions_since(market: Warehouse) -> None:
    now = forecast_market.sessions()["closed_at"].iloc[
        forecast_market.N_BARS + 1
    ]
    health = read_health(market, now=now.to_pydatetime())
    (age,) = health.ages.to_dict("records")
    assert age["newest_closed_at"] == close_of(-1)
    assert age["sessions_ago"] == 2
    assert health.are_all_bars_old
    fresh = read_health(market, now=close_of(-1).to_pydatetime())
    assert not fresh.are_all_bars_old


def test_a_span_says_whether_a_series_was_out_on_some_day_and_why(
    warehouse: Warehouse,
) -> None:
    execute(
        warehouse,
        "insert into {raw}.symbols (ticker, calendar, source) "
        "values ('AAA', 'XNYS', 'test')",
    )
    finding = Finding(1, "d1", f"{EXPECTATION} bars prices", "prices", "odd")
    other = Finding(1, "d1", f"{EXPECTATION} bars grid", "grid", "off")

    def judge(*findings: Finding, judged: str = EXPECTATION) -> object:
        return set_aside(
            warehouse,
            findings,
            is_judged=lambda source: source.startswith(judged),
            job_run_id=None,
        )

    judge(finding, other)
    judge(finding, other)
    judge(finding)
    judge(judged="series_findings")
    assert reasons(warehouse) == {("AAA", "d1", "prices")}
    judge()
    judge(finding)
    rows = quarantines(warehouse).sort_values("quarantine_id")
    assert rows["reason"].tolist() == ["prices", "grid", "prices"]
    assert rows["released_at"].notna().tolist() == [True, True, False]
    assert (rows["released_at"].dropna() >= rows["quarantined_at"][:2]).all()


def test_a_series_without_a_version_is_told_by_its_command(
    market: Warehouse,
) -> None:
    health = read_health(market, timeframes=["d1"])
    without = health.missing.loc[health.missing["status"] == "no_version"]
    assert without["ticker"].tolist() == ["BBB"]
    text = health.to_text()
    assert "nan" not in text
    assert "no_version: train them: swiftbolt train --all" in text
