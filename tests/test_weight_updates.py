import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from python_ml.cli import main
from python_ml.ensemble import CLASSES, MemberPredictions
from python_ml.exceptions import JobRunningError, NoEnsembleError
from python_ml.forecasting.issue import forecast
from python_ml.registry import inspection as models
from python_ml.registry.deployments import live_versions
from python_ml.registry.rollback import promote_version
from python_ml.registry.versions import load_ensemble
from python_ml.scoring.metrics import (
    log_losses,
    skill,
)
from python_ml.scoring.recipe import weighing_of
from python_ml.scoring.time_order import score_in_time_order
from python_ml.training import weight_versions
from python_ml.training.weight_updates import update_weights
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.jobs import job_run
from python_ml.warehouse.ledgers import rewriting
from tests.conftest import warehouse_environment
from tests.forecast_market import TICKERS, close_of, deploy, make_ensemble

MEMBERS = ("climatology", "random_forest")
FIRST = -120


def version(warehouse, ticker, seed):
    """Two members with names of the roster, fitted on noise."""
    made = make_ensemble(
        warehouse, ticker=ticker, as_of=close_of(FIRST), seed=seed
    )
    return replace(
        made,
        horizons={
            name: replace(
                horizon,
                members=dict(
                    zip(MEMBERS, horizon.members.values(), strict=True)
                ),
                weights={"climatology": 0.25, "random_forest": 0.75},
            )
            for name, horizon in made.horizons.items()
        },
    )


@pytest.fixture(scope="module")
def settled_database(fresh_warehouse, market_database):
    """Forecasts of 120 bars, settled; the learned member is often right."""
    made = fresh_warehouse(template=market_database)
    for seed, ticker in enumerate(TICKERS):
        deploy(made, version(made, ticker, seed))
    forecast(made, replay_from=close_of(FIRST).date())
    run_dbt(made, ["run", "--select", "+forecast_outcomes", "+ledger"])
    # Where the member is right, and by a rule of bars where it is not.
    set_outcomes(
        made,
        """
        case
            when forecasts.bar_number % 3 = 0 then 'NEUTRAL'
            when said.p ->> 0 = said.largest then 'BEARISH'
            when said.p ->> 1 = said.largest then 'NEUTRAL'
            else 'BULLISH'
        end
        """,
        """
        cross join lateral (
            select
                forecasts.member_probabilities -> 'random_forest' as p,
                (
                    select value #>> '{}'
                    from jsonb_array_elements(
                        forecasts.member_probabilities -> 'random_forest'
                    )
                    order by cast(value #>> '{}' as double precision) desc
                    limit 1
                ) as largest
        ) as said
        """,
    )
    made.close()
    return made.parameters.database


@pytest.fixture
def settled(fresh_warehouse, settled_database):
    with fresh_warehouse(template=settled_database) as made:
        yield made


def execute(warehouse, statement):
    with rewriting(warehouse) as connection:
        connection.execute(sa.text(warehouse.sql(statement)))


def read(warehouse, query):
    return read_frame(warehouse, query)


def live(warehouse):
    rows = live_versions(warehouse)
    return {
        (ticker, horizon): version_id
        for ticker, horizon, version_id in zip(
            rows["ticker"], rows["horizon"], rows["version_id"], strict=True
        )
    }


def set_outcomes(warehouse, outcome, ending=""):
    """Let forecasts have settled to another class, by a move that is of it."""
    execute(
        warehouse,
        f"""
        update {{forecasting}}.forecast_outcomes as outcomes
        set
            outcome = changed.outcome,
            is_hit = outcomes.direction = changed.outcome,
            realized_return = outcomes.label_threshold * case changed.outcome
                when 'BULLISH' then 2 when 'BEARISH' then -2 else 0
            end
        from (
            select forecasts.forecast_id, {outcome} as outcome
            from {{ml}}.forecasts as forecasts
            {ending}
        ) as changed
        where outcomes.forecast_id = changed.forecast_id
        """,
    )


def change_outcomes(warehouse):
    """Give the next update something to do."""
    set_outcomes(warehouse, "'NEUTRAL'", "where forecasts.bar_number % 2 = 0")


def predictions_of(warehouse, horizon):
    """Settled forecasts as plain arrays, and their bars, by ticker."""
    rows = read(
        warehouse,
        f"""
        select
            symbols.ticker, forecasts.closed_at, outcomes.settled_at,
            forecasts.bar_number, outcomes.outcome,
            forecasts.member_probabilities
        from {{ml}}.forecasts as forecasts
        inner join {{raw}}.symbols as symbols
            on forecasts.symbol_id = symbols.symbol_id
        inner join {{forecasting}}.forecast_outcomes as outcomes
            on forecasts.forecast_id = outcomes.forecast_id
        where forecasts.horizon = '{horizon}' and forecasts.timeframe = 'd1'
        order by symbols.ticker, forecasts.bar_number
        """,
    )
    said, bar_numbers = [], []
    for _, mine in rows.groupby("ticker"):
        bar_numbers.append(mine["bar_number"].to_numpy())
        said.append(
            MemberPredictions(
                member_names=MEMBERS,
                probabilities=np.array(
                    [
                        [row[name] for name in MEMBERS]
                        for row in mine["member_probabilities"]
                    ]
                ),
                y=np.array([CLASSES.index(name) for name in mine["outcome"]]),
                climatology=np.array([0.3, 0.4, 0.3]),
                closed_at=mine["closed_at"].dt.tz_localize(None).to_numpy(),
                label_end_at=mine["settled_at"].dt.tz_localize(None).to_numpy(),
            )
        )
    return said, bar_numbers


def expected_weights(warehouse, horizon):
    """The same weights from plain arrays, by ticker."""
    said, _ = predictions_of(warehouse, horizon)
    bars = {"1d": 1, "5d": 5}[horizon]
    _, weights = weighing_of(said[0], bars).fit(
        said, [np.ones(len(one.y), dtype=bool) for one in said]
    )
    return dict(zip(TICKERS, (w.values for w in weights), strict=True))


def test_weights_come_from_the_settled_ledger_and_members_stay(settled):
    before = live(settled)
    summary = update_weights(settled)
    after = live(settled)
    assert summary.count("updated") == 4
    results = summary.results.set_index(["ticker", "horizon"])
    assert results.loc[("AAA", "1d"), "source"] == "ledger"
    assert results.loc[("AAA", "20d"), "outcome"] == "unchanged"
    for ticker in TICKERS:
        old = load_ensemble(settled, before[ticker, "1d"])
        new = load_ensemble(settled, after[ticker, "1d"])
        assert set(new.horizons) == {"1d", "5d", "20d"}
        for horizon in ("1d", "5d"):
            np.testing.assert_allclose(
                list(new.horizons[horizon].weights.values()),
                expected_weights(settled, horizon)[ticker],
                atol=1e-9,
            )
        assert new.horizons["20d"].weights == old.horizons["20d"].weights
        X = np.random.default_rng(0).normal(size=(5, len(new.feature_names)))
        for name in MEMBERS:
            np.testing.assert_array_equal(
                new.horizons["5d"].members[name].predict_proba(X),
                old.horizons["5d"].members[name].predict_proba(X),
            )


def test_an_update_is_on_record_as_a_version_like_any_other(settled):
    before = live(settled)
    update_weights(settled)
    new = read(
        settled,
        "select * from {ml}.ensembles where members_version_id is not null "
        "order by version_id",
    )
    assert new["members_version_id"].tolist() == [
        before[ticker, "1d"] for ticker in TICKERS
    ]
    settled_at = read(
        settled,
        "select max(settled_at) as t from {forecasting}.forecast_outcomes "
        "where horizon <> '20d' and timeframe = 'd1'",
    )["t"].iloc[0]
    assert (new["as_of"] == settled_at).all()
    rows = read(
        settled, "select * from {ml}.deployments order by deployment_id desc"
    ).head(2)
    assert set(rows["reason"]) == {"weights updated"}
    assert (rows["effective_at"] == settled_at).all()
    runs = read(
        settled, "select * from {ml}.training_runs where trigger = 'weights'"
    )
    assert len(runs) == 6
    assert runs["ensemble_validation_accuracy"].notna().all()
    by_horizon = runs.groupby("horizon")["skill"].first()
    assert by_horizon["1d"] > 0.05
    weights = read(
        settled,
        "select weights.* from {ml}.ensemble_weights as weights "
        "inner join {ml}.ensembles as ensembles "
        "on weights.version_id = ensembles.version_id "
        "where ensembles.members_version_id is not null",
    )
    sums = weights.groupby(["version_id", "horizon"])["weight"].sum()
    np.testing.assert_allclose(sums, 1.0)
    assert set(models.verify_versions(settled)["state"]) == {"intact"}


def test_the_same_ledger_twice_makes_no_second_version(settled):
    update_weights(settled)
    versions = live(settled)
    files = sorted(p.name for p in settled.settings.artifacts_dir.iterdir())
    assert update_weights(settled).count("updated") == 0
    assert live(settled) == versions
    assert files == sorted(
        p.name for p in settled.settings.artifacts_dir.iterdir()
    )


def test_an_update_can_be_rolled_back(settled):
    before = live(settled)
    update_weights(settled)
    models.rollback(settled)
    assert live(settled) == before


def test_an_update_that_was_rolled_back_is_not_made_again(settled):
    before = live(settled)
    update_weights(settled)
    made = live(settled)
    models.rollback(settled)

    summary = update_weights(settled)

    assert summary.count("updated") == 0
    reasons = summary.results.set_index(["ticker", "horizon"])["reason"]
    assert f"promote {made['AAA', '1d']}" in reasons["AAA", "1d"]
    assert live(settled) == before


def test_a_rollback_meanwhile_is_not_undone(settled, monkeypatch):
    update_weights(settled)
    first = live(settled)
    change_outcomes(settled)
    files = {path.name for path in settled.settings.artifacts_dir.iterdir()}
    lock = weight_versions.lock_deployments

    def roll_back_first(connection, warehouse):
        monkeypatch.setattr(weight_versions, "lock_deployments", lock)
        models.rollback(settled, symbols=["AAA"])
        lock(connection, warehouse)

    monkeypatch.setattr(weight_versions, "lock_deployments", roll_back_first)
    summary = update_weights(settled)

    results = summary.results.set_index(["ticker", "horizon"])
    assert results.loc[("AAA", "1d"), "outcome"] == "unchanged"
    assert "taken back meanwhile" in results.loc[("AAA", "1d"), "reason"]
    assert results.loc[("BBB", "5d"), "outcome"] == "updated"
    assert live(settled)["AAA", "1d"] != first["AAA", "1d"]
    added = {
        path.name for path in settled.settings.artifacts_dir.iterdir()
    } - files
    assert {name.split("_")[0] for name in added} == {"BBB"}


def test_what_is_planned_for_later_holds_no_update_up(settled):
    first = live(settled)["AAA", "1d"]
    update_weights(settled)
    second = live(settled)["AAA", "5d"]
    planned = datetime.now(UTC) + timedelta(days=30)
    promote_version(settled, first, reason="planned", effective_at=planned)
    change_outcomes(settled)

    update_weights(settled)

    assert live(settled)["AAA", "5d"] not in (first, second)
    then = live_versions(settled, at=planned).set_index("ticker")["version_id"]
    assert set(then["AAA"]) == {first}


def test_a_series_that_stopped_early_stops_no_update(settled):
    execute(
        settled,
        """
        delete from {forecasting}.forecast_outcomes as outcomes
        using {ml}.forecasts as forecasts
        inner join {raw}.symbols as symbols
            on forecasts.symbol_id = symbols.symbol_id
        where
            outcomes.forecast_id = forecasts.forecast_id
            and symbols.ticker = 'AAA'
            and forecasts.bar_number > (
                select min(bar_number) + 15 from {ml}.forecasts
                where timeframe = 'd1'
            )
        """,
    )

    assert update_weights(settled).count("updated") == 4


def test_skill_is_measured_against_what_was_known_at_each_forecast(settled):
    # Shares that change with the market: hindsight knows neither half.
    execute(
        settled,
        """
        update {ml}.forecasts set
            climatology_bearish = 0.2 + 0.4 * (bar_number % 2),
            climatology_neutral = 0.2,
            climatology_bullish = 0.6 - 0.4 * (bar_number % 2)
        """,
    )
    update_weights(settled)
    recorded = read(
        settled,
        "select symbols.ticker, runs.skill from {ml}.training_runs as runs "
        "inner join {raw}.symbols as symbols "
        "on runs.symbol_id = symbols.symbol_id "
        "where runs.trigger = 'weights' and runs.horizon = '1d' "
        "order by symbols.ticker",
    )["skill"].to_numpy()

    said, bar_numbers = predictions_of(settled, "1d")
    scores = score_in_time_order(said, weighing_of(said[0], 1))
    expected = []
    for one, numbers, score in zip(said, bar_numbers, scores, strict=True):
        odd = numbers[score.rows] % 2
        climatology = np.column_stack(
            [0.2 + 0.4 * odd, np.full(len(odd), 0.2), 0.6 - 0.4 * odd]
        )
        y = one.y[score.rows]
        expected.append(
            skill(
                log_losses(score.probabilities, y), log_losses(climatology, y)
            )
        )
    np.testing.assert_allclose(recorded, expected, atol=1e-9)


def test_late_forecasts_weigh_nothing(settled):
    execute(settled, "update {ml}.forecasts set is_late = true")
    assert update_weights(settled).count("updated") == 0


def test_members_without_skill_leave_climatology_alone(settled):
    # Bold, and the price never goes where it says: no luck makes skill of that.
    execute(
        settled,
        """
        update {ml}.forecasts as forecasts
        set climatology_bearish = 0.333, climatology_neutral = 0.334,
        climatology_bullish = 0.333, member_probabilities = (
            select
                jsonb_object_agg(
                    key,
                    case
                        when key = 'climatology'
                            then '[0.333, 0.334, 0.333]'::jsonb
                        when forecasts.bar_number % 2 = 0
                            then '[0.8, 0.1, 0.1]'::jsonb
                        else '[0.1, 0.1, 0.8]'::jsonb
                    end
                )
            from jsonb_each(forecasts.member_probabilities)
        )
        """,
    )
    set_outcomes(
        settled,
        """
        (
            array['BULLISH', 'BEARISH', 'NEUTRAL', 'NEUTRAL', 'BULLISH',
            'BEARISH']
        )[1 + forecasts.bar_number % 6]
        """,
    )
    summary = update_weights(settled)
    rows = summary.results[summary.results["source"] == "ledger"]
    assert rows["reason"].str.startswith("climatology alone").all()
    assert all(w["climatology"] == 1.0 for w in rows["weights"])


def test_an_update_that_breaks_off_leaves_nothing_and_is_made_again(
    settled, monkeypatch
):
    before, folder = live(settled), settled.settings.artifacts_dir
    files = sorted(path.name for path in folder.iterdir())

    def fail(*_, **__):
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(weight_versions, "insert_deployments", fail)
        with pytest.raises(RuntimeError, match="power"):
            update_weights(settled)
    assert sorted(path.name for path in folder.iterdir()) == files
    assert live(settled) == before
    assert update_weights(settled).count("updated") == 4


def test_only_the_series_asked_for_get_a_version(settled):
    before = live(settled)
    update_weights(settled, symbols=["AAA"])
    after = live(settled)
    assert after["AAA", "1d"] != before["AAA", "1d"]
    assert after["BBB", "1d"] == before["BBB", "1d"]
    with pytest.raises(NoEnsembleError, match="swiftbolt train --all"):
        update_weights(settled, symbols=["CCC"])


def test_no_update_runs_beside_a_training(settled):
    with (
        job_run(settled, "train", {}),
        pytest.raises(JobRunningError, match="'train' is already running"),
    ):
        update_weights(settled)


def test_the_command_prints_every_series_and_horizon(settled, monkeypatch):
    for name, value in warehouse_environment(settled).items():
        monkeypatch.setenv(name, value)
    ended = CliRunner().invoke(main, ["update-weights", "--json"])
    assert ended.exit_code == 0, ended.output
    rows = json.loads(ended.stdout.splitlines()[-1])
    assert {(row["ticker"], row["horizon"]) for row in rows} == set(
        live(settled)
    )
