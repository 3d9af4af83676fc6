"""The suites on every timeframe, loaded or rolled up, in one pass.

MSFT is loaded as m15 only; each fault is planted in one of its timeframes.
"""

from collections.abc import Callable, Iterator

import pytest

from expectations.summary import ExpectationOutcome
from python_ml.warehouse import validation
from python_ml.warehouse.connection import Warehouse
from tests import small_market

TIMEFRAMES = ("m15", "h1", "h4", "d1", "w1")
# First, split and as-of bar of a cut, by timeframe.
CUTS = {
    "m15": (20, 2000, 3000),
    "h1": (20, 500, 800),
    "h4": (20, 150, 230),
    "d1": (20, 76, 110),
    "w1": (2, 15, 24),
}


@pytest.fixture(scope="module")
def market_database(fresh_warehouse: Callable[..., Warehouse]) -> str:
    """Name of a database with all timeframes and a cut for each."""
    with fresh_warehouse() as made:
        small_market.build(made, is_intraday=True)
        for timeframe, (first, split, as_of) in CUTS.items():
            small_market.add_cut(
                made,
                timeframe=timeframe,
                first_bar=first,
                split_bar=split,
                as_of_bar=as_of,
            )
    return made.parameters.database


@pytest.fixture
def market(
    market_database: str, fresh_warehouse: Callable[..., Warehouse]
) -> Iterator[Warehouse]:
    """The healthy market, for one test to break."""
    with fresh_warehouse(template=market_database) as made:
        yield made


def failed(warehouse: Warehouse) -> dict[str, ExpectationOutcome]:
    """What fails and is no mere warning, by suite.expectation."""
    return {
        f"{suite.suite}.{outcome.expectation}": outcome
        for suite in validation.judge(warehouse).suites
        for outcome in suite.outcomes
        if not outcome.is_success and outcome.severity == "critical"
    }


def break_bar(warehouse: Warehouse, table: str, change: str, key: str) -> None:
    small_market.execute(
        warehouse,
        f"update {{features}}.{table} set {change} "
        f"where ticker = 'MSFT' and {key}",
    )


def test_all_timeframes_pass_in_one_pass(market: Warehouse) -> None:
    summary = validation.validate(market)

    assert [suite.status for suite in summary.suites] == ["passed"] * 4
    with market.begin() as connection:
        for table in ("bars", "feature_rows", "labels", "training_examples"):
            found = connection.exec_driver_sql(
                f"select distinct timeframe from features.{table}"
            )
            assert set(found.scalars()) == set(TIMEFRAMES), table


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
@pytest.mark.parametrize(
    ("table", "change", "expectation"),
    [
        ("bars", "high = 1", "expect_prices_to_be_ordered"),
        (
            "bars",
            "closed_at = closed_at + interval '1 minute'",
            "expect_bars_to_lie_on_the_grid",
        ),
        ("feature_rows", "return_1 = 'NaN'", "expect_features_to_be_finite"),
        (
            "feature_rows",
            "last_bar_closed_at = closed_at + interval '15 minutes'",
            "expect_rows_to_use_no_later_bar",
        ),
        (
            "labels",
            "label_end_at = label_end_at + interval '15 minutes'",
            "expect_labels_to_end_on_the_grid",
        ),
    ],
)
def test_a_fault_of_one_bar_is_found_with_its_key(
    market: Warehouse,
    timeframe: str,
    table: str,
    change: str,
    expectation: str,
) -> None:
    key = f"timeframe = '{timeframe}' and bar_number = 20"
    break_bar(market, table, change, key)

    outcome = failed(market)[f"{table}.{expectation}"]

    assert {
        (sample["ticker"], sample["timeframe"], sample["bar_number"])
        for sample in outcome.samples
    } == {("MSFT", timeframe, 20)}


@pytest.mark.parametrize("timeframe", ["h1", "h4", "d1", "w1"])
def test_a_coarser_series_that_was_not_rolled_up_is_found(
    market: Warehouse, timeframe: str
) -> None:
    small_market.execute(
        market,
        "delete from {features}.bars "
        f"where ticker = 'MSFT' and timeframe = '{timeframe}'",
    )

    outcome = failed(market)["bars.expect_coarser_series_to_be_there"]

    (sample,) = outcome.samples
    assert (sample["ticker"], sample["timeframe"]) == ("MSFT", timeframe)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("rolled_up_from = null", "timeframe = 'h1' and bar_number = 40"),
        ("rolled_up_from = 'w1'", "timeframe = 'h1'"),
        ("rolled_up_from = 'h1'", "timeframe = 'h1'"),
        ("rolled_up_from = 'h1'", "timeframe = 'd1'"),
        ("rolled_up_from = 'tick'", "timeframe = 'd1'"),
    ],
    ids=[
        "two sources",
        "a coarser source",
        "itself as source",
        "a source that was rolled up itself",
        "an unknown source",
    ],
)
def test_a_series_without_one_finer_loaded_source_is_found(
    market: Warehouse, change: str, key: str
) -> None:
    break_bar(market, "bars", change, key)

    assert set(failed(market)) == {"bars.expect_series_to_have_one_source"}


def test_a_loaded_bar_that_passes_for_a_rolled_up_one_is_found(
    market: Warehouse,
) -> None:
    break_bar(
        market,
        "bars",
        "rolled_up_from = 'm15'",
        "timeframe = 'm15' and bar_number = 40",
    )

    assert "bars.expect_loaded_bars_to_be_there" in failed(market)


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_a_horizon_without_labels_is_found_on_each_timeframe(
    market: Warehouse, timeframe: str
) -> None:
    small_market.execute(
        market,
        "delete from {features}.labels "
        f"where ticker = 'MSFT' and timeframe = '{timeframe}' "
        "and horizon in ('1d', '20d')",
    )

    assert set(failed(market)) == {
        "labels.expect_every_bar_to_have_every_horizon",
        "training_examples.expect_series_to_be_in_both_parts",
    }


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
def test_a_fit_row_behind_the_split_is_found_on_each_timeframe(
    market: Warehouse, timeframe: str
) -> None:
    split_bar = CUTS[timeframe][1]
    small_market.change_examples(
        market,
        "labels.label_end_at < cuts.fit_labels_end_before",
        "labels.label_end_at < cuts.fit_labels_end_before or ("
        f"labels.ticker = 'MSFT' and labels.timeframe = '{timeframe}' "
        f"and labels.bar_number = {split_bar - 1})",
    )

    found = failed(market)

    assert set(found) == {
        "training_examples.expect_fit_labels_to_end_before_the_split",
        "training_examples.expect_validation_to_start_after_fit_labels",
        "training_examples.expect_embargo_to_be_kept",
        "training_examples.expect_parts_to_hold_every_row",
    }
    for outcome in found.values():
        assert {
            (sample["ticker"], sample["timeframe"])
            for sample in outcome.samples
        } == {("MSFT", timeframe)}
