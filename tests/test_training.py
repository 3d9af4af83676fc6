import json
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime

import numpy as np
import pytest
import sqlalchemy as sa

from python_ml.ensemble import BULLISH, CLASSES
from python_ml.examples.catalog import read_feature_names
from python_ml.examples.cuts import end_of_day
from python_ml.examples.reading import read_examples
from python_ml.examples.series import resolve_series
from python_ml.exceptions import (
    ArtifactError,
    JobRunningError,
    NotEnoughDataError,
    SettingsError,
    TrainingError,
    UnknownSeriesError,
    ValidationFailedError,
)
from python_ml.members import ROSTER
from python_ml.members.settings import POOLED_BOOSTER_HALF_WEIGHT_LABELS
from python_ml.registry import recording
from python_ml.registry.artifacts import (
    _load_pooled,
    load_artifact,
)
from python_ml.registry.versions import load_ensemble
from python_ml.scoring.weights import WeightSettings
from python_ml.settings import PROJECT_ROOT
from python_ml.training import read as read_stage
from python_ml.training import record
from python_ml.training.train import train
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.jobs import job_run
from tests.conftest import (
    run_command_process,
    run_swiftbolt,
    warehouse_environment,
)
from tests.few_trees import few_trees

AS_OF = end_of_day(date(2012, 6, 29))
POOLED = "pooled-"
TABLES = ("ensembles", "training_runs", "ensemble_weights", "deployments")


@pytest.fixture(scope="module")
def sample_copy(sample_database, fresh_warehouse):
    """Factory of warehouses that hold the built sample."""
    return lambda: fresh_warehouse(template=sample_database)


@pytest.fixture
def sample(sample_copy):
    """The built sample, where what is trained has few trees."""
    with sample_copy() as made, few_trees():
        yield made


@pytest.fixture
def full_sample(sample_copy):
    with sample_copy() as made:
        yield made


@pytest.fixture(scope="module")
def trained(sample_copy):
    """AAPL and IBM d1, trained once with all their trees; only read from."""
    with sample_copy() as made:
        summary = train(
            made,
            symbols=["AAPL", "IBM"],
            timeframes=["d1"],
            as_of=AS_OF,
            n_jobs=2,
        )
        yield made, summary


@pytest.fixture(scope="module")
def aapl_database(sample_copy):
    with sample_copy() as made, few_trees():
        train_one(made)
    return made.parameters.database


@pytest.fixture
def aapl(fresh_warehouse, aapl_database):
    """AAPL d1, trained alone with few trees, to be changed."""
    with fresh_warehouse(template=aapl_database) as made, few_trees():
        yield made


def read(warehouse, query, **parameters):
    return read_frame(warehouse, query, parameters)


def count_rows(warehouse):
    return {
        table: int(
            read(
                warehouse,
                f"select count(*) as n from {{ml}}.{table}"
                + (" where status = 'succeeded'" * (table == "training_runs")),
            )
            .to_numpy()
            .item()
        )
        for table in TABLES
    }


def artifacts(warehouse):
    """Files of series, half-written ones and claims among them."""
    return sorted(
        path.name
        for path in warehouse.settings.artifacts_dir.iterdir()
        if not path.name.lstrip(".").startswith(POOLED)
    )


def pooled_artifacts(warehouse):
    """The same of pooled members."""
    return sorted(
        path.name
        for path in warehouse.settings.artifacts_dir.iterdir()
        if path.name.lstrip(".").startswith(POOLED)
    )


def assert_pooled_members_are_whole(warehouse, n_horizons):
    """One on record for each member and horizon, and a file for each."""
    rows = read(warehouse, "select * from {ml}.pooled_members")
    assert len(rows) == 2 * n_horizons
    key = ["cut_id", "member", "horizon"]
    assert len(rows[key].drop_duplicates()) == len(rows)
    assert pooled_artifacts(warehouse) == sorted(
        f"{name}.joblib" for name in rows["pooled_member_id"]
    )


def execute(warehouse, statement, **parameters):
    with warehouse.begin() as connection:
        return connection.execute(sa.text(warehouse.sql(statement)), parameters)


def train_one(warehouse, **keywords):
    return train(
        warehouse,
        **{
            "symbols": ["AAPL"],
            "timeframes": ["d1"],
            "as_of": AS_OF,
            **keywords,
        },
    )


def test_a_training_records_every_series_and_horizon(trained):
    warehouse, summary = trained
    assert (summary.count("trained"), summary.count("failed")) == (2, 0)
    assert count_rows(warehouse) == {
        "ensembles": 2,
        "training_runs": 6,
        "ensemble_weights": 6 * len(ROSTER),
        "deployments": 2,
    }
    runs = read(warehouse, "select * from {ml}.training_runs")
    assert set(runs["horizon"]) == {"1d", "5d", "20d"}
    assert (runs["status"] == "succeeded").all()
    figures = [
        "n_fit",
        "n_validation",
        "train_accuracy",
        "ensemble_validation_accuracy",
        "ensemble_validation_accuracy_se",
        "baseline_accuracy",
        "majority_share",
        "skill",
        "skill_se",
        "overfit_margin",
        "is_overfit",
        "is_in_expected_band",
        "data_fingerprint",
    ]
    assert runs[figures].notna().all().all()
    assert (runs["as_of"] == AS_OF).all()
    assert (runs["lookback_bars"] == 600).all()
    by_horizon = runs.groupby("horizon")["n_validation_effective"].first()
    assert by_horizon["1d"] > 5 * by_horizon["20d"]


def test_rows_count_as_the_cut_says(trained):
    warehouse, _ = trained
    counted = read(
        warehouse,
        """
        select
            examples.horizon,
            examples.split_part,
            count(*) as n,
            max(runs.n_fit) as n_fit,
            max(runs.n_validation) as n_validation,
            max(runs.n_purged) as n_purged
        from {features}.training_examples as examples
        inner join {ml}.training_runs as runs
            on
                examples.cut_id = runs.cut_id
                and examples.symbol_id = runs.symbol_id
                and examples.horizon = runs.horizon
        where examples.ticker = 'AAPL'
        group by examples.horizon, examples.split_part
        """,
    )
    columns = {
        "fit": "n_fit",
        "validation": "n_validation",
        "purged": "n_purged",
    }
    assert len(counted) == 9
    for row in counted.to_dict("records"):
        assert row["n"] == row[columns[row["split_part"]]]


def test_weights_sum_to_one_and_climatology_stands_where_skill_does_not(
    trained,
):
    warehouse, _ = trained
    weights = read(
        warehouse,
        """
        select
            weights.*,
            runs.timeframe,
            cast(
                runs.model_performances
                -> 'weighed_ensembles_of_all_series' ->> 'skill'
                as double precision
            ) as skill_of_all
        from {ml}.ensemble_weights as weights
        inner join {ml}.training_runs as runs
            on
                weights.version_id = runs.version_id
                and weights.horizon = runs.horizon
        """,
    )
    sums = weights.groupby(["version_id", "horizon"])["weight"].sum()
    np.testing.assert_allclose(sums, 1.0)
    assert weights["reason"].str.len().min() > 10
    climatology = weights[weights["member"] == "climatology"]
    alone = climatology["weight"] == 1.0
    assert (alone == (climatology["skill_of_all"] <= 0)).all()
    # One decision for all series of a timeframe and horizon.
    decided = climatology.assign(alone=alone).groupby(["timeframe", "horizon"])
    assert (decided["alone"].nunique() == 1).all()
    assert (decided["skill_of_all"].nunique() == 1).all()


def test_the_artifact_forecasts_with_what_is_on_record(trained):
    warehouse, _ = trained
    version = read(
        warehouse,
        """
        select ensembles.*
        from {ml}.ensembles as ensembles
        inner join {raw}.symbols as symbols
            on ensembles.symbol_id = symbols.symbol_id
        where symbols.ticker = 'AAPL'
        """,
    ).iloc[0]
    path = warehouse.settings.home / version["artifact_path"]
    assert version["artifact_path"].startswith("trained_ensembles/AAPL_d1_2")
    ensemble = load_artifact(
        path,
        sha256=version["sha256"],
        folder=warehouse.settings.artifacts_dir,
    )
    assert list(ensemble.feature_names) == version["feature_names"]
    assert list(ensemble.horizons) == version["horizons"] == ["1d", "5d", "20d"]
    assert version["classes"] == list(CLASSES)
    assert ensemble.as_of == version["as_of"] == AS_OF
    recorded = read(
        warehouse,
        "select horizon, member, weight from {ml}.ensemble_weights "
        "where version_id = :version_id",
        version_id=version["version_id"],
    )
    for name, horizon in ensemble.horizons.items():
        rows = read(
            warehouse,
            f"""
            select {", ".join(ensemble.feature_names)}
            from {{features}}.scoring_examples
            where
                ticker = 'AAPL' and timeframe = 'd1' and horizon = :horizon
            order by bar_number desc
            limit 50
            """,
            horizon=name,
        ).to_numpy()
        assert len(rows) == 50
        P = horizon.predict_proba(rows)
        np.testing.assert_allclose(P.sum(axis=1), 1)
        mine = recorded[recorded["horizon"] == name]
        assert dict(zip(mine["member"], mine["weight"], strict=True)) == (
            dict(horizon.weights)
        )
    assert load_ensemble(warehouse, version["version_id"]).ticker == "AAPL"


def test_the_deployment_takes_effect_at_the_as_of_time(trained):
    warehouse, _ = trained
    deployments = read(warehouse, "select * from {ml}.deployments")
    assert (deployments["effective_at"] == AS_OF).all()
    assert (deployments["reason"] == "trained (manual)").all()


def test_the_same_training_again_adds_nothing(trained):
    warehouse, before = trained
    rows, files = count_rows(warehouse), artifacts(warehouse)
    summary = train(
        warehouse, symbols=["AAPL", "IBM"], timeframes=["d1"], as_of=AS_OF
    )
    assert (summary.count("trained"), summary.count("up to date")) == (0, 2)
    assert count_rows(warehouse) == rows
    assert artifacts(warehouse) == files
    assert set(summary.results["skill"]) == set(before.results["skill"])


FIGURES = """
    select
        symbols.ticker,
        runs.horizon,
        runs.skill,
        runs.train_accuracy,
        runs.ensemble_validation_accuracy,
        cast(runs.weights as text) as weights,
        cast(runs.model_performances as text) as performances,
        runs.data_fingerprint
    from {ml}.training_runs as runs
    inner join {raw}.symbols as symbols on runs.symbol_id = symbols.symbol_id
    where runs.status = 'succeeded'
    order by symbols.ticker, runs.horizon
"""


def test_another_warehouse_and_number_of_jobs_give_the_same_figures(
    trained, full_sample
):
    warehouse, _ = trained
    train(
        full_sample,
        symbols=["IBM", "AAPL"],
        timeframes=["d1"],
        as_of=AS_OF,
        n_jobs=1,
    )
    assert read(full_sample, FIGURES).equals(read(warehouse, FIGURES))


def test_nothing_after_the_as_of_time_reaches_a_version(aapl):
    before = read(aapl, FIGURES)
    execute(
        aapl,
        "update {features}.feature_rows set "
        "return_1 = return_1 + 1 where closed_at > :as_of",
        as_of=AS_OF,
    )
    execute(
        aapl,
        "update {features}.labels set label = 'NEUTRAL', label_return = 0 "
        "where label_end_at > :as_of and label is not null",
        as_of=AS_OF,
    )
    assert train_one(aapl).count("up to date") == 1
    assert read(aapl, FIGURES).equals(before)


def test_class_shares_of_fit_know_nothing_of_validation(aapl):
    cut = read(aapl, "select * from {ml}.training_cuts").iloc[0]
    series, _, _ = resolve_series(
        aapl, symbols=["AAPL"], timeframes=["d1"], as_of=AS_OF
    )

    def class_shares():
        examples = read_examples(
            aapl, int(cut["cut_id"]), series, read_feature_names(aapl)
        )
        return [
            (rows.fit_climatology, rows.window_climatology)
            for rows in examples[series[0].symbol_id].horizons
        ]

    before = class_shares()
    execute(
        aapl,
        "update {features}.labels set label = 'BULLISH' "
        "where label is not null and label_end_at >= :boundary",
        boundary=cut["fit_labels_end_before"],
    )
    for (fit, window), (same, changed) in zip(
        before, class_shares(), strict=True
    ):
        np.testing.assert_array_equal(fit, same)
        assert changed[BULLISH] > window[BULLISH] + 0.01


def test_what_members_said_in_validation_knows_no_label_of_it(aapl):
    """Truncation, through every process and the places of pooled members."""

    def said():
        train_one(aapl)
        version_id = read(
            aapl,
            "select version_id from {ml}.ensembles "
            "order by created_at desc limit 1",
        )["version_id"].iloc[0]
        return load_ensemble(aapl, version_id).horizons

    before = said()
    cut = read(aapl, "select * from {ml}.training_cuts").iloc[0]
    execute(
        aapl,
        "update {features}.labels set label = case label "
        "when 'NEUTRAL' then 'BULLISH' when 'BULLISH' then 'NEUTRAL' "
        "else label end where label_end_at >= :boundary",
        boundary=cut["fit_labels_end_before"],
    )
    after = said()
    for horizon, changed in after.items():
        same = before[horizon]
        assert set(ROSTER) == set(same.validation.member_names)
        assert not np.array_equal(same.validation.y, changed.validation.y)
        np.testing.assert_array_equal(
            same.validation.probabilities, changed.validation.probabilities
        )


def test_a_changed_row_of_the_window_makes_a_new_version(aapl):
    execute(
        aapl,
        """
        update {features}.feature_rows set return_1 = return_1 + 1
        where ticker = 'AAPL' and timeframe = 'd1' and closed_at = (
            select max(closed_at) from {features}.feature_rows
            where closed_at < timestamptz '2012-01-01'
        )
        """,
    )
    assert train_one(aapl).count("trained") == 1
    assert count_rows(aapl)["ensembles"] == 2


def test_series_are_weighed_together_or_alone_as_asked(trained, aapl):
    warehouse, _ = trained
    alone, together = read(aapl, FIGURES), read(warehouse, FIGURES)
    together = together[together["ticker"] == "AAPL"].reset_index(drop=True)
    # Climatology and members are the same, the weights' prior is not.
    assert alone["data_fingerprint"].equals(together["data_fingerprint"])
    assert not alone["weights"].equals(together["weights"])


def test_members_are_weighed_as_a_training_is_told(sample):
    as_seeded = train_one(sample).results
    assert set(as_seeded["weight_method"]) == {"ridge"}
    told = train_one(sample, weights=WeightSettings("equal"))
    assert told.count("trained") == 1
    assert set(told.results["weight_method"]) == {"equal"}
    assert set(told.results["data_fingerprint"]) == set(
        as_seeded["data_fingerprint"]
    )
    again = train_one(sample, weights=WeightSettings("equal"))
    assert again.count("up to date") == 1


def n_series_weighed(warehouse, as_of):
    found = read(
        warehouse,
        "select distinct cast(model_performances "
        "-> 'weighed_ensembles_of_all_series' ->> 'n_series' as integer) as n "
        "from {ml}.training_runs where as_of = :as_of and status = 'succeeded'",
        as_of=as_of,
    )
    return found["n"].tolist()


def test_a_series_trained_alone_is_weighed_with_those_that_were_live(sample):
    earlier, later = (
        end_of_day(date(2012, 6, day)) for day in (AS_OF.day - 2, AS_OF.day - 1)
    )
    train_one(sample, symbols=["AAPL", "IBM"], as_of=earlier)

    train_one(sample, as_of=later)
    before = end_of_day(date(2012, 6, 20))
    train_one(sample, as_of=before)

    assert n_series_weighed(sample, later) == [2]
    # Nobody was live at that time: later versions know its future.
    assert n_series_weighed(sample, before) == [1]


class Interruption(BaseException):
    pass


def interrupt_after(monkeypatch, n_saved, error):
    saved = []
    save = recording.save_ensemble

    def interrupted(ensemble, folder):
        written = save(ensemble, folder)
        saved.append(ensemble.ticker)
        if len(saved) > n_saved:
            raise error
        return written

    monkeypatch.setattr(recording, "save_ensemble", interrupted)


def test_an_interrupted_training_is_finished_by_the_same_command(
    sample, sample_copy, monkeypatch
):
    series = {"symbols": ["AAPL", "IBM"], "timeframes": ["d1"], "as_of": AS_OF}
    with monkeypatch.context() as patch:
        patch.setattr(record, "VERSIONS_PER_TRANSACTION", 1)
        interrupt_after(patch, 1, Interruption())
        with pytest.raises(Interruption):
            train(sample, **series)
    # One is whole, the other a file without a row.
    assert count_rows(sample)["ensembles"] == 1
    assert len(artifacts(sample)) == 3
    summary = train(sample, **series)
    assert (summary.count("trained"), summary.count("up to date")) == (1, 1)
    assert len(artifacts(sample)) == 2
    with sample_copy() as uninterrupted:
        train(uninterrupted, **series)
        assert count_rows(sample) == count_rows(uninterrupted)
        assert read(sample, FIGURES).equals(read(uninterrupted, FIGURES))


def test_a_full_disk_fails_the_series_and_deploys_nothing(sample, monkeypatch):
    error = ArtifactError("No space left on device.")
    monkeypatch.setattr(
        recording, "save_ensemble", lambda *_: (_ for _ in ()).throw(error)
    )
    with pytest.raises(TrainingError, match="No space left on device"):
        train_one(sample)
    rows = count_rows(sample)
    assert (rows["ensembles"], rows["deployments"]) == (0, 0)
    assert artifacts(sample) == []
    failed = read(sample, "select * from {ml}.training_runs")
    assert list(failed["status"]) == ["failed"] * 3


def test_an_altered_artifact_is_replaced_by_a_new_version(aapl):
    [name] = artifacts(aapl)
    path = aapl.settings.artifacts_dir / name
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert train_one(aapl).count("trained") == 1
    assert train_one(aapl).count("up to date") == 1
    versions = read(
        aapl,
        "select version_id from {ml}.deployments order by deployment_id",
    )["version_id"]
    assert len(set(versions)) == 2
    assert load_ensemble(aapl, versions.iloc[-1])
    with pytest.raises(ArtifactError, match="altered"):
        load_ensemble(aapl, versions.iloc[0])


def test_weights_are_pulled_towards_what_the_pool_is_large_enough_for(trained):
    warehouse, _ = trained
    booster, regression = (
        "pooled_gradient_boosting",
        "pooled_logistic_regression",
    )
    pooled = read(warehouse, "select * from {ml}.pooled_members")
    n_rows = pooled[pooled["member"] == booster].set_index("horizon")["n_rows"]
    version_id = read(warehouse, "select version_id from {ml}.ensembles")[
        "version_id"
    ].iloc[0]
    for name, horizon in load_ensemble(warehouse, version_id).horizons.items():
        validation = horizon.validation
        prior = dict(
            zip(validation.member_names, validation.prior_weights, strict=True)
        )
        n_labels = n_rows[name] / horizon.horizon_bars
        assert prior[booster] / prior[regression] == pytest.approx(
            n_labels / (n_labels + POOLED_BOOSTER_HALF_WEIGHT_LABELS)
        )


def test_pooled_members_are_read_once_for_all_series(trained):
    warehouse, _ = trained
    versions = read(warehouse, "select version_id from {ml}.ensembles")
    _load_pooled.cache_clear()
    for version_id in versions["version_id"]:
        load_ensemble(warehouse, version_id)
    read_in_all = _load_pooled.cache_info()
    assert (read_in_all.misses, read_in_all.hits) == (6, 6)


def test_an_altered_pooled_member_is_refused_and_replaced(aapl):
    old = read(aapl, "select version_id from {ml}.ensembles")["version_id"]
    name = pooled_artifacts(aapl)[0]
    path = aapl.settings.artifacts_dir / name
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    _load_pooled.cache_clear()
    with pytest.raises(ArtifactError, match="altered and was not read"):
        load_ensemble(aapl, old.iloc[0])
    assert train_one(aapl).count("trained") == 1
    assert train_one(aapl).count("up to date") == 1
    assert len(pooled_artifacts(aapl)) == 7
    versions = read(aapl, "select version_id from {ml}.ensembles")
    (new,) = set(versions["version_id"]) - set(old)
    assert load_ensemble(aapl, new)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            "update {features}.labels set label = 'NEUTRAL' "
            "where ticker = 'AAPL' and horizon = '5d' and label = 'BULLISH'",
            "AAPL d1 5d has .* 0 BULLISH",
        ),
        (
            "update {features}.feature_rows set is_usable = false, "
            "unusable_reason = 'spoiled' where ticker = 'AAPL' "
            "and timeframe = 'd1' and bar_number % 20 <> 0",
            r"rows to fit on and needs 100",
        ),
    ],
    ids=["one class missing", "30 rows"],
)
def test_a_series_that_cannot_be_trained_does_not_stop_the_others(
    sample, spoil, reason
):
    execute(sample, spoil)
    summary = train(
        sample, symbols=["AAPL", "IBM"], timeframes=["d1"], as_of=AS_OF
    )
    assert (summary.count("trained"), summary.count("failed")) == (1, 1)
    failed = read(
        sample, "select * from {ml}.training_runs where status = 'failed'"
    )
    assert set(failed["horizon"]) == {"1d", "5d", "20d"}
    assert failed["error_message"].str.contains(reason, regex=True).all()
    assert failed["version_id"].isna().all()
    assert "Failed: AAPL d1" in summary.to_text()
    assert count_rows(sample)["deployments"] == 1


@pytest.mark.parametrize(
    ("spoil", "expectation"),
    [
        (
            "update {features}.feature_rows set return_1 = 'NaN' "
            "where ticker = 'AAPL' and timeframe = 'd1'",
            "expect_features_to_be_finite",
        ),
        (
            "delete from {features}.feature_rows where ticker = 'AAPL' "
            "and timeframe = 'd1'",
            "expect_series_to_be_in_both_parts",
        ),
    ],
    ids=["nan", "rows lost"],
)
def test_a_cut_that_fails_its_expectations_is_not_trained_on(
    sample, spoil, expectation
):
    execute(sample, spoil)
    with pytest.raises(ValidationFailedError, match=expectation):
        train(sample, symbols=["AAPL", "IBM"], timeframes=["d1"], as_of=AS_OF)
    rows = count_rows(sample)
    assert rows["ensembles"] == rows["deployments"] == 0
    assert not sample.settings.artifacts_dir.exists()


def test_a_fault_of_the_data_explains_what_came_of_it(sample, monkeypatch):
    def fail(*_):
        raise NotEnoughDataError("no row is left")

    execute(
        sample,
        "delete from {features}.feature_rows where ticker = 'AAPL' "
        "and timeframe = 'd1'",
    )
    monkeypatch.setattr(read_stage, "read_pooled_examples", fail)
    with pytest.raises(
        ValidationFailedError, match="expect_series_to_be_in_both_parts"
    ):
        train_one(sample, symbols=["AAPL", "IBM"])


def test_a_series_whose_bars_ended_is_left_out_on_record(sample):
    execute(
        sample,
        "delete from {features}.bars where ticker = 'AAPL' "
        "and timeframe = 'd1' and closed_at > timestamptz '2012-06-15'",
    )
    summary = train(
        sample, symbols=["AAPL", "IBM"], timeframes=["d1"], as_of=AS_OF
    )
    assert (summary.count("trained"), summary.count("failed")) == (1, 1)
    [message] = summary.results["error_message"].dropna().unique()
    assert "AAPL d1: left out, its last bar by 2012-06-29" in message
    assert "11 sessions earlier" in message


def test_a_timeframe_without_enough_bars_does_not_stop_the_other(sample):
    summary = train(
        sample, symbols=["AAPL"], as_of=end_of_day(date(2003, 6, 30))
    )
    assert (summary.count("trained"), summary.count("failed")) == (1, 1)
    [message] = summary.results["error_message"].dropna().unique()
    assert "XNYS w1 as of 2003-06-30" in message
    assert "--as-of" in message


@pytest.mark.parametrize(
    ("keywords", "error", "says"),
    [
        (
            {"symbols": ["APPL"]},
            UnknownSeriesError,
            "Unknown symbol APPL; the warehouse has AAPL, GOOG, IBM, MSFT",
        ),
        (
            {"timeframes": ["m1"]},
            UnknownSeriesError,
            "Unknown timeframe m1; the warehouse has d1, w1",
        ),
        (
            {"as_of": end_of_day(date(1999, 12, 31))},
            NotEnoughDataError,
            "by 1999-12-31; the first closed on 2000-03-01",
        ),
        (
            {"as_of": end_of_day(date(2000, 9, 1))},
            TrainingError,
            r"earliest as-of date is 2001-\d\d-\d\d \(--as-of\)",
        ),
        (
            {"as_of": end_of_day(date(2030, 1, 1))},
            TrainingError,
            "Load newer bars or use an earlier --as-of",
        ),
        ({"as_of": datetime(2012, 6, 29)}, SettingsError, "no time zone"),
        ({"split": "90/10"}, SettingsError, "Unknown split '90/10'"),
        ({"trigger": "mood"}, SettingsError, "Unknown trigger 'mood'"),
        ({"n_jobs": 0}, SettingsError, "n_jobs is 0"),
        ({"embargo_bars": -1}, SettingsError, "embargo_bars is -1"),
    ],
)
def test_what_cannot_be_trained_is_told_with_the_way_out(
    trained, keywords, error, says
):
    warehouse, _ = trained
    before = count_rows(warehouse)
    with pytest.raises(error, match=says):
        train_one(warehouse, **keywords)
    assert count_rows(warehouse) == before


def test_an_unbuilt_warehouse_says_how_to_build(warehouse):
    process = run_command_process(
        warehouse_environment(warehouse), "train", "--all"
    )
    assert process.returncode == 1
    assert "swiftbolt run" in process.stderr


def test_without_an_as_of_time_the_last_bar_is_used(sample):
    summary = train_one(sample, as_of=None)
    assert summary.as_of == {"XNYS": datetime(2013, 3, 1, 21, tzinfo=UTC)}
    assert summary.count("trained") == 1


def test_two_trainings_at_once_exclude_each_other(sample):
    with (
        job_run(sample, "train", {}),
        pytest.raises(JobRunningError, match="already running"),
    ):
        train_one(sample)
    assert train_one(sample).count("trained") == 1


def test_the_job_is_on_record_with_its_counts(trained):
    warehouse, summary = trained
    job = read(
        warehouse,
        "select * from {ml}.job_runs where job_run_id = :job_run_id",
        job_run_id=summary.job_run_id,
    ).iloc[0]
    assert job["status"] == "succeeded"
    assert job["counts"] == {"trained": 2, "up_to_date": 0, "failed": 0}
    assert job["arguments"]["symbols"] == ["AAPL", "IBM"]


def test_the_command_prints_what_it_did(trained):
    warehouse, _ = trained
    arguments = ["train", "--symbols", "AAPL,IBM", "--timeframes", "d1"]
    arguments += ["--as-of", "2012-06-29"]
    table = run_swiftbolt(warehouse, *arguments)
    assert table.returncode == 0
    assert "0 trained, 2 up to date, 0 failed" in table.stdout
    lines = [line.split() for line in table.stdout.splitlines()]
    assert ["AAPL", "d1", "20d"] in [line[:3] for line in lines]
    machine = run_swiftbolt(warehouse, *arguments, "--json")
    result = json.loads(machine.stdout)
    assert result["up_to_date"] == 2
    assert len(result["results"]) == 6


@pytest.mark.parametrize(
    "arguments", [[], ["--timeframes", "d1"], ["--all", "--symbols", "AAPL"]]
)
def test_the_command_wants_symbols_or_all(warehouse, arguments):
    process = run_swiftbolt(warehouse, "train", *arguments)
    assert process.returncode == 2
    assert "Give either --symbols or --all" in process.stderr


@pytest.mark.parametrize("method", [[], ["--weights", "equal"]])
def test_a_penalty_wants_a_method_that_has_one(warehouse, method):
    process = run_swiftbolt(
        warehouse, "train", "--all", "--alpha", "2", *method
    )
    assert process.returncode == 2
    assert "give --weights ridge or --weights lasso" in process.stderr


@pytest.mark.parametrize(
    "seconds", [pytest.param(5.0, marks=pytest.mark.slow), 8.0]
)
def test_a_killed_training_is_finished_without_orphans(
    trained, full_sample, seconds
):
    uninterrupted, _ = trained
    arguments = ["train", "--symbols", "AAPL,IBM", "--timeframes", "d1"]
    arguments += ["--as-of", "2012-06-29", "--jobs", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "python_ml.cli", *arguments],
        cwd=PROJECT_ROOT,
        env=warehouse_environment(full_sample),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(50):
        finished = run_swiftbolt(full_sample, *arguments)
        if "already running" not in finished.stderr:
            break
        time.sleep(0.1)
    assert finished.returncode == 0, finished.stderr
    assert count_rows(full_sample) == count_rows(uninterrupted)
    assert read(full_sample, FIGURES).equals(read(uninterrupted, FIGURES))
    versions = read(full_sample, "select version_id from {ml}.ensembles")
    assert artifacts(full_sample) == sorted(
        f"{version_id}.joblib" for version_id in versions["version_id"]
    )
    assert_pooled_members_are_whole(full_sample, n_horizons=3)
