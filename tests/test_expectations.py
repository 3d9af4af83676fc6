"""The gate and its suites, shown faults one at a time.

Each fault is planted in a healthy small market; the test names the
expectation that has to notice.
"""

import contextlib
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from expectations import gate, plugins
from expectations.plugins.keyed_rows import (
    KeyedRowsExpectation,
    RowConditionExpectation,
)
from expectations.summary import ValidationSummary
from python_ml.exceptions import ValidationFailedError
from python_ml.schema import validation_results
from python_ml.scoring.requirements import (
    MIN_FIT_ROWS,
    MIN_VALIDATION_ROWS,
)
from python_ml.settings import PROJECT_ROOT
from python_ml.warehouse import validation
from python_ml.warehouse.connection import (
    Warehouse,
    connect,
    migrate_to_head,
)
from python_ml.warehouse.embedded import EmbeddedServer
from tests import small_market
from tests.conftest import embedded_settings, run_swiftbolt

SUITES = PROJECT_ROOT / "expectations" / "suites"
FIT_CONDITION = "labels.label_end_at < cuts.fit_labels_end_before"


@pytest.fixture(scope="module")
def market_database(fresh_warehouse: Callable[..., Warehouse]) -> str:
    """Name of a database with the small market and a cut per timeframe."""
    with fresh_warehouse() as made:
        small_market.build(made)
        small_market.add_cut(made)
        small_market.add_cut(
            made, timeframe="w1", first_bar=2, split_bar=15, as_of_bar=24
        )
    return made.parameters.database


@pytest.fixture
def market(
    market_database: str, fresh_warehouse: Callable[..., Warehouse]
) -> Iterator[Warehouse]:
    """The healthy small market, for one test to break."""
    with fresh_warehouse(template=market_database) as made:
        yield made


@pytest.fixture
def checkout(market: Warehouse, tmp_path: Path) -> Iterator[Warehouse]:
    """The market, judged by a copy of `expectations/` that may be changed."""
    shutil.copytree(
        PROJECT_ROOT / "expectations",
        tmp_path / "expectations",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    made = replace(
        market, settings=replace(market.settings, project_root=tmp_path)
    )
    yield made
    made.close_readers()


def failures(warehouse: Warehouse) -> set[str]:
    """What fails and is no mere warning, as suite.expectation."""
    return named_failures(validation.judge(warehouse))


def named_failures(summary: ValidationSummary) -> set[str]:
    return {
        f"{suite.suite}.{outcome.expectation}"
        for suite in summary.suites
        for outcome in suite.outcomes
        if not outcome.is_success and outcome.severity == "critical"
    }


def suite_path(warehouse: Warehouse, name: str) -> Path:
    return warehouse.settings.expectations_dir / "suites" / f"{name}.json"


def edit_suite(
    warehouse: Warehouse, name: str, edit: Callable[[dict], None]
) -> None:
    path = suite_path(warehouse, name)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_a_healthy_market_passes_every_suite(market: Warehouse) -> None:
    summary = validation.validate(market)

    assert [suite.status for suite in summary.suites] == ["passed"] * 4
    assert [suite.n_rows for suite in summary.suites] == [288, 268, 528, 382]
    assert summary.n_expectations == 38


# --- features ---------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["'NaN'", "'Infinity'", "'-Infinity'", "null"]
)
@pytest.mark.parametrize("feature", small_market.FEATURES)
def test_a_feature_that_is_not_finite_in_a_usable_row_is_found(
    market: Warehouse, feature: str, value: str
) -> None:
    small_market.execute(
        market,
        f"update {{features}}.feature_rows set {feature} = {value} "
        "where ticker = 'IBM' and timeframe = 'd1' and bar_number = 40",
    )

    summary = validation.judge(market)

    assert named_failures(summary) == {
        "feature_rows.expect_features_to_be_finite",
        "training_examples.expect_features_to_be_finite",
    }
    (sample,) = next(
        outcome.samples
        for suite in summary.suites
        for outcome in suite.outcomes
        if suite.suite == "feature_rows" and not outcome.is_success
    )
    assert sample == {
        "symbol_id": 2,
        "ticker": "IBM",
        "timeframe": "d1",
        "bar_number": 40,
        "features": feature,
    }


def test_an_unusable_row_may_hold_anything(market: Warehouse) -> None:
    small_market.execute(
        market,
        "update {features}.feature_rows set return_1 = 'NaN' "
        "where not is_usable",
    )

    assert failures(market) == set()


def test_a_feature_of_the_catalog_without_a_column_is_found(
    market: Warehouse,
) -> None:
    small_market.execute(
        market,
        "insert into {features}.feature_catalog values ('trend_slope_20', 4)",
    )

    with pytest.raises(ValidationFailedError, match="feature=trend_slope_20"):
        validation.validate(market)


def test_an_empty_feature_catalog_is_found(market: Warehouse) -> None:
    small_market.execute(market, "delete from {features}.feature_catalog")

    assert "feature_rows.expect_features_to_be_finite" in failures(market)


@pytest.mark.parametrize(
    "column", ["last_bar_closed_at", "higher_bar_closed_at"]
)
def test_a_row_made_from_a_later_bar_is_found(
    market: Warehouse, column: str
) -> None:
    small_market.execute(
        market,
        f"update {{features}}.feature_rows "
        f"set {column} = closed_at + interval '1 second' "
        "where timeframe = 'd1' and bar_number = 40",
    )

    assert failures(market) == {"feature_rows.expect_rows_to_use_no_later_bar"}


# --- the split ---------------------------------------------------------------


def test_a_removed_purge_is_found(market: Warehouse) -> None:
    small_market.change_examples(
        market,
        FIT_CONDITION,
        "labels.closed_at < cuts.validation_starts_at",
    )

    assert failures(market) == {
        "training_examples.expect_validation_to_start_after_fit_labels",
        "training_examples.expect_fit_labels_to_end_before_the_split",
        "training_examples.expect_embargo_to_be_kept",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_less_or_equal_at_the_split_is_found(market: Warehouse) -> None:
    small_market.change_examples(
        market,
        FIT_CONDITION,
        "labels.label_end_at <= cuts.fit_labels_end_before",
    )

    assert failures(market) == {
        "training_examples.expect_validation_to_start_after_fit_labels",
        "training_examples.expect_fit_labels_to_end_before_the_split",
        "training_examples.expect_embargo_to_be_kept",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_less_or_equal_at_the_split_is_found_behind_a_longer_embargo(
    market: Warehouse,
) -> None:
    cut_id = small_market.add_cut(market, embargo_bars=3, as_of_bar=112)
    small_market.change_examples(
        market,
        FIT_CONDITION,
        "labels.label_end_at <= cuts.fit_labels_end_before",
    )

    assert named_failures(validation.judge(market, cut_ids=[cut_id])) == {
        "training_examples.expect_fit_labels_to_end_before_the_split",
        "training_examples.expect_embargo_to_be_kept",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_the_fit_rows_at_fault_are_named_with_their_cut_and_series(
    market: Warehouse,
) -> None:
    small_market.change_examples(
        market,
        FIT_CONDITION,
        "labels.label_end_at < cuts.fit_labels_end_before or ("
        "labels.ticker = 'IBM' and labels.horizon = '5d' "
        "and labels.bar_number = 71)",
    )

    with pytest.raises(
        ValidationFailedError,
        match="expect_fit_labels_to_end_before_the_split: 1 violations, such "
        "as cut_id=1 symbol_id=2 ticker=IBM timeframe=d1 horizon=5d "
        "bar_number=71",
    ):
        validation.validate(market)


def test_a_label_end_moved_back_a_bar_is_found(market: Warehouse) -> None:
    small_market.execute(
        market,
        """
        update {features}.labels
        set
            label_end_bar_number = labels.label_end_bar_number - 1,
            label_end_at = grid.closed_at
        from {features}.bar_grid as grid
        where
            labels.timeframe = 'd1'
            and labels.horizon = '5d'
            and grid.timeframe = 'd1'
            and grid.bar_number = labels.label_end_bar_number - 1
        """,
    )

    assert failures(market) == {
        "labels.expect_labels_to_end_on_the_grid",
        "training_examples.expect_labels_to_end_on_the_grid",
        "training_examples.expect_embargo_to_be_kept",
        "training_examples.expect_validation_to_follow_the_split",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_a_label_that_ends_no_later_than_its_bar_is_found(
    market: Warehouse,
) -> None:
    small_market.execute(
        market,
        "update {features}.labels set label_end_at = closed_at "
        "where bar_number = 10",
    )

    assert {
        "labels.expect_labels_to_end_after_they_begin",
        "labels.expect_labels_to_end_on_the_grid",
    } <= failures(market)


def test_a_cut_that_says_three_embargo_bars_and_keeps_one_is_found(
    market: Warehouse,
) -> None:
    small_market.execute(
        market, "update {ml}.training_cuts set embargo_bars = 3"
    )

    assert failures(market) == {
        "training_examples.expect_embargo_to_be_kept",
        "training_examples.expect_parts_to_hold_every_row",
    }


@pytest.mark.parametrize("embargo_bars", [1, 2, 5])
def test_every_embargo_that_is_kept_passes(
    market: Warehouse, embargo_bars: int
) -> None:
    cut_id = small_market.add_cut(
        market, embargo_bars=embargo_bars, as_of_bar=112
    )

    assert validation.validate(market, cut_ids=[cut_id]).is_success


def test_a_cut_that_fits_past_its_split_is_found(market: Warehouse) -> None:
    small_market.execute(
        market,
        "update {ml}.training_cuts set fit_labels_end_before "
        "= validation_starts_at + interval '7 days' where timeframe = 'd1'",
    )

    assert failures(market) == {
        "training_examples.expect_validation_to_start_after_fit_labels",
        "training_examples.expect_fit_labels_to_end_before_the_split",
        "training_examples.expect_embargo_to_be_kept",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_a_split_off_the_grid_is_found(market: Warehouse) -> None:
    small_market.execute(
        market,
        "update {ml}.training_cuts set validation_starts_at "
        "= validation_starts_at + interval '1 second' where timeframe = 'd1'",
    )

    assert "training_examples.expect_embargo_to_be_kept" in failures(market)


def test_validation_rows_before_the_split_are_found(market: Warehouse) -> None:
    small_market.change_examples(
        market,
        "labels.closed_at >= cuts.validation_starts_at",
        "labels.closed_at >= cuts.validation_starts_at - interval '4 days'",
    )

    assert failures(market) == {
        "training_examples.expect_validation_to_start_after_fit_labels",
        "training_examples.expect_validation_to_follow_the_split",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_validation_labels_that_end_after_as_of_are_found(
    market: Warehouse,
) -> None:
    small_market.change_examples(
        market,
        "and cuts.as_of >= labels.label_end_at",
        "and cuts.as_of >= labels.closed_at",
    )

    assert failures(market) == {
        "training_examples.expect_validation_to_follow_the_split",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_rows_after_as_of_are_found(market: Warehouse) -> None:
    small_market.change_examples(
        market, "and cuts.as_of >= labels.label_end_at", ""
    )

    assert failures(market) == {
        "training_examples.expect_validation_to_follow_the_split",
        "training_examples.expect_rows_to_lie_in_the_window",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_rows_before_the_window_are_found(market: Warehouse) -> None:
    small_market.change_examples(
        market, "and cuts.window_starts_at <= labels.closed_at", ""
    )

    assert failures(market) == {
        "training_examples.expect_rows_to_lie_in_the_window",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_rows_that_the_view_drops_are_found(market: Warehouse) -> None:
    small_market.change_examples(
        market,
        "and feature_rows.is_usable",
        "and feature_rows.is_usable and labels.bar_number <> 50",
    )

    assert failures(market) == {
        "training_examples.expect_parts_to_hold_every_row"
    }


def test_labels_of_one_class_only_are_found(market: Warehouse) -> None:
    small_market.execute(
        market,
        "update {features}.labels set label = 'NEUTRAL', label_return = 0 "
        "where label = 'BEARISH'",
    )

    assert failures(market) == {
        "training_examples.expect_each_class_to_have_its_share"
    }


def test_one_series_without_a_class_warns_and_stops_nothing(
    market: Warehouse,
) -> None:
    small_market.execute(
        market,
        "update {features}.labels set label = 'NEUTRAL', label_return = 0 "
        "where label = 'BEARISH' and ticker = 'IBM' and horizon = '5d'",
    )

    summary = validation.validate(market)

    (warning,) = (
        outcome
        for outcome in summary.suites[-1].outcomes
        if outcome.expectation == "expect_each_class_to_have_enough_rows"
    )
    assert not warning.is_success
    assert {
        "ticker": "IBM",
        "split_part": "fit",
        "n_bearish": 0,
    }.items() <= next(
        sample
        for sample in warning.samples
        if (sample["horizon"], sample["split_part"]) == ("5d", "fit")
    ).items()


# --- cuts ---------------------------------------------------------------------


def test_before_the_first_training_the_split_is_not_applicable(
    market: Warehouse,
) -> None:
    small_market.execute(market, "delete from {ml}.training_cuts")

    summary = validation.validate(market)

    assert summary.suites[-1].status == "not_applicable"
    assert "training_examples: not applicable, no cut yet" in summary.to_text()
    assert recorded(market, "training_examples") == [("not_applicable", True)]


def test_training_can_have_just_its_own_cuts_judged(market: Warehouse) -> None:
    early = small_market.add_cut(market, as_of_bar=100, split_bar=70)

    summary = validation.validate(market, cut_ids=[early])

    (suite,) = summary.suites
    assert suite.dataset == (
        f"features.training_examples where cut_id in ({early})"
    )


def test_by_default_the_newest_cut_of_each_timeframe_is_judged(
    market: Warehouse,
) -> None:
    newest = small_market.add_cut(market, as_of_bar=115, split_bar=80)
    small_market.add_cut(market, as_of_bar=100, split_bar=70)

    assert (
        validation.validate(market)
        .suites[-1]
        .dataset.endswith(f"where cut_id in (2, {newest})")
    )


def test_a_cut_without_rows_is_found(market: Warehouse) -> None:
    small_market.change_examples(
        market,
        "where labels.label is not null",
        "where labels.timeframe = 'd1' and labels.label is not null",
    )

    assert failures(market) == {
        "training_examples.expect_cuts_to_have_both_parts",
        "training_examples.expect_series_to_be_in_both_parts",
        "training_examples.expect_parts_to_hold_every_row",
    }


def test_the_cut_of_a_timeframe_that_is_built_no_more_is_not_judged(
    market: Warehouse,
) -> None:
    remove = "delete from {{features}}.{table} where timeframe = 'w1'"
    for table in ("feature_rows", "labels", "bars"):
        small_market.execute(market, remove.format(table=table))
    assert "training_examples.expect_cuts_to_have_both_parts" in failures(
        market
    )
    small_market.execute(market, remove.format(table="timeframes"))
    assert failures(market) == set()


@pytest.mark.parametrize("cut_ids", [[], [1, 99]])
def test_a_cut_that_is_not_there_cannot_be_judged(
    market: Warehouse, cut_ids: list[int]
) -> None:
    with pytest.raises(ValidationFailedError, match=r"\[99\]|No cut"):
        validation.validate(market, cut_ids=cut_ids)


# --- series, rows, labels, bars ----------------------------------------------


def test_a_series_missing_from_the_bars_is_found(market: Warehouse) -> None:
    small_market.execute(
        market,
        "delete from {features}.bars where ticker = 'IBM' and timeframe = 'd1'",
    )

    assert "bars.expect_loaded_bars_to_be_there" in failures(market)


def test_a_weekly_series_that_was_not_made_is_found(market: Warehouse) -> None:
    small_market.execute(
        market,
        "delete from {features}.bars where ticker = 'IBM' and timeframe = 'w1'",
    )

    assert "bars.expect_coarser_series_to_be_there" in failures(market)


def test_a_series_without_usable_rows_is_found(market: Warehouse) -> None:
    small_market.execute(
        market,
        "update {features}.feature_rows set is_usable = false "
        "where ticker = 'IBM' and timeframe = 'd1'",
    )

    assert failures(market) == {
        "feature_rows.expect_long_series_to_be_usable",
        "training_examples.expect_series_to_be_in_both_parts",
    }


def test_a_series_without_labels_for_a_horizon_is_found(
    market: Warehouse,
) -> None:
    small_market.execute(
        market,
        "delete from {features}.labels where ticker = 'IBM' and horizon = '5d'",
    )

    assert failures(market) == {
        "labels.expect_every_bar_to_have_every_horizon",
        "training_examples.expect_series_to_be_in_both_parts",
    }


def test_a_series_missing_from_the_training_examples_is_found(
    market: Warehouse,
) -> None:
    small_market.change_examples(
        market,
        "where labels.label is not null",
        "where labels.ticker <> 'IBM' and labels.label is not null",
    )

    assert failures(market) == {
        "training_examples.expect_series_to_be_in_both_parts",
        "training_examples.expect_parts_to_hold_every_row",
    }


@pytest.mark.parametrize("table", ["bars", "feature_rows", "labels"])
def test_a_row_that_is_there_twice_is_found(
    market: Warehouse, table: str
) -> None:
    small_market.execute(
        market,
        f"insert into {{features}}.{table} select * from {{features}}.{table} "
        "where bar_number = 40 limit 1",
    )

    assert f"{table}.expect_grain_to_be_unique" in failures(market)


@pytest.mark.parametrize("table", ["bars", "feature_rows", "labels"])
def test_an_empty_table_is_found(market: Warehouse, table: str) -> None:
    small_market.execute(market, f"delete from {{features}}.{table}")

    assert f"{table}.expect_table_row_count_to_be_between" in failures(market)


def test_an_empty_table_is_found_even_if_its_suite_does_not_look(
    checkout: Warehouse,
) -> None:
    def keep_what_passes_on_no_rows(content: dict) -> None:
        content["expectations"] = [
            entry
            for entry in content["expectations"]
            if entry["type"] == "expect_labels_or_reasons"
        ]

    edit_suite(checkout, "labels", keep_what_passes_on_no_rows)
    small_market.execute(checkout, "delete from {features}.labels")

    assert "labels.dataset_is_not_empty" in failures(checkout)


@pytest.mark.parametrize(
    ("change", "expectation"),
    [
        ("label = null", "expect_labels_or_reasons"),
        ("label = 'UP'", "expect_labels_to_be_classes"),
        ("label = 'BULLISH'", "expect_labels_to_agree_with_returns"),
        ("label_return = 'NaN'", "expect_labels_to_agree_with_returns"),
        ("expected_volatility = 0", "expect_labels_to_agree_with_returns"),
    ],
)
def test_a_label_that_is_none_is_found(
    market: Warehouse, change: str, expectation: str
) -> None:
    small_market.execute(
        market,
        f"update {{features}}.labels set {change} "
        "where bar_number = 40 and label = 'BEARISH'",
    )

    assert f"labels.{expectation}" in failures(market)


def test_a_label_given_before_its_bar_is_known_is_found(
    market: Warehouse,
) -> None:
    small_market.execute(
        market,
        "update {features}.labels "
        "set label = 'NEUTRAL', label_return = 0, label_reason = null "
        "where timeframe = 'd1' and horizon = '5d' and bar_number = 116",
    )

    assert failures(market) == {"labels.expect_labels_to_end_on_known_bars"}


@pytest.mark.parametrize(
    "change",
    ["high = 1", "low = 0", "close = 'NaN'", "adjusted_high = 'Infinity'"],
)
def test_prices_out_of_order_are_found(market: Warehouse, change: str) -> None:
    small_market.execute(
        market, f"update {{features}}.bars set {change} where bar_number = 40"
    )

    assert failures(market) == {"bars.expect_prices_to_be_ordered"}


def test_a_bar_off_the_grid_is_found(market: Warehouse) -> None:
    small_market.execute(
        market,
        "update {features}.bars set closed_at = closed_at + interval '1 hour' "
        "where timeframe = 'd1' and bar_number = 40",
    )

    assert failures(market) == {"bars.expect_bars_to_lie_on_the_grid"}


# --- failing closed -----------------------------------------------------------


def test_a_class_that_is_not_imported_fails_its_suite(
    checkout: Warehouse,
) -> None:
    edit_suite(
        checkout,
        "feature_rows",
        lambda content: content["expectations"].append(
            {"type": "expect_features_to_be_wonderful", "kwargs": {}}
        ),
    )

    with pytest.raises(
        ValidationFailedError,
        match=r"feature_rows suite_loaded_whole: .* holds 6 expectations, of "
        r"which 5 loaded, without expect_features_to_be_wonderful",
    ):
        validation.validate(checkout)


def test_an_expectation_with_wrong_arguments_fails_its_suite(
    checkout: Warehouse,
) -> None:
    edit_suite(
        checkout,
        "bars",
        lambda content: content["expectations"].append(
            {"type": "expect_prices_to_be_ordered", "kwargs": {"by": "me"}}
        ),
    )

    assert failures(checkout) == {"bars.suite_loaded_whole"}


def test_a_truncated_suite_file_fails_its_suite(checkout: Warehouse) -> None:
    path = suite_path(checkout, "labels")
    path.write_text(path.read_text()[:-200])

    assert failures(checkout) == {"labels.suite_loaded_whole"}


def test_a_suite_without_expectations_fails(checkout: Warehouse) -> None:
    edit_suite(
        checkout, "labels", lambda content: content.update(expectations=[])
    )

    assert failures(checkout) == {"labels.suite_loaded_whole"}


def test_a_missing_suite_fails(checkout: Warehouse) -> None:
    suite_path(checkout, "labels").unlink()

    assert failures(checkout) == {"labels.suite_is_there"}


def test_a_suite_that_nothing_would_run_fails(checkout: Warehouse) -> None:
    shutil.copy(
        suite_path(checkout, "bars"), suite_path(checkout, "bars_of_mine")
    )

    assert failures(checkout) == {"bars_of_mine.suite_is_known"}


def test_a_suite_without_a_query_fails(checkout: Warehouse) -> None:
    path = checkout.settings.expectations_dir / "great_expectations.yml"
    content = yaml.safe_load(path.read_text())
    del content["fluent_datasources"]["warehouse"]["assets"]["labels"]
    path.write_text(yaml.safe_dump(content))

    assert failures(checkout) == {"labels.dataset_is_known"}


def test_a_missing_context_fails_and_none_is_made(checkout: Warehouse) -> None:
    folder = checkout.settings.expectations_dir
    shutil.rmtree(folder)

    with pytest.raises(ValidationFailedError, match="git checkout"):
        validation.validate(checkout)
    assert not folder.exists()


def test_a_truncated_context_fails(checkout: Warehouse) -> None:
    path = checkout.settings.expectations_dir / "great_expectations.yml"
    path.write_text("config_version: [")

    with pytest.raises(ValidationFailedError, match="does not open"):
        validation.validate(checkout)


def test_a_missing_table_fails_with_the_command_that_builds_it(
    market: Warehouse,
) -> None:
    small_market.execute(market, "drop table {features}.labels cascade")

    summary = validation.judge(market)

    assert {
        "labels.dataset_can_be_read",
        "training_examples.dataset_can_be_read",
    } <= named_failures(summary)
    assert "swiftbolt run" in summary.to_text()


def test_a_missing_table_fails_also_before_the_first_training(
    market: Warehouse,
) -> None:
    small_market.execute(
        market,
        "drop view {features}.training_examples;delete from {ml}.training_cuts",
    )

    assert failures(market) == {"training_examples.dataset_can_be_read"}


def test_an_expectation_that_cannot_be_judged_fails_even_as_a_warning(
    checkout: Warehouse,
) -> None:
    def make_warnings(content: dict) -> None:
        for entry in content["expectations"]:
            entry["severity"] = "warning"

    edit_suite(checkout, "bars", make_warnings)
    small_market.execute(
        checkout, "alter table {features}.bars drop column high"
    )

    summary = validation.judge(checkout)

    assert named_failures(summary) == {"bars.expect_prices_to_be_ordered"}
    assert "could not be judged: " in summary.to_text()


def test_a_dead_server_fails(
    throwaway_home: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = embedded_settings(throwaway_home())
    server = EmbeddedServer(settings)
    with connect(settings, server.start()) as warehouse:
        migrate_to_head(warehouse)
        small_market.build(warehouse)
        small_market.add_cut(warehouse)
        open_context = gate.open_context

        def open_context_and_stop(url: str, **folders: Path) -> object:
            context = open_context(url, **folders)
            server.stop()
            return context

        monkeypatch.setattr(gate, "open_context", open_context_and_stop)
        with pytest.raises(ValidationFailedError, match="could not be validat"):
            validation.validate(warehouse)
        with pytest.raises(ValidationFailedError, match="could not be validat"):
            validation.validate(warehouse)


# --- the record, the context and the command ----------------------------------


def recorded(warehouse: Warehouse, suite: str) -> list[tuple[str, bool]]:
    table = validation_results
    with warehouse.begin() as connection:
        return [
            (row.expectation, row.is_success)
            for row in connection.execute(
                sa.select(table.c.expectation, table.c.is_success)
                .where(table.c.suite == suite)
                .order_by(table.c.validation_result_id)
            )
        ]


def test_every_expectation_leaves_a_row_before_the_gate_closes(
    market: Warehouse,
) -> None:
    small_market.execute(
        market,
        "update {features}.feature_rows set return_1 = 'NaN' "
        "where bar_number in (40, 41) and timeframe = 'd1'",
    )

    with pytest.raises(ValidationFailedError, match="2 of 38 expectations"):
        validation.validate(market)

    for suite in gate.SUITES:
        content = json.loads((SUITES / f"{suite}.json").read_text())
        assert [name for name, _ in recorded(market, suite)] == [
            entry["type"] for entry in content["expectations"]
        ]
    table = validation_results
    with market.begin() as connection:
        row = connection.execute(
            sa.select(table).where(
                table.c.suite == "feature_rows", ~table.c.is_success
            )
        ).one()
    assert row.expectation == "expect_features_to_be_finite"
    assert row.dataset == "features.feature_rows where is_usable"
    assert (row.n_rows, row.n_unexpected) == (268, 4)
    assert {
        (sample["ticker"], sample["bar_number"], sample["features"])
        for sample in row.details["samples"]
    } == {
        (ticker, bar_number, "return_1")
        for ticker in ("AAPL", "IBM")
        for bar_number in (40, 41)
    }


def test_a_schema_prefix_is_honoured(
    fresh_warehouse: Callable[..., Warehouse],
) -> None:
    with fresh_warehouse(schema_prefix="ann_") as warehouse:
        small_market.build(warehouse)
        small_market.add_cut(warehouse)

        assert validation.validate(warehouse).is_success
        small_market.execute(
            warehouse, "update {features}.bars set low = 0 where bar_number = 9"
        )
        assert failures(warehouse) == {"bars.expect_prices_to_be_ordered"}


def test_validation_leaves_the_checkout_and_the_console_as_they_were(
    checkout: Warehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = checkout.settings.expectations_dir

    def files() -> dict[Path, bytes]:
        return {
            path: path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    before = files()
    validation.validate(checkout)

    assert files() == before
    assert capfd.readouterr() == ("", "")
    assert (
        b"connection_string: ${SWIFTBOLT_DATABASE_URL}"
        in before[folder / "great_expectations.yml"]
    )


def test_validation_looks_nothing_up_on_the_network(
    market: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise AssertionError(f"looked up {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)

    assert validation.validate(market).is_success


def test_validation_leaves_no_connection_open(market: Warehouse) -> None:
    validation.validate(market)
    market.close()

    with market.begin() as connection:
        assert (
            connection.exec_driver_sql(
                "select count(*) from pg_stat_activity "
                "where datname = current_database()"
            ).scalar_one()
            == 1
        )


def test_every_own_expectation_is_in_a_suite_and_every_suite_has_a_query() -> (
    None
):
    content = {
        path.stem: json.loads(path.read_text()) for path in SUITES.iterdir()
    }
    context = yaml.safe_load(
        (SUITES.parent / "great_expectations.yml").read_text()
    )
    used = {
        entry["type"]
        for suite in content.values()
        for entry in suite["expectations"]
    }

    assert plugins.__all__
    own = {
        expectation.expectation_type
        for base in (KeyedRowsExpectation, RowConditionExpectation)
        for expectation in base.__subclasses__()
    }
    assert own - {RowConditionExpectation.expectation_type} <= used
    assert (
        set(content)
        == set(gate.SUITES)
        == set(context["fluent_datasources"]["warehouse"]["assets"])
    )


def test_the_warning_of_short_series_has_the_limits_of_training() -> None:
    content = json.loads((SUITES / "training_examples.json").read_text())

    (parameters,) = (
        entry["kwargs"]
        for entry in content["expectations"]
        if entry["type"] == "expect_parts_to_have_enough_rows"
    )
    assert parameters == {
        "min_fit_rows": MIN_FIT_ROWS,
        "min_validation_rows": MIN_VALIDATION_ROWS,
    }


def test_the_command_prints_suites_and_failures_and_exits_1(
    market: Warehouse,
) -> None:
    assert run_swiftbolt(market, "validate").returncode == 0
    small_market.execute(
        market, "update {features}.bars set low = 0 where bar_number = 9"
    )

    shown = run_swiftbolt(market, "validate")
    machine = run_swiftbolt(market, "validate", "--json")

    assert shown.returncode == machine.returncode == 1
    assert "bars: failed, 6 of 7 expectations, 288 rows" in shown.stdout
    assert "FAILED expect_prices_to_be_ordered: 4 violations" in shown.stdout
    assert "Error: 1 of 38 expectations failed" in shown.stderr
    assert json.loads(machine.stdout)["suites"][0]["status"] == "failed"
    with contextlib.closing(market.engine.connect()) as connection:
        assert connection.exec_driver_sql(
            "select status from ml.job_runs order by job_run_id"
        ).scalars().all() == ["succeeded", "failed", "failed"]
