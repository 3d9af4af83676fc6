"""Files in exactly the layouts of vendors; values are made by hand."""

import gzip
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from python_ml.exceptions import IngestionError
from python_ml.ingestion.readers.bar_file import BarFile
from python_ml.ingestion.readers.layouts import LAYOUT_NAMES
from python_ml.settings import PROJECT_ROOT

FOLDER = Path(__file__).parent / "data" / "vendors"
PAGE = PROJECT_ROOT / "docs" / "vendors.md"
ROW = (10.0, 12.0, 9.0, 11.0, 1000.0)
NEXT_ROW = (11.0, 12.5, 10.5, 12.0, 1100.0)
OTHER = (20.0, 21.0, 22.0, 19.0, 2000.0)
FX = (1.10, 1.12, 1.09, 1.11)
FX_NEXT = (1.11, 1.125, 1.105, 1.12, 1100.0)
NEW_YORK = {"time_zone": "America/New_York"}


def read(*files, **options):
    """Rows of files as tuples, with times in UTC or, where none is, local."""
    load = BarFile(
        [FOLDER / name for name in files], name="x", **options
    ).read()
    bars = load.bars
    times = [str(pd.Timestamp(time)) for time in bars["opened_at"]]
    values = bars[["open", "high", "low", "close", "volume"]].apply(
        pd.to_numeric, errors="coerce"
    )
    rows = [
        (ticker, timeframe, time, tuple(prices))
        for ticker, timeframe, time, prices in zip(
            bars["ticker"],
            bars["timeframe"],
            times,
            values.itertuples(index=False),
            strict=True,
        )
    ]
    return [read_as.layout for read_as in load.read_as], rows


CASES = {
    "yfinance/history.csv": (
        {"symbol": "ACME", "timeframe": "1d"},
        [
            ("ACME", "d1", "2024-07-02 00:00:00-04:00", ROW),
            ("ACME", "d1", "2024-07-03 00:00:00-04:00", NEXT_ROW),
        ],
    ),
    "yfinance/intraday.csv": (
        {"symbol": "ACME", "timeframe": "15m"},
        [
            ("ACME", "m15", "2024-07-02 09:30:00-04:00", ROW),
            ("ACME", "m15", "2024-07-02 09:45:00-04:00", NEXT_ROW),
        ],
    ),
    "yfinance/download.csv": (
        {"timeframe": "1d"},
        [
            ("ACME", "d1", "2024-07-02 00:00:00", ROW),
            ("ACME", "d1", "2024-07-03 00:00:00", NEXT_ROW),
            ("OTHER", "d1", "2024-07-03 00:00:00", (20, 22, 19, 21, 2000)),
        ],
    ),
    "alpaca/bars.csv": (
        {"timeframe": "15Min"},
        [
            ("ACME", "m15", "2024-07-02 13:30:00+00:00", ROW),
            ("ACME", "m15", "2024-07-02 13:45:00+00:00", NEXT_ROW),
        ],
    ),
    "massive/day_aggs_v1/2024-07-02.csv": (
        {},
        [
            ("ACME", "d1", "2024-07-02 04:00:00+00:00", ROW),
            (
                "OTHER",
                "d1",
                "2024-07-02 04:00:00+00:00",
                (20, 22, 19, 21, 2000),
            ),
        ],
    ),
    "massive/minute_aggs_v1/2024-07-02.csv": (
        {},
        [("ACME", "m1", "2024-07-02 13:30:00+00:00", ROW)],
    ),
    "databento/fixed_point.csv": (
        {},
        [
            ("ACME", "h1", "2024-07-02 13:30:00+00:00", ROW),
            (
                *("ACME", "h1", "2024-07-02 14:30:00+00:00"),
                (11.0, 12.5, 10.5, "missing", 1100.0),
            ),
        ],
    ),
    "databento/decimal_point.csv": (
        {},
        [
            ("ACME", "d1", "2024-07-02 00:00:00+00:00", ROW),
            ("ACME", "d1", "2024-07-03 00:00:00+00:00", NEXT_ROW),
        ],
    ),
    "binance/BTCUSDT-1h-2024-07.csv": (
        {},
        [
            ("BTCUSDT", "h1", "2024-07-02 01:00:00+00:00", ROW),
            ("BTCUSDT", "h1", "2024-07-02 02:00:00+00:00", NEXT_ROW),
        ],
    ),
    "binance/BTCUSDT-1d-2025-01-02.csv": (
        {},
        [("BTCUSDT", "d1", "2025-01-02 00:00:00+00:00", ROW)],
    ),
    "binance/BTCUSDT-15m-2024-07-02.csv": (
        {},
        [("BTCUSDT", "m15", "2024-07-02 01:00:00+00:00", ROW)],
    ),
    "metatrader/EURUSD_M15_202407021630_202407021645.csv": (
        {"time_zone": "Europe/Helsinki"},
        [
            ("EURUSD", "m15", "2024-07-02 16:30:00", (*FX, 1000.0)),
            ("EURUSD", "m15", "2024-07-02 16:45:00", FX_NEXT),
        ],
    ),
    "metatrader/EURUSD_Daily_202407020000_202407020000.csv": (
        {},
        [("EURUSD", "d1", "2024-07-02 00:00:00", (*FX, 1000.0))],
    ),
    "metatrader/EURUSD15.csv": (
        {
            "symbol": "EURUSD",
            "timeframe": "M15",
            "time_zone": "Europe/Helsinki",
        },
        [
            ("EURUSD", "m15", "2024-07-02 16:30:00", (*FX, 1000.0)),
            ("EURUSD", "m15", "2024-07-02 16:45:00", FX_NEXT),
        ],
    ),
    "stooq/acme.us.txt": (
        {},
        [
            ("ACME.US", "d1", "2024-07-02 00:00:00", ROW),
            ("ACME.US", "d1", "2024-07-03 00:00:00", NEXT_ROW),
        ],
    ),
    "stooq/hourly.txt": (
        {"time_zone": "Europe/Warsaw"},
        [("ACME.US", "h1", "2024-07-02 15:30:00", ROW)],
    ),
    "interactive_brokers/intraday.csv": (
        {"symbol": "ACME", "timeframe": "15 mins"},
        [
            ("ACME", "m15", "2024-07-02 09:30:00-04:00", ROW),
            ("ACME", "m15", "2024-07-02 09:45:00-04:00", NEXT_ROW),
        ],
    ),
    "interactive_brokers/as_sent.csv": (
        {"symbol": "ACME", "timeframe": "15 mins"},
        [
            ("ACME", "m15", "2024-07-02 13:30:00+00:00", (*ROW[:4], 0.0)),
            ("ACME", "m15", "2024-07-02 13:45:00+00:00", (*NEXT_ROW[:4], 0.0)),
        ],
    ),
    "interactive_brokers/daily.csv": (
        {"symbol": "ACME", "timeframe": "1 day"},
        [("ACME", "d1", "2024-07-02 00:00:00", ROW)],
    ),
    "tradingview/BATS_ACME, 15.csv": (
        {},
        [
            ("ACME", "m15", "2024-07-02 13:30:00+00:00", ROW),
            ("ACME", "m15", "2024-07-02 13:45:00+00:00", NEXT_ROW),
        ],
    ),
    "tradingview/BATS_ACME, 1D.csv": (
        {},
        [("ACME", "d1", "2024-07-02 00:00:00", ROW)],
    ),
    "tradingview/FX_IDC_EURUSD, 60_1a2b3.csv": (
        {},
        [("EURUSD", "h1", "2024-07-02 09:30:00-04:00", (*FX, 0.0))],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_vendors_file_is_recognised_and_read_to_the_last_value(name):
    options, expected = CASES[name]
    layout = name.partition("/")[0].replace("_", "-")

    for asked in (None, layout):
        layouts, rows = read(name, layout=asked, **options)

        assert layouts == [layout]
        assert [row[:3] for row in rows] == [row[:3] for row in expected]
        for (*_, found), (*_, wanted) in zip(rows, expected, strict=True):
            shown = ["missing" if pd.isna(value) else value for value in found]
            assert shown == [*wanted]


def test_every_layout_has_a_file_and_a_section_of_its_page():
    tested = {name.partition("/")[0].replace("_", "-") for name in CASES}
    sections = re.findall(r"^## `?([\w-]+)", PAGE.read_text(), re.MULTILINE)

    assert tested == {*LAYOUT_NAMES}
    assert {*LAYOUT_NAMES} <= {*sections}


@pytest.mark.parametrize(
    "text",
    [
        "Date,Close/Last,Volume,Open,High,Low\n"
        "07/23/2024,$11.00,1000,$10.00,$12.00,$9.00\n",
        "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen\n"
        "2024-07-23,10,12,9,11,1000\n",
        "Datum;Er\u00f6ffnung;Hoch;Tief;Schluss;Volumen\n"
        "23.07.2024;10,00;12,00;9,00;11,00;1.000\n",
        "timestamp,1. open,2. high,3. low,4. close,5. volume\n"
        "2024-07-23,10,12,9,11,1000\n",
    ],
)
def test_common_columns_are_read_without_a_layout(tmp_path, text):
    path = tmp_path / "bars.csv"
    path.write_text(text)

    layouts, rows = read(path, symbol="ACME", timeframe="d1")

    assert layouts == ["named columns"]
    assert rows == [("ACME", "d1", "2024-07-23 00:00:00", ROW)]


def test_a_data_frame_of_several_symbols_is_read_from_parquet(tmp_path):
    frame = pd.read_csv(
        FOLDER / "yfinance" / "download.csv",
        header=[0, 1],
        index_col=0,
        parse_dates=True,
    )
    frame.index.name = "Date"
    path = tmp_path / "download.parquet"
    frame.to_parquet(path)

    layouts, rows = read(path, timeframe="d1")

    assert layouts == ["yfinance"]
    assert rows == CASES["yfinance/download.csv"][1]


def test_splits_and_dividends_beside_the_bars_are_handed_on():
    path = FOLDER / "yfinance" / "history.csv"

    bars = BarFile([path], name="x", symbol="A", timeframe="d1").read().bars

    assert bars["dividends"].tolist() == ["0.0", "0.25"]
    assert bars["stock_splits"].tolist() == ["0.0", "0.0"]
    assert "adj_close" not in bars


def test_a_compressed_file_is_named_like_the_file_in_it(tmp_path):
    folder = tmp_path / "day_aggs_v1" / "2024" / "07"
    folder.mkdir(parents=True)
    plain = FOLDER / "massive" / "day_aggs_v1" / "2024-07-02.csv"
    with (
        plain.open("rb") as source,
        gzip.open(folder / "2024-07-02.csv.gz", "wb") as copy,
    ):
        shutil.copyfileobj(source, copy)

    layouts, rows = read(tmp_path)

    assert layouts == ["massive"]
    assert rows == CASES["massive/day_aggs_v1/2024-07-02.csv"][1]


def test_a_file_in_another_layout_than_the_one_asked_for_is_refused():
    with pytest.raises(IngestionError, match=r"lacks the column ts; it has"):
        read("alpaca/bars.csv", layout="massive", timeframe="m15")
    with pytest.raises(IngestionError, match=r"no layout 'acme'; there are"):
        read("alpaca/bars.csv", layout="acme")
