"""Evidence in SQL is that of plain loops, and is carried on from day to day."""

import datetime
import importlib
import re
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.monitoring import drift, evidence
from python_ml.monitoring.drift import check_drift
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests.forecast_market import TICKERS, close_of, deploy, make_ensemble
from tests.test_drift import plant_forecasts

KEY = ["test", "symbol_id", "horizon", "stream"]
SETTLE = ("run", "--select", "forecast_outcomes")
ADD_UP = ("run", "--select", "evidence_streams")
REBUILD = ("run", "--select", "evidence_streams+", "--full-refresh")
RULES = {"alarms_per_year": 0.05, "skill_bound": 1.0}
STANDARD_ERROR = 0.02
Z = 1.959963984540054


@pytest.fixture(scope="module")
def settled(
    fresh_warehouse: Callable[..., Warehouse], market_database: str
) -> Iterator[Warehouse]:
    """Random forecasts of two series that have settled; no evidence yet."""
    with fresh_warehouse(template=market_database) as made:
        for ticker in TICKERS:
            deploy(
                made, make_ensemble(made, ticker=ticker, as_of=close_of(-200))
            )
        plant_forecasts(made, n_forecasts=1500)
        execute(
            made,
            "update {ml}.training_runs set ensemble_validation_accuracy_se = "
            f"{STANDARD_ERROR} where horizon <> '20d'",
        )
        run_dbt(made, SETTLE)
        yield made


@pytest.fixture(autouse=True)
def _nothing_acted_on(settled: Warehouse) -> None:
    execute(settled, "delete from {ml}.evidence_restarts")


def execute(warehouse: Warehouse, statement: str, **values: object) -> None:
    with warehouse.begin() as connection:
        connection.execute(sa.text(warehouse.sql(statement)), values)


def add_up(warehouse: Warehouse, *, anew: bool) -> pd.DataFrame:
    """Build evidence, all of it or what is new, and read it."""
    # A table that is made anew takes the views on it along.
    run_dbt(warehouse, REBUILD if anew else ADD_UP)
    return read_frame(
        warehouse,
        "select * from {monitoring}.evidence_streams "
        "order by test, symbol_id, horizon, stream",
    )


def act(
    warehouse: Warehouse, symbol_id: int | None, at: datetime.datetime
) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            schema.evidence_restarts.insert().values(
                symbol_id=symbol_id,
                timeframe="d1",
                restarted_at=at,
                reason="trained again",
            )
        )


def rows_of(warehouse: Warehouse) -> pd.DataFrame:
    """Outcomes that count, with what the bets are made from."""
    rows = read_frame(
        warehouse,
        """
        select outcomes.*, forecasts.bar_number,
            runs.ensemble_validation_accuracy as accuracy,
            runs.ensemble_validation_accuracy_se as se
        from {forecasting}.forecast_outcomes as outcomes
        inner join {ml}.forecasts as forecasts using (forecast_id)
        inner join {ml}.training_runs as runs
            on outcomes.version_id = runs.version_id
            and outcomes.horizon = runs.horizon
        where outcomes.is_counted
        order by outcomes.closed_at
        """,
    )
    rows["stream"] = rows["bar_number"] % rows["horizon_bars"]
    rows["gain"] = (rows["climatology_log_loss"] - rows["log_loss"]).clip(-1, 1)
    rows["expected"] = rows["accuracy"] - Z * rows["se"]
    rows["hit"] = rows["is_hit"].astype(float)
    return rows


def oracle(
    rows: pd.DataFrame, restarts: dict[int, datetime.datetime] | None = None
) -> pd.DataFrame:
    """Twin of `evidence_streams`, by loops."""
    restarts = restarts or {}
    pooled = (
        rows.groupby(["horizon", "stream", "closed_at"])
        .agg(
            settled_at=("settled_at", "max"),
            gain=("gain", "mean"),
            hit=("hit", "mean"),
            expected=("expected", "mean"),
        )
        .reset_index()
        .assign(symbol_id=0)
    )
    found = []
    for is_pool, part in ((False, rows), (True, pooled)):
        for key, stream in part.groupby(["symbol_id", "horizon", "stream"]):
            if (begin := restarts.get(key[0])) is not None:
                stream = stream[stream["closed_at"] >= begin]
            if stream.empty:
                continue
            bets = {
                "skill": evidence.skill_bets(column(stream, "gain"), bound=1)
            }
            if stream["expected"].notna().all():
                pays = (
                    evidence.pooled_hits_bets if is_pool else evidence.hits_bets
                )
                bets["hits"] = pays(
                    column(stream, "hit"), column(stream, "expected")
                )
            for test, bet in bets.items():
                path = evidence.evidence_path(bet).mean(axis=-1)
                found.append(
                    {
                        "test": test,
                        "symbol_id": key[0],
                        "horizon": key[1],
                        "stream": key[2],
                        "evidence": path[-1],
                        "largest": path.max(),
                        "path": path,
                        "times": stream["settled_at"].tolist(),
                        "n_settled": len(stream),
                        "last_settled_at": stream["settled_at"].iloc[-1],
                    }
                )
    return pd.DataFrame(found).sort_values(KEY, ignore_index=True)


def column(frame: pd.DataFrame, name: str) -> np.ndarray:
    return frame[name].to_numpy(dtype=np.float64)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    found = found[found["n_settled"] > 0].reset_index(drop=True)
    shared = [*KEY, "evidence", "n_settled", "last_settled_at"]
    pd.testing.assert_frame_equal(
        found[shared], expected[shared], rtol=1e-9, check_dtype=False
    )
    for row, twin in zip(
        found.to_dict("records"), expected.to_dict("records"), strict=True
    ):
        crossed = np.flatnonzero(twin["path"] >= row["threshold"])
        assert row["alarm_since"] == (
            twin["times"][crossed[0]] if len(crossed) else pd.NaT
        ) or (pd.isna(row["alarm_since"]) and not len(crossed))


def test_evidence_is_that_of_plain_loops(settled):
    found = add_up(settled, anew=True)
    expected = oracle(rows_of(settled))
    assert set(expected["test"]) == {"skill", "hits"}
    assert (expected.loc[expected["symbol_id"] == 0, "n_settled"] > 9).any()
    assert_same(found, expected)
    # Random forecasts lose to climatology, and some evidence says so.
    assert found["alarm_since"].notna().any()
    assert found["alarm_since"].isna().any()
    # About 261 weekdays a year; 20d has no standard error, so no test of hits.
    assert (
        (found["threshold"] * RULES["alarms_per_year"]).between(259, 263).all()
    )
    assert not ((found["test"] == "hits") & (found["horizon"] == "20d")).any()


def test_evidence_of_the_past_does_not_know_what_settled_later(settled):
    """Cut at any day, each row is what plain loops make of the days before;
    carried on from there, it ends as if it had been made at once."""
    outcomes = "{forecasting}.forecast_outcomes"
    whole = add_up(settled, anew=True)
    rows = rows_of(settled)
    days = sorted(rows["settled_at"].unique())
    cuts = [days[len(days) // 3], days[len(days) // 2], days[-2]]
    execute(
        settled, "create table public.all_outcomes as select * from " + outcomes
    )
    execute(settled, f"delete from {outcomes}")
    try:
        for number, cut in enumerate([*cuts, days[-1]]):
            execute(
                settled,
                f"insert into {outcomes} select * from public.all_outcomes "
                "where settled_at <= :cut and forecast_id not in "
                f"(select forecast_id from {outcomes})",
                cut=cut,
            )
            found = add_up(settled, anew=number == 0)
            assert_same(found, oracle(rows[rows["settled_at"] <= cut]))
            # Nothing new is nothing to add.
            pd.testing.assert_frame_equal(add_up(settled, anew=False), found)
    finally:
        execute(settled, "drop table public.all_outcomes")
    pd.testing.assert_frame_equal(found, whole, rtol=1e-12)


def test_evidence_begins_anew_once_an_alarm_was_acted_on(settled):
    add_up(settled, anew=True)
    rows = rows_of(settled)
    symbol = int(rows["symbol_id"].min())
    end = rows["settled_at"].max()
    act(settled, symbol, end)
    found = add_up(settled, anew=False).set_index("symbol_id")
    begun = found.loc[[symbol]]
    assert (begun["evidence"] == 0).all()
    assert (begun["n_settled"] == 0).all()
    assert begun["alarm_since"].isna().all()
    assert (begun["restarted_at"] == end).all()
    assert (found.drop(index=symbol)["n_settled"] > 0).all()
    # What was counted before is not counted again.
    again = add_up(settled, anew=False).set_index("symbol_id")
    pd.testing.assert_frame_equal(again, found)

    # Made anew, forecasts from the restart on count, for pooled tests as well.
    execute(settled, "delete from {ml}.evidence_restarts")
    middle = rows["closed_at"].sort_values().iloc[len(rows) // 2]
    act(settled, symbol, middle)
    act(settled, None, middle)
    expected = oracle(rows, {symbol: middle, 0: middle})
    assert_same(add_up(settled, anew=True), expected)


def test_the_view_says_the_largest_stream_of_each_horizon(settled):
    streams = add_up(settled, anew=True)
    view = read_frame(settled, "select * from {monitoring}.drift_evidence")
    assert set(view["test"]) == {"skill", "hits", "pooled_skill", "pooled_hits"}
    assert view.loc[view["symbol_id"].isna(), "ticker"].isna().all()
    streams["test"] = np.where(
        streams["symbol_id"] == 0, "pooled_" + streams["test"], streams["test"]
    )
    largest = streams.groupby(["symbol_id", "horizon", "test"])
    expected = largest["evidence"].max()
    keys = view["symbol_id"].fillna(0).astype("int32")
    found = view.assign(symbol_id=keys).set_index(expected.index.names)
    pd.testing.assert_series_equal(
        found["evidence"].sort_index(), expected.sort_index()
    )
    for _, family in view.groupby(["horizon", "test"]):
        assert (
            family["is_discovery"].tolist()
            == evidence.discoveries(
                column(family, "e_value"), rate=0.05
            ).tolist()
        )


def test_a_bet_that_is_nothing_changes_nothing_and_sums_stay_finite(settled):
    with settled.begin() as connection:
        values = connection.execute(
            sa.text(
                settled.sql(
                    """
                    select {ml}.evidence_after(bet, 1) over (order by n)
                    from (values (1, 0.5), (2, null), (3, 1e90), (4, 1e90))
                        as bets (n, bet)
                    """
                )
            )
        ).scalars()
        assert list(values) == [1.0, 1.0, 2e90, 1e100]


def test_features_that_moved_are_those_that_plain_counting_finds(settled):
    """Values trained on in ten bins of one size; how the last 60 fall in."""
    found = read_frame(
        settled,
        "select * from {monitoring}.feature_drift "
        f"where ticker = '{TICKERS[0]}' and timeframe = 'd1' order by place",
    ).set_index("feature")
    rows = read_frame(
        settled,
        "select * from {features}.feature_rows "
        f"where ticker = '{TICKERS[0]}' and timeframe = 'd1' "
        "order by bar_number",
    )
    trained = rows[rows["closed_at"] <= close_of(-200)]
    recent = rows.tail(60)
    assert len(found) > 40
    for feature in ("return_1", "weekday", "volatility_ratio_5_20"):
        reference, last = (
            part.loc[part["is_usable"], feature].to_numpy(dtype=np.float64)
            for part in (trained, recent)
        )
        counts = []
        for values in (reference, last):
            smaller = (reference[None, :] < values[:, None]).sum(axis=1)
            bins = np.minimum(smaller * 10 // len(reference), 9)
            counts.append(np.bincount(bins, minlength=10))
        is_bin = np.sum(counts, axis=0) > 0
        p, q = (
            (n[is_bin] + 0.5) / (n.sum() + 0.5 * is_bin.sum()) for n in counts
        )
        row = found.loc[feature]
        assert row["stability_index"] == pytest.approx(
            float(np.sum((q - p) * np.log(q / p))), rel=1e-9
        )
        assert row["stability_index_by_chance"] == pytest.approx(
            (is_bin.sum() - 1) * (1 / len(reference) + 1 / len(last))
        )
        assert row["reference_missing_rate"] == pytest.approx(
            1 - len(reference) / len(trained)
        )
        assert (row["n_reference"], row["n_recent"]) == (
            len(reference),
            len(last),
        )
    moved = found["stability_index"] - found["stability_index_by_chance"]
    assert moved.is_monotonic_decreasing


def test_the_queries_of_the_page_run_and_its_picture_is_drawn(settled):
    page = (PROJECT_ROOT / "docs" / "drift.md").read_text()
    blocks = re.findall(r"```sql\n(.*?)\n```", page, re.DOTALL)
    queries = [q for block in blocks for q in block.split(";") if q.strip()]
    assert len(queries) == 8
    for query in queries:
        read_frame(settled, query.replace("'AAPL'", f"'{TICKERS[0]}'"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROJECT_ROOT / "scripts"))
        picture = importlib.import_module("draw_drift").draw()
    assert (PROJECT_ROOT / "docs" / "drift.svg").read_text() == picture


def record_training(warehouse: Warehouse, at: datetime.datetime) -> None:
    """Write that every series was trained as of a time."""
    execute(
        warehouse,
        """
        insert into {ml}.training_runs (
            symbol_id, timeframe, horizon, run_date, as_of, trigger, version_id,
            status, code_version
        )
        select symbol_id, timeframe, '1d', :at, :at, 'request', version_id,
            'succeeded', 'test'
        from {ml}.ensembles
        """,
        at=at,
    )
    execute(warehouse, "update {ml}.retrain_requests set status = 'served'")


def test_a_check_that_leaves_no_record_has_asked_for_nothing(
    settled, monkeypatch
):
    """A request without its check would look like nobody's."""

    def die(*arguments, **keywords):
        raise RuntimeError("the power went")

    add_up(settled, anew=True)
    monkeypatch.setattr(drift, "insert_frame", die)
    with pytest.raises(RuntimeError, match="power"):
        check_drift(settled)
    assert read_frame(settled, "select * from {ml}.retrain_requests").empty


def test_a_check_asks_once_and_evidence_begins_anew_after_the_training(settled):
    add_up(settled, anew=True)
    first = check_drift(settled)
    assert first["is_alarm"].any()
    assert set(first["action"]) == {"retrain_requested"}
    requests = "select * from {ml}.retrain_requests order by symbol_id"
    asked = read_frame(settled, requests)
    assert asked["requested_by"].tolist() == ["check-drift"] * len(TICKERS)
    assert set(asked["kind"]) <= {"evidence", "pooled_evidence"}
    assert asked["reason"].str.contains("since 20").all()

    # Alarms that nobody acted on stay, and ask no second time.
    second = check_drift(settled)
    assert set(second["action"]) == {"request_is_open"}
    assert len(read_frame(settled, requests)) == len(TICKERS)
    pd.testing.assert_series_equal(second["is_alarm"], first["is_alarm"])

    # A training before the alarm answers nothing.
    record_training(settled, close_of(-199))
    restarts = "select * from {ml}.evidence_restarts"
    check_drift(settled)
    assert read_frame(settled, restarts).empty

    end = rows_of(settled)["settled_at"].max()
    record_training(settled, end)
    third = check_drift(settled)
    assert not third["is_alarm"].any()
    assert set(third["action"]) == {"none"}
    restarted = read_frame(settled, restarts)
    assert (restarted["restarted_at"] == end).all()
    assert restarted["symbol_id"].isna().sum() == 1
    streams = read_frame(settled, "select * from {monitoring}.evidence_streams")
    assert streams["alarm_since"].isna().all()
    # What was known and done on each day stays on record.
    checks = read_frame(
        settled, "select * from {ml}.drift_checks order by drift_check_id"
    )
    kept = checks.head(len(first))
    for name in ("status", "is_alarm", "evidence_share", "action"):
        assert kept[name].tolist() == first[name].tolist()
