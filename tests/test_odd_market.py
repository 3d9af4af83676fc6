"""One bad series never stops the others, day after day."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from python_ml.examples.catalog import read_row_feature_names
from python_ml.forecasting.issue import forecast
from python_ml.ingestion.load import ingest
from python_ml.operations.daily import build
from python_ml.training.train import train
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from tests.conftest import run_swiftbolt
from tests.odd_market import (
    N_FIRST,
    N_SESSIONS,
    ODD,
    SOUND,
    SPLIT_AT,
    OddSource,
    recovery_of_lost,
    sessions,
    steps_learnt,
)


@dataclass(frozen=True)
class Story:
    """The warehouse after some days, and what `run` said on each."""

    warehouse: Warehouse
    runs: tuple[dict, ...]

    def health(self) -> pd.DataFrame:
        rows = read_frame(
            self.warehouse,
            "select * from {monitoring}.series_health where timeframe = 'd1'",
        )
        return rows.set_index("ticker")


@pytest.fixture(scope="module")
def story(fresh_warehouse: Callable[..., Warehouse]) -> Story:
    warehouse = fresh_warehouse()
    runs = []

    def command(*arguments: str) -> str:
        ended = run_swiftbolt(warehouse, *arguments)
        assert ended.returncode == 0, ended.stderr[-2000:]
        return ended.stdout

    def run() -> None:
        runs.append(json.loads(command("run", "--json")))

    ingest(warehouse, OddSource(SOUND + ODD))
    run()
    # Its bars come under the new name first, then under the old one again.
    command("symbols", "rename", "OLD", "NEW")
    command("symbols", "delist", "GONE")
    for place, renamed in ((N_FIRST, (("OLD", "NEW"),)), (N_FIRST + 1, ())):
        source = OddSource(
            SOUND + ODD, first=place, last=place + 1, renamed=renamed
        )
        ingest(warehouse, source)
        run()
    return Story(warehouse, tuple(runs))


@pytest.fixture(scope="module")
def alone(fresh_warehouse: Callable[..., Warehouse]) -> Warehouse:
    """The same days with the sound series alone."""
    warehouse = fresh_warehouse()
    ingest(warehouse, OddSource(SOUND))
    build(warehouse)
    train(warehouse, timeframes=["d1"])
    forecast(warehouse)
    return warehouse


def test_the_sound_series_have_the_features_they_have_alone(
    story: Story, alone: Warehouse
) -> None:
    names = ", ".join(read_row_feature_names(alone))
    query = (
        f"select ticker, timeframe, bar_number, is_usable, {names} "
        "from {features}.feature_rows where ticker = any(:tickers) "
        "and session_date <= :last order by ticker, timeframe, bar_number"
    )
    arguments = {"tickers": list(SOUND), "last": sessions()[N_FIRST - 1]}
    expected = read_frame(alone, query, arguments)
    assert expected["is_usable"].sum() > 500
    pd.testing.assert_frame_equal(
        read_frame(story.warehouse, query, arguments), expected
    )


def test_their_own_members_have_learnt_what_they_learn_alone(
    story: Story, alone: Warehouse
) -> None:
    query = (
        "select symbols.ticker, forecasts.horizon, "
        "forecasts.member_probabilities "
        "from {ml}.forecasts as forecasts "
        "inner join {raw}.symbols as symbols "
        "on forecasts.symbol_id = symbols.symbol_id "
        "where forecasts.timeframe = 'd1' and forecasts.closed_at = ("
        "select min(closed_at) from {ml}.forecasts where timeframe = 'd1') "
        "and symbols.ticker = any(:tickers) "
        "order by symbols.ticker, forecasts.horizon_bars"
    )
    said = [
        read_frame(each, query, {"tickers": list(SOUND)})
        for each in (story.warehouse, alone)
    ]
    assert len(said[0]) == len(said[1]) == 3 * len(SOUND)
    steps = [steps_learnt(rows) for rows in said]
    differences = steps[0] - steps[1]
    assert np.allclose(differences[:, 0], differences[:, 1], atol=1e-9)
    assert np.ptp(steps[0], axis=1).min() > 1e-3


def test_series_health_says_what_is_wrong_with_each(story: Story) -> None:
    health = story.health()
    said = health[["status", "reason"]].astype(object)
    said = said.where(said.notna(), None)
    assert {row[0]: row[1:] for row in said.itertuples(name=None)} == {
        "GOOD": ("forecast", None),
        "FINE": ("forecast", None),
        "NEW": ("forecast", None),
        "IDX": ("forecast", None),
        "HOLEY": ("forecast", None),
        "LOST": ("unusable", "missing_bar"),
        "SPLIT": ("quarantined", "suspected_split"),
        "GONE": ("delisted", None),
        "STALE": ("quarantined", "stale"),
        "SHORT": ("quarantined", "too_few_rows"),
    }
    assert health.loc["HOLEY", "n_missing_bars"] > 1
    assert health.loc["SPLIT", "n_suspected_splits"] == 1
    assert not health.loc["GONE", "is_expected"]
    # 60 bars behind the hole.
    assert health.loc["LOST", "recovers_on"] == pd.Timestamp(recovery_of_lost())


def test_every_run_says_which_series_it_did_not_forecast(story: Story) -> None:
    for run in story.runs:
        missing = {
            (row["ticker"], row["timeframe"])
            for row in run["health"]["not_forecast"]
        }
        assert {("LOST", "d1"), ("STALE", "d1"), ("SHORT", "d1")} < missing
        assert not {("GOOD", "d1"), ("FINE", "d1")} & missing
        assert {row["ticker"] for row in run["set_aside"]} > {"SPLIT", "STALE"}
    assert [run["forecasts"]["n_forecasts"] > 0 for run in story.runs] == [
        True
    ] * len(story.runs)


def test_a_renamed_symbol_goes_on_where_it_was(story: Story) -> None:
    rows = read_frame(
        story.warehouse,
        "select ticker, count(*) as n from {features}.feature_rows "
        "where timeframe = 'd1' and ticker in ('OLD', 'NEW') group by ticker",
    )
    assert rows.to_numpy().tolist() == [["NEW", N_SESSIONS]]
    forecasts = read_frame(
        story.warehouse,
        "select distinct forecasts.closed_at, forecasts.version_id "
        "from {ml}.forecasts as forecasts "
        "inner join {raw}.symbols as symbols "
        "on forecasts.symbol_id = symbols.symbol_id "
        "where symbols.ticker = 'NEW'",
    )
    assert len(forecasts) == len(story.runs)
    assert forecasts["version_id"].nunique() == 1


def test_a_delisted_symbol_gets_no_new_weights(story: Story) -> None:
    ended = run_swiftbolt(story.warehouse, "update-weights", "--json")
    assert ended.returncode == 0, ended.stderr
    weighed = {row["ticker"] for row in json.loads(ended.stdout)}
    assert weighed >= set(SOUND)
    assert "GONE" not in weighed


def test_a_delisted_symbol_settles_at_its_last_price(story: Story) -> None:
    outcomes = read_frame(
        story.warehouse,
        "select horizon, realized_return, settled_at, target_at "
        "from {forecasting}.forecast_outcomes where ticker = 'GONE'",
    )
    assert set(outcomes["horizon"]) == {"1d", "5d", "20d"}
    assert np.allclose(outcomes["realized_return"], 0)
    assert outcomes["settled_at"].nunique() == 1
    issued = read_frame(
        story.warehouse,
        "select count(*) as n from {ml}.forecasts as forecasts "
        "inner join {raw}.symbols as symbols "
        "on forecasts.symbol_id = symbols.symbol_id "
        "where symbols.ticker = 'GONE'",
    )
    assert issued["n"].item() == 3


def test_a_suspected_split_that_is_accepted_sets_nothing_aside(
    story: Story,
) -> None:
    def suspected() -> list[str]:
        found = read_frame(
            story.warehouse,
            "select ticker from {monitoring}.series_findings "
            "where reason = 'suspected_split' and timeframe = 'd1'",
        )
        return found["ticker"].tolist()

    assert suspected() == ["SPLIT"]
    accept = ("symbols", "accept", "SPLIT", "--reason", "a takeover bid")
    session = f"{sessions()[SPLIT_AT]:%Y-%m-%d}"
    ended = run_swiftbolt(story.warehouse, *accept, "--session", session)
    assert ended.returncode == 0, ended.stderr
    assert suspected() == []
