"""What the scripts that kill jobs choose and make; the rest is their runs."""

import importlib

import numpy as np
import pandas as pd
import pytest

from python_ml.settings import PROJECT_ROOT


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROJECT_ROOT / "scripts"))
        yield {
            name: importlib.import_module(name)
            for name in ("check_faults", "drift_chain_market")
        }


def test_every_victim_is_killed_as_often_and_amid_every_job_that_has_it(
    scripts,
):
    faults = scripts["check_faults"]
    stages = [faults.Stage(name, "", {}, 1.0) for name in faults.JOBS]
    plan = faults.kills(stages)
    chosen = [next(plan) for _ in range(100)]
    for victim in faults.VICTIMS:
        jobs = [stage.name for stage, other in chosen if other == victim]
        assert len(jobs) == 25
        expected = faults.WITH_WORKERS if victim == "worker" else faults.JOBS
        assert set(jobs) == set(expected)


def test_without_a_job_that_has_workers_the_others_are_killed(scripts):
    faults = scripts["check_faults"]
    plan = faults.kills([faults.Stage("build", "", {}, 1.0)])
    assert {next(plan)[1] for _ in range(9)} == {"python", "server", "lock"}


def test_weeks_begin_with_their_largest_moves_until_the_market_changes(scripts):
    market = scripts["drift_chain_market"]
    # A Friday, and two weeks of five sessions.
    days = pd.bdate_range("2011-12-30", periods=11)
    factors = [1.01, 0.95, 1.02, 1.03, 0.99, 1.04, 0.98, 1.01, 0.97, 1.05]
    closes = 100 * np.cumprod([1.0, *factors])
    bars = pd.DataFrame(
        {
            "ts": days,
            "open": np.concatenate([[100.0], closes[:-1]]),
            "high": closes * 1.1,
            "low": closes * 0.8,
            "close": closes,
        }
    )
    made = market.in_weeks(bars, days[6])
    assert made["ts"].tolist() == list(days[1:])
    before = np.concatenate([[100.0], made["close"][:-1]])
    np.testing.assert_allclose(
        made["close"] / before,
        [0.95, 1.03, 1.02, 0.99, 1.01, 1.01, 0.98, 0.97, 1.04, 1.05],
    )
    # Each session keeps its shape, and every week its whole move.
    np.testing.assert_allclose(made["open"], before)
    np.testing.assert_allclose(made["high"] / made["close"], 1.1)
    np.testing.assert_allclose(made["close"].iloc[[4, 9]], closes[[5, 10]])


def test_the_sample_is_adjusted_without_breaking_its_bars(scripts):
    bars = scripts["drift_chain_market"].read_bars()
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    # Splits are gone: no share halves or doubles overnight.
    moves = bars.groupby("symbol")["close"].pct_change().abs()
    assert moves[bars["ts"] >= "2005-01-03"].max() < 0.3
