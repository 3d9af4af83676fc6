from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.ensemble import CLASSES
from python_ml.examples.catalog import read_feature_names
from python_ml.exceptions import (
    ArtifactError,
    BuildError,
    FeatureMismatchError,
    NoEnsembleError,
    UnknownSeriesError,
)
from python_ml.forecasting import issue as forecasting
from python_ml.forecasting.due import read_due_examples
from python_ml.forecasting.issue import forecast
from python_ml.forecasting.latest import latest_forecasts
from python_ml.registry.deployments import live_versions
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.ledgers import rewriting
from tests.conftest import run_swiftbolt
from tests.forecast_market import (
    N_BARS,
    TICKERS,
    build,
    close_of,
    deploy,
    load_bars,
    make_ensemble,
    record_version,
    redeploy,
    symbol_ids,
)

AUDIT = "audit_forecast_by_version_from_its_future"


@pytest.fixture
def built(market_warehouse: Warehouse) -> Warehouse:
    """The market, with nothing trained on it."""
    return market_warehouse


def ledger(warehouse: Warehouse, where: str = "true") -> pd.DataFrame:
    return read_frame(
        warehouse,
        f"select * from {{ml}}.forecasts where {where} "
        "order by closed_at, symbol_id, timeframe, horizon_bars",
    )


def deploy_all(warehouse: Warehouse, *, session: int = -30) -> None:
    for seed, ticker in enumerate(TICKERS):
        for timeframe in ("d1", "w1"):
            deploy(
                warehouse,
                make_ensemble(
                    warehouse,
                    ticker=ticker,
                    timeframe=timeframe,
                    as_of=close_of(session),
                    seed=seed,
                ),
            )


def test_the_first_live_run_forecasts_the_latest_bar_of_every_series(built):
    deploy_all(built)
    summary = forecast(built)
    rows = ledger(built)
    assert summary.n_forecasts == len(rows) == 2 * 2 * 3
    assert summary.n_series == 4
    assert set(rows["run_kind"]) == {"live"}
    by_timeframe = rows.groupby("timeframe")["closed_at"].agg(["min", "max"])
    assert set(by_timeframe.loc["d1"]) == {close_of(-1)}
    # The last session is a Monday; the last whole week ended on the Friday.
    assert set(by_timeframe.loc["w1"]) == {close_of(-2)}


def test_a_second_run_adds_nothing_and_loads_no_artifact(built, monkeypatch):
    deploy_all(built)
    forecast(built, replay_from=close_of(-10).date())
    forecast(built)
    before = ledger(built)

    def refuse(*_arguments: object, **_keywords: object) -> None:
        raise AssertionError("an artifact was loaded")

    monkeypatch.setattr(forecasting, "load_version", refuse)
    replayed = forecast(built, replay_from=close_of(-10).date())
    live = forecast(built)
    assert (replayed.n_forecasts, live.n_forecasts) == (0, 0)
    assert "swiftbolt train --all --as-of DATE" in replayed.to_text()
    assert "--as-of" not in live.to_text()
    pd.testing.assert_frame_equal(ledger(built), before)


def test_a_later_live_run_catches_up_every_bar_since(fresh_warehouse):
    with fresh_warehouse(schema_prefix="shared_") as warehouse:
        load_bars(warehouse, last=N_BARS - 3)
        build(warehouse)
        deploy(
            warehouse,
            make_ensemble(warehouse, ticker="AAA", as_of=close_of(-30)),
        )
        forecast(warehouse)
        load_bars(warehouse, first=N_BARS - 3)
        build(warehouse)
        summary = forecast(warehouse)
        assert summary.n_forecasts == 3 * 3
        assert ledger(warehouse)["closed_at"].drop_duplicates().tolist() == [
            close_of(-4),
            close_of(-3),
            close_of(-2),
            close_of(-1),
        ]


def test_a_replay_forecasts_every_bar_by_the_version_deployed_at_its_close(
    built,
):
    old = deploy(
        built, make_ensemble(built, ticker="AAA", as_of=close_of(-9), seed=1)
    )
    new = deploy(
        built, make_ensemble(built, ticker="AAA", as_of=close_of(-5), seed=2)
    )
    redeploy(built, old, effective_at=close_of(-2))
    summary = forecast(
        built,
        symbols=["AAA"],
        timeframes=["d1"],
        replay_from=close_of(-20).date(),
    )
    assert summary.n_versions == 2
    versions = ledger(built, "horizon = '5d'").set_index("closed_at")
    # A version's own as-of bar is the first it forecasts; before the first
    # deployment there is no forecast.
    assert versions["version_id"].to_dict() == {
        close_of(session): version.version_id
        for session, version in [
            (-9, old),
            (-8, old),
            (-7, old),
            (-6, old),
            (-5, new),
            (-4, new),
            (-3, new),
            (-2, old),
            (-1, old),
        ]
    }
    assert set(ledger(built)["run_kind"]) == {"replay"}
    assert not ledger(built)["is_late"].any()


def test_of_two_deployments_at_one_time_the_last_written_holds(built):
    first, second = (
        make_ensemble(
            built,
            ticker="AAA",
            as_of=close_of(-9),
            version_id=version_id,
        )
        for version_id in ("zzz", "aaa")
    )
    deploy(built, first)
    deploy(built, second)
    forecast(built)
    assert set(ledger(built)["version_id"]) == {"aaa"}


def test_what_is_deployed_while_bars_are_scored_forecasts_them(
    built, monkeypatch
):
    deploy_all(built)
    new = make_ensemble(built, ticker="AAA", as_of=close_of(-5), seed=9)
    load_version = forecasting.load_version
    waiting = [new]

    def load_and_deploy(*arguments, **keywords):
        if waiting:
            deploy(built, waiting.pop())
        return load_version(*arguments, **keywords)

    monkeypatch.setattr(forecasting, "load_version", load_and_deploy)
    summary = forecast(built)
    assert not waiting
    rows = ledger(built)
    assert summary.n_forecasts == len(rows) == 2 * 2 * 3
    is_of_new = (rows["symbol_id"] == new.symbol_id) & (
        rows["timeframe"] == "d1"
    )
    assert set(rows.loc[is_of_new, "version_id"]) == {new.version_id}
    assert new.version_id not in set(rows.loc[~is_of_new, "version_id"])


def test_each_horizon_is_forecast_by_the_version_deployed_for_it(built):
    old = deploy(
        built, make_ensemble(built, ticker="AAA", as_of=close_of(-9), seed=1)
    )
    new = deploy(
        built,
        make_ensemble(built, ticker="AAA", as_of=close_of(-5), seed=2),
        horizons=["5d"],
    )
    redeploy(built, old, effective_at=close_of(-2), horizons=["5d", "20d"])
    forecast(built, replay_from=close_of(-20).date())
    rows = ledger(built)
    versions = rows.pivot(
        index="closed_at", columns="horizon", values="version_id"
    )
    assert set(versions["1d"]) == set(versions["20d"]) == {old.version_id}
    assert (
        versions["5d"].tolist()
        == [old.version_id] * 4 + [new.version_id] * 3 + [old.version_id] * 2
    )
    live = live_versions(built, at=close_of(-4).to_pydatetime())
    assert dict(zip(live["horizon"], live["version_id"], strict=True)) == {
        "1d": old.version_id,
        "5d": new.version_id,
        "20d": old.version_id,
    }
    assert live_versions(built, at=close_of(-10).to_pydatetime()).empty
    run_dbt(built, ["build", "--select", f"+{AUDIT}"])
    assert read_frame(built, f"select * from {{leakage_audit}}.{AUDIT}").empty


def test_a_version_deployed_before_it_was_trained_forecasts_no_earlier_bar(
    built,
):
    deploy(
        built,
        make_ensemble(built, ticker="AAA", as_of=close_of(-3)),
        effective_at=close_of(-9),
    )
    forecast(built, replay_from=close_of(-20).date())
    assert ledger(built)["closed_at"].min() == close_of(-3)


def test_a_row_holds_what_the_artifact_says_of_the_bar(built):
    ensemble = make_ensemble(built, ticker="BBB", as_of=close_of(-9), seed=3)
    # Another order than the view's: the artifact's must be taken.
    names = ensemble.feature_names[::-1]
    ensemble = replace(ensemble, feature_names=names)
    deploy(built, ensemble)
    forecast(built, replay_from=close_of(-1).date())

    example = read_frame(
        built,
        "select * from {features}.scoring_examples where ticker = 'BBB' "
        "and horizon = '5d' and timeframe = 'd1' "
        "order by closed_at desc limit 1",
    ).iloc[0]
    horizon = ensemble.horizons["5d"]
    X = example[list(names)].to_numpy(dtype=float).reshape(1, -1)
    by_member = {
        name: member.predict_proba(X)[0]
        for name, member in horizon.members.items()
    }
    expected = 0.25 * by_member["climatology"] + 0.75 * by_member["logistic"]

    row = ledger(built, "horizon = '5d'").iloc[0]
    found = [row[f"probability_{name.lower()}"] for name in CLASSES]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert row["direction"] == CLASSES[int(expected.argmax())]
    assert row["confidence"] == pytest.approx(
        max(0, expected.max() - horizon.climatology[expected.argmax()])
    )
    for name, probabilities in by_member.items():
        # Scored one by one here and all at once there, so that sums differ in
        # their last bit.
        np.testing.assert_allclose(
            row["member_probabilities"][name], probabilities, rtol=1e-12
        )
    for name in ("target_at", "target_bar_number", "label_threshold"):
        assert row[name] == example[name]


def test_confidence_is_never_negative(built):
    ensemble = make_ensemble(built, ticker="AAA", as_of=close_of(-9))
    horizons = {
        name: replace(horizon, climatology=np.array([0.0, 0.0, 1.0]))
        for name, horizon in ensemble.horizons.items()
    }
    deploy(built, replace(ensemble, horizons=horizons))
    forecast(built, replay_from=close_of(-9).date())
    rows = ledger(built)
    assert (rows.loc[rows["direction"] == "BULLISH", "confidence"] == 0).all()
    assert (rows["confidence"] >= 0).all()


@pytest.mark.parametrize(
    ("opens_in", "closes_in", "is_late"),
    [
        ("-1 minute", "1 day", True),
        ("1 hour", "1 day", False),
        # Where it opens with the close, a quarter of it is left.
        (None, "-1 minute", True),
        (None, "1000 years", False),
    ],
)
def test_a_live_forecast_after_the_next_session_has_opened_is_late(
    built, opens_in, closes_in, is_late
):
    deploy_all(built)
    with built.begin() as connection:
        connection.execute(
            sa.text(
                built.sql(
                    """
                    update {features}.bar_grid as bar_grid
                    set
                        opened_at = coalesce(
                            now() + cast(:opens_in as interval),
                            last_bars.closed_at
                        ),
                        closed_at = now() + cast(:closes_in as interval)
                    from (
                        select timeframe, max(bar_number) as bar_number
                        from {features}.bars
                        group by timeframe
                    ) as newest
                    inner join {features}.bar_grid as last_bars
                        on
                            newest.timeframe = last_bars.timeframe
                            and newest.bar_number = last_bars.bar_number
                    where
                        bar_grid.timeframe = newest.timeframe
                        and bar_grid.bar_number = newest.bar_number + 1
                    """
                )
            ),
            {"opens_in": opens_in, "closes_in": closes_in},
        )
    summary = forecast(built)
    rows = ledger(built)
    assert set(rows["timeframe"]) == {"d1", "w1"}
    assert (rows["is_late"] == is_late).all()
    assert summary.n_late == is_late * len(rows)
    age = pd.Timestamp.now("UTC") - rows["issued_at"]
    assert (age < pd.Timedelta(minutes=5)).all()


def test_a_forecast_is_late_after_what_its_calendar_says(built):
    deploy_all(built)
    series = read_frame(
        built, "select symbol_id from {raw}.symbols order by ticker limit 1"
    )
    examples = {
        timeframe: read_due_examples(
            built,
            timeframe,
            series["symbol_id"].tolist(),
            run_kind="replay",
            replay_from=close_of(-9).date(),
        )
        for timeframe in ("d1", "w1")
    }
    grid = read_frame(
        built,
        "select timeframe, bar_number, opened_at from {features}.bar_grid",
    ).set_index(["timeframe", "bar_number"])["opened_at"]
    for timeframe, rows in examples.items():
        assert len(rows)
        assert rows["late_after"].tolist() == [
            grid[timeframe, number + 1] for number in rows["bar_number"]
        ]
        assert (rows["late_after"] > rows["closed_at"]).all()


def test_an_artifact_altered_by_one_byte_is_refused(built):
    deploy_all(built)
    (victim,) = built.settings.artifacts_dir.glob("BBB_d1*")
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=victim.name):
        forecast(built, symbols=["BBB"], timeframes=["d1"])
    assert ledger(built).empty


def test_a_version_that_cannot_forecast_stops_no_other(built):
    deploy_all(built)
    (victim,) = built.settings.artifacts_dir.glob("BBB_d1*")
    victim.unlink()
    summary = forecast(built, timeframes=["d1"])
    assert summary.n_series == 1
    (failure,) = summary.failures
    assert victim.name in failure
    assert f"Failed: {failure}" in summary.to_text()
    assert summary.to_dict()["failures"] == [failure]


def test_a_feature_that_is_gone_is_named_with_the_command_to_retrain(built):
    ensemble = make_ensemble(built, ticker="AAA", as_of=close_of(-9))
    names = ("moon_phase", *ensemble.feature_names[1:])
    deploy(built, replace(ensemble, feature_names=names))
    with pytest.raises(
        FeatureMismatchError,
        match=r"moon_phase.*swiftbolt train --symbols AAA --timeframes d1",
    ):
        forecast(built)
    assert ledger(built).empty


def test_a_feature_added_since_training_is_ignored(built):
    ensemble = make_ensemble(built, ticker="AAA", as_of=close_of(-9))
    n_kept = len(read_feature_names(built)) - 2
    rng = np.random.default_rng(0)
    horizons = {}
    for name, horizon in ensemble.horizons.items():
        X, y = rng.normal(size=(90, n_kept)), rng.integers(0, 3, 90)
        members = {
            member: estimator.fit(X, y)
            for member, estimator in horizon.members.items()
        }
        horizons[name] = replace(horizon, members=members)
    deploy(
        built,
        replace(
            ensemble,
            feature_names=ensemble.feature_names[:n_kept],
            horizons=horizons,
        ),
    )
    assert forecast(built).n_forecasts == 3


def test_a_horizon_of_another_length_than_trained_on_is_refused(built):
    ensemble = make_ensemble(built, ticker="AAA", as_of=close_of(-9))
    horizons = dict(ensemble.horizons)
    horizons["5d"] = replace(horizons["5d"], horizon_bars=6)
    deploy(built, replace(ensemble, horizons=horizons))
    with pytest.raises(
        FeatureMismatchError, match=r"5d of 6 bars, but now 5d has 5\."
    ):
        forecast(built)


def test_a_horizon_the_version_lacks_is_left_out(built):
    deploy(
        built,
        make_ensemble(
            built, ticker="AAA", as_of=close_of(-9), horizons=["1d", "20d"]
        ),
    )
    forecast(built)
    assert ledger(built)["horizon"].tolist() == ["1d", "20d"]


def test_with_nothing_deployed_the_message_names_the_training_command(built):
    with pytest.raises(
        NoEnsembleError,
        match=r"AAA d1\. .*swiftbolt train --symbols AAA --timeframes d1",
    ):
        forecast(built, symbols=["AAA"], timeframes=["d1"])


def test_series_without_an_ensemble_are_listed_and_the_others_forecast(built):
    deploy(built, make_ensemble(built, ticker="AAA", as_of=close_of(-9)))
    summary = forecast(built)
    assert summary.n_forecasts == 3
    assert summary.to_dict()["series_without_ensemble"] == [
        ["AAA", "w1"],
        ["BBB", "d1"],
        ["BBB", "w1"],
    ]


def test_no_training_is_asked_for_of_a_series_that_is_set_aside(built):
    deploy(built, make_ensemble(built, ticker="AAA", as_of=close_of(-9)))
    with built.begin() as connection:
        connection.execute(
            sa.text(
                built.sql(
                    "insert into {ml}.quarantined_series (symbol_id, "
                    "timeframe, source, reason, details, quarantined_at) "
                    "select symbol_id, 'w1', 'test', 'stale', '', now() "
                    "from {raw}.symbols"
                )
            )
        )
    summary = forecast(built)
    assert summary.to_dict()["series_without_ensemble"] == [["BBB", "d1"]]


def test_a_series_whose_version_takes_effect_after_its_last_bar_is_listed(
    built,
):
    deploy(
        built,
        make_ensemble(built, ticker="AAA", timeframe="w1", as_of=close_of(-1)),
    )
    summary = forecast(built, timeframes=["w1"])
    assert summary.n_forecasts == 0
    assert summary.to_dict()["series_awaiting_deployment"] == [["AAA", "w1"]]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            {"symbols": ["AAA", "ZZZ"]},
            r"symbol ZZZ; the warehouse has AAA, BBB",
        ),
        ({"timeframes": ["m1"]}, r"timeframe m1; the warehouse has d1, w1"),
    ],
)
def test_an_unknown_series_is_named_beside_the_known(built, request_, message):
    with pytest.raises(UnknownSeriesError, match=message):
        forecast(built, **request_)


def test_the_latest_forecasts_take_live_before_replay(built):
    deploy_all(built)
    forecast(built)
    forecast(built, replay_from=close_of(-5).date())
    latest = latest_forecasts(built, symbols=["AAA"])
    assert len(latest) == 6
    assert set(latest["run_kind"]) == {"live"}
    assert set(latest.loc[latest["timeframe"] == "d1", "closed_at"]) == {
        close_of(-1)
    }


def test_a_bar_forecast_by_a_version_trained_after_it_is_reported(built):
    deploy_all(built)
    forecast(built, replay_from=close_of(-3).date())
    run_dbt(built, ["build", "--select", AUDIT])

    record_version(
        built,
        make_ensemble(
            built, ticker="AAA", as_of=close_of(-1), version_id="from_later"
        ),
    )
    planted = ledger(built, "horizon = '1d' and timeframe = 'd1'").head(1)
    with built.begin() as connection:
        insert_frame(
            connection,
            schema.forecasts,
            planted.drop(columns=["forecast_id", "written_at"]).assign(
                run_name="planted", version_id="from_later"
            ),
        )
    with pytest.raises(BuildError, match=f"is_empty_{AUDIT}"):
        run_dbt(built, ["build", "--select", AUDIT])
    found = read_frame(built, f"select * from {{leakage_audit}}.{AUDIT}")
    assert found["version_id"].tolist() == ["from_later"]
    assert found["is_trained_after_close"].all()


def test_the_command_prints_the_latest_forecasts(built):
    deploy_all(built)
    ended = run_swiftbolt(built, "forecast", "--symbols", "AAA")
    assert ended.returncode == 0, ended.stderr
    assert "AAA" in ended.stdout
    assert "BBB" not in ended.stdout
    assert "6 live forecasts" in ended.stdout


def test_the_command_without_an_ensemble_says_so_in_one_line(built):
    ended = run_swiftbolt(built, "--log-level", "error", "forecast")
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: No trained ensemble is deployed for AAA d1")
    assert "swiftbolt train --all" in line
    ended = run_swiftbolt(built, "forecast", "--symbols", "AAA,BBB")
    assert "swiftbolt train --symbols AAA,BBB" in ended.stderr


def test_a_forecast_is_made_again_to_the_bit_from_the_states_kept(built):
    deploy_all(built)
    forecast(built, replay_from=close_of(-12).date())
    rows = read_frame(
        built,
        """
        select
            forecasts.*,
            labels.forecast_volatility as volatility,
            factors.factor,
            states.offset_10,
            states.offset_90,
            quantiles.quantile_10,
            quantiles.quantile_90
        from {ml}.forecasts as forecasts
        inner join {raw}.symbols using (symbol_id)
        inner join {features}.labels
            using (symbol_id, timeframe, horizon, bar_number)
        inner join {ml}.band_states as states
            using (run_kind, run_name, timeframe, horizon, bar_number)
        inner join {ml}.band_quantiles as quantiles
            using (run_kind, run_name, timeframe, horizon, from_bar_number)
        inner join {ml}.band_factors as factors
            using (
                run_kind, run_name, timeframe, horizon, from_bar_number,
                symbol_id
            )
        """,
    )
    assert len(rows) == len(ledger(built))
    sigma = rows["volatility"] * rows["factor"]
    assert (rows["forecast_volatility"] == sigma).all()
    for end, column in (("10", "lower_80"), ("90", "upper_80")):
        move = rows[f"quantile_{end}"] + rows[f"offset_{end}"]
        assert (
            rows[column] == rows["reference_close"] * np.exp(move * sigma)
        ).all()


BAND_COLUMNS = [
    "closed_at",
    "symbol_id",
    "timeframe",
    "horizon",
    "forecast_volatility",
    "price_target",
    *(
        f"{side}_{level}"
        for side in ("lower", "upper")
        for level in (50, 80, 95)
    ),
]


def test_bands_of_day_by_day_are_those_of_one_replay(fresh_warehouse):
    """The replay knows what came later; a loss of states does no harm."""
    with fresh_warehouse() as warehouse:
        load_bars(warehouse, last=N_BARS - 8)
        for day in range(N_BARS - 8, N_BARS + 1, 4):
            if day > N_BARS - 8:
                load_bars(warehouse, first=day - 4, last=day)
            build(warehouse)
            if day == N_BARS - 8:
                deploy(
                    warehouse,
                    make_ensemble(warehouse, ticker="AAA", as_of=close_of(-30)),
                )
            forecast(warehouse)
        forecast(warehouse, replay_from=close_of(-9).date())
        live = ledger(warehouse, "run_kind = 'live'")
        replay = ledger(warehouse, "run_kind = 'replay'")
        assert len(live) == 9 * 3
        pd.testing.assert_frame_equal(
            live[BAND_COLUMNS], replay[BAND_COLUMNS], check_exact=True
        )
        # All that can be told of coverage, which trust is judged by, too.
        states = read_frame(
            warehouse,
            "select * from {ml}.band_states order by horizon, bar_number",
        ).drop(
            columns=[
                *("run_name", "batch_id", "created_at", "job_run_id"),
                "written_at",
            ]
        )
        lived, replayed = (
            rows.drop(columns="run_kind").reset_index(drop=True)
            for _, rows in states.groupby("run_kind")
        )
        assert len(lived) == 3 * (60 + 9)
        pd.testing.assert_frame_equal(lived, replayed, check_exact=True)


def test_a_series_set_aside_says_nothing_of_the_bands_of_others(built):
    deploy_all(built)
    with built.begin() as connection:
        connection.execute(
            sa.insert(schema.quarantined_series).values(
                symbol_id=int(ledger_symbols(built)["BBB"]),
                timeframe="d1",
                source="series_findings",
                reason="suspected_split",
                details="",
                fault_at=close_of(-N_BARS),
                quarantined_at=pd.Timestamp.now("UTC"),
            )
        )
    forecast(built)
    factors = read_frame(
        built,
        "select distinct symbol_id from {ml}.band_factors "
        "where timeframe = 'd1'",
    )
    assert ledger_symbols(built)["BBB"] not in set(factors["symbol_id"])
    assert len(factors) == len(TICKERS) - 1


def ledger_symbols(warehouse: Warehouse) -> dict[str, int]:
    with warehouse.begin() as connection:
        return symbol_ids(connection)


def test_lost_states_of_bands_are_made_anew_from_what_settled(built):
    """They then begin without what was tracked, so ends may differ a little."""
    deploy_all(built)
    forecast(built, replay_from=close_of(-12).date())
    before = ledger(built)
    with rewriting(built) as connection:
        for table in ("band_states", "band_quantiles", "band_factors"):
            connection.execute(
                sa.text(built.sql(f"delete from {{ml}}.{table}"))
            )
        connection.execute(
            sa.text(
                built.sql("delete from {ml}.forecasts where closed_at > :at")
            ),
            {"at": close_of(-6)},
        )
    forecast(built, replay_from=close_of(-12).date())
    after = ledger(built)
    assert len(after) == len(before)
    for column in ("lower_80", "upper_80", "price_target"):
        np.testing.assert_allclose(after[column], before[column], rtol=0.02)


def test_the_reason_for_caution_is_kept_with_the_forecast(built):
    ensemble = make_ensemble(built, ticker="AAA", as_of=close_of(-80))
    deploy(built, ensemble)
    forecast(built, replay_from=close_of(-2).date())
    rows = ledger(built)
    # Trained 79 and 80 sessions before.
    assert (rows["trust"] == "caution").all()
    assert rows["trust_reasons"].map(lambda one: "version_old" in one).all()
    latest = latest_forecasts(built)
    assert set(latest["trust"]) == {"caution"}
