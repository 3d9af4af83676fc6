"""A backtest is the live system at earlier times, and leaves it alone.

One small market is run through live, day by day: loaded, built, forecast, and
on Sunday trained and weighed. The same days as a backtest, over bars that are
all there already, give the same forecasts row for row.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from python_ml.examples.cuts import end_of_day
from python_ml.exceptions import (
    DeploymentError,
    NoEnsembleError,
    SettingsError,
)
from python_ml.forecasting import issue
from python_ml.forecasting.issue import forecast
from python_ml.monitoring.drift_windows import DriftThresholds
from python_ml.operations.backtest import drifting
from python_ml.operations.backtest import run as running
from python_ml.operations.backtest.drifting import DriftWatch
from python_ml.operations.backtest.run import run_backtest
from python_ml.operations.backtest.schedule import Schedule
from python_ml.operations.backtest.steps import Backtest
from python_ml.registry.deployments import live_versions
from python_ml.registry.inspection import list_versions
from python_ml.registry.promotion import verdict
from python_ml.registry.rollback import promote_version
from python_ml.training import reweighing
from python_ml.training.train import train
from python_ml.training.weight_updates import update_weights
from python_ml.warehouse.backtest_run import BacktestRun
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.clock import ClockReading
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.ledgers import rewriting
from tests.forecast_market import N_BARS, build, load_bars, sessions

pytestmark = pytest.mark.usefixtures("module_with_few_trees")

# From a Monday to the Monday after, with the Sunday on which all is decided.
DAYS = [
    day
    for day in pd.DatetimeIndex(sessions()["session_date"][:N_BARS])
    if pd.Timestamp("2020-07-13") <= day <= pd.Timestamp("2020-07-20")
]
FIRST, LAST = DAYS[0].date(), DAYS[-1].date()
SCHEDULE = Schedule(FIRST, LAST, retrain="weekly", weights="weekly")
NAME = "weekly"
# Of the row, not of the forecast: ids, when it was really issued and for whom.
OF_THE_ROW = [
    *("forecast_id", "version_id", "issued_at", "job_run_id"),
    "written_at",
    *("run_kind", "run_name", "is_late"),
]


@pytest.fixture(scope="module", autouse=True)
def _decide_by_little() -> Iterator[None]:
    """Let some days be enough to weigh and to judge by.

    Nor is climatology left alone, as it would be in a market that is noise:
    then nothing would ever change.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reweighing, "MIN_EFFECTIVE", 4.0)
        patch.setattr(
            reweighing, "climatology_alone", lambda weights, *_: weights
        )
        patch.setattr(verdict, "MIN_BARS", 2)
        patch.setattr(verdict, "MIN_BLOCKS", 2)
        patch.setattr(
            verdict, "block_bars", lambda horizon_bars, _: horizon_bars
        )
        yield


@pytest.fixture(scope="module")
def backtested(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Iterator[Warehouse]:
    """The whole market, with one backtest over its last days."""
    with fresh_warehouse(template=market_database) as made:
        run_backtest(made, NAME, SCHEDULE, timeframes=["d1"], n_jobs=1)
        yield made


@pytest.fixture(scope="module")
def lived(
    fresh_warehouse: Callable[..., Warehouse],
) -> Iterator[Warehouse]:
    """The same days live: each built when its bars came."""
    sessions_so_far = pd.DatetimeIndex(sessions()["session_date"])
    with fresh_warehouse() as made:
        loaded = 0
        for day in [DAYS[0] - pd.Timedelta(days=3), *DAYS]:
            known = int(sessions_so_far.searchsorted(day, side="right"))
            load_bars(made, first=loaded, last=known)
            if loaded:
                run_dbt(made, ["run"])
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(issue, "read_clock", _evening_of(day))
                    forecast(made, timeframes=["d1"])
                with rewriting(made) as connection:
                    connection.exec_driver_sql(
                        "update ml.forecasts set written_at = issued_at"
                    )
            else:
                build(made)
                _train(made, day.date() + timedelta(days=2))
            if loaded and day.day_name() == "Friday":
                _train(made, day.date() + timedelta(days=2))
                update_weights(made, timeframes=["d1"])
            loaded = known
        yield made


def _evening_of(day: pd.Timestamp) -> Callable[..., ClockReading]:
    """The clock of the day: years later each live forecast would be late."""
    now = (day.tz_localize("UTC") + pd.Timedelta("22:00:00")).to_pydatetime()
    return lambda _: ClockReading(now, now, None)


def _train(warehouse: Warehouse, day: date) -> None:
    train(warehouse, timeframes=["d1"], as_of=end_of_day(day), n_jobs=1)


def ledger(warehouse: Warehouse, run_kind: str, name: str) -> pd.DataFrame:
    rows = read_frame(
        warehouse,
        "select * from {ml}.forecasts "
        "where run_kind = :run_kind and run_name = :name "
        "order by closed_at, symbol_id, timeframe, horizon_bars",
        {"run_kind": run_kind, "name": name},
    )
    return rows


def test_a_backtest_equals_day_by_day_live_runs(
    backtested: Warehouse, lived: Warehouse
) -> None:
    live = ledger(lived, "live", "live")
    run = ledger(backtested, "backtest", NAME)
    # The first live run forecasts Monday, its latest bar.
    assert len(live) == len(run) == len(DAYS) * 2 * 3
    pd.testing.assert_frame_equal(
        run.drop(columns=OF_THE_ROW), live.drop(columns=OF_THE_ROW)
    )
    # Versions changed for the same bars, trained anew and weighed anew.
    assert _codes(run) == _codes(live)
    assert run["version_id"].nunique() > 2
    steps = running.read_steps(backtested, NAME)
    assert steps.loc[steps["step"] == "weights", "n_done"].sum() > 0
    assert (steps.loc[steps["step"] == "retrain", "n_done"] == 2).all()


def _codes(rows: pd.DataFrame) -> list[int]:
    """Versions as numbers in order of appearance."""
    return [int(code) for code in pd.factorize(rows["version_id"])[0]]


def test_no_forecast_is_by_a_version_of_a_later_time(
    backtested: Warehouse,
) -> None:
    found = read_frame(
        backtested,
        """
        select
            count(*) as n,
            bool_and(forecasts.closed_at >= ensembles.as_of) as is_later
        from {ml}.forecasts as forecasts
        inner join {ml}.ensembles as ensembles
            on forecasts.version_id = ensembles.version_id
        """,
    )
    assert found["n"].iloc[0] > 0
    assert found["is_later"].iloc[0]


def test_what_the_run_settles_by_is_what_its_forecasts_settle_to(
    backtested: Warehouse,
) -> None:
    steps = running.read_steps(backtested, NAME)
    seen = backtested.during(BacktestRun(NAME, end_of_day(date(2026, 1, 1))))
    by_label = read_frame(
        seen,
        "select forecast_id, outcome, settled_at from {outcomes} as outcomes "
        "order by forecast_id",
    )
    settled = read_frame(
        seen,
        "select forecast_id, outcome, settled_at "
        "from {forecasting}.forecast_outcomes "
        "where run_kind = 'backtest' order by forecast_id",
    )
    assert len(settled) > 20
    pd.testing.assert_frame_equal(by_label, settled)
    assert set(steps["step"]) == {"retrain", "weights", "forecast"}


def test_nothing_of_a_backtest_is_live(backtested: Warehouse) -> None:
    assert live_versions(backtested).empty
    with pytest.raises(NoEnsembleError):
        list_versions(backtested)
    for table in ("{ml}.deployments", "{forecasting}.ledger"):
        found = read_frame(backtested, f"select 1 as n from {table} limit 1")
        assert found.empty, table
    version_id = ledger(backtested, "backtest", NAME)["version_id"].iloc[-1]
    with pytest.raises(DeploymentError, match="backtest weekly"):
        promote_version(backtested, version_id, reason="looks good")


def test_every_view_on_forecasts_is_there_of_the_run_alone(
    backtested: Warehouse,
) -> None:
    for view, n in (
        # Two series, three horizons; only a day ahead much has settled.
        ("forecasting.ledger", len(DAYS) * 2 * 3),
        ("forecasting.forecast_outcomes", None),
        ("monitoring.drift_status", 2),
        ("monitoring.leaderboard", None),
        ("monitoring.band_coverage", None),
    ):
        own = count(backtested, f"backtest_{NAME}_{view}")
        assert own == n if n is not None else own > 0, view
        schema, name = view.split(".")
        live = count(
            backtested,
            f"{{{schema}}}.{name}"
            + " where is_counted" * (name == "forecast_outcomes"),
        )
        assert live == 0, view


def test_the_same_command_again_does_nothing_more(
    backtested: Warehouse,
) -> None:
    before = ledger(backtested, "backtest", NAME)
    summary = run_backtest(
        backtested, NAME, SCHEDULE, timeframes=["d1"], n_jobs=1
    )
    pd.testing.assert_frame_equal(ledger(backtested, "backtest", NAME), before)
    assert summary.count("n_forecasts") == len(before)


def test_a_run_is_not_gone_on_with_by_other_settings(
    backtested: Warehouse,
) -> None:
    with pytest.raises(
        SettingsError, match="retrain weekly instead of monthly"
    ):
        run_backtest(backtested, NAME, Schedule(FIRST, LAST), timeframes=["d1"])


@pytest.mark.parametrize("name", ["", "Monthly", "a b", "x" * 31, "it's"])
def test_a_name_that_could_be_more_than_a_name_is_refused(
    warehouse: Warehouse, name: str
) -> None:
    with pytest.raises(SettingsError, match="--name"):
        running.begin_run(
            warehouse, name, SCHEDULE, symbols=None, timeframes=None
        )


class Killed(BaseException):
    """Ends a run as a signal would."""


def test_a_run_that_was_killed_goes_on_to_the_same_rows(
    backtested: Warehouse,
    fresh_warehouse: Callable[..., Warehouse],
    market_database: str,
) -> None:
    """Killed between what a step has written and the step's own row."""

    def run(warehouse: Warehouse) -> None:
        run_backtest(warehouse, NAME, SCHEDULE, timeframes=["d1"], n_jobs=1)

    with fresh_warehouse(template=market_database) as made:
        for owner, name, nth in (
            # Trained, and not on record as a step.
            (Backtest, "record", 1),
            (running, "forecast_span", 1),
            # Weights moved, and not on record as a step.
            (Backtest, "record", 2),
            (running, "forecast_span", 1),
            (running, "finish_run", 1),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(owner, name, _killing(owner, name, nth))
                with pytest.raises(Killed):
                    run(made)
        run(made)
        again = ledger(made, "backtest", NAME)
        n_decided = count(made, "{ml}.backtest_deployments")
    whole = ledger(backtested, "backtest", NAME)
    assert _codes(again) == _codes(whole)
    pd.testing.assert_frame_equal(
        again.drop(columns=OF_THE_ROW), whole.drop(columns=OF_THE_ROW)
    )
    assert n_decided == count(backtested, "{ml}.backtest_deployments")


def count(warehouse: Warehouse, table: str) -> int:
    found = read_frame(warehouse, f"select count(*) as n from {table}")
    return int(found["n"].iloc[0])


def _killing(owner: object, name: str, nth: int) -> Callable[..., object]:
    """The function as it is, whose nth call ends the run before it begins."""
    do = getattr(owner, name)
    calls = 0

    def do_or_die(*arguments: object, **keywords: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise Killed
        return do(*arguments, **keywords)

    return do_or_die


def test_drift_retrains_on_the_day_that_it_is_seen(
    fresh_warehouse: Callable[..., Warehouse],
    market_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a judgement by which everything drifts once three have settled."""
    watch = DriftWatch(DriftThresholds(1.0, 1, 3))
    monkeypatch.setattr(DriftWatch, "begin", lambda *_: watch)
    monkeypatch.setattr(
        drifting,
        "asks_for_retraining",
        lambda hits, *_: np.ones(len(hits), dtype=bool),
    )
    schedule = Schedule(FIRST, LAST, weights="never", policy="drift")
    with fresh_warehouse(template=market_database) as made:
        with pytest.MonkeyPatch.context() as patch:
            # After the span that drift has cut short.
            patch.setattr(
                running, "forecast_span", _killing(running, "forecast_span", 2)
            )
            with pytest.raises(Killed):
                run_backtest(made, "drift", schedule, timeframes=["d1"])
        run_backtest(made, "drift", schedule, timeframes=["d1"], n_jobs=1)
        steps = running.read_steps(made, "drift")
        rows = ledger(made, "backtest", "drift")
    # Monday's forecasts over a day settle on Tuesday: the third on Thursday.
    thursday = end_of_day(DAYS[3].date())
    retrains = steps[steps["step"] == "retrain"]
    assert retrains["step_at"].tolist() == [schedule.starts_at, thursday]
    assert retrains["reason"].tolist() == [
        "first training",
        "drift of AAA d1, BBB d1",
    ]
    assert steps.loc[steps["step"] == "forecast", "until_at"].tolist() == [
        thursday,
        schedule.ends_at,
    ]
    assert len(rows) == len(DAYS) * 2 * 3
    assert rows.loc[rows["closed_at"] <= thursday, "version_id"].nunique() == 2
    assert (retrains["n_done"] == 2).all()
