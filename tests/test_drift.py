import json
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.ensemble import CLASSES
from python_ml.exceptions import BuildError
from python_ml.forecasting.issue import forecast
from python_ml.monitoring.drift import check_drift
from python_ml.scoring.metrics import log_losses
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.ledgers import rewriting
from tests.conftest import run_swiftbolt
from tests.forecast_market import (
    N_BARS,
    TICKERS,
    VALIDATION_ACCURACY,
    build,
    close_of,
    deploy,
    load_bars,
    make_ensemble,
)

ANALYST_QUERY = """
    select date, ticker, timeframe, accuracy, baseline_accuracy,
        drift_margin, drift_detected, n_predictions
    from {monitoring}.drift_monitoring
    where ticker = 'AAA' and timeframe = 'd1'
    order by date desc limit 30
"""
MONITOR_AT, ALERT_BELOW, EMERGENCY_BELOW = -0.05, -0.15, -0.25
WINDOW_DAYS, WINDOW_PREDICTIONS = 7, 60
# Fewer than the seed's, since at most three predictions of d1 settle a day.
MIN_PREDICTIONS = 2


@pytest.fixture(scope="module")
def market(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> str:
    """Name of a database with bars, all built, and d1 versions deployed."""
    made = fresh_warehouse(template=market_database)
    for ticker in TICKERS:
        for session in (-100, -40):
            deploy(
                made,
                make_ensemble(made, ticker=ticker, as_of=close_of(session)),
            )
    made.close()
    return made.parameters.database


@pytest.fixture
def deployed(
    fresh_warehouse: Callable[..., Warehouse], market: str
) -> Iterator[Warehouse]:
    """A copy of that database; with the artifacts."""
    with fresh_warehouse(template=market) as made:
        yield made


def outcomes(warehouse: Warehouse) -> pd.DataFrame:
    return read_frame(
        warehouse,
        "select * from {forecasting}.forecast_outcomes order by forecast_id",
    )


def plant_forecasts(
    warehouse: Warehouse, *, n_forecasts: int, seed: int = 11
) -> pd.DataFrame:
    """Write random rows of all kinds to the ledger and return them."""
    random = np.random.default_rng(seed)
    examples = read_frame(
        warehouse,
        """
        select
            examples.symbol_id, examples.timeframe, examples.horizon,
            examples.horizon_bars, examples.bar_number, examples.closed_at,
            examples.target_bar_number, examples.target_at,
            examples.reference_close, examples.expected_volatility,
            examples.label_threshold, versions.version_id
        from {features}.scoring_examples as examples
        inner join {ml}.ensembles as versions
            on examples.symbol_id = versions.symbol_id
            and examples.timeframe = versions.timeframe
            and examples.closed_at >= versions.as_of
        """,
    )
    rows = examples.sample(
        n_forecasts, replace=True, random_state=seed
    ).reset_index(drop=True)
    probabilities = random.dirichlet([1, 1, 1], n_forecasts)
    climatology = random.dirichlet([9, 9, 9], n_forecasts)
    for position, name in enumerate(CLASSES):
        rows[f"probability_{name.lower()}"] = probabilities[:, position]
        rows[f"climatology_{name.lower()}"] = climatology[:, position]
    rows["direction"] = np.array(CLASSES, dtype=object)[probabilities.argmax(1)]
    rows["run_kind"] = random.choice(
        ["live", "replay", "backtest"], n_forecasts, p=[0.4, 0.5, 0.1]
    ).astype(object)
    rows["run_name"] = rows["run_kind"]
    rows["is_late"] = (rows["run_kind"] == "live") & (
        random.uniform(size=n_forecasts) < 0.4
    )
    rows["issued_at"] = pd.Timestamp.now("UTC")
    rows["confidence"] = 0.1
    rows["member_probabilities"] = [{"only": [1]} for _ in range(n_forecasts)]
    rows["price_target"] = rows["reference_close"]
    widths = np.sort(np.abs(random.normal(size=(n_forecasts, 3))), axis=1)
    sigma = rows["expected_volatility"]
    for column, level in enumerate((50, 80, 95)):
        for side, sign in (("lower", -1), ("upper", 1)):
            rows[f"{side}_{level}"] = rows["reference_close"] * np.exp(
                sign * widths[:, column] * sigma
            )
    with warehouse.begin() as connection:
        insert_frame(connection, schema.forecasts, rows, skip_existing=True)
    return read_frame(warehouse, "select * from {ml}.forecasts")


def settle(forecasts: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    """Twin of the settlement, in pandas."""
    key = ["symbol_id", "timeframe"]
    own = bars[[*key, "bar_number", "adjusted_close"]]
    target = bars[
        [*key, "bar_number", "adjusted_close", "closed_at", "session_date"]
    ].rename(
        columns={
            "bar_number": "target_bar_number",
            "adjusted_close": "target_close",
            "closed_at": "settled_at",
            "session_date": "settled_date",
        }
    )
    rows = forecasts.merge(own, on=[*key, "bar_number"])
    rows = rows.merge(target, on=[*key, "target_bar_number"])
    rows["realized_return"] = np.log(
        rows["target_close"] / rows["adjusted_close"]
    )
    position = np.where(
        rows["realized_return"] > rows["label_threshold"],
        2,
        np.where(rows["realized_return"] < -rows["label_threshold"], 0, 1),
    )
    P, C = (
        rows[[f"{kind}_{name.lower()}" for name in CLASSES]].to_numpy()
        for kind in ("probability", "climatology")
    )
    rows["outcome"] = np.array(CLASSES, dtype=object)[position]
    rows["is_hit"] = rows["outcome"] == rows["direction"]
    rows["log_loss"] = log_losses(P, position)
    rows["climatology_log_loss"] = log_losses(C, position)
    rows["brier_score"] = np.square(P - np.eye(3)[position]).sum(axis=1)
    moved = rows["reference_close"] * np.exp(rows["realized_return"])
    for level in (50, 80, 95):
        rows[f"is_inside_{level}"] = moved.between(
            rows[f"lower_{level}"], rows[f"upper_{level}"]
        )
    return rows.sort_values("forecast_id", ignore_index=True)


def count_once(settled: pd.DataFrame, tickers: pd.Series) -> pd.DataFrame:
    """Twin of what counts: live if not late, else the first replay."""
    rows = settled[
        settled["run_kind"].isin(["live", "replay"]) & ~settled["is_late"]
    ]
    rows = rows.sort_values(["run_kind", "forecast_id"]).drop_duplicates(
        ["symbol_id", "timeframe", "horizon", "closed_at"]
    )
    return rows.assign(
        ticker=rows["symbol_id"].map(tickers),
        hit=rows["is_hit"].astype(float),
        baseline=rows["horizon"].map(VALIDATION_ACCURACY),
    )


def status_of(margin: float, n_predictions: int) -> str:
    """Twin of the status of a margin."""
    if n_predictions < MIN_PREDICTIONS:
        return "insufficient_data"
    if margin > MONITOR_AT:
        return "normal"
    if margin >= ALERT_BELOW:
        return "monitor"
    return "alert" if margin >= EMERGENCY_BELOW else "emergency"


def monitor(counted: pd.DataFrame) -> pd.DataFrame:
    """Twin of `drift_monitoring`, where a day is judged by the last ones."""
    found = []
    for (ticker, timeframe), rows in counted.groupby(["ticker", "timeframe"]):
        ordered = rows.sort_values(["settled_at", "horizon_bars"])
        for day, settled in ordered.groupby("settled_date"):
            last = ordered[ordered["settled_date"] <= day].tail(
                WINDOW_PREDICTIONS
            )
            accuracy = last["hit"].mean()
            baseline = last["baseline"].mean()
            margin = round(accuracy - baseline, 12)
            n_effective = max(1.0, len(last) ** 2 / last["horizon_bars"].sum())
            lower, upper = wilson(accuracy, n_effective)
            status = status_of(margin, len(last))
            found.append(
                {
                    "ticker": ticker,
                    "timeframe": timeframe,
                    "settled_date": day,
                    "accuracy": accuracy,
                    "accuracy_lower": lower,
                    "accuracy_upper": upper,
                    "n_predictions": len(last),
                    "n_settled": len(settled),
                    "n_effective": n_effective,
                    "baseline_accuracy": baseline,
                    "created_at": settled["settled_at"].max(),
                    "drift_margin": margin,
                    "status": status,
                    "drift_detected": None
                    if status == "insufficient_data"
                    else status != "normal" and upper < baseline,
                }
            )
    return pd.DataFrame(found).astype({"drift_detected": "boolean"})


def wilson(share: float, n: float) -> tuple[float, float]:
    """Twin of the 95% interval of a share."""
    z = 1.959963984540054
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n)
    half *= np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return center - half, center + half


def judge(counted: pd.DataFrame) -> dict[str, object]:
    """Twin of one row of `drift_status`, of one series."""
    rows = counted.sort_values(["settled_at", "horizon_bars"], ascending=False)
    last = rows.head(WINDOW_PREDICTIONS)
    before = rows.iloc[WINDOW_PREDICTIONS : 2 * WINDOW_PREDICTIONS]
    days = rows[
        rows["settled_date"]
        > rows["settled_date"].max() - pd.Timedelta(days=WINDOW_DAYS)
    ]

    def margin(part: pd.DataFrame) -> float:
        return round(part["hit"].mean() - part["baseline"].mean(), 12)

    n = max(1.0, len(last) ** 2 / last["horizon_bars"].sum())
    p = last["hit"].mean()
    lower, upper = wilson(p, n)
    status = status_of(margin(last), len(last))
    last_days_status = status_of(margin(days), len(days))
    is_beyond_chance = upper < last["baseline"].mean()
    change = round(margin(last) - margin(before), 12)
    if len(before) < MIN_PREDICTIONS:
        trend = "unknown"
    elif abs(change) < -MONITOR_AT:
        trend = "steady"
    else:
        trend = "improving" if change > 0 else "worsening"
    if status == "emergency" and is_beyond_chance:
        advice = "retrain_now"
    elif status == "alert" and is_beyond_chance:
        advice = "schedule_retrain"
    elif status != "normal" or last_days_status in ("alert", "emergency"):
        advice = "monitor_closely"
    else:
        advice = "operating_normally"
    return {
        "n_predictions": len(last),
        "n_effective": n,
        "accuracy": p,
        "accuracy_lower": lower,
        "accuracy_upper": upper,
        "baseline_accuracy": last["baseline"].mean(),
        "drift_margin": margin(last),
        "status": status,
        "last_days_n_predictions": len(days),
        "last_days_drift_margin": margin(days),
        "last_days_status": last_days_status,
        "previous_n_predictions": len(before),
        "previous_drift_margin": margin(before),
        "trend": trend,
        "recommendation": advice,
    }


def test_outcomes_and_drift_equal_pandas_on_random_forecasts(deployed):
    forecasts = plant_forecasts(deployed, n_forecasts=900)
    with deployed.begin() as connection:
        connection.execute(
            sa.text(
                deployed.sql(
                    "update {monitoring}.drift_thresholds "
                    "set min_predictions = :fewest"
                )
            ),
            {"fewest": MIN_PREDICTIONS},
        )
    status = check_drift(deployed).set_index("ticker")

    bars = read_frame(deployed, "select * from {features}.bars")
    settled = settle(forecasts, bars)
    found = outcomes(deployed)
    assert 400 < len(found) < len(forecasts)
    shared = [name for name in found if name in settled and name != "ticker"]
    pd.testing.assert_frame_equal(
        found[shared], settled[shared], rtol=1e-9, check_dtype=False
    )

    tickers = read_frame(deployed, "select * from {raw}.symbols").set_index(
        "symbol_id"
    )["ticker"]
    counted = count_once(settled, tickers)
    assert len(counted) >= 200
    expected = monitor(counted)
    assert expected["status"].nunique() >= 3
    days = read_frame(
        deployed,
        "select *, date as settled_date "
        "from {monitoring}.drift_monitoring order by ticker, timeframe, date",
    )
    assert set(days["judged_window"]) == {"trailing"}
    pd.testing.assert_frame_equal(
        days[expected.columns], expected, rtol=1e-9, check_dtype=False
    )
    for ticker, rows in counted.groupby("ticker"):
        for name, value in judge(rows).items():
            assert status.loc[ticker, name] == (
                pytest.approx(value, abs=1e-9)
                if isinstance(value, float)
                else value
            ), name


def test_an_outcome_is_the_label_of_the_same_bar(deployed):
    plant_forecasts(deployed, n_forecasts=300)
    check_drift(deployed)
    pairs = read_frame(
        deployed,
        """
        select outcomes.outcome, labels.label, outcomes.settled_at,
            labels.label_end_at
        from {forecasting}.forecast_outcomes as outcomes
        inner join {features}.labels as labels
            on outcomes.symbol_id = labels.symbol_id
            and outcomes.timeframe = labels.timeframe
            and outcomes.horizon = labels.horizon
            and outcomes.closed_at = labels.closed_at
        """,
    )
    assert len(pairs) == len(outcomes(deployed)) > 200
    assert (pairs["outcome"] == pairs["label"]).all()
    assert (pairs["settled_at"] == pairs["label_end_at"]).all()


def test_forecasts_settle_once_and_only_when_their_target_bar_is_there(
    fresh_warehouse,
):
    with fresh_warehouse(schema_prefix="shared_") as warehouse:
        load_bars(warehouse, last=N_BARS - 2)
        build(warehouse)
        deploy(
            warehouse,
            make_ensemble(warehouse, ticker="AAA", as_of=close_of(-8)),
        )
        forecast(warehouse, replay_from=close_of(-8).date())
        check_drift(warehouse)
        before = outcomes(warehouse)
        # Six bars, -8 to -3: five have the next bar, one that five ahead.
        assert before["horizon"].value_counts().to_dict() == {"1d": 5, "5d": 1}
        assert before["settled_at"].max() == close_of(-3)

        # A restatement of all bars comes with the two that were missing.
        load_bars(warehouse, first=0)
        with rewriting(warehouse) as connection:
            connection.execute(
                sa.text(
                    warehouse.sql(
                        "update {raw}.bars set close = low "
                        "where batch_id = 2 and closed_at <= :closed_at"
                    )
                ),
                {"closed_at": close_of(-3)},
            )
        build(warehouse)
        check_drift(warehouse)
        after = outcomes(warehouse)
        assert after["horizon"].value_counts().to_dict() == {"1d": 6, "5d": 3}
        restated = read_frame(
            warehouse,
            "select * from {intermediate}.int_forecasts_scored_to_outcomes "
            "where settled_at <= :closed_at order by forecast_id",
            {"closed_at": close_of(-3)},
        )
        assert (restated["realized_return"] != before["realized_return"]).any()
        kept = after[after["forecast_id"].isin(before["forecast_id"])]
        pd.testing.assert_frame_equal(kept.reset_index(drop=True), before)


def test_outcomes_kept_from_before_a_check_was_declared_get_it(deployed):
    name = "a_hit_is_an_outcome_in_the_forecast_direction"
    plant_forecasts(deployed, n_forecasts=20)
    check_drift(deployed)
    with deployed.begin() as connection:
        connection.exec_driver_sql(
            deployed.sql(
                "alter table {forecasting}.forecast_outcomes "
                f"drop constraint {name}"
            )
        )
    check_drift(deployed)
    with (
        pytest.raises(sa.exc.IntegrityError, match=name),
        deployed.begin() as connection,
    ):
        connection.exec_driver_sql(
            deployed.sql(
                "update {forecasting}.forecast_outcomes set is_hit = not is_hit"
            )
        )


def test_every_check_leaves_one_row_for_each_deployed_series(deployed):
    plant_forecasts(deployed, n_forecasts=200)
    first = check_drift(deployed)
    second = check_drift(deployed)
    pd.testing.assert_frame_equal(first, second)
    checks = read_frame(
        deployed,
        "select checks.*, runs.job, runs.status as job_status "
        "from {ml}.drift_checks as checks "
        "inner join {ml}.job_runs as runs using (job_run_id) "
        "order by drift_check_id",
    )
    assert len(checks) == 2 * len(TICKERS)
    assert checks["job_run_id"].nunique() == 2
    assert set(checks["job"]) == {"check-drift"}
    assert set(checks["job_status"]) == {"succeeded"}
    for name in ("status", "recommendation", "n_predictions", "accuracy"):
        assert checks[name].tolist()[: len(first)] == first[name].tolist()


def test_a_deployed_series_with_nothing_settled_has_insufficient_data(deployed):
    status = check_drift(deployed)
    assert status["ticker"].tolist() == list(TICKERS)
    assert (status["n_predictions"] == 0).all()
    assert set(status["recommendation"]) == {"insufficient_data"}
    assert status["drift_detected"].isna().all()
    assert status["window_ends_at"].isna().all()


def test_thresholds_that_would_judge_nothing_fail_their_tests(warehouse):
    seed = ["--select", "drift_thresholds"]
    run_dbt(warehouse, ["build", *seed])
    with warehouse.begin() as connection:
        for windows in ("null, 60", "0, 60", "7, null", "7, 4"):
            connection.execute(
                sa.text(
                    warehouse.sql(
                        "insert into {monitoring}.drift_thresholds "
                        f"values (-0.05, -0.15, -0.25, 5, {windows})"
                    )
                )
            )
    with pytest.raises(BuildError) as several:
        run_dbt(warehouse, ["test", *seed])
    assert "drift_windows_hold_what_is_judged: Got 4 results" in str(
        several.value
    )
    assert "has_one_row_drift_thresholds_: Got 1 result" in str(several.value)

    with warehouse.begin() as connection:
        connection.execute(
            sa.text(warehouse.sql("delete from {monitoring}.drift_thresholds"))
        )
    with pytest.raises(BuildError, match="has_one_row_drift_thresholds_"):
        run_dbt(warehouse, ["test", *seed])


def test_the_query_of_the_analyst_runs_as_it_stands(deployed):
    plant_forecasts(deployed, n_forecasts=400)
    check_drift(deployed)
    rows = read_frame(deployed, ANALYST_QUERY)
    assert len(rows) == 30
    assert rows["date"].is_monotonic_decreasing
    assert set(rows["ticker"]) == {"AAA"}


@pytest.mark.parametrize(
    "view",
    [
        "drift_monitoring",
        "drift_status",
        "evidence_path",
        "expected_performance",
        "drift_explained",
        "feature_drift",
    ],
)
def test_a_filter_on_ticker_and_timeframe_reaches_the_tables(deployed, view):
    with deployed.begin() as connection:
        plan = connection.execute(
            sa.text(
                deployed.sql(
                    "explain (format json) select * "
                    f"from {{monitoring}}.{view} "
                    "where ticker = 'AAA' and timeframe = 'd1'"
                )
            )
        ).scalar_one()
    scans = list(_scans(plan[0]["Plan"]))
    # By the filter itself, or by the keys of the series that it has left.
    for scan in scans:
        if scan["Relation Name"] == "forecast_outcomes":
            conditions = f"{scan.get('Index Cond')} {scan.get('Filter')}"
            assert "d1" in conditions or (
                "symbol_id = " in conditions and "timeframe = " in conditions
            )
    assert "d1" in json.dumps(plan)
    # Every scan of the table is cut, not only one of several.
    assert all(
        "AAA" in json.dumps(scan)
        for scan in scans
        if scan["Relation Name"] == "symbols"
    )


def _scans(node: dict) -> Iterator[dict]:
    if "Relation Name" in node:
        yield node
    for child in node.get("Plans", []):
        yield from _scans(child)


def test_the_command_prints_a_row_a_series_and_drift_is_no_failure(deployed):
    forecasts = plant_forecasts(deployed, n_forecasts=600)
    with rewriting(deployed) as connection:
        # No move beats a threshold of 9: every outcome is NEUTRAL, and a
        # direction that is not misses.
        connection.execute(
            sa.text(
                deployed.sql(
                    "update {ml}.forecasts "
                    "set label_threshold = 9, direction = 'BULLISH'"
                )
            )
        )
    assert not forecasts.empty
    ended = run_swiftbolt(deployed, "check-drift", "--json")
    assert ended.returncode == 0, ended.stderr
    rows = json.loads(ended.stdout)
    assert [row["ticker"] for row in rows] == list(TICKERS)
    assert {row["status"] for row in rows} == {"emergency"}
    assert {row["recommendation"] for row in rows} == {"retrain_now"}
    table = run_swiftbolt(deployed, "check-drift")
    assert table.returncode == 0
    assert "retrain_now" in table.stdout
    assert len(table.stdout.splitlines()) == 1 + len(TICKERS)
