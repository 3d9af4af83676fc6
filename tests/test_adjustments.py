"""A split and a dividend are no moves, and leave what came before as it was."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from python_ml.ingestion.base import Load
from python_ml.ingestion.load import ingest
from python_ml.warehouse.bulk import read_frame
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.dbt import run_dbt
from tests import feature_oracle as oracle
from tests import intraday_market, synthetic_market
from tests.changing_market import TABLES, Delivery, differs
from tests.intraday_market import PRICES

RUN = ["run", "--select", "+feature_rows", "+labels"]
# Four for one, and 2% paid out; by ticker, sessions counted from 0.
SPLIT_FACTOR, DIVIDEND_FACTOR = 0.25, 0.98
SESSIONS = {"DAY": 140, "QUARTER": 75, "WEEK": 517}
# Of WEEK on a Wednesday and on the Friday of the week after.
SPLIT = {"DAY": 115, "QUARTER": 55, "WEEK": 468}
DIVIDEND = {"DAY": 118, "QUARTER": 57, "WEEK": 475}
TIMEFRAME = {"DAY": "d1", "QUARTER": "m15", "WEEK": "w1"}


@dataclass(frozen=True)
class Built:
    """Tables before the split, without it known, and after, and what is raw."""

    before: dict[str, pd.DataFrame]
    unknown: dict[str, pd.DataFrame]
    after: dict[str, pd.DataFrame]
    loaded: pd.DataFrame
    adjustments: pd.DataFrame


def walks() -> pd.DataFrame:
    """Daily markets and one of quarter hours, with neither in them."""
    days = synthetic_market.walk(3).rename(
        columns={"session_date": "opened_at"}
    )
    days["opened_at"] = days["opened_at"].astype(object)
    numbered = days.assign(session=range(len(days)))
    # The market's first week is a part of one.
    whole_weeks = numbered[1:]
    quarters = intraday_market.walk(intraday_market.grid(), 13)
    return pd.concat(
        [
            numbered.assign(ticker="DAY"),
            whole_weeks.assign(ticker="WEEK"),
            quarters.assign(ticker="QUARTER", opened_at=quarters["opened_at"]),
        ],
        ignore_index=True,
    )


def weeks_of(days: pd.DataFrame) -> pd.DataFrame:
    """Whole weeks as a vendor makes them that adjusts nothing.

    `session` is their last.
    """
    week = pd.to_datetime(days["opened_at"]).dt.to_period("W-SUN")
    return (
        days.groupby(["ticker", week.rename("week")], as_index=False)
        .agg(
            opened_at=("opened_at", "first"),
            open=("open", "first"),
            high=("high", "max"),
            low=("low", "min"),
            close=("close", "last"),
            volume=("volume", "sum"),
            session=("session", "last"),
        )
        .drop(columns="week")
        .assign(timeframe="w1")
    )


@pytest.fixture(scope="module")
def built(fresh_warehouse: Callable[..., Warehouse]) -> Built:
    """Each market twice: as it is, and with a split and a dividend."""
    plain = walks()
    plain = plain[plain["session"] < plain["ticker"].map(SESSIONS)]
    plain["timeframe"] = plain["ticker"].map(TIMEFRAME)
    split = plain["session"] >= plain["ticker"].map(SPLIT)
    paid = plain["session"] >= plain["ticker"].map(DIVIDEND)
    traded = plain.assign(ticker=plain["ticker"] + "_SPLIT")
    traded.loc[split, PRICES] *= SPLIT_FACTOR
    traded.loc[split, "volume"] /= SPLIT_FACTOR
    traded.loc[paid, PRICES] *= DIVIDEND_FACTOR
    traded = pd.concat([plain, traded], ignore_index=True)
    is_weekly = traded["timeframe"] == "w1"
    bars = pd.concat(
        [traded[~is_weekly], weeks_of(traded[is_weekly])], ignore_index=True
    )
    first_split = bars["ticker"].str.removesuffix("_SPLIT").map(SPLIT)
    is_before = bars["session"] < first_split
    bars["source_row_number"] = range(1, len(bars) + 1)

    days = {
        "DAY": pd.Series(synthetic_market.sessions()),
        "QUARTER": intraday_market.session_opens()["session_date"],
        "WEEK": pd.Series(synthetic_market.sessions()),
    }
    adjustments = pd.DataFrame(
        [
            (f"{name}_SPLIT", str(days[name][session])[:10], kind, factor)
            for name in SESSIONS
            for kind, session, factor in (
                ("split", SPLIT[name], SPLIT_FACTOR),
                ("dividend", DIVIDEND[name], DIVIDEND_FACTOR),
            )
        ],
        columns=["ticker", "session_date", "kind", "factor"],
    )
    none = adjustments.iloc[:0]
    states = []
    with fresh_warehouse() as warehouse:
        run_dbt(warehouse, ["seed"])
        for load in (
            Load(bars[is_before], none),
            Load(bars[~is_before], none),
            Load(bars[~is_before], adjustments),
        ):
            summary = ingest(warehouse, Delivery(load))
            assert not summary.rejected
            run_dbt(warehouse, RUN)
            states.append(tables(warehouse))
        raw = [
            read_frame(
                warehouse,
                f"select ticker, records.* from {{raw}}.{table} as records "
                "join {raw}.symbols as symbols using (symbol_id) "
                f"order by {time}",
            )
            for table, time in (
                ("bars", "opened_at"),
                ("adjustments", "effective_at"),
            )
        ]
    return Built(*states, *raw)


def tables(warehouse: Warehouse) -> dict[str, pd.DataFrame]:
    return {
        name: read_frame(
            warehouse,
            f"select * from {{features}}.{name} order by {', '.join(key)}",
        ).set_index(["ticker", *key[1:]])
        for name, key in TABLES.items()
    }


def of(table: pd.DataFrame, ticker: str, timeframe: str) -> pd.DataFrame:
    return table.loc[(ticker, timeframe)]


MARKETS = [
    ("DAY", "d1"),
    *(("QUARTER", timeframe) for timeframe in ("m15", "h1", "h4", "d1")),
]


@pytest.mark.parametrize(("name", "timeframe"), MARKETS)
def test_features_around_a_split_and_a_dividend_are_those_without_them(
    built: Built, name: str, timeframe: str
) -> None:
    plain, split, unknown = (
        of(state["feature_rows"], ticker, timeframe)
        for state, ticker in (
            (built.after, name),
            (built.after, f"{name}_SPLIT"),
            (built.unknown, f"{name}_SPLIT"),
        )
    )
    assert plain.index.equals(split.index)
    assert plain["unusable_reason"].equals(split["unusable_reason"])
    features = [*plain.columns[plain.columns.get_loc("reference_close") + 1 :]]
    usable = plain["is_usable"]
    np.testing.assert_allclose(
        split.loc[usable, features],
        plain.loc[usable, features],
        rtol=1e-9,
        atol=1e-9,
    )
    if timeframe == "d1" and name == "QUARTER":
        return  # Too short for a usable row: what is compared is why.
    # Windows span both, and as traded the split is as large a move as there
    # can be, with volatility the mean of 20 squared moves, its own among them.
    at = split_bar(built, name, timeframe)
    assert usable.loc[at : at + 8].all()
    assert unknown["return_1"].loc[at] < -0.95 * np.sqrt(20)
    assert abs(split["return_1"].loc[at]) < 2.5


def test_a_loaded_week_closes_on_the_basis_of_its_last_session(
    built: Built,
) -> None:
    plain, split, unknown = (
        of(state["bars"], ticker, "w1")
        for state, ticker in (
            (built.after, "WEEK"),
            (built.after, "WEEK_SPLIT"),
            (built.unknown, "WEEK_SPLIT"),
        )
    )
    at = split_bar(built, "WEEK", "w1")
    np.testing.assert_allclose(
        split["adjusted_close"], plain["close"], rtol=1e-12
    )
    # What came before the event in its week keeps the old basis.
    assert split["adjusted_open"][at] == pytest.approx(
        plain["open"][at] / SPLIT_FACTOR
    )
    others = split.index.difference([at, at + 1])
    for name in [*PRICES, "volume"]:
        np.testing.assert_allclose(
            split.loc[others, f"adjusted_{name}"],
            plain.loc[others, name],
            rtol=1e-12,
        )
    assert unknown["adjusted_close"][at] < 0.3 * split["adjusted_close"][at]

    rows = [
        of(built.after["feature_rows"], ticker, "w1")
        for ticker in ("WEEK", "WEEK_SPLIT")
    ]
    assert rows[0].loc[at:, "is_usable"].all()
    for name in ("return_1", "return_5", "return_20", "rsi_14"):
        np.testing.assert_allclose(
            rows[1].loc[at:, name], rows[0].loc[at:, name], rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("name", ["DAY_SPLIT", "QUARTER_SPLIT", "WEEK_SPLIT"])
def test_adjusted_prices_equal_pandas(built: Built, name: str) -> None:
    loaded = built.loaded[built.loaded["ticker"] == name]
    events = built.adjustments[built.adjustments["ticker"] == name]
    wanted = oracle.adjusted_prices(loaded, events)
    timeframe = TIMEFRAME[name.removesuffix("_SPLIT")]
    found = of(built.after["bars"], name, timeframe)
    for column in [f"adjusted_{price}" for price in (*PRICES, "volume")]:
        np.testing.assert_allclose(found[column], wanted[column], rtol=1e-12)


@pytest.mark.parametrize(("name", "timeframe"), [*MARKETS, ("WEEK", "w1")])
def test_a_label_that_spans_a_split_and_a_dividend_is_that_without_them(
    built: Built, name: str, timeframe: str
) -> None:
    plain, split, unknown = (
        of(state["labels"], ticker, timeframe)
        for state, ticker in (
            (built.after, name),
            (built.after, f"{name}_SPLIT"),
            (built.unknown, f"{name}_SPLIT"),
        )
    )
    for column in ("label", "label_reason", "label_end_at"):
        pd.testing.assert_series_equal(plain[column], split[column])
    for column in ("label_return", "expected_volatility", "label_threshold"):
        np.testing.assert_allclose(
            split[column].astype(float),
            plain[column].astype(float),
            rtol=1e-9,
            atol=1e-12,
        )
    at = split_bar(built, name, timeframe)
    start = plain.index.get_level_values("bar_number")
    spans = (start < at) & (plain["label_end_bar_number"] >= at)
    known = spans & plain["label"].notna() & unknown["label_return"].notna()
    horizons = known[known].index.get_level_values("horizon")
    if timeframe != "d1" or name == "DAY":
        assert horizons.nunique() == 3
        # Only with both ends on one basis are they not all the same.
        assert plain.loc[known, "label"].nunique() > 1
        assert set(unknown.loc[known, "label"]) == {"BEARISH"}
        assert (unknown.loc[known, "label_return"] < -1).all()


@pytest.mark.parametrize("name", SESSIONS)
def test_a_split_and_a_dividend_change_no_row_before_them(
    built: Built, name: str
) -> None:
    for table in ("bars", "feature_rows"):
        before = built.before[table].loc[[f"{name}_SPLIT"]]
        assert len(before) > 90
        for later in (built.unknown, built.after):
            now = later[table].loc[before.index]
            for column in before:
                assert not differs(before[column], now[column]).any(), column
    # A label is final once its end has come.
    before = built.before["labels"].loc[[f"{name}_SPLIT"]]
    before = before[before["label_reason"] != "not_closed"]
    now = built.after["labels"].loc[before.index]
    for column in before:
        assert not differs(before[column], now[column]).any(), column


def split_bar(built: Built, name: str, timeframe: str) -> int:
    """Number of the first bar after the split."""
    bars = of(built.before["bars"], f"{name}_SPLIT", timeframe)
    return int(bars.index.max()) + 1
