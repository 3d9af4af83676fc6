from datetime import date

import numpy as np
import pandas as pd
import pytest

from python_ml.ingestion.calendars.sessions import calendar_sessions
from python_ml.ingestion.readers.sample import SampleSource


@pytest.fixture(scope="module")
def load():
    return SampleSource().read()


@pytest.fixture(scope="module")
def events(load):
    """Adjustments with the cash per share that each dividend stands for."""
    events = load.adjustments.merge(
        load.bars.rename(columns={"opened_at": "session_date"}),
        on=["ticker", "session_date"],
        validate="m:1",
    )
    return events.assign(cash=events["close"] * (1 / events["factor"] - 1))


def events_of(events, ticker, kind):
    return events[(events["ticker"] == ticker) & (events["kind"] == kind)]


def test_the_sample_is_four_shares_as_traded(load):
    spans = load.bars.groupby("ticker")["opened_at"].agg(["size", "min", "max"])

    assert spans.to_dict("index") == {
        "AAPL": {"size": 3270, "min": "2000-03-01", "max": "2013-03-01"},
        "GOOG": {"size": 2148, "min": "2004-08-19", "max": "2013-03-01"},
        "IBM": {"size": 3270, "min": "2000-03-01", "max": "2013-03-01"},
        "MSFT": {"size": 3270, "min": "2000-03-01", "max": "2013-03-01"},
    }
    first = load.bars.iloc[0]
    assert (first["close"], first["volume"]) == (130.31, 9616100)


def test_the_splits_are_those_of_history(events):
    splits = events[events["kind"] == "split"]

    assert splits[["ticker", "session_date", "factor"]].values.tolist() == [
        ["AAPL", "2000-06-21", 0.5],
        ["AAPL", "2005-02-28", 0.5],
        ["MSFT", "2003-02-18", 0.5],
    ]


def test_apple_paid_three_dividends_of_2_65(events):
    dividends = events_of(events, "AAPL", "dividend")

    assert list(dividends["session_date"]) == [
        "2012-08-09",
        "2012-11-07",
        "2013-02-07",
    ]
    assert dividends["cash"].to_numpy() == pytest.approx(2.65, abs=1e-6)


def test_ibm_paid_every_quarter_and_never_less(events):
    dividends = events_of(events, "IBM", "dividend")

    assert len(dividends) == 52
    assert dividends["cash"].is_monotonic_increasing or (
        dividends["cash"].diff().min() > -1e-6
    )
    assert dividends["cash"].to_numpy()[[0, -1]] == pytest.approx(
        [0.13, 0.85], abs=1e-6
    )


def test_microsoft_paid_its_special_dividend_in_november_2004(events):
    dividends = events_of(events, "MSFT", "dividend").set_index("session_date")

    assert len(dividends) == 37
    assert dividends.loc["2004-11-15", "cash"] == pytest.approx(3.08, abs=1e-6)
    assert dividends["cash"].iloc[0] == pytest.approx(0.08, abs=1e-6)


def test_every_dividend_is_a_whole_number_of_cents(events):
    cents = 100 * events.loc[events["kind"] == "dividend", "cash"]

    assert cents.to_numpy() == pytest.approx(np.round(cents), abs=1e-4)


def test_google_neither_split_nor_paid(load):
    assert "GOOG" not in set(load.adjustments["ticker"])


def test_the_factors_restore_every_adjusted_close_up_to_a_constant(load):
    for ticker, bars in load.bars.groupby("ticker"):
        restored = bars["close"].to_numpy(copy=True)
        own = load.adjustments[load.adjustments["ticker"] == ticker]
        for event in own.itertuples():
            restored[bars["opened_at"] < event.session_date] *= event.factor
        constant = bars["adjusted_close"].to_numpy() / restored

        assert len(constant) > 2000
        np.testing.assert_allclose(constant, constant[-1], rtol=1e-12)


def test_every_date_of_the_sample_is_a_session_and_none_is_missing(load):
    sessions = calendar_sessions("XNYS", through=date(2013, 3, 1))
    for _, bars in load.bars.groupby("ticker"):
        dates = pd.to_datetime(bars["opened_at"])
        expected = sessions["session_date"]
        expected = expected[expected >= dates.min()]
        assert list(dates) == list(expected)
