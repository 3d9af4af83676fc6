import json
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import IngestionError
from python_ml.ingestion import parts as parts_module
from python_ml.ingestion.dry_run import try_ingest
from python_ml.ingestion.load import ingest
from python_ml.ingestion.readers import parquet_rows, text_lines
from python_ml.ingestion.readers import spool as spool_module
from python_ml.ingestion.readers.bar_file import BarFile, source_name
from python_ml.warehouse.bulk import read_frame
from tests.conftest import run_swiftbolt

NOW = datetime(2024, 7, 8, 22, tzinfo=UTC)
LATER = datetime(2024, 7, 9, 22, tzinfo=UTC)
HEADER = "symbol,timeframe,ts,open,high,low,close,volume\n"
PRICES = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0}


def row(ts, timeframe="m15", symbol="ACME", **changes):
    return (
        {"symbol": symbol, "timeframe": timeframe, "ts": ts}
        | PRICES
        | {"volume": 1000}
        | changes
    )


# 3 July 2024 closed early, at 17:00 UTC.
FIVE_TIMEFRAMES = (
    row("2024-07-03T16:45Z"),
    row("2024-07-03T16:30Z", "h1"),
    row("2024-07-03T13:30Z", "h4"),
    row("2024-07-03", "d1"),
    row("2024-07-01", "w1"),
)


@pytest.fixture
def write(tmp_path):
    """Write rows or text to a file by its ending and return the path."""

    def write_file(rows, name="bars.csv"):
        path = tmp_path / name
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        elif isinstance(rows, str):
            path.write_text(rows)
        elif path.suffix == ".csv":
            pd.DataFrame(rows, dtype=object).to_csv(path, index=False)
        else:
            pd.DataFrame(rows).to_parquet(path)
        return path

    return write_file


def load(warehouse, *paths, now=NOW, **options):
    return ingest(warehouse, BarFile(paths, name="test", **options), now=now)


def stored_bars(warehouse):
    """Everything stored of each bar, oldest record first."""
    return read_frame(
        warehouse,
        "select symbols.ticker, bars.* from {raw}.bars "
        "inner join {raw}.symbols using (symbol_id) "
        "order by ticker, timeframe, opened_at, batch_id",
    )


def spans(warehouse):
    bars = stored_bars(warehouse)
    return [
        f"{bar.timeframe} {bar.opened_at:%m-%d %H:%M} {bar.closed_at:%d %H:%M}"
        for bar in bars.itertuples()
    ]


def rejected_rows(warehouse):
    return read_frame(
        warehouse,
        "select * from {raw}.rejected_bars order by source_row_number",
    )


@pytest.mark.parametrize("name", ["bars.csv", "bars.parquet"])
def test_bars_of_every_timeframe_are_stored_where_they_belong(
    warehouse, write, name
):
    summary = load(warehouse, write(FIVE_TIMEFRAMES, name))

    assert summary.rejected == {}
    assert summary.bars_loaded == 5
    assert spans(warehouse) == [
        "d1 07-03 13:30 03 17:00",
        "h1 07-03 16:30 03 17:00",
        "h4 07-03 13:30 03 17:00",
        "m15 07-03 16:45 03 17:00",
        "w1 07-01 13:30 05 20:00",
    ]
    bars = stored_bars(warehouse)
    assert (bars["recorded_at"] == bars["closed_at"]).all()
    assert bars["is_backfill"].all()
    assert set(bars["batch_id"]) == {summary.batch_id}
    assert set(bars["source"]) == {"test"}
    assert bars[
        ["open", "high", "low", "close", "volume"]
    ].drop_duplicates().values.tolist() == [[10.0, 12.0, 9.0, 11.0, 1000.0]]
    with warehouse.begin() as connection:
        (symbol,) = connection.execute(sa.select(schema.symbols)).all()
    assert (symbol.ticker, symbol.calendar) == ("ACME", "XNYS")
    assert symbol.listed_from == date(2024, 7, 1)


def test_a_file_loads_alike_as_text_as_parquet_and_again(warehouse, write):
    values = {"close": 10.1 + 0.2, "volume": 2**49 + 1}
    as_text = write([row("2024-07-02T13:30Z", **values)])
    typed = [row(pd.Timestamp("2024-07-02 13:30", tz="UTC"), **values)]

    assert load(warehouse, as_text).bars_loaded == 1
    for again in (as_text, write(typed, "bars.parquet")):
        summary = load(warehouse, again, now=LATER)
        assert (summary.bars_known, summary.bars_loaded) == (1, 0)
        assert summary.batch_id is None
    assert stored_bars(warehouse)["close"].tolist() == [10.1 + 0.2]


def test_single_precision_is_stored_as_the_number_it_is(warehouse, write):
    frame = pd.DataFrame([row("2024-07-02", "d1")]).astype({"close": "float32"})
    frame["close"] = frame["close"] + pd.Series([0.1], dtype="float32")
    path = write([], "bars.parquet")
    frame.to_parquet(path)

    load(warehouse, path)

    assert stored_bars(warehouse)["close"].tolist() == [float(frame.close[0])]


def test_the_clocks_change_moves_the_open_in_utc(warehouse, write):
    days = ("2024-03-08", "2024-03-11", "2024-11-01", "2024-11-04")
    path = write([row(f"{day} 09:30", "h4") for day in days])

    load(
        warehouse,
        path,
        time_zone="America/New_York",
        now=datetime(2024, 12, 1, tzinfo=UTC),
    )

    assert spans(warehouse) == [
        "h4 03-08 14:30 08 18:30",
        "h4 03-11 13:30 11 17:30",
        "h4 11-01 13:30 01 17:30",
        "h4 11-04 14:30 04 18:30",
    ]


def test_around_the_clock_every_day_is_a_session_from_midnight(
    warehouse, write
):
    path = write(
        [
            row("2024-07-06T00:00Z", symbol="COIN"),
            row("2024-07-06T23:45Z", symbol="COIN"),
            row("2024-07-06T20:00Z", "h4", "COIN"),
            row("2024-07-07", "d1", "COIN"),
            row("2024-07-01", "w1", "COIN"),
        ]
    )

    summary = load(warehouse, path, calendar="24/7")

    assert summary.rejected == {}
    assert spans(warehouse) == [
        "d1 07-07 00:00 08 00:00",
        "h4 07-06 20:00 07 00:00",
        "m15 07-06 00:00 06 00:15",
        "m15 07-06 23:45 07 00:00",
        "w1 07-01 00:00 08 00:00",
    ]


GOOD_TIME = "2024-07-02T13:30Z"
BAD_ROWS = {
    "high_below_low": row(GOOD_TIME, high=8),
    "price_not_positive": row(GOOD_TIME, low=0),
    "negative_volume": row(GOOD_TIME, volume=-1),
    "unreadable_price": row(GOOD_TIME, close="NaN"),
    "infinite_price": row(GOOD_TIME, high="inf"),
    "unreadable_volume": row(GOOD_TIME, volume="many"),
    "open_outside_range": row(GOOD_TIME, open=13),
    "close_outside_range": row(GOOD_TIME, close=8.5),
    "missing_ticker": row(GOOD_TIME, symbol=""),
    "unknown_timeframe": row(GOOD_TIME, "m5"),
    "unreadable_time": row("yesterday"),
    "time_without_zone": row("2024-07-02 09:30"),
    "in_the_future": row("2025-07-02T13:30Z"),
    "not_closed_yet": row("2024-07-08", "w1"),
    "off_grid": row("2024-07-02T13:31Z"),
    "outside_session": row("2024-07-03T17:00Z"),
    "no_session": row("2024-07-04T13:30Z"),
}


def test_each_bad_row_is_kept_with_its_reason_and_the_good_ones_load(
    warehouse, write
):
    good = row("2024-07-02T13:45Z")
    path = write([good, *BAD_ROWS.values()])

    summary = load(warehouse, path)

    assert summary.bars_loaded == 1
    assert summary.rejected == dict.fromkeys(BAD_ROWS, 1)
    assert summary.rejected_recorded == len(BAD_ROWS)
    kept = rejected_rows(warehouse)
    assert kept["reason"].tolist() == list(BAD_ROWS)
    assert kept["source_row_number"].tolist() == list(
        range(2, len(BAD_ROWS) + 2)
    )
    for found, bad in zip(kept["source_row"], BAD_ROWS.values(), strict=True):
        as_text = {
            name: str(value) if value != "" else None
            for name, value in bad.items()
        }
        assert found == as_text | {"file": "bars.csv"}
    assert "time_without_zone (1)" in summary.to_text()
    assert "--timezone" in summary.to_text()


def test_the_same_bad_rows_again_are_counted_and_not_kept_twice(
    warehouse, write
):
    path = write([row(GOOD_TIME), *BAD_ROWS.values()])
    load(warehouse, path)

    again = load(warehouse, path, now=NOW)

    assert again.rejected == dict.fromkeys(BAD_ROWS, 1)
    assert (again.rejected_recorded, again.batch_id) == (0, None)


def test_rows_out_of_order_and_repeated_are_kept_apart(warehouse, write):
    path = write(
        [
            row("2024-07-02T13:30Z"),
            row("2024-07-02T15:30Z"),
            row("2024-07-02T13:45Z"),
            row("2024-07-02T13:45Z"),
            row("2024-07-02T14:00Z"),
            row("2024-07-02T14:00Z", close=10.5),
            row("2024-07-02T14:15Z"),
        ]
    )

    summary = load(warehouse, path)

    assert summary.bars_loaded == 4
    kept = rejected_rows(warehouse).set_index("source_row_number")["reason"]
    assert kept.to_dict() == {
        2: "out_of_order",
        4: "identical_duplicate",
        6: "conflicting_duplicate",
    }


def test_a_torn_line_is_kept_as_it_is_and_the_lines_after_it_keep_their_number(
    warehouse, write
):
    path = write(
        HEADER
        + "ACME,m15,2024-07-02T13:30Z,10,12,9,11,1000\n"
        + "ACME,m15,2024-07-02T13:4\n"
        + "\n"
        + "ACME,m15,2024-07-02T14:00Z,10,12,9,11,1000,7\n"
        + "ACME,m15,2024-07-02T14:15Z,10,8,9,11,1000\n"
    )

    summary = load(warehouse, path, symbols=["ACME"])

    assert summary.bars_loaded == 1
    kept = rejected_rows(warehouse)
    assert list(
        zip(kept["source_row_number"], kept["reason"], strict=True)
    ) == [
        (2, "malformed_row"),
        (3, "malformed_row"),
        (4, "high_below_low"),
    ]
    assert kept["source_row"][0]["malformed_row"] == "ACME,m15,2024-07-02T13:4"
    assert kept["source_row"][1]["malformed_row"].endswith("1000,7")


def test_a_changed_intraday_value_is_a_further_record(warehouse, write):
    times = ["2024-07-02T13:30Z", "2024-07-02T13:45Z"]
    load(warehouse, write([row(time) for time in times]))
    changed = write([row(times[0]), row(times[1], close=10.5)])

    summary = load(warehouse, changed, now=LATER)

    assert (summary.bars_restated, summary.bars_known) == (1, 1)
    bars = stored_bars(warehouse)
    assert bars["close"].tolist() == [11.0, 11.0, 10.5]
    new = bars.iloc[2]
    assert (new["recorded_at"], new["is_backfill"]) == (LATER, False)
    assert new["batch_id"] == summary.batch_id
    assert bars["closed_at"][1] == new["closed_at"]
    assert bars["recorded_at"][1] == bars["closed_at"][1]


def test_timeframes_do_not_restate_one_another(warehouse, write):
    load(warehouse, write([row("2024-07-02T13:30Z", "h4")]))

    summary = load(
        warehouse,
        write([row("2024-07-02T13:30Z", name) for name in ("m15", "h1", "d1")]),
        now=LATER,
    )

    assert (summary.bars_loaded, summary.bars_restated) == (3, 0)


def test_several_files_are_one_load(warehouse, write):
    first = write([row("2024-07-03", "d1"), row("2024-07-05", "d1")], "b.csv")
    second = write(
        [
            row(pd.Timestamp("2024-07-02"), "d1"),
            row(pd.Timestamp("2024-07-03"), "d1", close=10.5),
            row(pd.Timestamp("2024-07-02"), "d1", "OTHER"),
        ],
        "a.parquet",
    )

    summary = load(warehouse, first, second, first)

    assert summary.bars_loaded == 4
    assert summary.rejected == {"conflicting_duplicate": 1}
    (kept,) = rejected_rows(warehouse)["source_row"]
    assert (kept["file"], kept["close"]) == ("a.parquet", 10.5)
    assert [(one.ticker, one.n_bars) for one in summary.series] == [
        ("ACME", 3),
        ("OTHER", 1),
    ]


def test_only_what_is_asked_for_is_loaded(warehouse, write):
    path = write(
        [
            *FIVE_TIMEFRAMES,
            row("2024-07-02", "d1", "OTHER"),
            row("2024-07-04", "d1", "OTHER"),
        ]
    )

    summary = load(warehouse, path, symbols=["ACME"], timeframes=["d1", "h4"])

    assert [one.timeframe for one in summary.series] == ["d1", "h4"]
    assert summary.rejected == {}
    with pytest.raises(IngestionError, match=r"no bars of --symbols NONE\.$"):
        load(warehouse, path, symbols=["NONE"])


def test_splits_and_dividends_come_from_a_file_of_their_own(warehouse, write):
    bars = write([row("2024-07-02", "d1"), row("2024-07-03", "d1", "OTHER")])
    events = write(
        "ticker,session_date,kind,factor\n"
        "ACME,2024-07-02,split,0.5\n"
        "ACME,2024-07-03,dividend,0.99\n"
        "ACME,2024-07-04,dividend,0.99\n"
        "OTHER,2024-07-03,split,0.1\n",
        "events.csv",
    )

    summary = load(warehouse, bars, adjustments_path=events, symbols=["ACME"])

    assert summary.adjustments_loaded == 2
    assert summary.rejected == {"no_session": 1}
    assert rejected_rows(warehouse)["source_row_number"].tolist() == [3]
    again = load(
        warehouse, bars, adjustments_path=events, symbols=["ACME"], now=LATER
    )
    assert (again.adjustments_known, again.batch_id) == (2, None)


def test_times_that_lack_a_zone_are_refused_and_the_option_named(
    warehouse, write
):
    rows = [row("2024-07-02", "d1"), row("2024-07-02 09:30")]
    naive = [row(pd.Timestamp(one["ts"]), one["timeframe"]) for one in rows]
    for path in (write(rows), write(naive, "bars.parquet")):
        with pytest.raises(IngestionError) as raised:
            load(warehouse, path)

        message = str(raised.value)
        assert str(path) in message
        assert "2024-07-02 09:30" in message
        assert "--timezone America/New_York" in message
        summary = load(warehouse, path, time_zone="America/New_York")
        assert summary.bars_loaded + summary.bars_known == 2
    assert spans(warehouse) == [
        "d1 07-02 13:30 02 20:00",
        "m15 07-02 13:30 02 13:45",
    ]


def test_a_file_in_local_time_that_says_utc_loads_nothing(warehouse, write):
    local = pd.date_range("2024-07-02 09:30Z", periods=26, freq="15min")
    path = write([row(time) for time in local], "bars.parquet")

    with pytest.raises(IngestionError, match=r"wrong_zone \(26\).*--timezone"):
        load(warehouse, path)

    assert stored_bars(warehouse).empty


def with_a_column_twice():
    table = pa.table(pd.DataFrame([row("2024-07-02", "d1")]))
    return table.append_column("close", table["open"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, r"absent.csv cannot be read: No such file"),
        (
            "absent.parquet",
            None,
            r"absent.parquet cannot be read: No such file",
        ),
        ("bars.parquet", b"", r"bars.parquet cannot be read: .*0 bytes"),
        ("bars.parquet", b"symbol,ts\n" * 9, r"not a parquet file"),
        ("bars.csv", b"", r"bars.csv lacks .*; it has none, it is"),
        ("bars.csv", HEADER.replace("close,", ""), r"lacks the column close;"),
        ("bars.csv", HEADER.replace(",", ";"), r"there are no bars in it"),
        ("bars.csv", HEADER, r"there are no bars in it"),
        ("bars.csv", HEADER.encode("utf-16"), r"there are no bars in it"),
        (
            "bars.csv.gz",
            HEADER.encode(),
            r"bars.csv.gz cannot be read: Not a g",
        ),
        ("bars.xlsx", b"", r"ends in .xlsx; only .* .parquet, .csv"),
        ("bars", b"", r"ends in nothing; only"),
        ("bars.parquet", with_a_column_twice, r"the column close twice"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_why(
    tmp_path, write, name, content, message
):
    path = tmp_path / name
    if callable(content):
        pyarrow.parquet.write_table(content(), path)
    elif content is not None:
        path = write(content, name)

    with pytest.raises(IngestionError, match=message) as raised:
        BarFile([path], name="test").read()

    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("symbol", [["ACME"]], r"column symbol .* list<.*which are no names"),
        ("timeframe", [1.5], r"column timeframe .*which are no timeframes"),
        ("ts", [timedelta(days=1)], r"column ts .*duration.* are no times"),
        ("close", [True], r"column close .*bool.* are no numbers"),
        ("volume", [NOW], r"column volume .*timestamp.* are no numbers"),
    ],
)
def test_a_column_of_another_kind_is_refused_by_name(
    tmp_path, name, values, message
):
    table = pa.table(
        {
            key: pa.array(values if key == name else [value])
            for key, value in row("2024-07-02", "d1").items()
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "bars.parquet")

    with pytest.raises(IngestionError, match=f"(?i){message}.*--columns"):
        BarFile([tmp_path / "bars.parquet"], name="test").read()


def test_a_folder_without_bars_is_named(tmp_path):
    folder = tmp_path / "bars.parquet"
    folder.mkdir()
    with pytest.raises(IngestionError, match=r"Folder .* has no file whose"):
        BarFile([folder], name="test").read()


def test_a_file_written_elsewhere_is_read_as_well(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_bytes(
        b"\xef\xbb\xbfvolume,id,close,low,high,open,ts,timeframe,symbol\r\n"
        b'1000,7,11,9,12,10,2024-07-02,d1,"ACME"\r\n'
    )

    bars = BarFile([path], name="test").read().bars

    assert bars["ticker"].tolist() == ["ACME"]
    assert bars["close"].tolist() == ["11"]
    assert "id" not in bars


def test_decimals_and_dates_of_parquet_are_read(warehouse, tmp_path):
    table = pa.table(
        {
            "symbol": ["ACME"],
            "timeframe": ["d1"],
            "ts": pa.array([date(2024, 7, 2)], pa.date32()),
            **{
                name: pa.array([price], pa.float64()).cast(pa.decimal128(10, 2))
                for name, price in PRICES.items()
            },
            "volume": [1000],
        }
    )
    path = tmp_path / "bars.parquet"
    pyarrow.parquet.write_table(table, path)

    assert BarFile([path], name="test").read().bars["high"].dtype == "float64"
    assert load(warehouse, path).bars_loaded == 1
    assert stored_bars(warehouse)["high"].tolist() == [12.0]


def test_unknown_calendars_and_zones_are_refused(warehouse, write):
    path = write([row("2024-07-02", "d1")])
    with pytest.raises(IngestionError, match="no exchange calendar 'NOPE'"):
        load(warehouse, path, calendar="NOPE")
    with pytest.raises(IngestionError, match="no time zone 'NOPE'"):
        load(warehouse, path, time_zone="NOPE")


def test_parts_make_one_batch_and_leave_the_same_rows(
    fresh_warehouse, write, monkeypatch
):
    days = ("2024-07-01", "2024-07-02", "2024-07-03")
    rows = [
        row(day, "d1", symbol, close=11 if day < "2024-07-03" else bad)
        for day in days
        for symbol, bad in (("C", 13), ("A", 11), ("B", 11), ("", 11))
    ]
    path = write(rows)
    found = []
    for rows_at_once, in_memory in ((1, 0), (4, 100), (6, 3), (100, 100)):
        monkeypatch.setattr(parts_module, "ROWS_AT_ONCE", rows_at_once)
        monkeypatch.setattr(spool_module, "ROWS_IN_MEMORY", in_memory)
        with fresh_warehouse() as warehouse:
            load(warehouse, path)
            summary = load(
                warehouse,
                write([*rows, row("2024-07-05", "d1", "D")], "more.csv"),
            )
            found.append(
                (
                    stored_bars(warehouse).drop(columns="written_at"),
                    rejected_rows(warehouse).drop(columns="rejected_bar_id"),
                    summary,
                )
            )

    bars, rejected, summary = found[0]
    for other_bars, other_rejected, other_summary in found[1:]:
        pd.testing.assert_frame_equal(other_bars, bars)
        pd.testing.assert_frame_equal(other_rejected, rejected)
        assert other_summary == summary
    assert "".join(bars["ticker"]) == "AAABBBCCD"
    assert bars["symbol_id"].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 4]
    assert bars["batch_id"].nunique() == 2
    assert summary.rejected == {"missing_ticker": 3, "close_outside_range": 1}
    files = [row["file"] for row in rejected["source_row"]]
    assert files.count("bars.csv") == files.count("more.csv") == 4


def test_a_large_load_leaves_statistics_and_reads_what_it_knows(
    warehouse, tmp_path
):
    times = pd.date_range("2023-01-01", periods=12_000, freq="15min", tz="UTC")
    frame = pd.DataFrame({"symbol": "COIN", "timeframe": "m15", "ts": times})
    path = tmp_path / "bars.parquet"
    frame.assign(**PRICES, volume=0).to_parquet(path)

    assert load(warehouse, path, calendar="24/7").bars_loaded == 12_000
    assert load(warehouse, path, calendar="24/7").bars_known == 12_000
    estimate = read_frame(
        warehouse,
        "select reltuples from pg_class where oid = 'raw.bars'::regclass",
    )
    assert estimate["reltuples"][0] == 12_000


def test_the_command_loads_and_prints(warehouse, write):
    path = write([row("2024-07-03", "d1"), row("2024-07-04", "d1")])

    shown = run_swiftbolt(warehouse, "ingest", "bars", str(path))
    plain = run_swiftbolt(
        warehouse, "ingest", "bars", str(path), "--source", "mine", "--json"
    )

    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[1].split() == [
        *("ACME", "d1", "1", "2024-07-03", "2024-07-03")
    ]
    assert "Rejected: no_session (1)." in shown.stdout
    assert plain.returncode == 0, plain.stderr
    result = json.loads(plain.stdout)
    assert (result["source"], result["bars_known"]) == ("mine", 1)
    assert stored_bars(warehouse)["source"].tolist() == ["bars"]
    runs = read_frame(
        warehouse, "select arguments from {ml}.job_runs order by job_run_id"
    )
    assert runs["arguments"][0] == {"source": "bars", "files": [str(path)]}


def test_the_command_explains_a_bad_file_in_one_line(warehouse, write):
    path = write(HEADER.replace("ts,", ""))

    failed = run_swiftbolt(warehouse, "ingest", "bars", str(path))
    misused = run_swiftbolt(warehouse, "ingest", "bars")

    assert failed.returncode == 1
    assert failed.stdout == ""
    assert [line for line in failed.stderr.splitlines() if "Error" in line] == [
        f"Error: {path} lacks the column ts; it has symbol, timeframe, open, "
        "high, low, close, volume. If one of them is meant, name it, for "
        "example: --columns ts=NAME"
    ]
    assert misused.returncode == 2


def test_a_file_that_cannot_be_read_leaves_the_others_to_load(
    warehouse, write, tmp_path
):
    write([row("2024-07-02", "d1")], "a.csv")
    write([row("2024-07-03", "d1"), row("2024-07-04", "d1")], "b.csv")
    write(b"PAR1", "c.parquet")

    ended = run_swiftbolt(warehouse, "ingest", "bars", str(tmp_path))

    assert ended.returncode == 1
    assert "Bars: 2 new" in ended.stdout
    assert f"Not read: {tmp_path / 'c.parquet'} cannot be read" in ended.stdout
    (error,) = [line for line in ended.stderr.splitlines() if "Error" in line]
    assert "1 of 3 files were left out" in error
    assert len(stored_bars(warehouse)) == 2
    runs = read_frame(warehouse, "select status from {ml}.job_runs")
    assert runs["status"].tolist() == ["failed"]


def test_a_dry_run_says_what_would_be_loaded_and_writes_nothing(
    warehouse, write
):
    path = write(
        "Date;Open;High;Low;Close;Volume\n"
        "01.07.2024;10,0;12,5;9;11,5;1.000\n"
        "02.07.2024;10,0;12,5;9;many;1.000\n"
        "04.07.2024;10,0;12,5;9;11,5;1.000\n"
        "05.07.2024;10,0;12,5;9;11,5;1.000.000\n",
        "acme.txt",
    )
    command = (
        *("ingest", "bars", str(path), "--symbol", "ACME"),
        *("--timeframe", "1Day"),
    )

    shown = run_swiftbolt(warehouse, *command, "--dry-run")
    plain = run_swiftbolt(warehouse, *command, "--dry-run", "--json")

    assert shown.returncode == 0, shown.stderr
    for words in (
        "as named columns (semicolon, UTF-8, times as day.month.year, decimal",
        "timeframe d1, ts=Date, open=Open",
        "ACME d1 2 2024-07-01 2024-07-05",
        "unreadable_price (1): no number: see --decimal",
        "no_session (1): no trading on that day: see --calendar",
        "Nothing was written",
    ):
        assert words in " ".join(shown.stdout.split())
    result = json.loads(plain.stdout)
    assert [(row["row"], row["reason"]) for row in result["rejected_rows"]] == [
        (2, "unreadable_price"),
        (3, "no_session"),
    ]
    for table in ("{raw}.bars", "{raw}.rejected_bars", "{raw}.sessions"):
        assert read_frame(warehouse, f"select 1 from {table}").empty
    assert read_frame(warehouse, "select 1 from {ml}.job_runs").empty

    loaded = run_swiftbolt(warehouse, *command, "--json")

    assert json.loads(loaded.stdout)["rejected"] == result["rejected"]
    assert stored_bars(warehouse)["volume"].tolist() == [1000.0, 1_000_000.0]


def test_a_ticker_that_differs_from_a_known_one_in_case_is_pointed_out(
    warehouse, write
):
    load(warehouse, write([row("2024-07-02", "d1")]))
    path = write([row("2024-07-03", "d1", "Acme")], "lower.csv")
    said = "Acme is new and another symbol than ACME"

    tried = try_ingest(warehouse, BarFile([path], name="test"), now=NOW)

    assert said in tried.to_text()
    assert said in load(warehouse, path).to_text()
    assert load(warehouse, path).notes == ()


def test_files_that_need_different_options_are_to_be_loaded_apart(write):
    paths = [
        write("Date,Open,High,Low,Close,Volume\n2024-07-02,1,2,1,2,9\n", name)
        for name in ("ACME.csv", "BULL.csv")
    ]

    with pytest.raises(IngestionError, match=r"None of 2 .* one after the o"):
        BarFile(paths, name="test").read()


def test_bars_named_by_their_close_are_stored_by_their_open(warehouse, write):
    path = write(
        [
            row("2024-07-02T13:45Z"),
            row("2024-07-03T17:00Z"),
            row("2024-07-03T17:00Z", "h1"),
            row("2024-07-03T17:00Z", "h4"),
            row("2024-07-02T20:00Z", "d1"),
            row("2024-07-03", "d1"),
            row("2024-07-05T20:00Z", "w1"),
            # No bar closes at these.
            row("2024-07-02T13:30Z", symbol="OPEN"),
            row("2024-07-03T13:30Z", "d1", "OPEN"),
            row("2024-07-04", "w1", "OPEN"),
            row("2024-07-02T13:40Z", symbol="OPEN"),
        ]
    )

    summary = load(warehouse, path, stamp="close")

    assert spans(warehouse) == [
        "d1 07-02 13:30 02 20:00",
        "d1 07-03 13:30 03 17:00",
        "h1 07-03 16:30 03 17:00",
        "h4 07-03 13:30 03 17:00",
        "m15 07-02 13:30 02 13:45",
        "m15 07-03 16:45 03 17:00",
        "w1 07-01 13:30 05 20:00",
    ]
    assert sum(summary.rejected.values()) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"ts": "when"}}, r"has the column when not; it has sym"),
        ({"columns": {"price": "open"}}, r"--columns names 'price'"),
        ({"symbol": "ACME"}, r"leave out --symbol, or choose rows by --symb"),
        ({"timeframe": "1d"}, r"leave out --timeframe"),
        ({"layout": "acme"}, r"no layout 'acme'; there are databento"),
        ({"date_format": "days"}, r"--date-format 'days' is no format"),
        ({"path_pattern": "{symbol}-x"}, r"does not end as --path-pattern"),
    ],
)
def test_an_option_that_does_not_fit_is_explained(write, options, message):
    path = write([row("2024-07-02", "d1")])

    with pytest.raises(IngestionError, match=message):
        BarFile([path], name="test", **options).read()


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        (
            "Date,Open,High,Low,Close,Volume",
            "2024-07-02,10,12,9,11,100",
            r"no column of the symbol and the timeframe; .* Say --symbol AAPL "
            r"and --timeframe d1 \(or m15, h1, h4, w1\), or .* "
            r"--path-pattern '\{symbol\}\.csv' --timeframe d1, or",
        ),
        (
            "date,timestamp,open,high,low,close,volume",
            "2024-07-02,1719878400,10,12,9,11,100",
            r"several columns that may be ts: timestamp, date. Name one",
        ),
        (
            "date,open,high,low,close,lots of volume",
            "2024-07-02,10,12,9,11,100",
            r"lacks the column volume;.*--columns volume=NAME",
        ),
        (
            "date,open,high,low,close,volume",
            "01/02/2024,10,12,9,11,100",
            r"01/02/2024, which may be .* --date-format '%d/%m/%Y",
        ),
        (
            "date,open,high,low,close,volume",
            '2024-07-02,10,12,9,11,"1,000"',
            r"such as 1,000, whose comma .* --decimal comma",
        ),
        (
            "2024-07-01,10,12,9,11,100",
            "2024-07-02,10,12,9,11,100",
            r"has no header, .*--columns ts=1,open=2",
        ),
    ],
)
def test_what_a_file_leaves_open_is_asked_for(write, header, line, message):
    path = write(f"{header}\n{line}\n")
    options = {}
    if "symbol" not in message:
        options = {"symbol": "ACME", "timeframe": "d1"}

    with pytest.raises(IngestionError, match=message):
        BarFile([path], name="test", **options).read()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_a_file_in_pieces_reads_as_the_whole(write, monkeypatch, encoding):
    lines = [
        f"ACME,m15,2024-07-0{day}T13:{minute}Z,10,12,9,11,{day}{minute}"
        for day in (1, 2, 3)
        for minute in (30, 45)
    ]
    lines[2] = "torn"
    lines[4] = lines[4].replace("11", '"11')
    lines.insert(3, "")
    path = write((HEADER + "\n".join(lines)).encode(encoding))
    whole = BarFile([path], name="test").read().bars
    monkeypatch.setattr(text_lines, "BLOCK_CHARACTERS", 60)

    pieces = BarFile([path], name="test").read().bars

    order = "source_row_number"
    whole, pieces = (
        bars.sort_values(order, ignore_index=True) for bars in (whole, pieces)
    )
    assert whole[order].tolist() == [1, 2, 3, 4, 5, 6]
    assert whole["malformed_row"].notna().tolist() == [
        *(False, False, True, False, True, False)
    ]
    for name in whole:
        assert pieces[name].astype("str").equals(whole[name].astype("str"))


def test_a_parquet_file_in_pieces_reads_as_the_whole(write, monkeypatch):
    rows = [row(f"2024-07-0{n}", "d1", volume=n) for n in range(1, 10)]
    path = write(rows, "bars.parquet")
    whole = BarFile([path], name="test").read().bars
    monkeypatch.setattr(parquet_rows, "ROWS_AT_ONCE", 4)

    pieces = BarFile([path], name="test").read().bars

    assert whole["source_row_number"].tolist() == [*range(1, 10)]
    pd.testing.assert_frame_equal(pieces, whole)


def test_a_line_without_end_costs_one_row_and_little_memory(write, monkeypatch):
    monkeypatch.setattr(text_lines, "BLOCK_CHARACTERS", 20_000)
    good = "ACME,d1,2024-07-02,10,12,9,11,1000\n"
    path = write(HEADER + good + "x" * 300_000 + "\n" + good)

    bars = BarFile([path], name="test").read().bars

    bars = bars.set_index("source_row_number")
    assert sorted(bars.index) == [1, 2, 3]
    assert len(bars["malformed_row"][2]) < 1_000
    assert bars["close"][[1, 3]].tolist() == ["11", "11"]


def test_columns_can_be_named_numbered_and_joined(write):
    path = write("2024-07-02;1330;A;10;12;9;11;100\n")
    numbers = {
        name: str(number + 4)
        for number, name in enumerate(("open", "high", "low", "close"))
    }

    load = BarFile(
        [path],
        name="test",
        columns={"ts": "1+2", "symbol": "3", "volume": "8"} | numbers,
        timeframe="m15",
        time_zone="UTC",
    ).read()

    (bar,) = load.bars.itertuples()
    assert bar.opened_at == pd.Timestamp("2024-07-02 13:30")
    assert (bar.ticker, bar.timeframe) == ("A", "m15")
    assert (bar.open, bar.close, bar.volume) == ("10", "11", "100")


def test_any_file_name_makes_a_name_of_a_source():
    assert source_name("it's") == "it_s"
    assert source_name("日本") == "日本"
    assert source_name("'; --") == "--"
    assert source_name("()") == "file"
