"""The judgement at every time of the past is the view's, had time ended then.

`tests/test_drift.py` holds its pandas twin to the view `drift_status`; here
the twin is asked once for every outcome.
"""

import numpy as np
import pandas as pd
import pytest

from python_ml.monitoring.drift_windows import (
    DriftThresholds,
    asks_for_retraining,
)
from tests import test_drift as twin

THRESHOLDS = DriftThresholds(
    twin.ALERT_BELOW,
    twin.MIN_PREDICTIONS,
    twin.WINDOW_PREDICTIONS,
)


def outcomes_of(seed: int, hit_rate: float) -> pd.DataFrame:
    """Settled forecasts of one series, three horizons a day, in order."""
    random = np.random.default_rng(seed)
    n_days = 60
    days = pd.date_range("2020-01-01", periods=n_days, tz="UTC")
    rows = pd.DataFrame(
        {
            "settled_at": np.repeat(days.to_numpy(), 3),
            "horizon_bars": np.tile([1, 5, 20], n_days),
            "hit": (random.uniform(size=3 * n_days) < hit_rate).astype(float),
            "baseline": np.tile([0.4, 0.5, 0.6], n_days),
        }
    )
    return rows.assign(settled_date=rows["settled_at"])


@pytest.mark.parametrize(
    ("seed", "hit_rate"), [(1, 0.1), (2, 0.15), (3, 0.3), (4, 0.5)]
)
def test_each_outcome_is_judged_as_if_it_were_the_last(
    seed: int, hit_rate: float
) -> None:
    rows = outcomes_of(seed, hit_rate)
    asks = asks_for_retraining(
        rows["hit"].to_numpy(),
        rows["baseline"].to_numpy(),
        rows["horizon_bars"].to_numpy(dtype=np.float64),
        THRESHOLDS,
    )
    expected = [
        n >= twin.MIN_PREDICTIONS
        and twin.judge(rows.head(n))["recommendation"]
        in ("schedule_retrain", "retrain_now")
        for n in range(1, len(rows) + 1)
    ]
    assert asks.tolist() == expected


def test_the_cases_differ_in_what_is_asked() -> None:
    """Else the test above could be passed by a constant."""
    shares = [
        asks_for_retraining(
            rows["hit"].to_numpy(),
            rows["baseline"].to_numpy(),
            rows["horizon_bars"].to_numpy(dtype=np.float64),
            THRESHOLDS,
        ).mean()
        for rows in (outcomes_of(1, 0.1), outcomes_of(2, 0.15))
    ]
    assert 0 < shares[1] < shares[0]


def test_a_baseline_that_is_missing_is_left_out_of_the_mean() -> None:
    hits = np.zeros(8)
    baselines = np.array([np.nan, 0.9, np.nan, 0.9, 0.9, 0.9, 0.9, 0.9])
    asks = asks_for_retraining(hits, baselines, np.ones(8), THRESHOLDS)
    # The first has no baseline at all, so nothing is asked of it.
    assert asks.tolist() == [False] + [True] * 7
