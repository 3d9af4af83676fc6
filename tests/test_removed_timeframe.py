"""A timeframe is taken out of its seed, of a warehouse that has forecast it."""

import datetime
from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd
import pytest

from python_ml import schema
from python_ml.ensemble import Ensemble
from python_ml.exceptions import BuildError, UnknownSeriesError
from python_ml.forecasting.issue import forecast
from python_ml.monitoring.alerts.kinds import KINDS
from python_ml.monitoring.alerts.observing import collect
from python_ml.monitoring.alerts.rules import read_rules
from python_ml.monitoring.drift import check_drift
from python_ml.operations.doctor import data, work
from python_ml.registry.deployments import live_versions
from python_ml.training.requests import OPEN_QUERY
from python_ml.training.weight_updates import update_weights
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests.conftest import BUILD_WITHOUT_TESTS
from tests.forecast_market import (
    N_BARS,
    TICKERS,
    add_batch,
    close_of,
    deploy,
    load_bars,
    make_ensemble,
)

# The seed is changed in its table, which such a build leaves as it is.
RUN = [*BUILD_WITHOUT_TESTS, "--exclude-resource-type", "seed"]
BUILD = ["build", "--exclude-resource-type", "seed", "unit_test"]
FIRST, SECOND = TICKERS
# What is shown of now; records of what was are on the ledgers.
CURRENT = (
    "features.bars",
    "features.labels",
    "features.feature_rows",
    "features.scoring_examples",
    "forecasting.latest_forecasts",
    "forecasting.forecast_cascade",
    "forecasting.multi_horizon_summary",
    "monitoring.drift_evidence",
    "monitoring.drift_status",
    "monitoring.forecast_volume",
    "monitoring.retrain_candidates",
    "monitoring.series_health",
)
LEDGERS = (
    "ml.forecasts",
    "ml.deployments",
    "ml.ensembles",
    "ml.retrain_requests",
    "forecasting.forecast_outcomes",
)


def remove_weeks(warehouse: Warehouse) -> None:
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            "delete from features.timeframes where timeframe = 'w1'"
        )


def of_weeks(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    """Rows of w1, and of others, in all that is about now."""
    counts = {}
    for table in CURRENT:
        folder, name = table.split(".")
        found = read_frame(
            warehouse,
            "select count(*) filter (where timeframe = 'w1') as n_weeks, "
            "count(*) filter (where timeframe <> 'w1') as n_others "
            f"from {{{folder}}}.{name}",
        )
        n_weeks, n_others = found.iloc[0]
        counts[table] = (int(n_weeks), int(n_others))
    return counts


def rows_of_weeks(warehouse: Warehouse, table: str) -> pd.DataFrame:
    """All columns of w1, with the transaction that wrote them."""
    folder, name = table.split(".")
    return read_frame(
        warehouse,
        "select cast(cast(xmin as text) as bigint) as written_by, rows.* "
        f"from {{{folder}}}.{name} as rows where timeframe = 'w1' "
        "order by written_by, cast(rows as text)",
    )


def make_version(warehouse: Warehouse, ticker: str, timeframe: str) -> Ensemble:
    """A version whose weights can be updated: its members are known."""
    made = make_ensemble(
        warehouse, ticker=ticker, timeframe=timeframe, as_of=close_of(-60)
    )
    names = ("climatology", "random_forest")
    return replace(
        made,
        horizons={
            name: replace(
                horizon,
                members=dict(zip(names, horizon.members.values(), strict=True)),
                weights={"climatology": 0.25, "random_forest": 0.75},
            )
            for name, horizon in made.horizons.items()
        },
    )


@pytest.fixture(scope="module")
def forecast_database(
    shared_template: Callable[..., str], market_database: str
) -> str:
    """Both timeframes forecast; what is due of the second symbol is open."""

    def fill(warehouse: Warehouse) -> None:
        for ticker in TICKERS:
            for timeframe in ("d1", "w1"):
                deploy(warehouse, make_version(warehouse, ticker, timeframe))
        since = close_of(-60).date()
        forecast(warehouse, symbols=[FIRST], replay_from=since)
        forecast(warehouse, symbols=[FIRST])
        check_drift(warehouse)
        forecast(warehouse, symbols=[SECOND], replay_from=since)
        with warehouse.begin() as connection:
            connection.execute(
                schema.retrain_requests.insert().values(
                    requested_at=close_of(-60).to_pydatetime(),
                    symbol_id=1,
                    timeframe="w1",
                    reason="test",
                    requested_by="ann",
                    status="open",
                    n_attempts=2,
                )
            )

    return shared_template("weeks_forecast", fill, template=market_database)


@pytest.fixture(scope="module")
def removed_database(
    shared_template: Callable[..., str], forecast_database: str
) -> str:
    """Weeks are taken out and everything is built anew, tests and all.

    Bars of weeks come in all the same.
    """

    def fill(warehouse: Warehouse) -> None:
        remove_weeks(warehouse)
        load_weeks(warehouse)
        run_dbt(warehouse, [*BUILD, "--full-refresh"])

    return shared_template("weeks_removed", fill, template=forecast_database)


def load_weeks(warehouse: Warehouse) -> None:
    """Bars of weeks, as a vendor has them, beside those of days."""
    weeks = read_frame(
        warehouse,
        "select symbol_id, timeframe, opened_at, closed_at, open, high, low, "
        "close, volume, closed_at as recorded_at from {features}.bars "
        "where timeframe = 'w1'",
    )
    with warehouse.begin() as connection:
        batch_id = add_batch(connection, n_bars=len(weeks))
        insert_frame(
            connection,
            schema.bars,
            weeks.assign(
                batch_id=batch_id,
                is_backfill=True,
                ingested_at=pd.Timestamp.now("UTC"),
                source="test",
            ),
        )


@pytest.fixture
def market(
    fresh_warehouse: Callable[..., Warehouse], forecast_database: str
) -> Iterator[Warehouse]:
    with fresh_warehouse(template=forecast_database) as made:
        yield made


@pytest.fixture
def removed(
    fresh_warehouse: Callable[..., Warehouse], removed_database: str
) -> Iterator[Warehouse]:
    with fresh_warehouse(template=removed_database) as made:
        yield made


def test_the_build_stops_with_what_goes_on_and_has_changed_no_bar(
    market: Warehouse,
) -> None:
    before = rows_of_weeks(market, "features.bars")
    remove_weeks(market)
    # The last days once more, so that their weeks would be made again.
    load_bars(market, first=N_BARS - 10)
    with pytest.raises(
        BuildError, match=r"timeframes.*XNYS w1.*dbt build --full-refresh"
    ):
        run_dbt(market, RUN)
    pd.testing.assert_frame_equal(
        rows_of_weeks(market, "features.bars"), before
    )


def test_it_is_left_out_of_all_that_is_about_now_and_stays_on_the_ledgers(
    market: Warehouse, removed: Warehouse
) -> None:
    with_weeks, without = of_weeks(market), of_weeks(removed)
    assert with_weeks["forecasting.latest_forecasts"] == (6, 6)
    assert {n_weeks for n_weeks, _ in without.values()} == {0}
    # What is about drift has gone on with the build.
    assert {
        table: n_others
        for table, (_, n_others) in without.items()
        if not table.startswith("monitoring")
    } == {
        table: n_others
        for table, (_, n_others) in with_weeks.items()
        if not table.startswith("monitoring")
    }
    consensus = read_frame(
        removed,
        "select distinct timeframes from {forecasting}.consensus_forecasts",
    )
    assert consensus["timeframes"].tolist() == ["d1"]
    for table in LEDGERS:
        pd.testing.assert_frame_equal(
            rows_of_weeks(removed, table), rows_of_weeks(market, table)
        )
    # What came in of it is kept.
    assert len(rows_of_weeks(removed, "raw.bars")) > 0


def test_the_others_go_on_and_nothing_is_done_for_it(
    removed: Warehouse,
) -> None:
    before = {table: rows_of_weeks(removed, table) for table in LEDGERS}
    summary = forecast(removed)
    assert summary.n_forecasts == 3
    assert summary.to_dict()["series_without_ensemble"] == []
    with pytest.raises(UnknownSeriesError, match="w1; the warehouse has d1"):
        forecast(removed, timeframes=["w1"])
    assert set(check_drift(removed)["timeframe"]) == {"d1"}
    assert set(update_weights(removed).results["timeframe"]) == {"d1"}
    assert "w1" not in set(read_frame(removed, OPEN_QUERY)["timeframe"])
    for table in LEDGERS:
        pd.testing.assert_frame_equal(
            rows_of_weeks(removed, table), before[table]
        )


def test_neither_alerts_nor_the_doctor_complain_of_it(
    market: Warehouse, removed: Warehouse
) -> None:
    load_weeks(market)
    told = told_by_alerts_and_doctor(market)
    assert {
        "data_stale",
        "no_forecast",
        "coverage_broken",
        "retrain_refused",
        "requests",
        "expiry",
    } == {about for about, message in told if "w1" in message}
    told = told_by_alerts_and_doctor(removed)
    assert {"data_stale", "expiry"} <= {about for about, _ in told}
    assert [message for _, message in told if "w1" in message] == []
    # Its versions are live all the same.
    assert "w1" in set(live_versions(removed)["timeframe"])


def test_put_back_it_is_built_anew_settled_and_forecast_as_before(
    removed: Warehouse,
) -> None:
    check_drift(removed)
    assert settled_of_second(removed) == {"d1"}
    run_dbt(removed, ["seed", "--select", "timeframes"])
    with pytest.raises(
        BuildError, match=r"holds w1 again.*dbt build --full-refresh"
    ):
        run_dbt(removed, RUN)
    run_dbt(removed, [*RUN, "--full-refresh"])
    run_dbt(removed, ["run", "--select", "int_bars_due"])
    forecast(removed, timeframes=["w1"])
    check_drift(removed)
    assert settled_of_second(removed) == {"d1", "w1"}
    live = rows_of_weeks(removed, "ml.forecasts").query("run_kind == 'live'")
    assert len(live) == len(TICKERS) * 3
    assert set(live["closed_at"]) == {close_of(-2)}
    assert set(live["version_id"]) == {
        make_version(removed, ticker, "w1").version_id for ticker in TICKERS
    }


def settled_of_second(warehouse: Warehouse) -> set[str]:
    """Timeframes of which forecasts of the second symbol have settled."""
    found = read_frame(
        warehouse,
        "select distinct timeframe from {forecasting}.forecast_outcomes "
        "where ticker = :ticker",
        {"ticker": SECOND},
    )
    return set(found["timeframe"])


def told_by_alerts_and_doctor(warehouse: Warehouse) -> list[tuple[str, str]]:
    """What each is about, and the message; alerts at the least of a sign."""
    rules = {
        name: replace(rule, threshold=rule.threshold and 0.0)
        for name, rule in read_rules(warehouse.settings).items()
    }
    observed, unjudged = collect(
        warehouse,
        rules,
        now=datetime.datetime.now(datetime.UTC),
        kinds=KINDS,
    )
    assert not unjudged
    return [
        *((one.kind, one.message) for one in observed),
        *(
            (one.check, one.message)
            for check in (
                work.check_requests,
                data.check_series,
                data.check_expiry,
            )
            for one in check(warehouse)
        ),
    ]
