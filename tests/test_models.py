import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from python_ml import schema
from python_ml.cli import main
from python_ml.ensemble import MemberPredictions
from python_ml.exceptions import (
    ArtifactError,
    DeploymentError,
    FeatureMismatchError,
    JobRunningError,
    NoEnsembleError,
    SettingsError,
    UnknownSeriesError,
    UnknownVersionError,
)
from python_ml.forecasting.issue import forecast
from python_ml.registry import inspection as models
from python_ml.registry.comparison import read_losses
from python_ml.registry.deployments import live_versions
from python_ml.registry.loader import load_ensemble as load_live
from python_ml.registry.versions import load_ensemble, read_version
from python_ml.scoring.metrics import (
    block_standard_error,
    log_losses,
)
from python_ml.scoring.recipe import weighing_of
from python_ml.scoring.time_order import score_in_time_order
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.jobs import job_run
from python_ml.warehouse.ledgers import rewriting
from tests.conftest import warehouse_environment
from tests.forecast_market import (
    close_of,
    deploy,
    make_ensemble,
    record_version,
)

UNKNOWN = "NOPE_d1_20200101T000000Z"


@pytest.fixture
def market(market_warehouse):
    return market_warehouse


@pytest.fixture
def swiftbolt(market, monkeypatch):
    """Run a command on the market in this process, which is quicker."""
    for name, value in warehouse_environment(market).items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


def at(session):
    return close_of(session).to_pydatetime()


def version(warehouse, session, *, ticker="AAA", seed=0, **keywords):
    return make_ensemble(
        warehouse, ticker=ticker, as_of=close_of(session), seed=seed, **keywords
    )


def live(warehouse, ticker="AAA"):
    rows = live_versions(warehouse)
    rows = rows[rows["ticker"] == ticker]
    return dict(zip(rows["horizon"], rows["version_id"], strict=True))


def n_deployments(warehouse):
    return len(read_frame(warehouse, "select 1 as n from {ml}.deployments"))


def execute(warehouse, statement):
    with rewriting(warehouse) as connection:
        connection.execute(sa.text(warehouse.sql(statement)))


def said_of(warehouse):
    rows = read_frame(
        warehouse,
        "select * from {ml}.forecasts order by closed_at, horizon_bars",
    )
    return rows.drop(
        columns=["forecast_id", "issued_at", "job_run_id", "written_at"]
    )


def test_rollback_restores_the_earlier_forecasts_exactly(
    market, fresh_warehouse, market_database
):
    with fresh_warehouse(template=market_database) as undisturbed:
        deploy(undisturbed, version(undisturbed, -9, seed=1))
        forecast(undisturbed, replay_from=close_of(-9).date())
        expected = said_of(undisturbed)
    old = deploy(market, version(market, -9, seed=1))
    new = deploy(market, version(market, -5, seed=2))
    written = models.rollback(
        market, symbols=["AAA"], reason="worse", effective_at=at(-2)
    )
    assert written["version_id"].tolist() == [old.version_id]
    assert n_deployments(market) == 3
    forecast(market, replay_from=close_of(-9).date())
    found = said_of(market)
    is_new = found["version_id"] == new.version_id
    assert set(found.loc[is_new, "closed_at"]) == {
        close_of(session) for session in (-5, -4, -3)
    }
    pd.testing.assert_frame_equal(found[~is_new], expected[~is_new])


def test_a_second_rollback_goes_on_to_the_version_before(market):
    first, second, third = (
        deploy(market, version(market, session, seed=-session))
        for session in (-9, -7, -5)
    )
    models.rollback(market, symbols=["AAA"])
    assert set(live(market).values()) == {second.version_id}
    models.rollback(market, symbols=["AAA"])
    assert set(live(market).values()) == {first.version_id}
    with pytest.raises(DeploymentError, match="no earlier version to go back"):
        models.rollback(market, symbols=["AAA"])
    assert n_deployments(market) == 5
    # By hand the last one comes back, and can be rolled back again.
    models.promote_version(market, third.version_id, reason="it was fine")
    assert set(live(market).values()) == {third.version_id}
    models.rollback(market, symbols=["AAA"])
    assert set(live(market).values()) == {first.version_id}


def test_rollback_takes_back_what_was_deployed_last_and_nothing_else(market):
    old = deploy(market, version(market, -9, seed=1))
    new = deploy(market, version(market, -5, seed=2), horizons=["5d"])
    models.rollback(market, symbols=["AAA"], timeframes=["d1"])
    rows = read_frame(
        market, "select * from {ml}.deployments order by deployment_id"
    )
    assert rows["version_id"].tolist() == [
        old.version_id,
        new.version_id,
        old.version_id,
    ]
    assert rows["horizons"].iloc[-1] == ["5d"]
    assert rows["reason"].iloc[-1] == "rollback"


def test_rollback_of_several_series_is_all_or_none(market):
    deploy(market, version(market, -9))
    deploy(market, version(market, -5))
    only = deploy(market, version(market, -9, ticker="BBB"))
    with pytest.raises(DeploymentError, match=only.version_id):
        models.rollback(market)
    assert n_deployments(market) == 3
    deploy(market, version(market, -4, ticker="BBB"))
    assert len(models.rollback(market)) == 2
    assert n_deployments(market) == 6


def test_rollback_to_a_version_names_its_series(market):
    first, _, third = (
        deploy(market, version(market, session)) for session in (-9, -7, -5)
    )
    with pytest.raises(DeploymentError, match="models promote"):
        models.rollback(market, to=third.version_id)
    models.rollback(market, to=first.version_id)
    assert set(live(market).values()) == {first.version_id}


def test_history_says_which_version_was_live(market):
    old = deploy(market, version(market, -9))
    new = deploy(market, version(market, -5), horizons=["5d"])
    then = models.history(market, symbols=["AAA"], at=at(-6))
    assert set(then["version_id"]) == {old.version_id}
    now = models.history(market, symbols=["AAA"], at=at(-5))
    assert dict(zip(now["horizon"], now["version_id"], strict=True)) == {
        "1d": old.version_id,
        "5d": new.version_id,
        "20d": old.version_id,
    }
    spans = models.history(market)
    assert len(spans) == 4
    superseded = spans.dropna(subset=["superseded_at"])
    assert superseded["superseded_at"].tolist() == [close_of(-5)]
    with pytest.raises(NoEnsembleError, match="swiftbolt train"):
        models.history(market, at=at(-20))
    with pytest.raises(UnknownSeriesError, match="Unknown symbol CCC"):
        models.history(market, symbols=["CCC"])
    with pytest.raises(UnknownSeriesError, match="Unknown timeframe m15"):
        models.history(market, timeframes=["m15"])


SPOILED = {
    "missing": ("", ArtifactError, "missing"),
    "altered": ("", ArtifactError, "was altered"),
    "foreign": (
        "update {ml}.ensembles set artifact_path = '../' || artifact_path",
        ArtifactError,
        "missing|outside the artifacts folder",
    ),
    "features": (
        "update {ml}.ensembles set feature_names = "
        "feature_names || '[\"moon\"]'::jsonb",
        FeatureMismatchError,
        "features that are gone: moon",
    ),
    "classes": (
        'update {ml}.ensembles set classes = \'["DOWN", "UP"]\'',
        ArtifactError,
        "predicts DOWN, UP",
    ),
    "library": (
        "update {ml}.ensembles set library_versions = "
        '\'{"scikit-learn": "0.9"}\'',
        ArtifactError,
        "scikit-learn 0.9",
    ),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_what_could_not_forecast_is_not_deployed(market, fault):
    statement, error, says = SPOILED[fault]
    old = deploy(market, version(market, -9))
    new = deploy(market, version(market, -5))
    path = market.settings.artifacts_dir / f"{old.version_id}.joblib"
    if fault == "missing":
        path.unlink()
    elif fault == "altered":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        execute(market, f"{statement} where version_id = '{old.version_id}'")
    with pytest.raises(error, match=says):
        models.promote_version(market, old.version_id, reason="test")
    with pytest.raises(error, match=says):
        models.rollback(market, symbols=["AAA"])
    assert set(live(market).values()) == {new.version_id}
    assert n_deployments(market) == 2


def test_a_deployment_by_hand_needs_a_version_a_reason_and_news(market):
    one = deploy(market, version(market, -9))
    with pytest.raises(UnknownVersionError, match="models list --all"):
        models.promote_version(market, UNKNOWN, reason="test")
    with pytest.raises(SettingsError, match="no horizon 3d"):
        models.promote_version(
            market, one.version_id, reason="test", horizons=["3d"]
        )
    with pytest.raises(DeploymentError, match="already"):
        models.promote_version(market, one.version_id, reason="test")
    other = version(market, -5)
    record_version(market, other)
    with pytest.raises(SettingsError, match="reason is needed"):
        models.promote_version(market, other.version_id, reason=" ")
    with (
        job_run(market, "deploy", {}),
        pytest.raises(JobRunningError, match="already running"),
    ):
        models.promote_version(market, other.version_id, reason="test")
    assert n_deployments(market) == 1


def test_no_deployment_belies_what_was_forecast_or_decided(market):
    old = deploy(market, version(market, -9))
    new = deploy(market, version(market, -5))
    with pytest.raises(DeploymentError, match="Another deployment of AAA d1"):
        models.rollback(market, to=old.version_id, effective_at=at(-7))
    forecast(market)
    with pytest.raises(DeploymentError, match="A live forecast of AAA d1"):
        models.rollback(market, to=old.version_id, effective_at=at(-1))
    later = version(market, -1)
    record_version(market, later)
    with pytest.raises(DeploymentError, match="knows bars up to"):
        models.promote_version(
            market, later.version_id, reason="test", effective_at=at(-3)
        )
    assert set(live(market).values()) == {new.version_id}
    models.rollback(market, to=old.version_id)
    assert set(live(market).values()) == {old.version_id}


def with_validation(ensemble, *, seed, first=100, n=200):
    """Give a version validation rows on the market's grid."""
    random = np.random.default_rng(seed)
    horizons = {}
    for name, horizon in ensemble.horizons.items():
        bars = np.arange(first, first + n)
        closes = [close_of(bar).tz_localize(None) for bar in bars]
        closed_at = np.array(closes, dtype="datetime64[us]")
        horizons[name] = replace(
            horizon,
            validation=MemberPredictions(
                member_names=("climatology", "random_forest"),
                probabilities=random.dirichlet(np.ones(3), size=(n, 2)),
                y=np.random.default_rng(7).integers(0, 3, n),
                climatology=np.array([0.3, 0.4, 0.3]),
                closed_at=closed_at,
                label_end_at=closed_at
                + np.timedelta64(horizon.horizon_bars, "D"),
            ),
        )
    return replace(ensemble, horizons=horizons)


def test_two_versions_are_compared_on_the_same_bars(market):
    a = with_validation(version(market, -30), seed=1)
    b = with_validation(version(market, -20), seed=2, first=130)
    for one in (a, b):
        record_version(market, one)
    frame = models.compare_versions(market, a.version_id, b.version_id)
    row = frame.set_index("horizon").loc["1d"]
    losses = {}
    for name, one, first in (("a", a, 100), ("b", b, 130)):
        held = one.horizons["1d"].validation
        [score] = score_in_time_order([held], weighing_of(held, 1))
        losses[name] = pd.Series(
            log_losses(score.probabilities, held.y[score.rows]),
            index=first + score.rows,
        )
    both = pd.concat(losses, axis=1).dropna()
    difference = (both["b"] - both["a"]).to_numpy()
    assert row["n_paired"] == len(both) == 120
    assert row["difference"] == pytest.approx(difference.mean())
    # Bar numbers of the grid count from 1, in blocks of five.
    numbers = read_frame(
        market,
        "select min(bar_number) as n from {features}.bar_grid "
        "where timeframe = 'd1'",
    )["n"].iloc[0]
    assert row["difference_se"] == pytest.approx(
        block_standard_error(difference, (both.index + numbers) // 5)
    )
    assert row["ensemble_validation_accuracy_a"] == 0.4
    other = version(market, -9, ticker="BBB")
    record_version(market, other)
    with pytest.raises(UnknownVersionError, match="two versions of one series"):
        models.compare_versions(market, a.version_id, other.version_id)


def test_a_comparison_takes_settled_outcomes_of_forecasts_that_count(market):
    made = deploy(market, version(market, -30))
    forecast(market, replay_from=close_of(-30).date())
    run_dbt(market, ["run", "--select", "forecast_outcomes"])

    def losses():
        [found] = read_losses(
            market, [read_version(market, made.version_id)]
        ).values()
        return found.set_index(["horizon", "bar_number"])["loss"].sort_index()

    settled = read_frame(
        market,
        """
        select forecasts.horizon, forecasts.bar_number, outcomes.log_loss
        from {forecasting}.forecast_outcomes as outcomes
        inner join {ml}.forecasts as forecasts
            on outcomes.forecast_id = forecasts.forecast_id
        """,
    ).set_index(["horizon", "bar_number"])["log_loss"]
    found = losses()
    assert len(found) > 40
    pd.testing.assert_series_equal(
        found, settled.sort_index(), check_names=False
    )
    # A restatement changes labels, not what a forecast became.
    execute(
        market,
        "update {features}.labels set label = 'NEUTRAL' "
        "where label is not null",
    )
    pd.testing.assert_series_equal(losses(), found)
    last = found.index.get_level_values("bar_number").max()
    execute(
        market,
        "update {ml}.forecasts set run_kind = 'backtest' "
        f"where bar_number = {last}",
    )
    assert losses().index.equals(found.drop(last, level="bar_number").index)


def test_verify_lists_what_is_damaged_and_fails(market, swiftbolt):
    whole = deploy(market, version(market, -9))
    damaged = deploy(market, version(market, -5))
    assert set(models.verify_versions(market)["state"]) == {"intact"}
    path = market.settings.artifacts_dir / f"{damaged.version_id}.joblib"
    path.write_bytes(b"something else")
    frame = models.verify_versions(market).set_index("version_id")
    assert frame["state"].to_dict() == {
        whole.version_id: "intact",
        damaged.version_id: "damaged",
    }
    ended = swiftbolt("models", "verify", "--all")
    assert ended.exit_code == 1
    assert f"Damaged or missing: trained_ensembles/{damaged.version_id}" in (
        ended.stdout
    )


@pytest.mark.parametrize("is_copied", [False, True])
def test_the_artifact_of_another_series_is_refused_by_name(
    market, swiftbolt, is_copied
):
    """File and row changed together, behind the triggers' back."""
    own = deploy(market, version(market, -9))
    other = deploy(
        market, make_ensemble(market, ticker="BBB", as_of=close_of(-9))
    )
    row = read_frame(
        market,
        "select artifact_path, sha256 from {ml}.ensembles "
        f"where version_id = '{other.version_id}'",
    ).iloc[0]
    folder = market.settings.artifacts_dir
    change = f"sha256 = '{row['sha256']}'"
    if is_copied:
        path = folder / f"{own.version_id}.joblib"
        path.write_bytes((folder / f"{other.version_id}.joblib").read_bytes())
    else:
        change += f", artifact_path = '{row['artifact_path']}'"
    execute(
        market,
        f"update {{ml}}.ensembles set {change} "
        f"where version_id = '{own.version_id}'",
    )
    with pytest.raises(ArtifactError, match=other.version_id):
        load_live("AAA", "d1", warehouse=market)
    frame = models.verify_versions(market).set_index("version_id")
    assert frame["state"][own.version_id] == "foreign"
    ended = swiftbolt("models", "verify", "--all")
    assert ended.exit_code == 1
    assert f"Not that of version {own.version_id} alone" in ended.stdout


def test_prune_keeps_what_is_or_was_deployed_and_what_it_shares(market):
    shared = version(market, -12)
    record_version(market, shared)
    first = deploy(market, version(market, -11))
    second = deploy(market, version(market, -10))
    execute(
        market,
        f"update {{ml}}.ensembles set members_version_id = "
        f"'{shared.version_id}' where version_id = '{first.version_id}'",
    )
    never, newer, newest = (version(market, s) for s in (-9, -8, -7))
    for one in (never, newer, newest):
        record_version(market, one)
    folder = market.settings.artifacts_dir
    files = {path.name for path in folder.iterdir()}
    planned = models.prune(market, keep=2)
    assert not planned.is_done
    assert planned.versions["version_id"].tolist() == [never.version_id]
    assert {path.name for path in folder.iterdir()} == files
    done = models.prune(market, keep=2, is_dry_run=False)
    assert done.versions["version_id"].tolist() == [never.version_id]
    assert {path.name for path in folder.iterdir()} == files - {
        f"{never.version_id}.joblib"
    }
    removed = read_frame(market, "select * from {ml}.artifact_removals")
    assert removed["version_id"].tolist() == [never.version_id]
    with pytest.raises(ArtifactError, match="was pruned on"):
        load_ensemble(market, never.version_id)
    with pytest.raises(ArtifactError, match="was pruned on"):
        models.promote_version(market, never.version_id, reason="test")
    assert models.prune(market, keep=2, is_dry_run=False).versions.empty
    assert set(models.verify_versions(market)["state"]) == {"intact", "pruned"}
    assert set(live(market).values()) == {second.version_id}
    with pytest.raises(SettingsError, match="keep is 0"):
        models.prune(market, keep=0)


def pool(warehouse, name, *, referred_to_by):
    """A pooled member on record with a file, named by versions."""
    content = name.encode()
    path = warehouse.settings.artifacts_dir / f"{name}.joblib"
    path.write_bytes(content)
    first = referred_to_by[0].version_id
    with rewriting(warehouse) as connection:
        cut_id = connection.execute(
            sa.select(schema.ensembles.c.cut_id).where(
                schema.ensembles.c.version_id == first
            )
        ).scalar_one()
        connection.execute(
            schema.pooled_members.insert().values(
                pooled_member_id=name,
                member="pooled_gradient_boosting",
                calendar="XNYS",
                timeframe="d1",
                horizon=name,
                cut_id=cut_id,
                artifact_path=f"trained_ensembles/{name}.joblib",
                sha256=hashlib.sha256(content).hexdigest(),
                n_rows=1,
                n_series=1,
                n_effective=1.0,
                duration_seconds=0.0,
                data_fingerprint=name,
                settings_fingerprint="test",
                code_version="test",
                library_versions={},
            )
        )
        connection.execute(
            sa.text(
                "update ml.ensembles set pooled_members = "
                "pooled_members || jsonb_build_array(cast(:name as text)) "
                "where version_id = any(:version_ids)"
            ),
            {
                "name": name,
                "version_ids": [one.version_id for one in referred_to_by],
            },
        )
    return path


def test_a_pooled_member_goes_with_the_last_version_that_needs_it(market):
    deployed = deploy(market, version(market, -10))
    old, new = version(market, -9), version(market, -8)
    for one in (old, new):
        record_version(market, one)
    of_all = pool(market, "of-all", referred_to_by=[deployed, old, new])
    of_old = pool(market, "of-old", referred_to_by=[old])
    pruning = models.prune(market, keep=1, is_dry_run=False)
    assert pruning.versions["version_id"].tolist() == [old.version_id]
    assert pruning.shared["artifact_path"].tolist() == [
        "trained_ensembles/of-old.joblib"
    ]
    assert of_all.exists()
    assert not of_old.exists()
    with (
        job_run(market, "train", {}),
        pytest.raises(JobRunningError, match="'train' is already running"),
    ):
        models.prune(market, keep=1)
    # A version is no better than what it refers to.
    of_all.write_bytes(b"altered")
    found = models.verify_versions(market)
    damaged = found[found["state"] == "damaged"]
    assert set(damaged["version_id"]) == {deployed.version_id, new.version_id}
    with pytest.raises(ArtifactError, match=r"of-all.*was altered"):
        models.promote_version(market, new.version_id, reason="test")


def test_a_prune_that_broke_off_is_finished_by_the_next(market, monkeypatch):
    for session in (-9, -8):
        record_version(market, version(market, session))

    def fail(*_, **__):
        raise OSError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(type(market.settings.home), "unlink", fail)
        with pytest.raises(OSError, match="power"):
            models.prune(market, keep=1, is_dry_run=False)
    folder = market.settings.artifacts_dir
    assert len(list(folder.iterdir())) == 2
    models.prune(market, keep=1, is_dry_run=False)
    assert len(list(folder.iterdir())) == 1


def test_the_commands_print_what_the_library_found(market, swiftbolt):
    old = deploy(market, version(market, -9))
    new = deploy(market, version(market, -5))
    listed = swiftbolt("models", "list", "--all")
    assert listed.exit_code == 0, listed.stderr
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == [
        new.version_id,
        old.version_id,
    ]
    assert "1d, 5d, 20d" in listed.stdout
    shown = swiftbolt("models", "show", new.version_id, "--json")
    assert json.loads(shown.stdout)["artifact"] == "intact"
    assert swiftbolt("models", "show", new.version_id).stdout
    back = swiftbolt("models", "rollback", "--symbols", "AAA", "--json")
    [row] = json.loads(back.stdout)
    assert row["version_id"] == old.version_id
    again = swiftbolt("models", "rollback", "--all")
    assert again.exit_code == 1
    assert again.stderr.splitlines()[-1].startswith(
        "Error: There is no earlier version to go back to for AAA d1"
    )
    assert "Traceback" not in again.stderr
    for arguments in (["list"], ["rollback"], ["prune", "--yes"]):
        wrong = swiftbolt("models", *arguments)
        assert wrong.exit_code == 2, arguments


def test_a_version_that_was_rolled_back_from_can_be_deployed_on_one_horizon(
    market,
):
    old = deploy(market, version(market, -9))
    new = deploy(market, version(market, -5))
    models.rollback(market, symbols=["AAA"])
    models.promote_version(
        market, new.version_id, reason="5d is fine", horizons=["5d"]
    )
    assert live(market) == {
        "1d": old.version_id,
        "5d": new.version_id,
        "20d": old.version_id,
    }
