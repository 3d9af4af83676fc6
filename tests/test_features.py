"""The features and labels that dbt builds: right, and blind to the future."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from python_ml.ingestion.load import ingest
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests import feature_oracle as oracle
from tests.conftest import BUILD_WITHOUT_TESTS
from tests.synthetic_market import (
    DIVIDEND,
    FLAT_FROM,
    MISSING,
    NO_VOLUME,
    SPLIT,
    SyntheticSource,
    sessions,
)

HORIZON_BARS = {
    "d1": {"1d": 1, "5d": 5, "20d": 20},
    "w1": {"20d": 4, "60d": 12, "120d": 24},
}
SERIES_BAR = ["ticker", "timeframe", "bar_number"]


@pytest.fixture(scope="module")
def built_synthetic(fresh_warehouse: Callable[..., Warehouse]) -> Warehouse:
    made = fresh_warehouse()
    ingest(made, SyntheticSource())
    run_dbt(made, BUILD_WITHOUT_TESTS)
    return made


@pytest.fixture(scope="module", params=["sample", "synthetic"])
def market(request: pytest.FixtureRequest) -> Warehouse:
    return request.getfixturevalue(f"built_{request.param}")


def feature_names(warehouse: Warehouse) -> list[str]:
    return list(
        read_frame(
            warehouse,
            "select feature from {features}.feature_catalog "
            "order by sort_order",
        )["feature"]
    )


def rows(warehouse: Warehouse) -> pd.DataFrame:
    return read_frame(
        warehouse,
        "select * from {features}.feature_rows order by ticker, timeframe, "
        "bar_number",
    )


def assert_close(
    actual: pd.DataFrame, expected: pd.DataFrame, columns: list[str]
) -> None:
    """Equal to 1e-9 of the value, or of one where the value is smaller."""
    for column in columns:
        a = actual[column].to_numpy(dtype=float, na_value=np.nan)
        b = expected[column].to_numpy(dtype=float, na_value=np.nan)
        assert np.array_equal(np.isnan(a), np.isnan(b)), column
        limit = 1e-9 * np.maximum(1, np.abs(np.nan_to_num(b)))
        worst = np.nanmax(np.abs(a - b) - limit, initial=-1)
        assert worst <= 0, f"{column} is off by {worst}"


def oracle_of(warehouse: Warehouse) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features and labels of every series, in pandas from schema raw."""
    all_sessions = read_frame(
        warehouse, "select * from {raw}.sessions order by session_date"
    )
    all_sessions["number"] = range(1, len(all_sessions) + 1)
    bars = read_frame(
        warehouse,
        "select ticker, bars.* from {raw}.bars as bars "
        "join {raw}.symbols as symbols using (symbol_id) order by opened_at",
    )
    adjustments = read_frame(warehouse, "select * from {raw}.adjustments")
    features, labels = [], []
    for (symbol_id, ticker), traded in bars.groupby(["symbol_id", "ticker"]):
        daily = (
            oracle.adjusted_prices(
                traded, adjustments[adjustments["symbol_id"] == symbol_id]
            )
            .merge(
                all_sessions[["opened_at", "session_date", "number"]],
                on="opened_at",
            )
            .rename(columns={"number": "bar_number"})
        )
        weekly = oracle.weekly_bars(daily, all_sessions)
        own = {
            "d1": oracle.own_features(daily),
            "w1": oracle.own_features(weekly),
        }
        # The last week whose last session is not after the day's.
        week_of = pd.merge_asof(
            daily[["bar_number", "session_date"]].astype(
                {"session_date": "datetime64[s]"}
            ),
            pd.DataFrame(
                {
                    "week": np.arange(1, weekly["bar_number"].max() + 1),
                    "session_date": last_sessions(all_sessions)[
                        : weekly["bar_number"].max()
                    ],
                }
            ),
            on="session_date",
        ).set_index("bar_number")["week"]
        higher = oracle.higher_state(own["w1"]).reindex(week_of.to_numpy())
        higher.index = week_of.index
        for timeframe, table in own.items():
            extra = (
                higher
                if timeframe == "d1"
                else oracle.higher_state(table).mul(0.0).fillna(0.0)
            )
            features.append(
                table.join(extra)
                .reset_index(names="bar_number")
                .assign(ticker=ticker, timeframe=timeframe)
            )
            for horizon, horizon_bars in HORIZON_BARS[timeframe].items():
                labels.append(
                    oracle.labels(
                        daily if timeframe == "d1" else weekly,
                        table["bar_variance"],
                        horizon_bars=horizon_bars,
                    )
                    .reset_index(names="bar_number")
                    .assign(ticker=ticker, timeframe=timeframe, horizon=horizon)
                )
    return pd.concat(features), pd.concat(labels)


def last_sessions(all_sessions: pd.DataFrame) -> pd.Series:
    dates = pd.to_datetime(all_sessions["session_date"])
    return (
        dates.groupby(dates.dt.to_period("W-SUN")).max().reset_index(drop=True)
    ).astype("datetime64[s]")


def test_features_and_labels_equal_pandas(market: Warehouse) -> None:
    names = feature_names(market)
    expected_features, expected_labels = oracle_of(market)
    actual = rows(market)

    expected = expected_features.sort_values(SERIES_BAR).reset_index(drop=True)
    assert len(actual) == len(expected)
    is_usable = expected["is_whole"] & expected[names].notna().all(axis=1)
    assert actual["is_usable"].astype(bool).tolist() == is_usable.tolist()
    assert actual["is_usable"].sum() > 300
    assert_close(actual[is_usable], expected[is_usable], names)
    assert actual.loc[~is_usable, names].isna().all(axis=None)

    key = [*SERIES_BAR[:2], "horizon", "bar_number"]
    actual_labels = read_frame(
        market, "select * from {features}.labels"
    ).sort_values(key)
    expected_labels = expected_labels.sort_values(key)
    assert len(actual_labels) == len(expected_labels)
    assert_close(
        actual_labels, expected_labels, ["label_return", "expected_volatility"]
    )
    assert (
        actual_labels["label"].fillna("").tolist()
        == expected_labels["label"].fillna("").tolist()
    )


@pytest.mark.parametrize("n_sessions", [380, 455, 500])
def test_features_up_to_a_time_do_not_change_when_later_bars_are_cut(
    built_synthetic: Warehouse,
    fresh_warehouse: Callable[..., Warehouse],
    n_sessions: int,
) -> None:
    with fresh_warehouse() as cut:
        ingest(cut, SyntheticSource(n_sessions=n_sessions))
        run_dbt(cut, BUILD_WITHOUT_TESTS)
        truncated = rows(cut)
        truncated_labels = read_frame(cut, "select * from {features}.labels")
    last = truncated["closed_at"].max()
    full = rows(built_synthetic)
    full = full[full["closed_at"] <= last].reset_index(drop=True)
    assert truncated["is_usable"].sum() > 20
    pd.testing.assert_frame_equal(truncated, full, check_exact=True)

    # A label that had ended by then is the same; of a later one nothing shows.
    key = ["symbol_id", "timeframe", "horizon", "bar_number"]
    full_labels = read_frame(built_synthetic, "select * from {features}.labels")
    full_labels = full_labels[full_labels["closed_at"] <= last]
    both = truncated_labels.merge(full_labels, on=key, suffixes=("", "_full"))
    assert len(both) == len(truncated_labels) == len(full_labels)
    has_ended = both["label_end_at"] <= last
    outcomes = ["label", "label_return", "label_reason"]
    assert both.loc[~has_ended, ["label", "label_return"]].isna().all(axis=None)
    known = ["expected_volatility", "label_threshold", "label_end_at"]
    for columns, where in ((outcomes, has_ended), (known, slice(None))):
        pd.testing.assert_frame_equal(
            both.loc[where, columns],
            both.loc[where, [f"{name}_full" for name in columns]].set_axis(
                columns, axis=1
            ),
            check_exact=True,
        )


def unusable(warehouse: Warehouse, ticker: str) -> dict[str, str | None]:
    frame = read_frame(
        warehouse,
        "select session_date, unusable_reason from {features}.feature_rows "
        "where ticker = :ticker and timeframe = 'd1'",
        {"ticker": ticker},
    )
    reasons = frame["unusable_reason"].astype(object)
    return {
        str(day)[:10]: None if pd.isna(reason) else reason
        for day, reason in zip(frame["session_date"], reasons, strict=True)
    }


def test_rows_say_why_they_are_unusable(built_synthetic: Warehouse) -> None:
    days = sessions()
    halt = unusable(built_synthetic, "HALT")
    assert days[MISSING] not in halt
    assert halt[days[59]] == "warm_up"
    assert halt[days[60]] == "higher_timeframe_warm_up"
    assert halt[days[MISSING - 1]] is None
    assert halt[days[MISSING + 1]] == "missing_bar"
    assert halt[days[MISSING + 60]] == "missing_bar"
    assert halt[days[NO_VOLUME]] == "no_volume"
    assert halt[days[FLAT_FROM + 25]] == "flat_window"

    pair = unusable(built_synthetic, "PAIR")
    assert pair[days[-1]] is None


def test_a_split_and_a_dividend_leave_no_false_move_and_no_old_row_changed(
    built_synthetic: Warehouse, fresh_warehouse: Callable[..., Warehouse]
) -> None:
    days = sessions()
    bars = read_frame(
        built_synthetic,
        "select session_date, close, adjusted_close, adjusted_volume "
        "from {features}.bars where ticker = 'PAIR' and timeframe = 'd1' "
        "order by bar_number",
    )
    plain = SyntheticSource().prices["PAIR"]
    np.testing.assert_allclose(
        bars["adjusted_close"], plain["close"], rtol=1e-12
    )
    np.testing.assert_allclose(
        bars["adjusted_volume"], plain["volume"], rtol=1e-12
    )
    assert bars["close"][SPLIT] < 0.6 * bars["close"][SPLIT - 1]

    with fresh_warehouse() as before:
        ingest(before, SyntheticSource(n_sessions=SPLIT))
        run_dbt(before, BUILD_WITHOUT_TESTS)
        older = rows(before)
    newer = rows(built_synthetic)
    newer = newer[newer["closed_at"] <= older["closed_at"].max()]
    pd.testing.assert_frame_equal(
        older, newer.reset_index(drop=True), check_exact=True
    )
    assert days[DIVIDEND] > days[SPLIT]


def test_a_week_without_one_session_is_a_hole(
    built_synthetic: Warehouse,
) -> None:
    weeks = read_frame(
        built_synthetic,
        "select grid.bar_number, ticker from {features}.bar_grid as grid "
        "left join {features}.bars as bars on bars.timeframe = 'w1' "
        "and bars.bar_number = grid.bar_number and ticker = 'HALT' "
        "where grid.timeframe = 'w1' and :day between "
        "cast(grid.opened_at as date) and grid.session_date",
        {"day": sessions()[MISSING]},
    )
    assert len(weeks) == 1
    assert weeks["ticker"].isna().all()
