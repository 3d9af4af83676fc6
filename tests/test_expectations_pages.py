"""What a validation leaves to read, and what it costs to come to it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import sqlalchemy as sa

from expectations.pages import summary_page
from expectations.summary import N_SAMPLES, ValidationSummary
from python_ml.exceptions import ValidationFailedError
from python_ml.warehouse import validation
from python_ml.warehouse.connection import Warehouse
from tests import small_market
from tests.conftest import run_swiftbolt


@pytest.fixture(scope="module")
def market_database(fresh_warehouse: Callable[..., Warehouse]) -> str:
    """Name of a database with the small market, keys and a cut."""
    with fresh_warehouse() as made:
        small_market.build(made)
        for table, key in {
            "bars": "symbol_id, timeframe, bar_number",
            "feature_rows": "symbol_id, timeframe, bar_number",
            "labels": "symbol_id, timeframe, bar_number, horizon",
        }.items():
            small_market.execute(
                made,
                f"alter table {{features}}.{table} add primary key ({key})",
            )
        small_market.add_cut(made)
    return made.parameters.database


@pytest.fixture
def market(
    market_database: str, fresh_warehouse: Callable[..., Warehouse]
) -> Iterator[Warehouse]:
    """The healthy small market, for one test to break."""
    with fresh_warehouse(template=market_database) as made:
        yield made


def break_bars(warehouse: Warehouse) -> None:
    small_market.execute(
        warehouse,
        "update {features}.bars "
        "set session_date = session_date + 1, ticker = '<b>IBM</b>' "
        "where bar_number <= 30 and ticker = 'IBM'",
    )


# --- pages --------------------------------------------------------------------


class Resources(HTMLParser):
    """Collects what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.urls: list[str] = []

    def handle_starttag(
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        self.tags.add(tag)
        self.urls += [
            str(value) for name, value in attrs if name in ("src", "href")
        ]


def test_the_summary_is_one_page_that_loads_nothing(market: Warehouse) -> None:
    break_bars(market)

    page = summary_page(validation.judge(market))

    resources = Resources()
    resources.feed(page)
    assert resources.urls == []
    assert not resources.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"url\(|@import|https?:", page)


def test_the_summary_names_violations_by_key_and_escapes_them(
    market: Warehouse,
) -> None:
    break_bars(market)

    page = summary_page(validation.judge(market))

    assert "Validation failed" in page
    assert "1 of 38 expectations failed" in page
    assert "<th>symbol_id</th><th>ticker</th><th>timeframe</th>" in page
    for bar_number in range(1, 21):
        assert (
            "<tr><td>2</td><td>&lt;b&gt;IBM&lt;/b&gt;</td><td>d1</td>"
            f"<td>{bar_number}</td></tr>"
        ) in page
    assert "The first 20 of 54." in page
    assert "<b>IBM" not in page


def test_a_validation_of_everything_leaves_pages_also_when_it_fails(
    market: Warehouse,
) -> None:
    break_bars(market)
    folder = validation.default_pages_dir(market.settings)

    with pytest.raises(ValidationFailedError, match=r"summary\.html"):
        validation.validate(market)

    assert "Validation failed" in (folder / "summary.html").read_text()
    assert (folder / "data_docs" / "index.html").is_file()
    (bars,) = (folder / "data_docs" / "validations" / "bars").rglob("*.html")
    docs = bars.read_text()
    assert "has the session and the times of the grid bar" in docs
    assert "54 violations found." in re.sub(r"<[^>]+>", "", docs)
    assert "bar_number" in docs
    assert "⟨b⟩IBM⟨/b⟩" in docs
    assert "<b>IBM" not in docs
    for page in (folder / "data_docs").rglob("*.html"):
        assert "<b>IBM" not in page.read_text(), page


def test_pages_show_the_latest_validation_only(market: Warehouse) -> None:
    break_bars(market)
    with pytest.raises(ValidationFailedError):
        validation.validate(market)
    small_market.execute(
        market,
        "update {features}.bars set session_date = session_date - 1 "
        "where ticker = '<b>IBM</b>' and bar_number <= 30",
    )

    validation.validate(market)

    folder = validation.default_pages_dir(market.settings)
    assert "Validation passed" in re.sub(
        r"<[^>]+>", "", (folder / "summary.html").read_text()
    )
    assert (
        len(list((folder / "data_docs" / "validations").rglob("*.html"))) == 4
    )


def test_the_data_docs_are_rendered_without_an_error(
    market: Warehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    small_market.execute(
        market,
        "update {features}.feature_rows set return_1 = 'NaN', "
        "last_bar_closed_at = closed_at + interval '1 day';"
        "update {features}.labels set label = 'UP';"
        "alter table {features}.bars drop column high;"
        "update {ml}.training_cuts set embargo_bars = 9",
    )

    with pytest.raises(ValidationFailedError):
        validation.validate(market)

    assert capfd.readouterr() == ("", "")


def test_pages_that_cannot_be_written_change_no_verdict(
    market: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "validation"
    folder.write_text("a file")

    summary = validation.judge(market, pages_dir=folder)

    assert summary.is_success
    assert summary.page is None
    assert "event=pages_not_written" in caplog.text


def test_training_leaves_the_pages_as_they_are(market: Warehouse) -> None:
    validation.validate(market, cut_ids=[1])

    assert not validation.default_pages_dir(market.settings).exists()


def test_the_command_says_where_to_read_on(market: Warehouse) -> None:
    shown = run_swiftbolt(market, "validate")

    page = validation.default_pages_dir(market.settings) / "summary.html"
    assert shown.stdout.endswith(f"read it in {page}\n")
    assert "validation passed: 0 of 38 expectations failed" in shown.stdout
    assert page.is_file()


# --- cost ---------------------------------------------------------------------


class Statements:
    """Statements of every engine while it is entered, with rows fetched."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.n_rows: list[int] = []

    def __enter__(self) -> "Statements":
        sa.event.listen(sa.Engine, "after_cursor_execute", self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        sa.event.remove(sa.Engine, "after_cursor_execute", self._note)

    def _note(self, connection, cursor, statement, *rest: object) -> None:
        self.texts.append(statement)
        if cursor.description is not None:
            self.n_rows.append(cursor.rowcount)

    def reading(self, table: str) -> list[str]:
        """Statements that read rows of a table."""
        return [
            text
            for text in self.texts
            if re.search(rf"\b{table}\b", text) and "limit 0" not in text
        ]


def judge_and_note(
    warehouse: Warehouse,
) -> tuple[ValidationSummary, Statements]:
    with Statements() as statements:
        summary = validation.judge(warehouse)
    return summary, statements


def test_no_more_rows_reach_python_than_are_shown(market: Warehouse) -> None:
    small_market.execute(
        market,
        "update {features}.bars set low = 0;"
        "update {features}.feature_rows set return_1 = 'NaN';"
        "update {features}.labels set label = 'UP', label_end_at = closed_at",
    )

    summary, statements = judge_and_note(market)

    assert not summary.is_success
    assert max(statements.n_rows) == N_SAMPLES


def test_a_healthy_table_is_scanned_few_times(market: Warehouse) -> None:
    _, statements = judge_and_note(market)

    # All conditions on rows in one scan, what concerns series in another.
    assert len(statements.reading("features.feature_rows")) == 3
    assert len(statements.reading("features.labels")) == 3
    assert len(statements.reading("features.training_examples")) == 1


def test_a_unique_index_on_the_key_spares_the_search_for_repeated_keys(
    market: Warehouse,
) -> None:
    _, statements = judge_and_note(market)

    assert not [
        text
        for text in statements.reading("features.labels")
        if "having count" in text
    ]


@pytest.mark.parametrize(
    "index",
    [
        "create index on {features}.labels "
        "(symbol_id, timeframe, bar_number, horizon)",
        "alter table {features}.labels alter expected_volatility set not null;"
        "create unique index on {features}.labels "
        "(symbol_id, timeframe, bar_number, horizon, expected_volatility)",
        "create unique index on {features}.labels "
        "(symbol_id, timeframe, bar_number, horizon) where bar_number < 40",
        "create unique index on {features}.labels "
        "(symbol_id, timeframe, bar_number, horizon, lower(label_reason))",
        "alter table {features}.labels alter column horizon drop not null;"
        "create unique index on {features}.labels "
        "(symbol_id, timeframe, bar_number, horizon)",
    ],
    ids=["not unique", "wider", "partial", "expression", "nullable"],
)
def test_an_index_that_lets_repeated_keys_in_is_not_relied_on(
    market: Warehouse, index: str
) -> None:
    small_market.execute(
        market,
        "alter table {features}.labels drop constraint labels_pkey;" + index,
    )
    horizon = "null" if "drop not null" in index else "horizon"
    small_market.execute(
        market,
        f"""
        insert into {{features}}.labels
        select
            symbol_id, ticker, calendar, timeframe, {horizon}, horizon_bars,
            bar_number, closed_at, null, label_return, repeated.reason,
            expected_volatility + repeated.n, label_threshold,
            label_end_bar_number, label_end_at
        from {{features}}.labels
        cross join (values ('a', 1), ('b', 2)) as repeated (reason, n)
        where
            ticker = 'IBM' and horizon = '5d' and bar_number = 50
            and label is not null
        """,
    )

    assert "labels.expect_grain_to_be_unique" in {
        f"{suite.suite}.{outcome.expectation}"
        for suite in validation.judge(market).suites
        for outcome in suite.outcomes
        if outcome.closes_gate
    }


def test_one_condition_that_cannot_be_judged_leaves_the_others_their_verdict(
    market: Warehouse,
) -> None:
    small_market.execute(
        market,
        "update {features}.bars set low = 0 "
        "where bar_number <= 30 and ticker = 'IBM'",
    )
    small_market.execute(
        market, "alter table {features}.bars drop column adjusted_volume"
    )
    small_market.execute(
        market,
        "update {features}.bars set closed_at = closed_at + interval '1 hour' "
        "where bar_number = 40",
    )

    bars = validation.judge(market).suites[0]

    found = {
        outcome.expectation: outcome
        for outcome in bars.outcomes
        if outcome.closes_gate
    }
    assert set(found) == {
        "expect_prices_to_be_ordered",
        "expect_bars_to_lie_on_the_grid",
    }
    assert "adjusted_volume" in str(found["expect_prices_to_be_ordered"].reason)
    assert found["expect_bars_to_lie_on_the_grid"].n_unexpected == 2


def test_features_whose_sum_overflows_are_finite_all_the_same(
    market: Warehouse,
) -> None:
    small_market.execute(
        market,
        "update {features}.feature_rows set return_1 = 1.7e308, "
        "realized_volatility_20 = 1.7e308 where bar_number = 40",
    )

    assert validation.judge(market).suites[1].status == "passed"


def test_a_page_names_the_suite_that_could_not_be_read(
    market: Warehouse, tmp_path: Path
) -> None:
    broken = replace(
        market, settings=replace(market.settings, project_root=tmp_path)
    )

    with pytest.raises(ValidationFailedError, match="git checkout"):
        validation.validate(broken)
    broken.close_readers()
    small_market.execute(market, "drop table {features}.labels cascade")
    page = summary_page(validation.judge(market))

    assert "dataset_can_be_read" in page
    assert "rows unknown" in page
