import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from python_ml import schema
from python_ml.ensemble import CLASSES, HorizonEnsemble
from python_ml.registry.artifacts import library_versions
from python_ml.registry.deployments import insert_deployments, live_versions
from python_ml.registry.promotion import promote as promoting
from python_ml.registry.promotion.cohort import Challenger, Cohort
from python_ml.registry.promotion.promote import promote
from python_ml.registry.promotion.verdict import (
    PairedForecasts,
    promotion_block_bars,
    reach_verdict,
)
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.ledgers import rewriting
from tests.promotion_market import (
    BLURRED,
    CHAMPION_AS_OF,
    CLEAR,
    N_BARS,
    VALIDATION_STARTS,
    challengers,
    champion_forecasts,
    make_market,
    verdicts,
)
from tests.training_arrays import closes

FEATURES = ("turbulence",)


def paired(challenger, champion, *, climatology=None, n_bars=20, n_series=1):
    """Rows whose label, always BEARISH, gets the probabilities given."""
    n = n_bars * n_series
    bars = np.repeat(np.arange(n_bars), n_series)

    def stack(probability):
        of_label = np.broadcast_to(np.asarray(probability, float), (n,))
        other = (1 - of_label) / 2
        return np.stack([of_label, other, other], axis=1)

    return PairedForecasts(
        series=np.tile(np.arange(n_series), n_bars),
        bar_numbers=bars,
        challenger=stack(challenger),
        champion=stack(champion),
        climatology=stack(1 / 3 if climatology is None else climatology),
        y=np.zeros(n, dtype=int),
    )


def test_the_numbers_are_those_worked_out_by_hand():
    """Losses ln 2 for the champion; ln 4 in block one of four, else ln 1.25.

    Differences by block: ln 2, then three times ln 0.625. Their mean is
    (0.6931 - 3 x 0.4700) / 4 = -0.1792; the standard error of the mean of four
    blocks sqrt(sum of squares / (4 x 3)) = 0.2908.
    """
    of_label = np.where(np.arange(20) < 5, 0.25, 0.8)
    found = reach_verdict(paired(of_label, 0.5), block_bars=5)
    assert (found.n_bars, found.n_blocks, found.n_rows) == (20, 4, 20)
    assert found.champion_log_loss == pytest.approx(np.log(2))
    assert found.climatology_log_loss == pytest.approx(np.log(3))
    assert found.mean_difference == pytest.approx(-0.1792, abs=1e-4)
    assert found.mean_difference_se == pytest.approx(0.2908, abs=1e-4)
    assert found.is_promoted
    assert found.verdict == "not_worse"


@pytest.mark.parametrize(
    ("share_lost", "verdict"), [(1, "not_worse"), (2, "worse_than_champion")]
)
def test_one_standard_error_worse_is_the_limit(share_lost, verdict):
    """Worse in one of four blocks is one standard error exactly.

    With d in one block and 0 in three the mean is d / 4 and so is its
    standard error; with d in two of four the mean is d / 2, the error
    d / sqrt(12). The others are a hair better, which decides the first.
    """
    of_label = np.where(np.arange(20) < 5 * share_lost, 0.4, 0.500001)
    found = reach_verdict(paired(of_label, 0.5), block_bars=5)
    assert found.verdict == verdict
    assert found.is_promoted == (verdict == "not_worse")
    if share_lost == 1:
        assert found.mean_difference == pytest.approx(
            found.mean_difference_se, rel=1e-3
        )


def test_being_no_worse_than_a_bad_champion_does_not_do():
    worse = np.where(np.arange(20) % 2 == 0, 0.24, 0.26)
    found = reach_verdict(paired(worse, worse), block_bars=5)
    assert found.mean_difference == 0
    assert (found.verdict, found.is_promoted) == ("below_climatology", False)
    assert "below climatology" in found.reason


@pytest.mark.parametrize("n_bars", [0, 1, 19])
def test_too_few_bars_keep_the_champion(n_bars):
    found = reach_verdict(
        paired(0.9, 0.1, n_bars=n_bars, n_series=30), block_bars=5
    )
    assert (found.verdict, found.is_promoted) == ("too_few_bars", False)
    assert f"forecast {n_bars} of the bars" in found.reason


def test_many_series_make_no_blocks():
    found = reach_verdict(
        paired(0.9, 0.1, n_bars=30, n_series=50), block_bars=10
    )
    assert (found.n_rows, found.n_blocks) == (1500, 3)
    assert found.verdict == "too_few_bars"


def test_series_that_share_their_days_are_no_independent_evidence():
    of_label = np.where(np.arange(20) < 8, 0.3, 0.6)
    one = reach_verdict(paired(of_label, 0.5), block_bars=5)
    many = reach_verdict(
        paired(np.repeat(of_label, 40), 0.5, n_series=40), block_bars=5
    )
    assert many.mean_difference_se == pytest.approx(one.mean_difference_se)


def test_blocks_span_sessions_and_horizons():
    assert promotion_block_bars(26, 4) == 130
    assert promotion_block_bars(26, 520) == 520
    assert promotion_block_bars(1, 1) == 5


@pytest.mark.parametrize("horizon_bars", [1, 5])
def test_better_challengers_are_promoted_worse_and_shuffled_ones_are_not(
    horizon_bars,
):
    for seed in (100, 101):
        found = verdicts(seed, n_series=22, horizon_bars=horizon_bars)
        assert found["better"].is_promoted, seed
        assert not found["worse"].is_promoted, seed
        assert not found["shuffled"].is_promoted, seed
        assert found["better"].n_series == 22


# ------------------------------------------------------------------ database

N_SERIES = 20


@pytest.fixture(scope="module")
def market():
    return the_market()


@cache
def the_market():
    return make_market(7, n_series=N_SERIES, horizon_bars=1)


@cache
def champions(noise=CLEAR):
    return champion_forecasts(the_market(), noise=noise)


@cache
def trained(noise=CLEAR, is_shuffled=False):
    return challengers(the_market(), noise=noise, is_shuffled=is_shuffled)


@pytest.fixture(scope="module")
def grid(fresh_warehouse):
    """Name of a database with symbols and the grid of 600 daily bars."""
    made = fresh_warehouse()
    with made.begin() as connection:
        connection.exec_driver_sql(
            """
            create schema features;
            create table features.bar_grid (
                calendar text, timeframe text, bar_number integer,
                closed_at timestamptz, full_session_bars integer
            );
            """
        )
        connection.exec_driver_sql(
            f"""
            insert into features.bar_grid
            select
                'XNYS', 'd1', n,
                timestamptz '2020-01-01 21:00Z' + n * interval '1 day', 1
            from generate_series(0, {N_BARS}) as n;
            insert into raw.symbols (ticker, calendar, source)
            select 'S' || n, 'XNYS', 'test'
            from generate_series(1, {N_SERIES}) as n;
            """
        )
    run_dbt(made, ["run", "--select", "+ledger"])
    made.close()
    return made.parameters.database


@pytest.fixture
def warehouse(fresh_warehouse, grid):
    with fresh_warehouse(template=grid) as made:
        yield made


def time_of(bar):
    return closes(bar).item().replace(tzinfo=UTC)


def record(warehouse, prefix, bar, *, horizons=("1d",), n_series=N_SERIES):
    """A version of every series with an artifact that is intact."""
    folder = warehouse.settings.artifacts_dir
    folder.mkdir(parents=True, exist_ok=True)
    ids = []
    with warehouse.begin() as connection:
        cut_id = connection.execute(
            schema.training_cuts.insert()
            .values(
                calendar="XNYS",
                timeframe="d1",
                as_of=time_of(bar),
                split="70/30",
                embargo_bars=1,
                window_bars=100,
                window_starts_at=time_of(0),
                fit_labels_end_before=time_of(1),
                validation_starts_at=time_of(1),
                scope=prefix,
            )
            .returning(schema.training_cuts.c.cut_id)
        ).scalar_one()
        for symbol_id in range(1, n_series + 1):
            version_id = f"{prefix}{symbol_id}"
            content = version_id.encode()
            (folder / f"{version_id}.joblib").write_bytes(content)
            connection.execute(
                schema.ensembles.insert().values(
                    version_id=version_id,
                    symbol_id=symbol_id,
                    timeframe="d1",
                    as_of=time_of(bar),
                    cut_id=cut_id,
                    artifact_path=f"{folder.name}/{version_id}.joblib",
                    sha256=hashlib.sha256(content).hexdigest(),
                    horizons=list(horizons),
                    feature_names=list(FEATURES),
                    classes=list(CLASSES),
                    data_fingerprint=version_id,
                    settings_fingerprint="test",
                    code_version="test",
                    library_versions=library_versions(),
                )
            )
            ids.append(version_id)
    return cut_id, ids


def cohort(
    warehouse, market, said, *, prefix="new", horizons=("1d",), weights=None
):
    """Challengers on record, whose validation is `said`."""
    n_series = len(said)
    cut_id, ids = record(
        warehouse, prefix, N_BARS, horizons=horizons, n_series=n_series
    )

    def loader(i):
        def load():
            return {
                horizon: HorizonEnsemble(
                    horizon=horizon,
                    horizon_bars=market.horizon_bars,
                    members={},
                    weights=weights or {},
                    climatology=said[i].climatology,
                    baseline_accuracy=0.4,
                    validation=said[i],
                )
                for horizon in horizons
            }

        return load

    return Cohort(
        "XNYS",
        "d1",
        cut_id,
        time_of(N_BARS),
        tuple(
            Challenger(i + 1, f"S{i + 1}", version_id, horizons, loader(i))
            for i, version_id in enumerate(ids)
        ),
    )


def install_champions(warehouse, *, horizons=("1d",), n_series=N_SERIES):
    _, ids = record(
        warehouse, "old", CHAMPION_AS_OF, horizons=horizons, n_series=n_series
    )
    deploy(warehouse, ids, horizons, time_of(CHAMPION_AS_OF))
    return ids


def deploy(warehouse, ids, horizons, effective_at):
    with warehouse.begin() as connection:
        insert_deployments(
            connection,
            [
                {
                    "symbol_id": i + 1,
                    "timeframe": "d1",
                    "version_id": version_id,
                    "horizons": list(horizons),
                    "effective_at": effective_at,
                    "reason": "test",
                    "job_run_id": None,
                }
                for i, version_id in enumerate(ids)
            ],
        )


def fill_ledger(
    warehouse, P, ids, *, first=CHAMPION_AS_OF, horizon="1d", **changes
):
    """Forecasts of the champions, as a replay would issue them."""
    frames = []
    for i, version_id in enumerate(ids):
        bars = np.arange(first, N_BARS)
        p = P[i, bars]
        frames.append(
            pd.DataFrame(
                {
                    "symbol_id": i + 1,
                    "timeframe": "d1",
                    "horizon": horizon,
                    "horizon_bars": 1,
                    "bar_number": bars,
                    "closed_at": pd.to_datetime(closes(bars), utc=True),
                    "run_kind": "replay",
                    "run_name": "replay",
                    "issued_at": pd.Timestamp.now("UTC"),
                    "is_late": False,
                    "target_bar_number": bars + 1,
                    "target_at": pd.to_datetime(closes(bars + 1), utc=True),
                    "probability_bearish": p[:, 0],
                    "probability_neutral": p[:, 1],
                    "probability_bullish": 1 - p[:, 0] - p[:, 1],
                    "direction": "NEUTRAL",
                    "confidence": 0.0,
                    "climatology_bearish": 0.3,
                    "climatology_neutral": 0.4,
                    "climatology_bullish": 0.3,
                    "member_probabilities": [{} for _ in bars],
                    "reference_close": 100.0,
                    "expected_volatility": 0.01,
                    "label_threshold": 0.0043,
                    "price_target": 100.0,
                    **{
                        f"{end}_{level}": 100.0
                        for end in ("lower", "upper")
                        for level in (50, 80, 95)
                    },
                    "version_id": version_id,
                }
                | changes
            )
        )
    with warehouse.begin() as connection:
        insert_frame(connection, schema.forecasts, pd.concat(frames))


def decide(warehouse, of, mode="judge"):
    with warehouse.begin() as connection:
        job_run_id = connection.execute(
            schema.job_runs.insert()
            .values(
                job="train",
                arguments={},
                status="running",
                started_at=time_of(0),
                host="test",
                pid=1,
                code_version="test",
            )
            .returning(schema.job_runs.c.job_run_id)
        ).scalar_one()
    return promote(
        warehouse,
        of,
        mode=mode,
        reason="trained (test)",
        feature_names=FEATURES,
        job_run_id=job_run_id,
    )


def count(warehouse, table):
    return int(
        read_frame(warehouse, f"select count(*) as n from {{ml}}.{table}")[
            "n"
        ].iloc[0]
    )


def live(warehouse):
    found = live_versions(warehouse)
    return dict(
        zip(
            zip(found["symbol_id"], found["horizon"], strict=True),
            found["version_id"],
            strict=True,
        )
    )


def test_a_first_version_is_deployed_from_its_as_of_time_on(warehouse, market):
    of = cohort(warehouse, market, trained(), horizons=("1d", "5d"))
    decisions = decide(warehouse, of)
    assert [one.verdict.verdict for one in decisions] == ["first_version"] * 2
    rows = read_frame(warehouse, "select * from {ml}.deployments")
    assert len(rows) == N_SERIES
    assert rows["horizons"].tolist() == [["1d", "5d"]] * N_SERIES
    assert (rows["effective_at"] == time_of(N_BARS)).all()
    assert decide(warehouse, of) == []
    assert count(warehouse, "promotions") == 2


def test_a_shuffled_and_a_worse_recipe_are_refused_a_better_one_is_not(
    warehouse, market
):
    clear = champions(CLEAR)
    ids = install_champions(warehouse)
    fill_ledger(warehouse, clear, ids)
    before = live(warehouse)
    for prefix, said in (
        ("shuffled", trained(is_shuffled=True)),
        ("blurred", trained(BLURRED)),
    ):
        [decision] = decide(
            warehouse, cohort(warehouse, market, said, prefix=prefix)
        )
        assert decision.verdict.verdict == "worse_than_champion"
        assert decision.verdict.n_series == N_SERIES
        assert decision.deployed_version_ids == ()
    assert live(warehouse) == before
    assert count(warehouse, "deployments") == N_SERIES

    with rewriting(warehouse) as connection:
        connection.exec_driver_sql("delete from ml.forecasts")
    fill_ledger(warehouse, champions(BLURRED), ids)
    [decision] = decide(warehouse, cohort(warehouse, market, trained()))
    assert decision.verdict.verdict == "not_worse"
    assert decision.verdict.mean_difference < 0
    assert set(live(warehouse).values()) == {
        f"new{i}" for i in range(1, N_SERIES + 1)
    }
    row = read_frame(
        warehouse,
        "select * from {ml}.promotions order by promotion_id desc limit 1",
    ).iloc[0]
    assert row["is_promoted"]
    assert row["mean_difference"] == decision.verdict.mean_difference
    assert row["n_bars"] == N_BARS - 1 - (VALIDATION_STARTS + 44)
    assert set(row["champion_version_ids"]) == set(before.values())
    assert "1 standard error" in row["rule"]


def test_what_is_planned_for_later_holds_no_version_up(warehouse, market):
    ids = install_champions(warehouse)
    deploy(warehouse, ids, ("1d",), datetime.now(UTC) + timedelta(days=30))

    decide(warehouse, cohort(warehouse, market, trained()), mode="always")

    now = live_versions(warehouse)
    assert set(now["version_id"]) == {f"new{i}" for i in range(1, N_SERIES + 1)}
    assert (now["effective_at"] == time_of(N_BARS)).all()


def test_what_would_be_deployed_is_judged_not_what_was_given_up(
    warehouse, market
):
    bold = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    ids = install_champions(warehouse)
    fill_ledger(
        warehouse,
        np.tile(bold[np.arange(N_BARS) % 2], (N_SERIES, 1, 1)),
        ids,
    )
    said = []
    for one in trained(is_shuffled=True):
        P = one.probabilities.copy()
        P[:, 1] = bold[np.arange(len(P)) % 2]
        said.append(replace(one, probabilities=P))
    # As training weighs them: members that know nothing are left out.
    alone = {"climatology": 1.0, "random_forest": 0.0}

    [refused] = decide(warehouse, cohort(warehouse, market, said))
    [taken] = decide(
        warehouse,
        cohort(warehouse, market, said, prefix="alone", weights=alone),
    )

    assert refused.verdict.verdict == "below_climatology"
    assert taken.verdict.verdict == "not_worse"
    assert taken.verdict.mean_difference < refused.verdict.mean_difference


def test_only_the_horizon_that_was_won_is_deployed(warehouse, market):
    horizons = ("1d", "5d")
    ids = install_champions(warehouse, horizons=horizons)
    for horizon, noise in (("1d", BLURRED), ("5d", CLEAR)):
        fill_ledger(
            warehouse,
            champions(noise),
            ids,
            horizon=horizon,
        )
    # One recipe for both, between the two champions.
    of = cohort(warehouse, market, trained(0.8), horizons=horizons)
    decisions = {one.horizon: one.verdict for one in decide(warehouse, of)}
    assert decisions["1d"].is_promoted
    assert not decisions["5d"].is_promoted
    assert live(warehouse)[1, "1d"] == "new1"
    assert live(warehouse)[1, "5d"] == "old1"
    [horizons_deployed] = {
        json.dumps(row)
        for row in read_frame(
            warehouse,
            "select horizons from {ml}.deployments where reason like 'train%'",
        )["horizons"]
    }
    assert json.loads(horizons_deployed) == ["1d"]


def test_an_empty_ledger_keeps_the_champion_and_names_the_command(
    warehouse, market
):
    ids = install_champions(warehouse)
    of = cohort(warehouse, market, trained())
    [decision] = decide(warehouse, of)
    assert decision.verdict.verdict == "too_few_bars"
    # The first scored bar: validation's second part begins 44 bars in.
    assert (
        "swiftbolt forecast --timeframes d1 --replay-from 2021-04-09"
        in decision.verdict.reason
    )
    assert closes(VALIDATION_STARTS + 44).item().date().isoformat() == (
        "2021-04-09"
    )
    # Saying so once is enough, and it is judged once the ledger is full.
    assert decide(warehouse, of) == []
    fill_ledger(warehouse, champions(BLURRED), ids)
    [decision] = decide(warehouse, of)
    assert decision.verdict.is_promoted
    assert decide(warehouse, of) == []
    assert count(warehouse, "deployments") == 2 * N_SERIES


def test_a_ledger_that_cannot_be_filled_asks_for_time_or_for_force(
    warehouse, market
):
    install_champions(warehouse)
    with rewriting(warehouse) as connection:
        connection.exec_driver_sql(
            "update ml.deployments set effective_at = "
            "timestamptz '2020-01-01 21:00Z' + interval '590 days'"
        )
    of = cohort(warehouse, market, trained())
    [decision] = decide(warehouse, of)
    assert "would hold 9 bars in 2 blocks" in decision.verdict.reason
    assert "--promote always" in decision.verdict.reason


@pytest.mark.parametrize(
    "changes", [{"is_late": True}, {"run_kind": "backtest"}]
)
def test_late_and_backtested_forecasts_count_for_nothing(
    warehouse, market, changes
):
    ids = install_champions(warehouse)
    P = champions()
    fill_ledger(warehouse, P, ids, **changes)
    of = cohort(warehouse, market, trained())
    [decision] = decide(warehouse, of)
    assert decision.verdict.n_rows == 0


def test_bars_from_before_the_champions_as_of_count_for_nothing(
    warehouse, market
):
    ids = install_champions(warehouse)
    fill_ledger(warehouse, champions(), ids)
    with rewriting(warehouse) as connection:
        connection.exec_driver_sql(
            "update ml.ensembles set as_of = timestamptz '2020-01-01 21:00Z' "
            "+ interval '580 days' where version_id like 'old%%'"
        )
    of = cohort(warehouse, market, trained())
    [decision] = decide(warehouse, of)
    assert decision.verdict.n_bars == N_BARS - 1 - 580


def test_a_series_without_a_champion_is_deployed_whatever_the_verdict(
    warehouse, market
):
    ids = install_champions(warehouse, n_series=N_SERIES - 1)
    fill_ledger(warehouse, champions(), ids)
    of = cohort(warehouse, market, trained(is_shuffled=True))
    [decision] = decide(warehouse, of)
    assert not decision.verdict.is_promoted
    assert decision.deployed_version_ids == (f"new{N_SERIES}",)
    assert count(warehouse, "deployments") == N_SERIES


def test_a_champion_whose_artifact_is_lost_defends_nothing(warehouse, market):
    install_champions(warehouse)
    for file in warehouse.settings.artifacts_dir.glob("old*"):
        file.write_bytes(b"altered")
    of = cohort(warehouse, market, trained())
    [decision] = decide(warehouse, of)
    assert decision.verdict.verdict == "first_version"
    assert len(decision.deployed_version_ids) == N_SERIES


def test_never_decides_nothing_and_always_deploys_what_was_kept(
    warehouse, market
):
    ids = install_champions(warehouse)
    fill_ledger(warehouse, champions(), ids)
    of = cohort(warehouse, market, trained(is_shuffled=True))
    assert decide(warehouse, of, "never") == []
    assert count(warehouse, "promotions") == 0
    assert not decide(warehouse, of)[0].verdict.is_promoted
    [forced] = decide(warehouse, of, "always")
    assert forced.verdict.verdict == "forced"
    assert set(live(warehouse).values()) == set(forced.version_ids)
    assert decide(warehouse, of, "always") == []
    assert count(warehouse, "deployments") == 2 * N_SERIES


def test_a_decision_that_breaks_off_leaves_nothing_and_is_made_again(
    warehouse, market, monkeypatch
):
    of = cohort(warehouse, market, trained())

    def fail(*_, **__):
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(promoting, "insert_deployments", fail)
        with pytest.raises(RuntimeError, match="power"):
            decide(warehouse, of)
    assert count(warehouse, "promotions") == 0
    assert len(decide(warehouse, of)) == 1
    assert count(warehouse, "deployments") == N_SERIES
