"""The features and labels that dbt builds: right, and blind to the future."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from python_ml.ingestion.base import BarSource
from python_ml.ingestion.load import ingest
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests import feature_oracle as oracle
from tests import intraday_market
from tests.conftest import BUILD_FEATURES
from tests.intraday_market import IntradaySource
from tests.scale_oracle import forecast_volatility
from tests.small_market import execute
from tests.synthetic_market import (
    DIVIDEND,
    FLAT_FROM,
    HOLES,
    MISSING,
    NO_VOLUME,
    SPLIT,
    VOLUME_FROM,
    SyntheticSource,
    sessions,
)

SERIES_BAR = ["ticker", "timeframe", "bar_number"]
LABEL = [*SERIES_BAR[:2], "horizon", "bar_number"]
FLAGS = ("has_volume", "higher_is_warm", "n_carried_bars")
PART_OF = ["h1_bar_number", "h4_bar_number", "d1_bar_number", "w1_bar_number"]


@pytest.fixture(scope="module")
def built_synthetic(
    fresh_warehouse: Callable[..., Warehouse], synthetic_database: str
) -> Warehouse:
    return fresh_warehouse(template=synthetic_database)


@pytest.fixture(scope="module")
def built_intraday(
    fresh_warehouse: Callable[..., Warehouse], intraday_database: str
) -> Warehouse:
    return fresh_warehouse(template=intraday_database)


@dataclass(frozen=True)
class Expected:
    """What the tables of schema `features` should hold, each in order."""

    grid: pd.DataFrame
    bars: pd.DataFrame
    features: pd.DataFrame
    labels: pd.DataFrame
    labels_by_fixed_return: pd.DataFrame


FIXED_RETURN = 0.004


@dataclass(frozen=True)
class Market:
    warehouse: Warehouse
    expected: Expected
    timeframes: set[str]


# The sample is like the synthetic market, and longer.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sample", marks=pytest.mark.slow),
        "synthetic",
        "intraday",
    ],
)
def market(request: pytest.FixtureRequest) -> Market:
    warehouse = request.getfixturevalue(f"built_{request.param}")
    is_intraday = request.param == "intraday"
    return Market(
        warehouse,
        expected_of(warehouse),
        set(oracle.TIMEFRAMES if is_intraday else ("d1", "w1")),
    )


def expected_of(warehouse: Warehouse) -> Expected:
    """Everything, in pandas from schema raw."""
    all_sessions = read_frame(
        warehouse, "select * from {raw}.sessions where calendar = 'XNYS'"
    )
    loaded = read_frame(
        warehouse,
        "select ticker, bars.* from {raw}.bars as bars "
        "join {raw}.symbols as symbols using (symbol_id) order by opened_at",
    )
    adjustments = read_frame(warehouse, "select * from {raw}.adjustments")
    grid = oracle.make_grid(all_sessions)
    bars, features, labels, fixed = [], [], [], []
    for (symbol_id, ticker), traded in loaded.groupby(["symbol_id", "ticker"]):
        own_bars = oracle.make_bars(
            oracle.adjusted_prices(
                traded, adjustments[adjustments["symbol_id"] == symbol_id]
            ),
            grid,
        )
        series = {
            timeframe: oracle.Series.of(
                table,
                grid[timeframe],
                max_hole_bars=oracle.MAX_HOLE_BARS[timeframe],
            )
            for timeframe, table in own_bars.items()
        }
        scales = {name: oracle.make_scale(one) for name, one in series.items()}
        features.append(
            oracle.feature_rows(series, scales).assign(ticker=ticker)
        )
        for timeframe, table in own_bars.items():
            name = {"ticker": ticker, "timeframe": timeframe}
            bars.append(table.assign(**name))
            for place, (horizon, horizon_bars) in enumerate(
                oracle.HORIZON_BARS[timeframe].items()
            ):
                for rule, tables in ((None, labels), (FIXED_RETURN, fixed)):
                    found = oracle.labels(
                        series[timeframe],
                        scales[timeframe],
                        horizon_bars=horizon_bars,
                        fixed_return=rule,
                    ).assign(**name, horizon=horizon)
                    forecast = forecast_volatility(
                        series[timeframe],
                        scales[timeframe],
                        timeframe=timeframe,
                        horizon_place=place,
                        horizon_bars=horizon_bars,
                    )[series[timeframe].is_there]
                    found["forecast_volatility"] = np.where(
                        found["expected_volatility"].notna(), forecast, np.nan
                    )
                    tables.append(found)
    all_bars = pd.concat(bars)
    return Expected(
        grid=in_order(
            pd.concat(
                planned(grid[name], name, all_bars["session_date"].min())
                for name in own_bars
            ),
            ["timeframe", "bar_number"],
        ),
        bars=in_order(all_bars, SERIES_BAR),
        features=in_order(pd.concat(features), SERIES_BAR),
        labels=in_order(pd.concat(labels), LABEL),
        labels_by_fixed_return=in_order(pd.concat(fixed), LABEL),
    )


def planned(
    grid: pd.DataFrame, timeframe: str, first_session: pd.Timestamp
) -> pd.DataFrame:
    """The part of a timeframe's grid that is spelled out.

    Nobody needs the quarter hours of years before the first bar.
    """
    is_in = grid["session_date"] >= first_session
    if timeframe not in oracle.MINUTES:
        is_in[:] = True
    return grid[is_in].assign(
        timeframe=timeframe, full_session_bars=grid["session_bars"].max()
    )


def in_order(table: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    return table.sort_values(key, ignore_index=True)


def feature_names(warehouse: Warehouse) -> list[str]:
    return list(
        read_frame(
            warehouse,
            "select feature from {features}.feature_catalog "
            "order by sort_order",
        )["feature"]
    )


def rows(warehouse: Warehouse) -> pd.DataFrame:
    return in_order(
        read_frame(warehouse, "select * from {features}.feature_rows"),
        SERIES_BAR,
    )


def labels_of(warehouse: Warehouse) -> pd.DataFrame:
    return in_order(
        read_frame(warehouse, "select * from {features}.labels"), LABEL
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


def assert_same(
    actual: pd.DataFrame, expected: pd.DataFrame, columns: list[str]
) -> None:
    """Equal, and missing where missing, whatever the types."""
    assert len(actual) == len(expected)
    for column in columns:
        a, b = actual[column], expected[column]
        # At once where types allow it; as objects it takes seconds.
        if (
            a.dtype == b.dtype != object
            and ((a == b) | (a.isna() & b.isna())).to_numpy(dtype=bool).all()
        ):
            continue
        a, b = (
            values.astype(object).where(values.notna(), None)
            for values in (a, b)
        )
        # Not list against list: where CI is set, pytest lays out how two lists
        # differ, which takes it hours for these.
        differing = [
            place
            for place, (one, other) in enumerate(zip(a, b, strict=True))
            if one != other
        ]
        for place in differing[:1]:
            raise AssertionError(
                f"{column} differs in {len(differing)} of {len(a)} rows, first "
                f"in row {place}: {a.iloc[place]!r}, not {b.iloc[place]!r}"
            )


@pytest.mark.timeout(60)
def test_two_long_columns_are_told_apart_at_once_where_ci_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", "true")
    one = pd.DataFrame({"reason": ["warm_up", "missing_bar", None] * 10_000})
    other = pd.DataFrame({"reason": ["missing_bar", None, "warm_up"] * 10_000})
    assert_same(one, one.copy(), ["reason"])
    with pytest.raises(AssertionError, match="in 30000 of 30000 rows, first"):
        assert_same(one, other, ["reason"])


def test_the_grid_equals_pandas(market: Market) -> None:
    actual = in_order(
        read_frame(market.warehouse, "select * from {features}.bar_grid"),
        ["timeframe", "bar_number"],
    )
    actual["session_date"] = pd.to_datetime(actual["session_date"])
    assert set(actual["timeframe"]) == market.timeframes
    assert_same(
        actual,
        market.expected.grid,
        [
            "timeframe",
            "bar_number",
            "session_date",
            "opened_at",
            "closed_at",
            "session_number",
            "place_in_session",
            "session_bars",
            "full_session_bars",
            *PART_OF,
            "higher_bar_number",
        ],
    )


def test_bars_equal_pandas(market: Market) -> None:
    actual = in_order(
        read_frame(market.warehouse, "select * from {features}.bars"),
        SERIES_BAR,
    )
    actual["session_date"] = pd.to_datetime(actual["session_date"])
    expected = market.expected.bars
    assert set(actual["timeframe"]) == market.timeframes
    assert_same(
        actual,
        expected,
        [
            *SERIES_BAR,
            "session_date",
            "opened_at",
            "closed_at",
            "higher_bar_number",
            "rolled_up_from",
            "n_parts",
            "n_grid_parts",
        ],
    )
    values = [*oracle.PRICES, "volume"]
    assert_close(
        actual, expected, [*values, *(f"adjusted_{name}" for name in values)]
    )


def test_features_equal_pandas(market: Market) -> None:
    names = feature_names(market.warehouse)
    actual, expected = rows(market.warehouse), market.expected.features
    n_usable = actual.groupby("timeframe")["is_usable"].sum()
    assert set(n_usable.index[n_usable > 30]) == market.timeframes
    assert_same(actual, expected, [*SERIES_BAR, "unusable_reason"])
    assert_close(actual, expected, names)
    is_usable = actual["is_usable"]
    assert_same(actual[is_usable], expected[is_usable], [*FLAGS])
    assert set(names) == set(expected) - {
        *SERIES_BAR,
        "unusable_reason",
        *FLAGS,
    }


def test_labels_equal_pandas(market: Market) -> None:
    assert_labels_equal(market.warehouse, market.expected.labels)


def assert_labels_equal(warehouse: Warehouse, expected: pd.DataFrame) -> None:
    actual = labels_of(warehouse)
    assert_same(
        actual,
        expected,
        [*LABEL, "label_end_bar_number", "label_end_at"],
    )
    assert_close(
        actual,
        expected,
        [
            "expected_volatility",
            "forecast_volatility",
            "label_threshold",
            "label_return",
        ],
    )
    assert_same(actual, expected, ["label_reason", "label"])


@pytest.mark.parametrize("market", ["intraday"], indirect=True)
def test_labels_by_a_fixed_return_equal_pandas(
    market: Market, fresh_warehouse: Callable[..., Warehouse]
) -> None:
    market.warehouse.close()
    template = market.warehouse.parameters.database
    with fresh_warehouse(template=template) as copy:
        execute(
            copy,
            "update {features}.label_rules "
            f"set rule = 'fixed_return', fixed_return = {FIXED_RETURN}",
        )
        run_dbt(copy, ["run", "--full-refresh", "--select", "+labels"])
        assert_labels_equal(copy, market.expected.labels_by_fixed_return)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("synthetic", SyntheticSource(n_sessions=380)),
        pytest.param("synthetic", SyntheticSource(n_sessions=455), marks=SLOW),
        ("synthetic", SyntheticSource(n_sessions=500)),
        # In a halt, between a split and a dividend, and after all.
        pytest.param("intraday", IntradaySource(n_sessions=345), marks=SLOW),
        ("intraday", IntradaySource(n_sessions=361, n_more_bars=9)),
        pytest.param(
            "intraday",
            IntradaySource(n_sessions=445, n_more_bars=25),
            marks=SLOW,
        ),
    ],
)
def test_features_up_to_a_time_do_not_change_when_later_bars_are_cut(
    request: pytest.FixtureRequest,
    fresh_warehouse: Callable[..., Warehouse],
    name: str,
    source: BarSource,
) -> None:
    whole: Warehouse = request.getfixturevalue(f"built_{name}")
    with fresh_warehouse() as cut:
        ingest(cut, source)
        run_dbt(cut, BUILD_FEATURES)
        truncated = rows(cut)
        truncated_labels = labels_of(cut)
    last = truncated["closed_at"].max()
    full = rows(whole)
    full = full[full["closed_at"] <= last].reset_index(drop=True)
    assert (truncated.groupby("timeframe")["is_usable"].sum() > 5).all()
    pd.testing.assert_frame_equal(truncated, full, check_exact=True)

    # A label that had ended by then is the same; of a later one nothing shows.
    full_labels = labels_of(whole)
    full_labels = full_labels[full_labels["closed_at"] <= last]
    both = truncated_labels.merge(full_labels, on=LABEL, suffixes=("", "_full"))
    assert len(both) == len(truncated_labels) == len(full_labels)
    has_ended = both["label_end_at"] <= last
    outcomes = ["label", "label_return", "label_reason"]
    assert both.loc[~has_ended, ["label", "label_return"]].isna().all(axis=None)
    known = [
        "expected_volatility",
        "forecast_volatility",
        "label_threshold",
        "label_end_at",
    ]
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
    assert halt[days[60]] is None
    assert halt[days[MISSING - 1]] is None
    assert halt[days[MISSING + 1]] is None
    assert halt[days[NO_VOLUME]] == "no_volume"
    assert halt[days[FLAT_FROM + 25]] == "flat_window"

    pair = unusable(built_synthetic, "PAIR")
    assert pair[days[-1]] is None


def test_a_short_hole_costs_a_few_rows_and_a_long_one_its_windows(
    built_synthetic: Warehouse,
) -> None:
    days = sessions()
    index = unusable(built_synthetic, "INDEX")
    carried, long = HOLES["carried"], HOLES["long"]
    assert not {days[session] for session in (*carried, *long)} & set(index)
    # Of the last fourteen bars no more than two may be missing.
    behind = [index[days[carried.stop + after]] for after in range(12)]
    assert behind == ["missing_bar"] * 11 + [None]
    assert {index[days[long.stop + after]] for after in range(60)} == {
        "missing_bar"
    }
    assert index[days[long.stop + 60]] is None


def test_a_series_without_volume_and_a_young_higher_timeframe_are_neutral(
    built_synthetic: Warehouse,
) -> None:
    index = read_frame(
        built_synthetic,
        "select * from {features}.feature_rows where ticker = 'INDEX' "
        "and timeframe = 'd1' and is_usable order by bar_number",
    )
    volume = ["volume_ratio_20", "volume_ratio_5_20"]
    has_none = index[~index["has_volume"]]
    assert len(has_none) > 200
    assert (has_none[volume] == 0).all(axis=None)
    traded = index[index["has_volume"]]
    assert str(traded["session_date"].min()) > sessions()[VOLUME_FROM]
    assert (traded[volume] != 0).all(axis=None)

    young = index[~index["higher_is_warm"]]
    assert 20 < len(young) < 120
    assert (young[["higher_rsi_14", "higher_range_place_20"]] == 0.5).all(
        axis=None
    )
    assert (young[["higher_return_5", "higher_return_20"]] == 0).all(axis=None)


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
        run_dbt(before, BUILD_FEATURES)
        older = rows(before)
    newer = rows(built_synthetic)
    newer = newer[newer["closed_at"] <= older["closed_at"].max()]
    pd.testing.assert_frame_equal(
        older, newer.reset_index(drop=True), check_exact=True
    )
    assert days[DIVIDEND] > days[SPLIT]


def test_a_week_without_one_session_is_made_of_the_others(
    built_synthetic: Warehouse,
) -> None:
    week = read_frame(
        built_synthetic,
        "select n_parts, n_grid_parts from {features}.bars "
        "where ticker = 'HALT' and timeframe = 'w1' "
        "and :day between cast(opened_at as date) and session_date",
        {"day": sessions()[MISSING]},
    )
    assert week.to_numpy().tolist() == [[4, 5]]


def quarter_hours(warehouse: Warehouse, ticker: str) -> pd.DataFrame:
    """Why rows of m15 are unusable, by session and place counted from 0."""
    frame = read_frame(
        warehouse,
        "select grid.opened_at, unusable_reason from {features}.bar_grid as "
        "grid join {features}.feature_rows as feature_rows "
        "using (calendar, timeframe, bar_number) "
        "where ticker = :ticker and timeframe = 'm15'",
        {"ticker": ticker},
    )
    grid = intraday_market.grid().astype({"opened_at": "datetime64[us, UTC]"})
    return frame.merge(grid, on="opened_at").set_index(["session", "place"])


def test_rows_within_sessions_say_why_they_are_unusable(
    built_intraday: Warehouse,
) -> None:
    gaps = quarter_hours(built_intraday, "GAPS")["unusable_reason"]
    gaps = gaps.astype(object).where(gaps.notna(), None)
    back = intraday_market.AWAY.stop
    # The first session has no move at its open, so its profile is late.
    assert gaps[2, 7] == "warm_up"
    assert gaps[2, 8] == "session_profile_warm_up"
    assert gaps[19, 13] == "session_profile_warm_up"
    assert gaps[21, 0] is None
    assert gaps[back, 0] == gaps[back + 2, 7] == "missing_bar"
    assert gaps[back + 2, 8] == "session_profile_warm_up"
    assert gaps[back + 22, 0] is None
    session, place = intraday_market.NO_VOLUME
    assert gaps[session, place] == "no_volume"
    assert gaps[session, place + 1] is None
    session, places = intraday_market.FLAT
    assert gaps[session, places[0]] is None
    assert gaps[session, places[5]] == "flat_window"
    assert gaps[session, places[-1] + 1] is None
    session, place = intraday_market.MISSING
    assert (session, place) not in gaps.index
    assert gaps[session, place + 1] is None
    session, places = intraday_market.CARRIED
    # Sixteen of the last twenty, four of the last five.
    assert gaps[session, places.stop] == gaps[session + 1, 0] == "missing_bar"
    assert gaps[session + 1, 1] is None
    session, places = intraday_market.LONG_HOLE
    assert gaps[session, places.stop] == gaps[session + 2, 20] == "missing_bar"
    assert gaps[session + 2, 21] is None

    pair = quarter_hours(built_intraday, "PAIR")["unusable_reason"]
    assert pair.sort_index().loc[22:].isna().all()


def test_expected_volatility_counts_the_bars_that_an_early_close_leaves(
    built_intraday: Warehouse,
) -> None:
    bars = read_frame(
        built_intraday,
        "select bars.closed_at, adjusted_close, grid.place_in_session "
        "from {features}.bars as bars join {features}.bar_grid as grid "
        "using (calendar, timeframe, bar_number) "
        "where ticker = 'PAIR' and timeframe = 'h1' order by bar_number",
    )
    # The eve of Thanksgiving: seven bars on are four of Friday morning and
    # the first three of Monday.
    eve = pd.Timestamp("2016-11-23 21:00Z")
    bars["squared"] = np.log(bars["adjusted_close"]).diff() ** 2
    known = bars[bars["closed_at"] <= eve]
    variance = [
        known.loc[known["place_in_session"] == place, "squared"].tail(20).mean()
        for place in (1, 2, 3, 4, 1, 2, 3)
    ]
    label = read_frame(
        built_intraday,
        "select label_end_at, expected_volatility from {features}.labels "
        "where ticker = 'PAIR' and timeframe = 'h1' and horizon = '1d' "
        "and closed_at = :closed_at",
        {"closed_at": eve},
    ).iloc[0]
    assert label["label_end_at"] == pd.Timestamp("2016-11-28 17:30Z")
    assert label["expected_volatility"] == pytest.approx(
        np.sqrt(sum(variance)), rel=1e-12
    )


def test_a_split_within_a_rolled_up_bar_is_taken_out_of_it(
    built_intraday: Warehouse,
) -> None:
    day = intraday_market.session_opens()["session_date"][intraday_market.SPLIT]
    week = read_frame(
        built_intraday,
        "select opened_at, closed_at, open, high, low, close, "
        "adjusted_close, rolled_up_from from {features}.bars "
        "where ticker = 'PAIR' and timeframe = 'w1' "
        "and session_date = :friday",
        {"friday": day + pd.offsets.Week(weekday=4)},
    ).iloc[0]
    bars = intraday_market.walk(intraday_market.grid(), 12)
    is_within = bars["opened_at"].between(week["opened_at"], week["closed_at"])
    plain = bars[is_within]
    assert plain["session_date"].nunique() == 5
    assert week["rolled_up_from"] == "m15"
    # As traded after the split, half of what the walk says.
    for column, value in (
        ("open", plain["open"].iloc[0]),
        ("high", plain["high"].max()),
        ("low", plain["low"].min()),
        ("close", plain["close"].iloc[-1]),
    ):
        assert week[column] == pytest.approx(value / 2, rel=1e-12)
    assert week["adjusted_close"] == pytest.approx(
        plain["close"].iloc[-1], rel=1e-12
    )
