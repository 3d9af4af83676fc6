import datetime
from dataclasses import replace

import pandas as pd
import pytest

from python_ml import schema
from python_ml.forecasting.issue import forecast
from python_ml.operations.doctor.honesty import (
    check_clock as check_clock_as_doctor,
)
from python_ml.warehouse import clock
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.clock import ClockReading, check_clock
from tests.conftest import run_swiftbolt
from tests.forecast_market import close_of, deploy, make_ensemble

MONTH = datetime.timedelta(days=30)
NOW = datetime.datetime(2024, 3, 1, 22, tzinfo=datetime.UTC)


def set_clock(warehouse, offset):
    """Have every later session of the database told another time."""
    with warehouse.begin() as connection:
        connection.exec_driver_sql(
            f"""
            create schema if not exists shadow;
            create or replace function shadow.clock_timestamp()
            returns timestamptz language sql as $$
                select pg_catalog.clock_timestamp() + interval '{offset}'
            $$;
            """
        )
        name = warehouse.parameters.database
        connection.exec_driver_sql(
            f"alter database {name} "
            "set search_path = shadow, pg_catalog, public"
        )
    warehouse.close()


@pytest.fixture
def market(market_warehouse):
    """The market with a version that is live, and nothing forecast."""
    deploy(
        market_warehouse,
        make_ensemble(market_warehouse, ticker="AAA", as_of=close_of(-30)),
    )
    return market_warehouse


def ledger(warehouse):
    return read_frame(
        warehouse,
        "select forecasts.*, staged.is_late as counts_as_late "
        "from {ml}.forecasts as forecasts "
        "inner join {staging}.stg_ml__forecasts as staged "
        "on forecasts.forecast_id = staged.forecast_id",
    )


def named_by_audit(warehouse):
    return len(
        read_frame(
            warehouse,
            "select 1 as n "
            "from {leakage_audit}.audit_forecast_issued_by_wrong_clock",
        )
    )


def test_the_processs_clock_dates_nothing(market, monkeypatch):
    class Slow(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) - MONTH

    monkeypatch.setattr(clock.datetime, "datetime", Slow)
    monkeypatch.setattr(
        pd.Timestamp, "now", lambda *_: pytest.fail("asked the process")
    )
    forecast(market)
    [problem] = check_clock(market)
    assert "This machine's clock says" in problem
    monkeypatch.undo()
    rows = ledger(market)
    assert (rows["issued_at"] - rows["written_at"]).abs().max() < (
        pd.Timedelta(minutes=1)
    )


def test_a_server_set_back_a_month_issues_nothing_in_time(market):
    run_swiftbolt(market, "db", "accept-clock", "--reason", "of now")
    set_clock(market, "-30 days")
    assert "it was set back" in check_clock(market)[0]
    finding, *_ = check_clock_as_doctor(market)
    assert "it was set back" in finding.message
    summary = forecast(market)
    rows = ledger(market)
    assert summary.n_late == len(rows) > 0
    assert rows["counts_as_late"].all()
    assert named_by_audit(market) == 0


def test_what_says_that_it_was_in_time_is_judged_by_when_it_was_written(
    market,
):
    """A row whose time was made up, as another program might write it."""
    forecast(market)
    assert named_by_audit(market) == 0
    rows = read_frame(market, "select * from {ml}.forecasts").drop(
        columns=["forecast_id", "written_at"]
    )
    from python_ml.warehouse.bulk import insert_frame

    made_up = rows.assign(
        is_late=False, closed_at=rows["closed_at"] - pd.Timedelta(days=1)
    )
    made_up["issued_at"] = made_up["closed_at"] + pd.Timedelta(hours=1)
    with market.begin() as connection:
        insert_frame(connection, schema.forecasts, made_up)
    found = ledger(market)
    is_made_up = found["closed_at"].isin(made_up["closed_at"])
    assert found.loc[is_made_up, "counts_as_late"].all()
    assert named_by_audit(market) == is_made_up.sum() == len(made_up)


def test_a_clock_that_was_ahead_is_suspected_until_it_is_accepted(market):
    set_clock(market, "30 days")
    assert forecast(market).n_late > 0
    set_clock(market, "0 days")
    assert "was ahead before" in check_clock(market)[0]
    ended = run_swiftbolt(market, "db", "accept-clock", "--reason", "repaired")
    assert ended.returncode == 0
    assert check_clock(market) == []


@pytest.mark.parametrize(
    ("changes", "is_set_back", "n_problems"),
    [
        ({}, False, 0),
        ({"known": None}, False, 0),
        ({"known": NOW + clock.TOLERANCE}, False, 0),
        ({"known": NOW + 1.1 * clock.TOLERANCE}, True, 1),
        ({"process": NOW - MONTH}, False, 1),
        ({"process": NOW + MONTH, "known": NOW + MONTH}, True, 2),
    ],
)
def test_clocks_may_differ_by_minutes(changes, is_set_back, n_problems):
    reading = replace(ClockReading(NOW, NOW, NOW), **changes)
    assert reading.is_set_back == is_set_back
    assert len(reading.problems) == n_problems
