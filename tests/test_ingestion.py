import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pandas as pd
import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import (
    IngestionError,
    JobRunningError,
    SeriesRefusedError,
)
from python_ml.ingestion import batch, symbols
from python_ml.ingestion.base import ADJUSTMENT_COLUMNS, Load
from python_ml.ingestion.dry_run import try_ingest
from python_ml.ingestion.load import ingest
from python_ml.ingestion.readers.sample import SampleSource
from tests.conftest import run_swiftbolt

FIRST_LOAD = datetime(2013, 3, 4, 22, tzinfo=UTC)
SECOND_LOAD = datetime(2013, 3, 5, 22, tzinfo=UTC)

# Three sessions, the middle one an early close.
DAYS = ("2012-07-02", "2012-07-03", "2012-07-05")


def bar(day, **changes):
    return {
        "ticker": "ACME",
        "timeframe": "d1",
        "opened_at": day,
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "volume": 1000.0,
    } | changes


def adjustment(day, **changes):
    return {
        "ticker": "ACME",
        "session_date": day,
        "kind": "split",
        "factor": 0.5,
    } | changes


THREE_BARS = tuple(bar(day) for day in DAYS)


@dataclass
class ListSource:
    """A source of the rows it is given."""

    bars: tuple = THREE_BARS
    adjustments: tuple = ()
    name: str = "test"
    calendar: str = "XNYS"
    before_read: object = field(default=lambda: None)

    def read(self):
        self.before_read()
        bars = pd.DataFrame(list(self.bars))
        return Load(
            bars=bars.assign(source_row_number=range(1, len(bars) + 1)),
            adjustments=pd.DataFrame(
                list(self.adjustments), columns=ADJUSTMENT_COLUMNS
            ),
        )


def rows_of(warehouse, table):
    order = [column for column in table.primary_key]
    with warehouse.begin() as connection:
        return connection.execute(sa.select(table).order_by(*order)).all()


def raw_rows(warehouse):
    """Everything in `raw`."""
    return {
        table.name: rows_of(warehouse, table)
        for table in schema.metadata.tables.values()
        if table.schema == schema.RAW
    }


def test_a_first_load_is_a_backfill_known_from_each_close(warehouse):
    summary = ingest(
        warehouse,
        ListSource(adjustments=(adjustment("2012-07-03"),)),
        now=FIRST_LOAD,
    )

    bars = rows_of(warehouse, schema.bars)
    assert [row.closed_at for row in bars] == [
        datetime(2012, 7, 2, 20, tzinfo=UTC),
        datetime(2012, 7, 3, 17, tzinfo=UTC),
        datetime(2012, 7, 5, 20, tzinfo=UTC),
    ]
    for row in bars:
        assert row.recorded_at == row.closed_at
        assert row.is_backfill
        assert row.ingested_at == FIRST_LOAD
        assert row.batch_id == summary.batch_id
        assert (row.open, row.high, row.low, row.close, row.volume) == (
            10.0,
            12.0,
            9.0,
            11.0,
            1000.0,
        )
    (event,) = rows_of(warehouse, schema.adjustments)
    assert event.effective_at == datetime(2012, 7, 3, 13, 30, tzinfo=UTC)
    assert event.recorded_at == event.effective_at
    assert event.is_backfill
    assert (event.kind, event.factor) == ("split", 0.5)
    (symbol,) = rows_of(warehouse, schema.symbols)
    assert (symbol.ticker, symbol.calendar) == ("ACME", "XNYS")
    assert symbol.listed_from == date(2012, 7, 2)
    (batch,) = rows_of(warehouse, schema.ingest_batches)
    assert (batch.n_bars, batch.n_adjustments, batch.n_rejected) == (3, 1, 0)
    (series,) = summary.series
    assert (series.n_bars, series.first_session, series.last_session) == (
        3,
        date(2012, 7, 2),
        date(2012, 7, 5),
    )


def test_the_same_load_again_adds_nothing(warehouse):
    source = ListSource(
        bars=(*THREE_BARS, bar("2012-07-04"), bar("2012-07-04")),
        adjustments=(
            adjustment("2012-07-03"),
            adjustment("2012-07-03", factor=-1.0),
        ),
    )
    ingest(warehouse, source, now=FIRST_LOAD)
    before = raw_rows(warehouse)

    again = ingest(warehouse, source, now=SECOND_LOAD)

    assert raw_rows(warehouse) == before
    assert again.batch_id is None
    assert (again.bars_loaded, again.bars_restated, again.bars_known) == (
        0,
        0,
        3,
    )
    assert again.adjustments_known == 1
    assert again.rejected == {"no_session": 2, "factor_not_positive": 1}
    assert again.rejected_recorded == 0


def test_a_changed_value_is_a_further_record_known_from_its_load_on(warehouse):
    ingest(
        warehouse,
        ListSource(adjustments=(adjustment("2012-07-03"),)),
        now=FIRST_LOAD,
    )
    restated = ListSource(
        bars=(bar(DAYS[0]), bar(DAYS[1], volume=1001.0), bar(DAYS[2])),
        adjustments=(adjustment("2012-07-03", factor=0.25),),
    )

    summary = ingest(warehouse, restated, now=SECOND_LOAD)

    assert (summary.bars_restated, summary.bars_known) == (1, 2)
    assert summary.adjustments_restated == 1
    old, new = [
        row
        for row in rows_of(warehouse, schema.bars)
        if row.opened_at == datetime(2012, 7, 3, 13, 30, tzinfo=UTC)
    ]
    assert (old.volume, old.recorded_at) == (1000.0, old.closed_at)
    assert (new.volume, new.recorded_at) == (1001.0, SECOND_LOAD)
    assert not new.is_backfill
    assert new.batch_id > old.batch_id
    old_event, new_event = rows_of(warehouse, schema.adjustments)
    assert (old_event.factor, new_event.factor) == (0.5, 0.25)
    assert (new_event.recorded_at, new_event.is_backfill) == (
        SECOND_LOAD,
        False,
    )
    assert ingest(warehouse, restated, now=SECOND_LOAD).batch_id is None


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume"])
def test_a_change_of_any_value_is_seen(warehouse, name):
    ingest(warehouse, ListSource(), now=FIRST_LOAD)
    value = THREE_BARS[0][name] * (1 + 2**-50)
    if name in ("open", "close"):
        value = THREE_BARS[0][name] * (1 - 2**-50)

    summary = ingest(
        warehouse,
        ListSource(bars=(bar(DAYS[0], **{name: value}),)),
        now=SECOND_LOAD,
    )

    assert (summary.bars_restated, summary.bars_known) == (1, 0)


def test_a_value_that_changes_back_is_a_third_record(warehouse):
    for load, close in enumerate([11.0, 11.5, 11.0]):
        ingest(
            warehouse,
            ListSource(bars=(bar(DAYS[0], close=close),)),
            now=FIRST_LOAD.replace(day=5 + load),
        )

    assert [row.close for row in rows_of(warehouse, schema.bars)] == [
        11.0,
        11.5,
        11.0,
    ]


def test_a_second_symbol_and_earlier_bars_join_what_is_there(warehouse):
    ingest(warehouse, ListSource(bars=THREE_BARS[1:]), now=FIRST_LOAD)

    summary = ingest(
        warehouse,
        ListSource(bars=(*THREE_BARS, bar(DAYS[2], ticker="OTHER"))),
        now=SECOND_LOAD,
    )

    assert (summary.bars_loaded, summary.bars_known) == (2, 2)
    symbols = {row.ticker: row for row in rows_of(warehouse, schema.symbols)}
    assert symbols["ACME"].listed_from == date(2012, 7, 2)
    assert symbols["OTHER"].listed_from == date(2012, 7, 5)
    owners = [row.symbol_id for row in rows_of(warehouse, schema.bars)]
    assert owners.count(symbols["ACME"].symbol_id) == 3
    assert owners.count(symbols["OTHER"].symbol_id) == 1
    # A bar loaded late was known from its close on all the same.
    assert all(row.is_backfill for row in rows_of(warehouse, schema.bars))


def test_bad_rows_are_recorded_and_the_others_load(warehouse):
    summary = ingest(
        warehouse,
        ListSource(
            bars=(
                *THREE_BARS,
                bar("2012-07-06", high=8.0),
                bar("2012-07-06", close=float("nan"), note="late"),
                bar("not a date", ticker=None),
            ),
            adjustments=(adjustment("2012-07-06", ticker="OTHER"),),
        ),
        now=FIRST_LOAD,
    )

    assert summary.bars_loaded == 3
    assert summary.rejected == {
        "high_below_low": 1,
        "unreadable_price": 1,
        "missing_ticker": 1,
        "adjustment_without_bars": 1,
    }
    rejected = rows_of(warehouse, schema.rejected_bars)
    assert [
        (row.reason, row.ticker, row.timeframe, row.source_row_number)
        for row in rejected
    ] == [
        ("high_below_low", "ACME", "d1", 4),
        ("unreadable_price", "ACME", "d1", 5),
        ("missing_ticker", None, "d1", 6),
        ("adjustment_without_bars", "OTHER", None, None),
    ]
    assert rejected[1].source_row["close"] == "nan"
    assert rejected[1].source_row["note"] == "late"
    assert rejected[2].source_row["opened_at"] == "not a date"
    (batch,) = rows_of(warehouse, schema.ingest_batches)
    assert (batch.n_bars, batch.n_rejected) == (3, 4)
    assert [row.ticker for row in rows_of(warehouse, schema.symbols)] == [
        "ACME"
    ]


def test_a_bar_of_today_loads_once_its_session_has_closed(warehouse):
    source = ListSource(bars=(*THREE_BARS, bar("2013-03-04")))
    at_lunch = datetime(2013, 3, 4, 17, tzinfo=UTC)

    early = ingest(warehouse, source, now=at_lunch)
    late = ingest(warehouse, source, now=FIRST_LOAD)

    assert early.rejected == {"not_closed_yet": 1}
    assert late.rejected == {}
    assert late.bars_loaded == 1


def test_when_every_row_is_rejected_the_rows_are_kept_and_the_error_says_why(
    warehouse,
):
    source = ListSource(
        bars=(
            bar(DAYS[0], close=-1.0),
            bar(DAYS[1], close=-1.0),
            bar("2012-07-04"),
        ),
        adjustments=(adjustment(DAYS[1]),),
    )
    for _ in range(2):
        with pytest.raises(IngestionError) as raised:
            ingest(warehouse, source, now=FIRST_LOAD)

        message = str(raised.value)
        assert "price_not_positive (2)" in message
        assert "no_session (1)" in message
        assert "swiftbolt db psql -c" in message
        query = message.split('"')[1]
        with warehouse.begin() as connection:
            assert len(connection.execute(sa.text(query)).all()) == 4
        assert "\n" not in message
        rows = raw_rows(warehouse)
        assert len(rows["rejected_bars"]) == 4
        assert len(rows["ingest_batches"]) == 1
        assert rows["bars"] == rows["adjustments"] == rows["symbols"] == []
    statuses = [row.status for row in rows_of(warehouse, schema.job_runs)]
    assert statuses == ["failed", "failed"]


AROUND_THE_CLOCK = tuple(
    bar(f"2012-06-{day:02}", ticker="COIN") for day in range(1, 31)
)


def test_a_series_mostly_at_times_without_a_bar_is_refused_and_others_load(
    warehouse,
):
    source = ListSource(bars=(*THREE_BARS, *AROUND_THE_CLOCK))

    with pytest.raises(SeriesRefusedError) as raised:
        ingest(warehouse, source, now=FIRST_LOAD)

    summary = raised.value.summary
    assert [row.ticker for row in rows_of(warehouse, schema.symbols)] == [
        "ACME"
    ]
    assert len(rows_of(warehouse, schema.bars)) == 3
    # What was rejected is on record, what was withheld is counted.
    rejected = rows_of(warehouse, schema.rejected_bars)
    assert [row.reason for row in rejected] == ["no_session"] * 9
    assert (summary.bars_loaded, summary.bars_withheld) == (3, 21)
    (refused,) = summary.refused
    assert (refused.ticker, refused.n_rejected) == ("COIN", 9)
    (run,) = rows_of(warehouse, schema.job_runs)
    assert (run.status, run.counts["series_refused"]) == ("failed", 1)
    message = str(raised.value)
    assert "1 others were loaded" in message
    assert "COIN d1: 9 of 30 rows" in message
    assert "--calendar 24/7" in message
    assert "\n" not in message
    assert json.loads(json.dumps(summary.to_dict()))["refused"][0]["cause"]

    accepted = ingest(warehouse, source, now=FIRST_LOAD, accept_rejected=True)

    assert (accepted.bars_loaded, accepted.bars_known) == (21, 3)
    assert accepted.refused == ()


def test_a_refused_series_says_what_was_stored_and_exits_with_1(
    warehouse, tmp_path
):
    path = tmp_path / "bars.csv"
    pd.DataFrame([*THREE_BARS, *AROUND_THE_CLOCK]).rename(
        columns={"ticker": "symbol", "opened_at": "ts"}
    ).to_csv(path, index=False)

    refused = run_swiftbolt(warehouse, "ingest", "bars", str(path), "--json")
    accepted = run_swiftbolt(
        warehouse, "ingest", "bars", str(path), "--accept-rejected"
    )

    assert refused.returncode == 1
    assert json.loads(refused.stdout)["bars_loaded"] == 3
    assert "--accept-rejected" in refused.stderr
    assert accepted.returncode == 0, accepted.stderr
    assert "21 new, 0 restated, 3 known" in accepted.stdout


def test_a_few_rows_of_which_none_fits_are_told_why(warehouse):
    source = ListSource(
        bars=(
            *THREE_BARS,
            bar("2012-07-01", ticker="FUND", timeframe="w1"),
        )
    )

    summary = ingest(warehouse, source, now=FIRST_LOAD)

    assert summary.rejected == {"off_grid": 1}
    assert summary.refused == ()
    assert "FUND w1: Most of them are Sundays" in summary.to_text()


def test_what_rounding_took_of_a_bar_is_mended_and_counted(warehouse):
    source = ListSource(
        bars=(bar(DAYS[0], close=12.0 + 2e-15), *THREE_BARS[1:])
    )

    tried = try_ingest(warehouse, source, now=FIRST_LOAD)
    assert "missed by rounding: 1." in tried.to_text()
    summary = ingest(warehouse, source, now=FIRST_LOAD)

    first = rows_of(warehouse, schema.bars)[0]
    assert first.high == first.close == 12.0 + 2e-15
    assert (summary.bars_loaded, summary.bars_repaired) == (3, 1)
    assert summary.counts["bars_repaired"] == 1
    assert "Of 1 the high or low was widened" in summary.to_text()
    # The same file again is known, mended alike.
    assert ingest(warehouse, source, now=SECOND_LOAD).bars_known == 3


def test_text_that_the_database_cannot_hold_costs_its_row(warehouse):
    source = ListSource(
        bars=(
            *THREE_BARS,
            bar(DAYS[0], ticker="A\0B"),
            bar(DAYS[0], close="1\0" + "2"),
        )
    )

    summary = ingest(warehouse, source, now=FIRST_LOAD)

    assert summary.rejected == {"unreadable_ticker": 1, "unreadable_price": 1}
    assert [row.ticker for row in rows_of(warehouse, schema.rejected_bars)] == [
        "A\\x00B",
        "ACME",
    ]


def test_a_source_with_no_good_bar_is_not_trusted_with_its_adjustments(
    warehouse,
):
    ingest(warehouse, ListSource(), now=FIRST_LOAD)
    source = ListSource(
        bars=(bar(DAYS[0], close=-1.0),),
        adjustments=(adjustment(DAYS[1]),),
    )

    with pytest.raises(IngestionError, match="every row was rejected"):
        ingest(warehouse, source, now=SECOND_LOAD)

    assert rows_of(warehouse, schema.adjustments) == []
    assert len(rows_of(warehouse, schema.rejected_bars)) == 1


def test_a_source_without_rows_is_an_error(warehouse):
    with pytest.raises(IngestionError, match="has no bars"):
        ingest(warehouse, ListSource(bars=()), now=FIRST_LOAD)


def test_a_symbol_cannot_move_to_another_calendar(warehouse):
    ingest(warehouse, ListSource(), now=FIRST_LOAD)
    before = raw_rows(warehouse)

    with pytest.raises(IngestionError, match="ACME on calendar '24/7'"):
        ingest(warehouse, ListSource(calendar="24/7"), now=SECOND_LOAD)

    assert raw_rows(warehouse) == before


def test_an_adjustment_is_stored_by_its_own_calendar_alone(warehouse):
    adjustments = (adjustment(DAYS[1]), adjustment(DAYS[1], ticker="LONDON"))
    ingest(warehouse, ListSource(adjustments=adjustments), now=FIRST_LOAD)

    summary = ingest(
        warehouse,
        ListSource(
            bars=tuple(bar(day, ticker="LONDON") for day in DAYS),
            adjustments=adjustments,
            calendar="XLON",
        ),
        now=SECOND_LOAD,
    )

    assert summary.rejected == {"adjustment_of_other_calendar": 1}
    stored = rows_of(warehouse, schema.adjustments)
    assert [row.effective_at.hour for row in stored] == [13, 7]


@pytest.mark.parametrize("written_before", ["symbols", "bars", "adjustments"])
def test_a_failure_midway_leaves_nothing(
    warehouse, monkeypatch, written_before
):
    source = ListSource(
        bars=(*THREE_BARS, bar("2012-07-04")),
        adjustments=(adjustment(DAYS[1]),),
    )
    really_insert = batch.insert_frame

    def insert_until_then(connection, table, frame, **options):
        n_rows = really_insert(connection, table, frame, **options)
        if table.name == written_before:
            raise OSError("the disk is full")
        return n_rows

    for module in (batch, symbols):
        monkeypatch.setattr(module, "insert_frame", insert_until_then)
    with pytest.raises(OSError, match="disk is full"):
        ingest(warehouse, source, now=FIRST_LOAD)

    assert not any(raw_rows(warehouse).values())
    (run,) = rows_of(warehouse, schema.job_runs)
    assert run.status == "failed"

    monkeypatch.undo()
    assert ingest(warehouse, source, now=FIRST_LOAD).bars_loaded == 3


def test_of_two_loads_at_once_the_second_is_refused(warehouse):
    is_reading, may_go_on = threading.Event(), threading.Event()

    def wait():
        is_reading.set()
        assert may_go_on.wait(timeout=30)

    first = threading.Thread(
        target=ingest,
        args=(warehouse, ListSource(before_read=wait)),
        kwargs={"now": FIRST_LOAD},
    )
    first.start()
    try:
        assert is_reading.wait(timeout=30)
        with pytest.raises(JobRunningError):
            ingest(warehouse, ListSource(), now=FIRST_LOAD)
    finally:
        may_go_on.set()
        first.join()

    assert len(rows_of(warehouse, schema.bars)) == 3
    assert ingest(warehouse, ListSource(), now=FIRST_LOAD).bars_known == 3


def test_a_load_is_on_record_with_its_counts(warehouse):
    summary = ingest(warehouse, ListSource(), now=FIRST_LOAD)

    (run,) = rows_of(warehouse, schema.job_runs)
    assert (run.job, run.status) == ("ingest", "succeeded")
    assert run.arguments == {"source": "test"}
    assert run.counts["bars_loaded"] == 3
    (batch,) = rows_of(warehouse, schema.ingest_batches)
    assert batch.job_run_id == run.job_run_id
    assert json.loads(json.dumps(summary.to_dict()))["series"] == [
        {
            "ticker": "ACME",
            "timeframe": "d1",
            "n_bars": 3,
            "first_session": "2012-07-02",
            "last_session": "2012-07-05",
        }
    ]


def test_the_sample_loads_whole_and_once(warehouse):
    first = ingest(warehouse, SampleSource())
    before = raw_rows(warehouse)
    second = ingest(warehouse, SampleSource())

    assert first.bars_loaded == 3 * 3270 + 2148
    assert first.adjustments_loaded == 95
    assert first.rejected == {}
    # Its splits are known, and a crash to a half was none.
    assert first.suspected_splits == ()
    assert len(rows_of(warehouse, schema.price_jumps)) == 4
    assert second.bars_known == first.bars_loaded
    assert second.batch_id is None
    assert raw_rows(warehouse) == before
    source = SampleSource().read().bars
    ids = {row.ticker: row.symbol_id for row in before["symbols"]}
    assert sorted(
        (row.symbol_id, row.close, row.volume) for row in before["bars"]
    ) == sorted(
        zip(
            source["ticker"].map(ids),
            source["close"],
            source["volume"],
            strict=True,
        )
    )


def test_the_command_prints_a_table_or_json(warehouse):
    shown = run_swiftbolt(warehouse, "ingest", "sample")
    plain = run_swiftbolt(warehouse, "ingest", "sample", "--json")

    assert shown.returncode == 0, shown.stderr
    assert [line.split() for line in shown.stdout.splitlines()[1:5]] == [
        ["AAPL", "d1", "3270", "2000-03-01", "2013-03-01"],
        ["GOOG", "d1", "2148", "2004-08-19", "2013-03-01"],
        ["IBM", "d1", "3270", "2000-03-01", "2013-03-01"],
        ["MSFT", "d1", "3270", "2000-03-01", "2013-03-01"],
    ]
    assert plain.returncode == 0, plain.stderr
    result = json.loads(plain.stdout)
    assert (result["bars_loaded"], result["bars_known"]) == (0, 11958)
    assert result["batch_id"] is None
