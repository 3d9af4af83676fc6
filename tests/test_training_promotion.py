"""Trainings on real bars: first versions, and a verdict on the next."""

from datetime import date

import pandas as pd
import pytest

from python_ml.examples.cuts import end_of_day
from python_ml.forecasting.issue import forecast
from python_ml.registry.deployments import live_versions
from python_ml.training import train as training
from python_ml.training.train import train
from python_ml.warehouse.bulk import read_frame

pytestmark = pytest.mark.usefixtures("module_with_few_trees")

AS_OF = end_of_day(date(2012, 6, 29))
SERIES = {"symbols": ["AAPL", "IBM"], "timeframes": ["d1"], "n_jobs": 1}


@pytest.fixture(scope="module")
def sample(sample_database, fresh_warehouse):
    """With a first version of each series."""
    with fresh_warehouse(template=sample_database) as made:
        summary = train(made, as_of=AS_OF, **SERIES)
        assert set(summary.decisions["verdict"]) == {"first_version"}
        yield made


def read(warehouse, query):
    return read_frame(warehouse, query)


@pytest.mark.slow
def test_a_training_that_died_before_its_verdict_gets_it_from_the_next(
    sample_database, fresh_warehouse, monkeypatch
):
    sample = fresh_warehouse(template=sample_database)

    def fail(*_, **__):
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(training, "promote", fail)
        with pytest.raises(RuntimeError, match="power"):
            train(sample, as_of=AS_OF, **SERIES)
    assert len(read(sample, "select * from {ml}.ensembles")) == 2
    assert read(sample, "select * from {ml}.deployments").empty
    summary = train(sample, as_of=AS_OF, **SERIES)
    assert summary.count("up to date") == 2
    assert set(summary.decisions["verdict"]) == {"first_version"}
    rows = read(sample, "select * from {ml}.deployments")
    assert len(rows) == rows["symbol_id"].nunique() == 2
    assert train(sample, as_of=AS_OF, **SERIES).decisions.empty
    assert len(read(sample, "select * from {ml}.promotions")) == 3


def test_the_next_training_is_judged_once_the_ledger_is_full(sample):
    summary = train(sample, **SERIES)
    assert summary.count("trained") == 2
    assert set(summary.decisions["verdict"]) == {"too_few_bars"}
    assert "Fill the ledger with: swiftbolt forecast" in summary.to_text()
    assert len(read(sample, "select * from {ml}.deployments")) == 2
    forecast(sample, replay_from=date(2012, 6, 29))
    summary = train(sample, **SERIES)
    assert summary.count("up to date") == 2
    verdicts = summary.decisions.set_index("horizon")["verdict"]
    judged = {"not_worse", "worse_than_champion", "below_climatology"}
    assert {verdicts["1d"], verdicts["5d"]} <= judged
    row = read(
        sample,
        "select * from {ml}.promotions where horizon = '1d' "
        "order by promotion_id desc limit 1",
    ).iloc[0]
    assert row["n_series"] == 2
    assert row["n_bars"] > 100
    assert row["n_blocks"] > 20
    deployed = read(
        sample,
        "select horizons from {ml}.deployments order by deployment_id desc "
        "limit 1",
    )["horizons"].iloc[0]
    promoted = [
        horizon
        for horizon in ("1d", "5d", "20d")
        if verdicts.get(horizon) == "not_worse"
    ]
    assert not promoted or deployed == promoted


def test_no_training_takes_a_bar_from_the_version_that_forecast_it(sample):
    forecast(sample)
    spoken = read(
        sample,
        "select distinct symbol_id, horizon, closed_at, version_id "
        "from {ml}.forecasts where run_kind = 'live'",
    )
    last = spoken["closed_at"].max()
    trained = train(sample, split="60/40", promotion="always", **SERIES)
    assert trained.count("trained") == 2
    starts = read(
        sample,
        "select effective_at from {ml}.deployments "
        "order by deployment_id desc limit 2",
    )["effective_at"]
    assert (starts == last + pd.Timedelta(microseconds=1)).all()
    keys = ["symbol_id", "horizon", "version_id"]
    live = live_versions(sample, at=last)
    assert set(live[keys].itertuples(index=False)) == set(
        spoken[keys].itertuples(index=False)
    )
    assert set(live_versions(sample)["version_id"]) == set(
        trained.results["version_id"]
    )
