"""Handoff, cascade, consensus and what watches them, on a forecast market."""

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.forecasting.issue import forecast
from python_ml.monitoring.drift import check_drift
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.ledgers import rewriting
from tests.forecast_market import TICKERS, close_of, deploy, make_ensemble

FLOOR, RATIO = 0.05, 1.2
# The market ends on a Monday: its last week closed on the session before.
FRIDAY = -2
BANDS = [
    f"{side}_{level}" for level in (50, 80, 95) for side in ("lower", "upper")
]
PROBABILITIES = [
    "probability_bearish",
    "probability_neutral",
    "probability_bullish",
]


@pytest.fixture(scope="module")
def issued(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Warehouse:
    """The market with d1 and w1 forecast, to the last bar, and settled."""
    made = fresh_warehouse(template=market_database)
    for ticker in TICKERS:
        for timeframe, session in (("d1", -60), ("d1", -30), ("w1", -60)):
            ensemble = make_ensemble(
                made,
                ticker=ticker,
                timeframe=timeframe,
                as_of=close_of(session),
                seed=session % 7,
            )
            deploy(made, ensemble)
            with made.begin() as connection:
                connection.execute(
                    schema.ensemble_weights.insert(),
                    [
                        {
                            "version_id": ensemble.version_id,
                            "horizon": name,
                            "member": member,
                            "weight": weight,
                            "method": "ridge",
                            "reason": "test",
                        }
                        for name, horizon in ensemble.horizons.items()
                        for member, weight in horizon.weights.items()
                    ],
                )
    forecast(made, replay_from=close_of(-60).date())
    check_drift(made)
    return made


def view(warehouse: Warehouse, name: str, order: str = "1") -> pd.DataFrame:
    return read_frame(warehouse, f"select * from {name} order by {order}")


def latest(warehouse: Warehouse) -> pd.DataFrame:
    """The newest forecasts with the session span of their target bars."""
    rows = read_frame(
        warehouse,
        """
        select forecasts.*, symbols.ticker, timeframes.sort_order,
            extract(epoch from grid.closed_at - grid.opened_at) / 60 as minutes
        from {ml}.forecasts as forecasts
        inner join {raw}.symbols as symbols using (symbol_id)
        inner join {features}.timeframes as timeframes using (timeframe)
        inner join {features}.bar_grid as grid
            on grid.timeframe = forecasts.timeframe
            and grid.bar_number = forecasts.target_bar_number
        """,
    )
    newest = rows.groupby(["symbol_id", "timeframe", "horizon"])["closed_at"]
    return rows[rows["closed_at"] == newest.transform("max")]


def gap_minutes(one: pd.Series, other: pd.Series) -> float:
    return abs((one["target_at"] - other["target_at"]).total_seconds()) / 60


def handoff(shorter: pd.Series, longer: pd.Series) -> float | None:
    """Twin of the handoff of one forecast to another."""
    if gap_minutes(shorter, longer) > longer["minutes"] / 2:
        return None
    distance = 0.5 * sum(abs(shorter[p] - longer[p]) for p in PROBABILITIES)
    gap = abs(np.log(shorter["price_target"] / longer["price_target"]))
    agreement = np.exp(-gap / shorter["expected_volatility"])
    return 0.5 * (1 - distance) + 0.5 * agreement


def consensus(rows: pd.DataFrame) -> dict[str, object]:
    """Twin of one row of the consensus, of the forecasts of one horizon."""
    rows = rows.sort_values("sort_order")
    newest = rows[rows["closed_at"] == rows["closed_at"].max()].iloc[-1]
    joined, weights, handoffs = [], [], []
    for position in range(len(rows)):
        row = rows.iloc[position]
        coarser = max(row, newest, key=lambda one: one["sort_order"])
        if gap_minutes(row, newest) > coarser["minutes"] / 2:
            continue
        longer = rows.iloc[position + 1 : position + 2]
        found = None if longer.empty else handoff(row, longer.iloc[0])
        handoffs += [] if found is None else [found]
        joined.append(row)
        weights.append((row["confidence"] + FLOOR) * (found or 1.0))
    frame, w = pd.DataFrame(joined), np.array(weights) / np.sum(weights)
    behind = {
        name: w[(frame["direction"] == name).to_numpy()].sum()
        for name in ("BEARISH", "NEUTRAL", "BULLISH")
    }
    direction = "NEUTRAL"
    for name in ("BULLISH", "BEARISH"):
        others = [share for other, share in behind.items() if other != name]
        if behind[name] > RATIO * max(others):
            direction = name
    prices = {
        name: float(np.exp(w @ np.log(frame[name])))
        for name in ("price_target", *BANDS)
    }
    for name in BANDS:
        side = min if name.startswith("lower") else max
        prices[name] = side(prices[name], prices["price_target"])
    of_class = direction.lower()
    return prices | {
        "target_at": newest["target_at"],
        "reference_close": newest["reference_close"],
        "direction": direction,
        "agreement": behind[direction],
        "confidence": max(
            0.0,
            w @ frame[f"probability_{of_class}"]
            - w @ frame[f"climatology_{of_class}"],
        ),
        **{name: w @ frame[name] for name in PROBABILITIES},
        "mean_handoff": np.mean(handoffs) if handoffs else None,
        "timeframes": ", ".join(frame["timeframe"]),
        "n_timeframes": len(frame),
        "is_single_timeframe": len(frame) == 1,
    }


def assert_consensus_is_its_twin(warehouse: Warehouse) -> pd.DataFrame:
    found = view(warehouse, "{forecasting}.consensus_forecasts", "ticker")
    forecasts = latest(warehouse)
    assert len(found) == len(TICKERS) * 5
    for key, rows in forecasts.groupby(["ticker", "horizon"]):
        row = found.set_index(["ticker", "horizon"]).loc[key]
        for name, value in consensus(rows).items():
            if value is None:
                assert pd.isna(row[name]), (key, name)
            elif isinstance(value, float):
                assert row[name] == pytest.approx(value, rel=1e-9), (key, name)
            else:
                assert row[name] == value, (key, name)
        shares = json.loads(row["weights"])
        assert list(shares) == row["timeframes"].split(", ")
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    return found.set_index(["ticker", "horizon"])


def test_the_consensus_equals_its_twin_whether_targets_meet_or_not(
    issued, fresh_warehouse
):
    monday = assert_consensus_is_its_twin(issued)
    # d1 speaks of 20 sessions from Monday, w1 of four weeks from Friday.
    assert monday.loc[("AAA", "20d"), "timeframes"] == "d1"
    assert monday.loc[("AAA", "20d"), "timeframes_left_out"] == "w1"

    issued.close()
    with fresh_warehouse(template=issued.parameters.database) as friday:
        with rewriting(friday) as connection:
            connection.execute(
                sa.delete(schema.forecasts).where(
                    schema.forecasts.c.closed_at > close_of(FRIDAY)
                )
            )
        found = assert_consensus_is_its_twin(friday)
        for ticker in TICKERS:
            row = found.loc[(ticker, "20d")]
            assert row["timeframes"] == "d1, w1"
            assert 0 < row["mean_handoff"] < 1
        cascade = view(
            friday, "{forecasting}.forecast_cascade", "ticker, place"
        )
        assert cascade["handoff_status"].value_counts().to_dict() == {
            "longest": 5 * len(TICKERS),
            "handed_over": len(TICKERS),
        }


def test_bands_of_the_consensus_hold_the_target_and_do_not_cross(issued):
    found = view(issued, "{forecasting}.consensus_forecasts")
    edges = ["lower_95", "lower_80", "lower_50", "price_target"]
    edges += ["upper_50", "upper_80", "upper_95"]
    assert (np.diff(found[edges].to_numpy(), axis=1) >= 0).all()
    assert found[PROBABILITIES].sum(axis=1).to_numpy() == pytest.approx(1)


def test_the_cascade_and_the_summary_show_every_latest_forecast(issued):
    forecasts = latest(issued).set_index("forecast_id")
    cascade = view(issued, "{forecasting}.forecast_cascade")
    assert set(cascade["forecast_id"]) == set(forecasts.index)
    places = cascade.groupby("timeframe")["place"].unique().map(list).to_dict()
    assert places == {"w1": [1], "d1": [2]}

    summary = view(issued, "{forecasting}.multi_horizon_summary", "ticker")
    assert len(summary) == 2 * len(TICKERS)
    assert summary["n_horizons"].tolist() == [3] * len(summary)
    row = summary.set_index(["ticker", "timeframe"]).loc[("AAA", "d1")]
    assert row["base_horizon"] == row["first_horizon"] == "1d"
    of_second = forecasts[
        (forecasts["ticker"] == "AAA")
        & (forecasts["timeframe"] == "d1")
        & (forecasts["horizon"] == row["second_horizon"])
    ].iloc[0]
    for name in ("target_at", "direction", "price_target", *BANDS):
        assert row[f"second_{name}"] == of_second[name]
    assert row["second_probability"] == of_second[PROBABILITIES].max()


def test_the_leaderboard_s_ensemble_is_that_of_the_outcomes(issued):
    board = view(issued, "{monitoring}.leaderboard", "ticker")
    assert set(board["contestant"]) == {"ensemble", "climatology", "logistic"}
    outcomes = view(issued, "{forecasting}.forecast_outcomes")
    settled = outcomes[
        (outcomes["timeframe"] == "d1")
        & (outcomes["horizon"] == "5d")
        & (outcomes["ticker"] == "AAA")
    ]
    row = board[
        (board["timeframe"] == "d1")
        & (board["horizon"] == "5d")
        & (board["ticker"] == "AAA")
        & (board["contestant"] == "ensemble")
    ].iloc[0]
    assert row["n"] == len(settled) > 40
    assert row["accuracy"] == pytest.approx(settled["is_hit"].mean())
    assert row["log_loss"] == pytest.approx(settled["log_loss"].mean())
    ratio = settled["log_loss"].mean() / settled["climatology_log_loss"].mean()
    assert row["skill"] == pytest.approx(1 - ratio)


def test_coverage_over_all_parts_is_that_of_the_outcomes(issued):
    coverage = view(issued, "{monitoring}.band_coverage")
    outcomes = view(issued, "{forecasting}.forecast_outcomes")
    total = coverage[coverage["period"] == "total"].set_index(
        ["timeframe", "horizon", "band_level", "cut_by"]
    )
    for (timeframe, horizon), rows in outcomes.groupby(
        ["timeframe", "horizon"]
    ):
        for level in (50, 80, 95):
            cell = total.loc[(timeframe, horizon, level, "all")].squeeze()
            assert cell["n_forecasts"] == len(rows)
            inside = rows[f"is_inside_{level}"]
            assert cell["coverage"] == pytest.approx(inside.mean())
            below, above = cell["share_below"], cell["share_above"]
            assert cell["coverage"] + below + above == pytest.approx(1)
            score = rows[f"interval_score_{level}"].mean()
            assert cell["mean_interval_score"] == pytest.approx(score)
            parts = total.loc[(timeframe, horizon, level, "turbulence")]
            assert parts["n_forecasts"].sum() == len(rows)


def test_all_that_was_due_was_issued_and_contributions_add_up(issued):
    volume = view(issued, "{monitoring}.forecast_volume")
    forecasts = read_frame(issued, "select * from {ml}.forecasts")
    assert (
        volume["n_issued"].sum() == volume["n_expected"].sum() == len(forecasts)
    )
    contributions = read_frame(
        issued,
        "select forecast_id, sum(contribution) as contribution "
        "from {monitoring}.member_contributions group by forecast_id",
    ).set_index("forecast_id")["contribution"]
    of_class = forecasts["direction"].str.lower()
    said = [
        row[f"probability_{name}"] - row[f"climatology_{name}"]
        for name, (_, row) in zip(of_class, forecasts.iterrows(), strict=True)
    ]
    assert contributions[forecasts["forecast_id"]].to_numpy() == pytest.approx(
        said, abs=1e-9
    )


def test_changes_name_the_version_that_took_over(issued, fresh_warehouse):
    changes = view(issued, "{monitoring}.forecast_changes")
    assert len(changes) == 6 * len(TICKERS)
    assert set(changes["moved_by"]) == {"market"}
    issued.close()
    with fresh_warehouse(template=issued.parameters.database) as earlier:
        with rewriting(earlier) as connection:
            connection.execute(
                sa.delete(schema.forecasts).where(
                    schema.forecasts.c.closed_at > close_of(-30)
                )
            )
        changes = view(earlier, "{monitoring}.forecast_changes")
    of_days = changes[changes["timeframe"] == "d1"]
    assert set(of_days["moved_by"]) <= {"version", "version_and_market"}
    assert (of_days["version_id"] != of_days["previous_version_id"]).all()
    assert set(changes[changes["timeframe"] == "w1"]["moved_by"]) == {"market"}


@pytest.mark.parametrize(
    "name",
    [
        "forecasting.latest_forecasts",
        "forecasting.forecast_cascade",
        "forecasting.consensus_forecasts",
        "forecasting.multi_horizon_summary",
        "monitoring.forecast_changes",
    ],
)
def test_what_is_latest_is_looked_up_and_the_ledger_not_read(issued, name):
    with issued.begin() as connection:
        # Of a ledger this small a plan would rather read the whole.
        connection.execute(sa.text("set local enable_seqscan = off"))
        plan = connection.execute(
            sa.text(
                f"explain (format json) select * from {name} "
                "where ticker = 'AAA'"
            )
        ).scalar_one()
    scans = list(_scans(plan[0]["Plan"]))
    assert {scan["Relation Name"] for scan in scans} >= {"forecasts", "symbols"}
    for scan in scans:
        if scan["Relation Name"] == "forecasts":
            assert "symbol_id" in scan["Index Cond"]
    # The market's clock asks all symbols; the forecasts come of one.
    assert any(
        "AAA" in json.dumps(scan)
        for scan in scans
        if scan["Relation Name"] == "symbols"
    )


def _scans(node):
    if "Relation Name" in node:
        yield node
    for child in node.get("Plans", []):
        yield from _scans(child)
