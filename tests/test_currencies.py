"""The currency of prices: given, found in files, kept, and never mixed."""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from python_ml.exceptions import IngestionError
from python_ml.ingestion import symbol_changes
from python_ml.ingestion.currencies import agreed_currencies, currency_code
from python_ml.ingestion.dry_run import try_ingest
from python_ml.ingestion.load import ingest
from python_ml.ingestion.readers.bar_file import BarFile
from tests.conftest import run_swiftbolt

NOW = datetime(2024, 7, 8, 22, tzinfo=UTC)


@pytest.fixture
def source(tmp_path):
    """A file with two daily bars of a symbol, and what else it says."""

    def make(*rows, header="Symbol,Date,Open,High,Low,Close", **options):
        path = tmp_path / f"bars{len([*tmp_path.iterdir()])}.csv"
        lines = [
            ",".join((ticker, day, "10,12,9,11", *more))
            for ticker, *more in rows
            for day in ("2024-07-02", "2024-07-03")
        ]
        path.write_text("\n".join((header, *lines)) + "\n")
        return BarFile([path], name="test", timeframe="d1", **options)

    return make


WITH_CURRENCY = "Symbol,Date,Open,High,Low,Close,Currency"


def currencies(warehouse):
    listed = symbol_changes.list_symbols(warehouse)
    found = listed["currency"].astype(object)
    found = found.where(found.notna(), None)
    return dict(zip(listed["ticker"], found, strict=True))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("usd", "USD"),
        (" EUR ", "EUR"),
        ("USDT", "USDT"),
        # Pence are no pounds.
        ("GBp", "GBX"),
        ("GBP", "GBP"),
        ("US Dollar", None),
        ("$", None),
        ("1", None),
        ("", None),
    ],
)
def test_a_code_is_told_from_other_text(text, code):
    assert currency_code(text) == code


def test_two_currencies_of_one_ticker_are_refused_also_under_a_former_name():
    said = [("FB", "USD"), ("META", "EUR")]
    assert agreed_currencies(said, "it") == dict(said)
    with pytest.raises(IngestionError, match="META in EUR and in USD"):
        agreed_currencies(said, "it", aliases={"FB": "META"})


def test_a_column_of_the_file_says_it_of_each_symbol(source):
    rows = ("ACME", "USD"), ("VOD", "GBp"), ("IDX", ""), ("OTHER", "US Dollar")
    load = source(*rows, header=WITH_CURRENCY).read()
    assert load.currencies == {"ACME": "USD", "VOD": "GBX"}
    assert "currency=Currency" in load.read_as[0].columns
    # Rows of others that were not asked for say nothing.
    only = source(*rows, header=WITH_CURRENCY, symbols=["VOD"]).read()
    assert only.currencies == {"VOD": "GBX"}


def test_what_a_person_says_goes_before_the_column(source):
    load = source(("ACME", "EUR"), header=WITH_CURRENCY, currency="usd").read()
    assert (load.currency, load.currencies) == ("USD", {})


def test_a_column_of_another_name_can_be_named(source):
    load = source(
        ("ACME", "CHF"),
        header="Symbol,Date,Open,High,Low,Close,Quoted",
        columns={"currency": "Quoted"},
    ).read()
    assert load.currencies == {"ACME": "CHF"}


def test_a_column_of_parquet_that_holds_no_text_is_passed_over(tmp_path):
    path = tmp_path / "bars.parquet"
    bars = {"Symbol": "ACME", "Date": "2024-07-02", "Open": 10.0, "High": 12.0}
    bars |= {"Low": 9.0, "Close": 11.0}
    pd.DataFrame([bars | {"Currency": True}]).to_parquet(path)
    asked = {"name": "test", "timeframe": "d1"}

    assert BarFile([path], **asked).read().currencies == {}
    with pytest.raises(IngestionError, match="holds bool values"):
        BarFile([path], columns={"currency": "Currency"}, **asked).read()

    pd.DataFrame([bars | {"Currency": "USD"}]).to_parquet(path)
    assert BarFile([path], **asked).read().currencies == {"ACME": "USD"}


def test_a_file_with_two_currencies_of_a_symbol_is_refused(source):
    with pytest.raises(
        IngestionError, match=r"ACME in EUR and in USD.*--symbol ACME\.USD"
    ):
        source(("ACME", "EUR"), ("ACME", "USD"), header=WITH_CURRENCY).read()


def test_text_that_is_no_currency_is_refused(source):
    with pytest.raises(IngestionError, match="'dollars each' is no currency"):
        source(("ACME",), currency="dollars each").read()


def test_it_is_kept_filled_in_and_never_changed_by_a_load(warehouse, source):
    ingest(warehouse, source(("ACME",), ("VOD",)), now=NOW)
    assert currencies(warehouse) == {"ACME": None, "VOD": None}
    given = source(("ACME",), ("NEW",), currency="USD")
    assert (
        "currency of prices: USD"
        in try_ingest(warehouse, given, now=NOW).to_text()
    )
    ingest(warehouse, given, now=NOW)
    known = {"ACME": "USD", "NEW": "USD", "VOD": None}
    assert currencies(warehouse) == known

    # A load that says nothing changes nothing, one that says another is
    # refused as a whole.
    ingest(warehouse, source(("ACME",)), now=NOW)
    other = source(("VOD",), ("ACME",), currency="EUR")
    for attempt in (try_ingest, ingest):
        with pytest.raises(
            IngestionError,
            match=r"ACME in EUR, but raw\.symbols has them in USD.*"
            "set-currency ACME EUR",
        ):
            attempt(warehouse, other, now=NOW)
    assert currencies(warehouse) == known

    symbol_changes.set_currency(warehouse, "ACME", "eur")
    ingest(warehouse, other, now=NOW)
    assert currencies(warehouse) == {"ACME": "EUR", "NEW": "USD", "VOD": "EUR"}


def test_a_former_ticker_is_the_same_symbols(warehouse, source):
    ingest(warehouse, source(("FB",), currency="USD"), now=NOW)
    symbol_changes.rename_symbol(warehouse, "FB", "META")
    with pytest.raises(IngestionError, match="META in EUR"):
        ingest(
            warehouse,
            source(("FB", "EUR"), header=WITH_CURRENCY),
            now=NOW,
        )


def test_the_commands_give_and_show_it(warehouse, source):
    def command(*arguments):
        ended = run_swiftbolt(warehouse, *arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    (path,) = source(("ACME",)).paths
    command("symbols", "add", "VOD", "--calendar", "XLON", "--currency", "GBp")
    command(
        *("ingest", "bars", str(path), "--timeframe", "d1"),
        *("--currency", "USD"),
    )
    listed = json.loads(command("symbols", "list", "--json"))
    assert {row["ticker"]: row["currency"] for row in listed} == {
        "ACME": "USD",
        "VOD": "GBX",
    }
    # The first session is a date.
    assert "00:00" not in command("symbols", "list")
    changed = command("symbols", "set-currency", "ACME", "cad ", "--json")
    assert json.loads(changed) == {"ticker": "ACME", "currency": "CAD"}
    assert "currency: CAD" in command("symbols", "show", "ACME")
