"""What changed between the training sets of two versions."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.examples.catalog import read_feature_names
from python_ml.examples.cuts import (
    end_of_day,
    ensure_cuts,
)
from python_ml.examples.reading import read_examples
from python_ml.examples.series import Series
from python_ml.exceptions import UnknownVersionError
from python_ml.ingestion.load import ingest
from python_ml.training.training_set_diff import (
    TrainingSetDiff,
    diff_training_sets,
)
from python_ml.training.training_sets import read_training_set
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from python_ml.warehouse.ledgers import rewriting
from tests.conftest import BUILD_WITHOUT_TESTS, run_swiftbolt
from tests.restated_market import AS_OF, RestatedSource
from tests.synthetic_market import sessions

BUILD = [
    *BUILD_WITHOUT_TESTS,
    "--select",
    "+training_examples +class_counts +feature_catalog "
    "+horizon_feature_catalog",
]


def record_version(
    warehouse: Warehouse, version_id: str, *, days_later: int = 0
) -> None:
    """Put on record what a training of PAIR d1 would read now."""
    as_of = end_of_day(AS_OF) + timedelta(days=days_later)
    cuts = ensure_cuts(warehouse, {"XNYS": as_of}, [("XNYS", "d1")])
    cut_id, cut = cuts["XNYS", "d1"]
    symbol_id = int(
        read_frame(
            warehouse,
            "select symbol_id from {raw}.symbols where ticker = 'PAIR'",
        )["symbol_id"].iloc[0]
    )
    names = read_feature_names(warehouse)
    examples = read_examples(
        warehouse,
        cut_id,
        [Series(symbol_id, "PAIR", "XNYS", "d1")],
        names,
    )
    with warehouse.begin() as connection:
        connection.execute(
            schema.ensembles.insert().values(
                version_id=version_id,
                symbol_id=symbol_id,
                timeframe="d1",
                as_of=cut.as_of,
                cut_id=cut_id,
                artifact_path="",
                sha256="",
                horizons=["1d", "5d", "20d"],
                feature_names=list(names),
                classes=[],
                data_fingerprint=examples[symbol_id].fingerprint(),
                settings_fingerprint=version_id,
                code_version="test",
                library_versions={},
            )
        )


def record_new_weights(
    warehouse: Warehouse, version_id: str, members: str
) -> None:
    """Put a version on record that holds the members of another."""
    table = schema.ensembles
    with warehouse.begin() as connection:
        before = connection.execute(
            sa.select(table).where(table.c.version_id == members)
        ).mappings()
        connection.execute(
            table.insert().values(
                {name: value for name, value in before.one().items()}
                | {
                    "version_id": version_id,
                    "artifact_path": version_id,
                    "settings_fingerprint": version_id,
                    "members_version_id": members,
                    "created_at": datetime.now(UTC),
                    "written_at": sa.func.now(),
                }
            )
        )


def schemas(warehouse: Warehouse) -> set[str]:
    return set(
        read_frame(warehouse, "select nspname from pg_namespace")["nspname"]
    )


@pytest.fixture(scope="module")
def versions(
    fresh_warehouse: Callable[..., Warehouse], synthetic_database: str
) -> Warehouse:
    """Versions `first` and `same` on one load, `restated` on the next one and
    `later`, on that one too, with a cut five sessions later."""
    made = fresh_warehouse(template=synthetic_database)
    record_version(made, "first")
    record_version(made, "same")
    ingest(made, RestatedSource())
    run_dbt(made, BUILD)
    record_version(made, "restated")
    record_version(made, "later", days_later=7)
    return made


@pytest.fixture(scope="module")
def restated(versions: Warehouse) -> TrainingSetDiff:
    return diff_training_sets(versions, "first", "restated")


def test_restated_rows_are_found_with_the_columns_that_changed(
    versions: Warehouse, restated: TrainingSetDiff
) -> None:
    counts = restated.series.set_index("horizon")
    assert counts.index.tolist() == ["1d", "5d", "20d"]
    assert (counts["rows_a"] == counts["rows_b"]).all()
    assert (counts[["added", "removed", "moved"]] == 0).all(axis=None)

    # The restated close of session 300 is in the windows of the bars up to 60
    # behind it and the label of the bar one before.
    rows = restated.rows[restated.rows["horizon"] == "1d"]
    by_day = rows.set_index(rows["session_date"].dt.strftime("%Y-%m-%d"))
    days = sessions()
    assert set(by_day["change"]) == {"restated"}
    assert "label_return" in by_day.loc[days[299], "changed_columns"]
    assert "return_1" not in by_day.loc[days[299], "changed_columns"]
    assert "return_1" in by_day.loc[days[300], "changed_columns"]
    assert "return_60" in by_day.loc[days[360], "changed_columns"]
    assert not {days[298], days[361], days[370]} & set(by_day.index)


def test_the_rebuilt_rows_are_those_of_the_training(
    restated: TrainingSetDiff,
) -> None:
    assert restated.is_exact_a
    assert restated.is_exact_b
    assert restated.a.last_batch_id < restated.b.last_batch_id


def test_new_weights_were_trained_on_what_their_members_were(
    versions: Warehouse, restated: TrainingSetDiff
) -> None:
    record_new_weights(versions, "reweighed", "first")
    assert replace(
        read_training_set(versions, "reweighed"), version_id="first"
    ) == read_training_set(versions, "first")


def test_what_cannot_be_told_is_said(restated: TrainingSetDiff) -> None:
    # All bars were loaded long after they closed, three restated since.
    assert restated.a.n_bars_first_loaded_later == restated.a.n_bars > 200
    assert restated.a.n_bars_restated_later == 0
    assert 0 < restated.b.n_bars_restated_later <= 3
    text = restated.to_text(n_rows=5)
    assert "what was known of them then cannot be told" in text
    assert "recorded after its as-of time: not known then" in text
    assert "cannot be told exactly" not in text
    assert "... and" in text.splitlines()[-1]


def test_a_later_cut_adds_removes_and_moves_rows(versions: Warehouse) -> None:
    diff = diff_training_sets(versions, "restated", "later")
    counts = diff.series.set_index("horizon").loc["1d"]
    assert diff.is_exact_a
    assert diff.is_exact_b
    assert counts["added"] > 0
    assert counts["moved"] > 0
    assert counts["restated"] == 0
    assert (
        counts["rows_b"]
        == counts["rows_a"] + counts["added"] - counts["removed"]
    )
    moved = diff.rows[diff.rows["change"] == "moved"]
    assert (moved["split_part_a"] != moved["split_part_b"]).all()


def test_rows_of_a_version_on_other_tables_are_not_passed_off_as_its_own(
    versions: Warehouse,
) -> None:
    with rewriting(versions) as connection:
        connection.execute(
            schema.ensembles.update()
            .where(schema.ensembles.c.version_id == "same")
            .values(data_fingerprint="other")
        )
    diff = diff_training_sets(versions, "first", "same")
    assert (diff.is_exact_a, diff.is_exact_b) == (True, False)
    assert "What it was trained on cannot be told exactly" in diff.to_text()
    assert diff.rows.empty


def test_nothing_stays_of_a_comparison_but_its_record(
    versions: Warehouse, restated: TrainingSetDiff
) -> None:
    assert not {name for name in schemas(versions) if "batch_" in name}
    job = read_frame(
        versions,
        "select status, counts from {ml}.job_runs "
        "where job = 'diff-training-set' order by job_run_id limit 1",
    )
    assert job["status"].tolist() == ["succeeded"]
    assert job["counts"][0]["restated"] == len(restated.rows)


def test_an_unknown_version_is_named_with_those_there_are(
    versions: Warehouse,
) -> None:
    with pytest.raises(UnknownVersionError, match=r"'none'.* later, restated"):
        diff_training_sets(versions, "first", "none")


def test_the_command_prints_counts_and_as_many_rows_as_asked(
    versions: Warehouse,
) -> None:
    printed = run_swiftbolt(
        versions,
        "diff-training-set",
        "restated",
        "later",
        "--rows=3",
        "--json",
    )
    assert printed.returncode == 0, printed.stderr
    result = json.loads(printed.stdout)
    assert result["a"]["is_exact"]
    assert len(result["rows"]) == 3
    assert {one["ticker"] for one in result["series"]} == {"PAIR"}
    assert sum(one["added"] for one in result["series"]) > 0

    unknown = run_swiftbolt(versions, "diff-training-set", "first", "none")
    assert unknown.returncode == 1
    assert unknown.stderr.splitlines()[-1].startswith("Error: There is no")
