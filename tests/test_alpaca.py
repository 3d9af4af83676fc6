"""Alpaca's bars and corporate actions, from a server that speaks its API."""

import logging
import time
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from python_ml.exceptions import SettingsError, SourceUnavailableError
from python_ml.ingestion.readers.alpaca import AlpacaSource, open_service
from python_ml.ingestion.readers.patient_http import Patience
from python_ml.ingestion.resume import WantedSeries
from tests.alpaca_server import (
    BARS,
    DAYS,
    KEY_ID,
    NO_RECENT_BARS,
    SECRET_KEY,
    bar,
    daily_bars,
    quarters,
    running,
    server,
)

__all__ = ["running", "server"]

KEYS = {"APCA_API_KEY_ID": KEY_ID, "APCA_API_SECRET_KEY": SECRET_KEY}
QUICK = Patience(
    attempts=3,
    timeout_seconds=0.15,
    first_wait_seconds=0.001,
    longest_wait_seconds=0.5,
)
# A year later, so that everything had closed and been processed.
LATER = datetime(2025, 6, 2, 22, tzinfo=UTC)
ACTIONS = "/v1/corporate-actions"


def read(server, *wanted, now=LATER, feed="sip", patience=QUICK):
    """What a source of these series hands over."""
    service = open_service(KEYS, base_url=server.url, patience=patience)
    return AlpacaSource(service, series(*wanted), feed=feed, now=now).read()


def series(*wanted, first_date=date(2024, 1, 2), has_bars=False):
    return [
        one
        if isinstance(one, WantedSeries)
        else WantedSeries(*one.split(), first_date, has_bars)
        for one in wanted
    ]


def cash(day, rate, symbol="AAPL", paid_after=14):
    paid = date.fromisoformat(day) + timedelta(days=paid_after)
    return {
        "symbol": symbol,
        "ex_date": day,
        "process_date": paid.isoformat(),
        "rate": rate,
        "special": False,
        "foreign": False,
    }


def split(day, new, old, symbol="AAPL"):
    return {
        "symbol": symbol,
        "ex_date": day,
        "process_date": day,
        "new_rate": new,
        "old_rate": old,
    }


def factors(load):
    """Factors by symbol, date and kind."""
    return {
        (row.ticker, str(row.session_date.date()), row.kind): row.factor
        for row in load.adjustments.itertuples()
    }


def test_daily_bars_are_handed_over_by_their_session_in_either_season(server):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    load = read(server, "AAPL d1")
    assert server.bars["AAPL", "1Day"][1]["t"] == "2024-03-08T05:00:00Z"
    assert server.bars["AAPL", "1Day"][2]["t"] == "2024-03-11T04:00:00Z"
    assert load.bars["opened_at"].to_list() == list(DAYS)
    assert load.bars["close"].to_list() == [100, 101, 102, 103]
    assert load.bars["source_row_number"].to_list() == [1, 2, 3, 4]
    assert load.left_out == {}
    assert load.notes == ()


def test_weekly_bars_are_handed_over_by_their_monday(server):
    # The first session of the second week is its Tuesday.
    server.bars["AAPL", "1Week"] = daily_bars(["2024-05-20", "2024-05-27"])
    load = read(server, "AAPL w1")
    assert load.bars["opened_at"].to_list() == ["2024-05-20", "2024-05-27"]


def test_prices_are_asked_for_as_traded_from_midnight_of_new_york(server):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    read(server, "AAPL d1")
    (query,) = server.queries_of(BARS)
    assert query["adjustment"] == "raw"
    assert query["feed"] == "sip"
    assert pd.Timestamp(query["start"]) == pd.Timestamp("2024-01-02 05:00Z")
    assert pd.Timestamp(query["end"]) == pd.Timestamp(LATER)


def test_pages_are_followed_across_symbols(server):
    symbols = ("AAPL", "IBM", "MSFT")
    for symbol in symbols:
        server.bars[symbol, "1Day"] = daily_bars(DAYS)
    server.actions["cash_dividends"] = [
        cash(day, 1.0, symbol) for symbol in symbols for day in DAYS[1:]
    ]
    server.page_size = 3
    load = read(server, *(f"{symbol} d1" for symbol in symbols))
    counts = load.bars.groupby("ticker").size()
    assert counts.to_dict() == dict.fromkeys(symbols, 4)
    assert len(load.adjustments) == 9
    assert len(server.queries_of(BARS)) == 4
    assert len(server.queries_of(ACTIONS)) == 3


def test_bars_outside_of_sessions_are_left_out_and_counted(server):
    # An early close: the session is from 13:30 to 17:00 UTC.
    server.bars["AAPL", "15Min"] = quarters(
        "2024-07-03 08:00", "2024-07-03 23:45"
    ) + quarters("2024-07-04 00:00", "2024-07-04 00:15")
    load = read(server, "AAPL m15")
    assert load.bars["opened_at"].iloc[0] == "2024-07-03T13:30:00Z"
    assert load.bars["opened_at"].iloc[-1] == "2024-07-03T16:45:00Z"
    assert len(load.bars) == 14
    assert load.left_out == {"outside_session": 64 + 2 - 14}


@pytest.mark.parametrize(
    ("timeframe", "now", "kept"),
    [
        ("m15", "2024-06-04 14:00", ["13:30", "13:45"]),
        ("m15", "2024-06-04 14:14", ["13:30", "13:45"]),
        ("m15", "2024-06-04 14:15", ["13:30", "13:45", "14:00"]),
        ("d1", "2024-06-04 19:59", ["2024-06-03"]),
        ("d1", "2024-06-04 20:00", ["2024-06-03", "2024-06-04"]),
        ("w1", "2024-06-06 22:00", ["2024-05-27"]),
        ("w1", "2024-06-07 20:00", ["2024-05-27", "2024-06-03"]),
    ],
)
def test_bars_that_have_not_closed_are_left_out_and_counted(
    server, timeframe, now, kept
):
    server.bars |= {
        ("AAPL", "15Min"): quarters("2024-06-04 13:30", "2024-06-04 14:00"),
        ("AAPL", "1Day"): daily_bars(["2024-06-03", "2024-06-04"]),
        ("AAPL", "1Week"): daily_bars(["2024-05-27", "2024-06-03"]),
    }
    load = read(
        server, f"AAPL {timeframe}", now=datetime.fromisoformat(f"{now}+00:00")
    )
    found = load.bars["opened_at"].to_list()
    assert [
        stamp[11:16] if timeframe == "m15" else stamp for stamp in found
    ] == kept
    n_sent = 3 if timeframe == "m15" else 2
    assert sum(load.left_out.values()) == n_sent - len(kept)
    assert set(load.left_out) <= {"not_closed_yet"}


def test_what_is_no_number_or_no_time_is_handed_over_to_be_rejected(server):
    server.bars["AAPL", "1Day"] = [
        bar("2024-03-07T05:00:00Z", c=None, v=[1], h=10**400),
        bar("yesterday"),
        {"t": 5},
    ]
    server.bars["IBM", "1Day"] = [bar("2024-03-07T05:00:00Z", o=True)]
    assert read(server, "IBM d1").bars["open"].isna().all()
    bars = read(server, "AAPL d1").bars
    assert bars["opened_at"].to_list() == ["2024-03-07", "yesterday", "5"]
    assert bars["high"].iloc[0] == float("inf")
    assert bars["close"].isna().to_list() == [True, False, True]
    assert bars["volume"].isna().to_list() == [True, False, True]


def test_splits_and_dividends_become_factors_of_earlier_prices(server):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    server.actions = {
        "forward_splits": [split("2024-03-11", new=4, old=1)],
        "reverse_splits": [split("2024-03-12", new=1, old=10)],
        "stock_dividends": [
            {
                "symbol": "AAPL",
                "ex_date": "2024-03-08",
                "process_date": "2024-02-23",
                "rate": 0.05,
            }
        ],
        # Two of one day are one; paid long after.
        "cash_dividends": [
            cash("2024-03-08", 0.5),
            cash("2024-03-08", 1.5, paid_after=90),
        ],
    }
    # The stock dividend was processed before the first bar.
    new = WantedSeries("AAPL", "d1", date(2024, 3, 7), has_bars=False)
    assert factors(read(server, new)) == pytest.approx(
        {
            ("AAPL", "2024-03-11", "split"): 0.25,
            ("AAPL", "2024-03-12", "split"): 10.0,
            ("AAPL", "2024-03-08", "split"): 1 / 1.05,
            # An amount on the day of a split is one of a new share.
            ("AAPL", "2024-03-08", "dividend"): 1 - 2.0 / (100.0 / 1.05),
        }
    )


def test_closes_before_dividends_are_fetched_where_no_daily_bars_are(server):
    server.bars |= {
        ("AAPL", "15Min"): quarters("2024-03-12 13:30", "2024-03-12 19:45"),
        ("AAPL", "1Day"): daily_bars(DAYS),
    }
    server.actions["cash_dividends"] = [cash("2024-03-12", 1.02)]
    load = read(server, "AAPL m15")
    assert set(load.bars["timeframe"]) == {"m15"}
    assert factors(load) == pytest.approx(
        {("AAPL", "2024-03-12", "dividend"): 0.99}
    )
    server.bars["AAPL", "1Day"] = daily_bars(DAYS[3:])
    load = read(server, "AAPL m15")
    assert load.adjustments.empty
    assert load.left_out == {"dividend_without_close": 1}


def test_a_series_that_goes_on_looks_for_actions_that_were_announced_late(
    server,
):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    server.actions["cash_dividends"] = [cash("2024-03-08", 1.0)]
    newest = WantedSeries("AAPL", "d1", date(2024, 3, 12), has_bars=True)
    load = read(server, newest)
    assert load.bars["opened_at"].to_list() == ["2024-03-12"]
    assert factors(load) == pytest.approx(
        {("AAPL", "2024-03-08", "dividend"): 0.99}
    )


def test_what_comes_later_changes_no_factor_and_none_is_known_before(server):
    days = pd.bdate_range("2024-04-01", "2024-04-30")
    server.bars["AAPL", "1Day"] = daily_bars(days)
    server.actions = {
        "cash_dividends": [
            cash(f"2024-04-{day:02}", 1.0 + day / 10, paid_after=20)
            for day in (2, 10, 18, 26)
        ],
        "forward_splits": [split("2024-04-10", 2, 1)],
    }
    whole = factors(read(server, "AAPL d1"))
    assert len(whole) == 5
    ex_dates = sorted({day for _, day, _ in whole})
    # A minute before the opens of the ex-dates, at them and after the closes.
    for now in [
        pd.Timestamp(f"{day} {clock}Z")
        for day in ex_dates
        for clock in ("13:29", "13:30", "20:00")
    ]:
        cut = factors(read(server, "AAPL d1", now=now.to_pydatetime()))
        assert cut == {
            key: factor
            for key, factor in whole.items()
            if pd.Timestamp(f"{key[1]} 13:30Z") <= now
        }


def test_spin_offs_and_actions_that_cannot_be_read_are_told(server):
    server.bars["GE", "1Day"] = daily_bars(DAYS)
    server.actions = {
        "spin_offs": [
            {
                "source_symbol": "GE",
                "new_symbol": "GEV",
                "ex_date": "2024-03-11",
                "process_date": "2024-03-11",
            }
        ],
        "cash_dividends": [
            cash("2024-03-08", 1.0, "GE") | {"ex_date": None},
            cash("2024-03-08", float("nan"), "GE"),
        ],
        "forward_splits": [split("2024-03-11", new=0, old=1, symbol="GE")],
    }
    load = read(server, "GE d1")
    assert load.adjustments.empty
    assert "GE spun off a company on 2024-03-11" in load.notes[0]
    assert [
        note.partition("cannot be read: ")[2].partition(":")[0]
        for note in load.notes[1:]
    ] == ["cash_dividends", "cash_dividends", "forward_splits"]


def test_symbols_that_are_not_known_do_not_stop_the_others(server):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    server.refused_symbols = {"A$", "B$"}
    load = read(server, "A$ d1", "AAPL d1", "B$ d1", "NONE d1")
    assert len(load.bars) == 4
    assert load.notes == (
        "Alpaca accepts no such symbol: A$, B$.",
        "Alpaca's feed sip has no bars that have closed of: NONE.",
    )


def test_without_a_subscription_all_but_the_newest_bars_are_read(server):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    server.has_recent_bars = False
    now = datetime.now(UTC)
    load = read(server, "AAPL d1", now=now)
    assert len(load.bars) == 4
    assert "Bars of the last quarter of an hour are left out" in load.notes[0]
    ends = [
        now - datetime.fromisoformat(query["end"])
        for query in server.queries_of(BARS)
    ]
    assert ends == [timedelta(0), timedelta(minutes=16)]
    assert read(server, "AAPL d1", now=now, feed="iex").notes == ()


@pytest.mark.parametrize(
    "fault",
    [
        429,
        500,
        503,
        "hang",
        "hang in body",
        "cut",
        (429, {"Retry-After": "0"}, {}),
        (429, {"Retry-After": "soon", "X-RateLimit-Reset": "-"}, {}),
    ],
    ids=str,
)
def test_a_fault_that_passes_is_waited_out(server, fault):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    server.page_size = 2
    # The second page of the bars fails twice.
    server.faults.extend([None, fault, fault])
    assert len(read(server, "AAPL d1").bars) == 4
    assert len(server.queries_of(BARS)) == 4


def test_a_wait_that_the_server_asks_for_is_kept(server):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    server.faults.append((429, {"Retry-After": "0.2"}, {}))
    started = time.monotonic()
    read(server, "AAPL d1")
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (401, "does not accept the keys (401: fault). Check APCA_API_KEY_ID"),
        (403, "refuses access (403: fault). Check APCA_API_KEY_ID"),
        ((403, {}, NO_RECENT_BARS), "Read the free feed with --feed iex"),
        (404, "Check --base-url"),
        (422, "refuses the request (422: fault). Check --symbols"),
        (429, "allows no more requests for now (429), after up to 3 attempts"),
        ((429, {"Retry-After": "900"}, {}), "wait 900 s and run this again"),
        (500, 'fails (500: {"message": "fault"}), after up to 3 attempts'),
        ("hang", "did not answer in 3 attempts of 0.15 s"),
        ("hang in body", "was refused, cut or silent in 3 attempts"),
        ("cut", "was refused, cut or silent in 3 attempts"),
        (b"<html>Sign in</html>", "not what was asked for: <html>Sign in"),
        (b'{"bars": {"AAPL": [', "not what was asked for"),
        (b"", "not what was asked for"),
        (b"[]", "not what was asked for: []"),
        (b'{"bars": {"AAPL": [7]}}', "not what was asked for"),
        (b'{"bars": {}, "next_page_token": "9"}', "page token '9' once more"),
    ],
    ids=str,
)
def test_a_fault_that_stays_is_told_in_one_line_without_the_keys(
    server, caplog, fault, message
):
    server.bars["AAPL", "1Day"] = daily_bars(DAYS)
    server.faults.append(fault)
    server.fault_stays = True
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(SourceUnavailableError) as caught,
    ):
        read(server, "AAPL d1")
    text = str(caught.value)
    assert message in text
    assert text.startswith("Alpaca")
    assert "\n" not in text
    said = text + caplog.text + repr(caught.value.__cause__)
    assert KEY_ID not in said
    assert SECRET_KEY not in said


def test_an_answer_that_repeats_the_keys_is_not_repeated(server):
    server.faults.append((403, {}, {"message": f"{KEY_ID} {SECRET_KEY}?"}))
    with pytest.raises(SourceUnavailableError, match=r"403: \*\*\* \*\*\*\?"):
        read(server, "AAPL d1")


def test_a_service_that_is_not_there_is_told_without_a_password_in_it():
    service = open_service(
        KEYS, base_url="http://user:word@127.0.0.1:1", patience=QUICK
    )
    source = AlpacaSource(service, series("AAPL d1"), now=LATER)
    with pytest.raises(SourceUnavailableError) as caught:
        source.read()
    assert "connection to http://127.0.0.1:1 was refused" in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "APCA_API_KEY_ID and APCA_API_SECRET_KEY must hold the keys"),
        ({"APCA_API_KEY_ID": "k"}, "APCA_API_SECRET_KEY must hold"),
        (KEYS | {"APCA_API_KEY_ID": "“k”"}, "APCA_API_KEY_ID must hold"),
        (KEYS | {"APCA_API_DATA_URL": "data.alpaca.markets"}, "of the form"),
        (KEYS | {"APCA_API_DATA_URL": "http://host/v2"}, "without a path"),
    ],
)
def test_settings_that_cannot_be_used_are_told(environment, message):
    with pytest.raises(SettingsError, match=message):
        open_service(environment)
