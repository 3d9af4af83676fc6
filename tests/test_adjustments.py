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
from tests import intraday_market, synthetic_market
from tests.changing_market import TABLES, Delivery, differs
from tests.intraday_market import PRICES

RUN = ["run", "--select", "+feature_rows", "+labels"]
# Four for one, and 2% paid out; by ticker, sessions counted from 0.
SPLIT_FACTOR, DIVIDEND_FACTOR = 0.25, 0.98
SESSIONS = {"DAY": 140, "QUARTER": 75}
SPLIT = {"DAY": 115, "QUARTER": 55}
DIVIDEND = {"DAY": 118, "QUARTER": 57}
TIMEFRAME = {"DAY": "d1", "QUARTER": "m15"}


@dataclass(frozen=True)
class Built:
    """Tables at three times: before the split, without it known, and after."""

    before: dict[str, pd.DataFrame]
    unknown: dict[str, pd.DataFrame]
    after: dict[str, pd.DataFrame]


def walks() -> pd.DataFrame:
    """A daily market and one of quarter hours, with neither in it."""
    days = synthetic_market.walk(3).rename(
        columns={"session_date": "opened_at"}
    )
    days["opened_at"] = days["opened_at"].astype(object)
    quarters = intraday_market.walk(intraday_market.grid(), 13)
    return pd.concat(
        [
            days.assign(ticker="DAY", session=range(len(days))),
            quarters.assign(ticker="QUARTER", opened_at=quarters["opened_at"]),
        ],
        ignore_index=True,
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
    bars = pd.concat([plain, traded], ignore_index=True)
    is_before = ~pd.concat([split, split], ignore_index=True)
    bars["source_row_number"] = range(1, len(bars) + 1)

    days = {
        "DAY": pd.Series(synthetic_market.sessions()),
        "QUARTER": intraday_market.session_opens()["session_date"],
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
    return Built(*states)


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


@pytest.mark.parametrize(("name", "timeframe"), MARKETS)
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
