import datetime

import pytest
import sqlalchemy as sa

from python_ml import schema
from python_ml.operations.doctor.honesty import check_ledgers
from python_ml.warehouse import ledger_digests
from python_ml.warehouse.ledger_digests import extend_digests
from python_ml.warehouse.ledgers import rewriting, verify_ledgers
from tests.conftest import run_swiftbolt

NOW = datetime.datetime(2026, 1, 5, 21, tzinfo=datetime.UTC)
TODAY = datetime.datetime.now(datetime.UTC).date()
TOMORROW = TODAY + datetime.timedelta(days=1)


def value_for(column: sa.Column) -> object:
    """Anything that the column takes."""
    kind = column.type.python_type
    if kind is datetime.datetime:
        return NOW
    return {str: "a", int: 1, float: 1.0, bool: True}.get(kind, ["1d"])


# What checks and keys ask for.
GIVEN = {
    "bars": {"closed_at": NOW + datetime.timedelta(hours=1)},
    "adjustments": {"kind": "split"},
    "forecasts": {
        "run_kind": "live",
        "direction": "NEUTRAL",
        "target_at": NOW + datetime.timedelta(days=1),
        "probability_bearish": 0.0,
        "probability_neutral": 1.0,
        "probability_bullish": 0.0,
        "trust": "publish",
    },
}


def fill(connection: sa.Connection) -> None:
    """One row in every ledger, and what it refers to."""
    connection.execute(
        schema.symbols.insert().values(
            ticker="AAPL", calendar="XNYS", source="test"
        )
    )
    for table in schema.LEDGERS:
        connection.execute(table.insert().values(row_of(table)))


def row_of(table: sa.Table) -> dict[str, object]:
    """A row that refers to no version, job or cut but what `fill` wrote."""
    return {
        column.name: value_for(column)
        for column in table.columns
        if column.name != "written_at"
        and (not column.nullable or column.name == "trust")
        and column.identity is None
    } | GIVEN.get(table.name, {})


@pytest.fixture(scope="module")
def filled_database(fresh_warehouse):
    """Name of a database with one row in each ledger, all digested."""
    made = fresh_warehouse()
    with made.begin() as connection:
        connection.exec_driver_sql(
            "insert into ml.training_cuts (calendar, timeframe, as_of, split, "
            "embargo_bars, window_bars, window_starts_at, "
            "fit_labels_end_before, validation_starts_at, scope) values "
            "('XNYS', 'd1', '2020-01-09', '70/30', 1, 9, '2020-01-01', "
            "'2020-01-04', '2020-01-05', 'all')"
        )
        fill(connection)
    extend_digests(made, until=TOMORROW)
    made.close()
    return made.parameters.database


@pytest.fixture(scope="module")
def ledgers(fresh_warehouse, filled_database):
    """A copy of it that tests leave as it is."""
    with fresh_warehouse(template=filled_database) as made:
        yield made


@pytest.fixture
def changeable(fresh_warehouse, filled_database, ledgers):
    """A copy of it to change."""
    with fresh_warehouse(template=filled_database) as made:
        yield made


NAMES = [table.fullname for table in schema.APPEND_ONLY]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "statement",
    [
        "update {name} set {column} = {column}",
        "delete from {name}",
        "truncate {name} cascade",
        "set session_replication_role = replica; delete from {name}",
    ],
)
def test_no_row_of_a_ledger_is_changed_not_even_by_its_owner(
    ledgers, name, statement
):
    table = schema.metadata.tables[name]
    column = table.columns.keys()[0]
    with (
        pytest.raises(sa.exc.IntegrityError, match="append-only"),
        ledgers.begin() as connection,
    ):
        connection.exec_driver_sql(statement.format(name=name, column=column))


@pytest.mark.parametrize("table", schema.LEDGERS, ids=lambda t: t.fullname)
def test_no_writer_says_when_a_row_was_written(ledgers, table):
    row = {**row_of(table), "written_at": NOW}
    # Another than that which is there.
    own = {"pooled_members": "pooled_member_id", "ensembles": "version_id"}
    other = {"batch_id": 2, "run_name": "b", "sha256": "b", "member": "b"}
    other |= {own.get(table.name, "source"): "b"}
    row |= {name: value for name, value in other.items() if name in row}
    with (
        pytest.raises(sa.exc.IntegrityError, match="is set by the database"),
        ledgers.begin() as connection,
    ):
        connection.execute(table.insert().values(row))


def test_a_row_carries_the_time_of_the_database(ledgers):
    with ledgers.begin() as connection:
        for table in schema.LEDGERS:
            age = sa.select(sa.func.now() - table.c.written_at)
            assert connection.execute(age).scalar_one() < datetime.timedelta(
                hours=1
            )


def test_ledgers_that_nobody_touched_agree_with_their_digests(ledgers):
    check = verify_ledgers(ledgers)
    assert check.findings == []
    assert check.n_digests == check.n_rows == len(schema.LEDGERS)
    assert verify_ledgers(ledgers, kept=check.last_digest).findings == []
    ended = run_swiftbolt(ledgers, "db", "verify-ledgers")
    assert ended.returncode == 0
    assert check.last_digest in ended.stdout


def change(warehouse, *statements):
    with rewriting(warehouse) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


CHANGES = {
    "raw.bars": "volume = 2",
    "raw.adjustments": "factor = 0.5",
    "ml.pooled_members": "sha256 = 'other'",
    "ml.ensembles": "sha256 = 'other'",
    "ml.deployments": "effective_at = effective_at - interval '1 second'",
    "ml.promotions": "is_promoted = false",
    "ml.band_states": "offset_50 = offset_50 + 1e-12",
    "ml.forecasts": "direction = 'BULLISH'",
    "ml.drift_checks": "status = 'normal'",
}


def test_a_row_changed_behind_the_triggers_is_named_by_table_and_day(
    changeable,
):
    change(
        changeable,
        *(f"update {name} set {values}" for name, values in CHANGES.items()),
    )
    found = verify_ledgers(changeable).findings
    assert [(one.table_name, one.written_on) for one in found] == [
        (table.fullname, TODAY) for table in schema.LEDGERS
    ]
    assert all("rows were changed" in one.problem for one in found)


def test_a_change_ends_the_command_with_the_table_and_the_day(changeable):
    kept = verify_ledgers(changeable).last_digest
    change(changeable, "update ml.forecasts set confidence = 0.9")
    ended = run_swiftbolt(changeable, "db", "verify-ledgers")
    assert ended.returncode == 1
    assert f"ml.forecasts of {TODAY}: rows were changed" in ended.stdout

    # The doctor says so too, and where only later days are asked for none.
    [finding] = check_ledgers(changeable)
    assert f"ml.forecasts of {TODAY}" in finding.message
    assert verify_ledgers(changeable, since=TOMORROW).findings == []

    # Whoever makes the digests anew does not arrive at the one that was kept.
    change(changeable, "delete from ml.ledger_digests")
    extend_digests(changeable, until=TOMORROW)
    assert verify_ledgers(changeable).findings == []
    [finding] = verify_ledgers(changeable, kept=kept).findings
    assert "gone or was changed" in finding.problem


def test_rows_that_went_came_or_were_dated_back_are_told(changeable):
    change(
        changeable,
        "delete from ml.drift_checks",
        "alter table raw.bars disable trigger user",
        "insert into raw.bars select symbol_id, timeframe, opened_at, 2, "
        "closed_at, open, high, low, close, volume, recorded_at, is_backfill, "
        "ingested_at, source, written_at from raw.bars",
        "update ml.promotions set written_at = written_at - interval '3 days'",
    )
    found = {
        one.table_name: one.problem
        for one in verify_ledgers(changeable).findings
    }
    assert found == {
        "ml.drift_checks": "its 1 rows are gone",
        "raw.bars": "2 rows, 1 when it was digested",
        "ml.promotions": "its 1 rows are gone",
    }


def test_rows_of_a_day_that_no_digest_covers_are_told(changeable):
    change(
        changeable,
        "update ml.forecasts set written_at = written_at - interval '3 days'",
        "alter table ml.ledger_digests disable trigger user",
    )
    extend_digests(changeable, until=TOMORROW)
    found = [
        (one.table_name, one.written_on, one.problem)
        for one in verify_ledgers(changeable).findings
    ]
    assert found == [("ml.forecasts", TODAY, "its 1 rows are gone")]


def test_a_digest_that_was_changed_breaks_the_chain(changeable):
    change(
        changeable,
        "update ml.ledger_digests set rows_digest = 'other' "
        "where digest_number = 2",
    )
    found = verify_ledgers(changeable).findings
    assert "does not follow" in found[0].problem


def test_a_day_is_digested_once_it_is_over_and_only_once(changeable):
    with changeable.begin() as connection:
        count = sa.select(sa.func.count()).select_from(schema.ledger_digests)
        before = connection.execute(count).scalar_one()
        connection.execute(
            schema.drift_checks.insert().values(row_of(schema.drift_checks))
        )
    assert extend_digests(changeable) == 0
    assert before == len(schema.LEDGERS)


def test_the_next_days_digest_is_over_the_one_before(warehouse):
    with warehouse.begin() as connection:
        connection.execute(
            schema.symbols.insert().values(
                ticker="AAPL", calendar="XNYS", source="test"
            )
        )
    row = row_of(schema.drift_checks)
    for days in (3, 2, None):
        with rewriting(warehouse) as connection:
            connection.execute(schema.drift_checks.insert().values(row))
            written_at = (
                "null" if days is None else f"now() - interval '{days} days'"
            )
            connection.exec_driver_sql(
                f"update ml.drift_checks set written_at = {written_at} "
                "where written_at = now()"
            )
    # Also of rows from before the time was kept, and of none of today's.
    assert extend_digests(warehouse) == 3
    assert extend_digests(warehouse) == 0
    check = verify_ledgers(warehouse)
    assert (check.n_digests, check.findings) == (3, [])
    change(warehouse, "delete from ml.drift_checks where written_at is null")
    [finding] = verify_ledgers(warehouse).findings
    assert finding.written_on == ledger_digests.UNDATED
