import datetime
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from python_ml import schema
from python_ml.exceptions import SchemaError
from python_ml.warehouse import binary_rows, bulk
from python_ml.warehouse.bulk import insert_frame, read_frame

UTC = datetime.UTC
CLOSE = pd.Timestamp("2012-06-29 20:00", tz="UTC")

# `\x00` is the one character that PostgreSQL's text cannot hold.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
awkward_texts = st.sampled_from(
    ["", " ", "\t", "\n", "\r\n", "\\", "\\N", "\\.", '"', '""', ",", "NULL"]
)
floats = st.floats(allow_nan=False, width=64)
any_database = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def values_table(module_warehouse):
    """A table in `raw` with a column of each kind."""
    table = sa.Table(
        "values",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("number", sa.Double),
        sa.Column("whole", sa.BigInteger),
        sa.Column("words", sa.Text),
        sa.Column("is_true", sa.Boolean),
        sa.Column("at", sa.DateTime(timezone=True)),
        sa.Column("on_date", sa.Date),
        sa.Column("json", sa.dialects.postgresql.JSONB),
        schema="raw",
    )
    table.create(module_warehouse.engine)
    return table


def write(warehouse, table, frame, **options):
    with warehouse.begin() as connection:
        return insert_frame(connection, table, frame, **options)


def there_and_back(warehouse, table, frame):
    with warehouse.begin() as connection:
        connection.execute(table.delete())
        assert insert_frame(connection, table, frame) == len(frame)
    columns = ", ".join(frame.columns)
    return read_frame(
        warehouse, f"select {columns} from raw.values order by id"
    )


@any_database
@given(st.lists(floats, min_size=1))
def test_numbers_come_back_bit_by_bit(module_warehouse, values_table, numbers):
    frame = pd.DataFrame({"number": np.array(numbers)})
    back = there_and_back(module_warehouse, values_table, frame)
    assert back.number.dtype == np.float64
    assert back.number.to_numpy().tobytes() == frame.number.to_numpy().tobytes()


@any_database
@given(st.lists(texts | awkward_texts | st.none(), min_size=1))
def test_text_comes_back_character_by_character(
    module_warehouse, values_table, words
):
    frame = pd.DataFrame({"words": pd.Series(words, dtype="str")})
    back = there_and_back(module_warehouse, values_table, frame)
    assert [None if pd.isna(word) else word for word in back.words] == words


@any_database
@given(
    st.lists(
        st.datetimes(
            datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1)
        )
        | st.none(),
        min_size=1,
    )
)
def test_times_come_back_to_the_microsecond(
    module_warehouse, values_table, times
):
    frame = pd.DataFrame(
        {"at": pd.Series(times, dtype="datetime64[us]").dt.tz_localize("UTC")}
    )
    back = there_and_back(module_warehouse, values_table, frame)
    pd.testing.assert_frame_equal(back, frame)
    assert str(back["at"].dtype) == "datetime64[us, UTC]"


@any_database
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
        lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
        max_leaves=10,
    ).filter(lambda value: value is not None)
)
def test_json_comes_back_parsed(module_warehouse, values_table, value):
    frame = pd.DataFrame({"json": pd.Series([value], dtype=object)})
    back = there_and_back(module_warehouse, values_table, frame)
    assert back["json"][0] == value


@any_database
@given(
    st.lists(
        st.tuples(
            texts | awkward_texts | st.none(),
            st.floats(allow_nan=False) | st.none(),
            st.integers(-(2**63), 2**63 - 1) | st.none(),
            st.booleans() | st.none(),
            st.dates(datetime.date(1900, 1, 1)) | st.none(),
            st.lists(texts, max_size=2) | st.none(),
        ),
        min_size=1,
        max_size=9,
    ),
    st.integers(1, 5),
)
def test_rows_come_back_whole_whatever_is_missing_and_where_they_are_cut(
    module_warehouse, values_table, rows, rows_at_once
):
    frame = pd.DataFrame(
        {
            "words": pd.Series([row[0] for row in rows], dtype="str"),
            "number": pd.Series([row[1] for row in rows], dtype="Float64"),
            "whole": pd.Series([row[2] for row in rows], dtype="Int64"),
            "is_true": pd.Series([row[3] for row in rows], dtype="boolean"),
            "on_date": pd.Series([row[4] for row in rows], dtype=object),
            "json": pd.Series([row[5] for row in rows], dtype=object),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binary_rows, "ROWS_AT_ONCE", rows_at_once)
        back = there_and_back(module_warehouse, values_table, frame)
    found = back.astype(object).where(back.notna(), None)
    assert [
        (*row[:4], row[4] and row[4].date(), row[5])
        for row in found.itertuples(index=False, name=None)
    ] == rows


def test_what_lies_behind_a_missing_text_is_not_written():
    # Arrow allows a NULL to have characters.
    hidden = pa.Array.from_buffers(
        pa.large_string(),
        3,
        [
            pa.py_buffer(b"\x05"),  # the first and the third are there
            pa.py_buffer(np.array([0, 1, 4, 6]).tobytes()),
            pa.py_buffer(b"axxxbc"),
        ],
    )
    plain = pa.array(["a", None, "bc"], pa.large_string())
    column = sa.Column("words", sa.Text)

    assert binary_rows.encode_rows([(column, hidden)]) == (
        binary_rows.encode_rows([(column, plain)])
    )


def test_categories_are_written_as_their_text(module_warehouse, values_table):
    words = ["d1", "m15", None, "d1"]
    frame = pd.DataFrame({"words": pd.Categorical(words)})
    back = there_and_back(module_warehouse, values_table, frame)
    assert [None if pd.isna(word) else word for word in back.words] == words


def test_a_value_of_no_number_is_null_and_infinity_stays(
    module_warehouse, values_table
):
    frame = pd.DataFrame(
        {
            "number": [np.nan, np.inf, -np.inf, 0.0],
            "whole": pd.array([1, None, 2**62, -1], dtype="Int64"),
            "is_true": pd.array([True, None, False, True], dtype="boolean"),
            "on_date": [datetime.date(2012, 6, 29), None, None, None],
        }
    )
    back = there_and_back(module_warehouse, values_table, frame)
    nulls = read_frame(
        module_warehouse,
        "select count(*) filter (where number is null) as nulls, "
        "count(*) filter (where number = 'NaN') as nans from raw.values",
    )
    assert nulls.to_dict("records") == [{"nulls": 1, "nans": 0}]
    assert math.isnan(back.number[0])
    assert back.number[1:].tolist() == [np.inf, -np.inf, 0.0]
    pd.testing.assert_series_equal(back.whole, frame.whole)
    pd.testing.assert_series_equal(back.is_true, frame.is_true)
    assert back.on_date.tolist() == [pd.Timestamp("2012-06-29")] + [pd.NaT] * 3


def test_types_without_nulls_are_numpys_own(module_warehouse):
    frame = read_frame(
        module_warehouse,
        "select 1 as whole, true as is_true, 1.5 as numeric, "
        "cast('NaN' as double precision) as number, 'x' as words, "
        "date '2012-06-29' as on_date, now() as at, "
        """cast('{"a": [1, null]}' as jsonb) as json""",
    )
    assert frame.dtypes.astype(str).to_dict() == {
        "whole": "int32",
        "is_true": "bool",
        "numeric": "float64",
        "number": "float64",
        "words": "str",
        "on_date": "datetime64[us]",
        "at": "datetime64[us, UTC]",
        "json": "object",
    }
    assert frame.numeric[0] == 1.5
    assert frame["json"][0] == {"a": [1, None]}


def test_an_empty_result_keeps_its_columns_and_types(module_warehouse):
    frame = read_frame(
        module_warehouse,
        "select ticker, listed_from, symbol_id, created_at, 1.5 as n, "
        "cast(null as jsonb) as json from {raw}.symbols where false",
    )
    assert len(frame) == 0
    assert frame.dtypes.astype(str).tolist() == [
        "str",
        "datetime64[us]",
        "int32",
        "datetime64[us, UTC]",
        "float64",
        "object",
    ]


@pytest.mark.parametrize(
    "value",
    [
        "AAPL",
        "'; drop table raw.symbols; --",
        "\\'; select 1; --",
        "%(ticker)s %s %",
        ":ticker",
        "{raw}",
        3,
        2.5,
        True,
        None,
        np.float64(1.5),
        np.int64(7),
        datetime.date(2012, 6, 29),
        CLOSE,
        pd.NaT,
    ],
)
def test_a_parameter_arrives_as_it_is(module_warehouse, value):
    # Text and NULL alone have no type.
    is_untyped = value is None or value is pd.NaT or isinstance(value, str)
    kind = "cast(:value as text)" if is_untyped else ":value"
    frame = read_frame(
        module_warehouse, f"select to_jsonb({kind}) as it", {"value": value}
    )
    found = frame["it"][0]
    if isinstance(value, pd.Timestamp):
        assert pd.Timestamp(found) == value
    elif isinstance(value, datetime.date) and value is not pd.NaT:
        assert found == value.isoformat()
    else:
        assert found == (None if value is pd.NaT else value)


@pytest.mark.parametrize(
    "tickers",
    [
        ["AAPL", "o'k"],
        ("AAPL",),
        np.array(["AAPL"]),
        pd.Series(["AAPL"]),
        pd.Index(["AAPL"]),
        [],
    ],
)
def test_a_list_goes_with_any(module_warehouse, tickers):
    frame = read_frame(
        module_warehouse,
        "select 'AAPL' = any(cast(:tickers as text[])) as is_among",
        {"tickers": tickers},
    )
    assert frame.is_among[0] == ("AAPL" in list(tickers))


def test_percent_signs_casts_and_colons_in_a_query_are_left_alone(
    module_warehouse,
):
    query = (
        "select 5 % 3 as rest, '12:30'::time::text as clock, "
        "'a%' like 'a\\%' as is_like"
    )
    for parameters in (None, {"unused": 1}):
        frame = read_frame(module_warehouse, query + ";", parameters)
        assert frame.to_dict("records") == [
            {"rest": 2, "clock": "12:30:00", "is_like": True}
        ]
    frame = read_frame(module_warehouse, "select 5 % :n as rest", {"n": 3})
    assert frame.rest[0] == 2


def test_a_parameter_without_a_value_is_named(module_warehouse):
    with pytest.raises(SchemaError, match="asks for timeframe"):
        read_frame(
            module_warehouse,
            "select :ticker, :timeframe",
            {"ticker": "AAPL"},
        )


def test_two_columns_of_one_name_are_refused(module_warehouse):
    with pytest.raises(SchemaError, match="two columns named 'a'"):
        read_frame(module_warehouse, "select 1 as a, 2 as a")


# Writing


def symbols_frame(*tickers: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"ticker": tickers, "calendar": "XNYS", "source": "test"}
    )


def test_rows_get_identities_and_defaults(warehouse):
    assert write(warehouse, schema.symbols, symbols_frame("AAPL", "IBM")) == 2
    back = read_frame(
        warehouse,
        "select symbol_id, ticker, created_at from {raw}.symbols order by 1",
    )
    assert back.symbol_id.tolist() == [1, 2]
    assert back.ticker.tolist() == ["AAPL", "IBM"]
    assert back.created_at.notna().all()


def test_existing_rows_are_skipped_and_not_counted(warehouse):
    write(warehouse, schema.symbols, symbols_frame("AAPL"))
    frame = symbols_frame("AAPL", "IBM", "IBM")
    assert write(warehouse, schema.symbols, frame, skip_existing=True) == 1
    assert write(warehouse, schema.symbols, frame, skip_existing=True) == 0
    count = read_frame(warehouse, "select count(*) as n from {raw}.symbols")
    assert count.n[0] == 2


def test_an_existing_row_is_otherwise_an_error_with_its_key(warehouse):
    write(warehouse, schema.symbols, symbols_frame("AAPL"))
    with pytest.raises(SchemaError, match=r"raw.symbols refuses .*AAPL"):
        write(warehouse, schema.symbols, symbols_frame("IBM", "AAPL"))
    count = read_frame(warehouse, "select count(*) as n from {raw}.symbols")
    assert count.n[0] == 1


def test_writing_keeps_to_the_callers_transaction(warehouse):
    with pytest.raises(ZeroDivisionError), warehouse.begin() as connection:  # noqa: PT012
        for ticker in ("AAPL", "IBM"):
            insert_frame(
                connection,
                schema.symbols,
                symbols_frame(ticker),
                skip_existing=True,
            )
        raise ZeroDivisionError
    count = read_frame(warehouse, "select count(*) as n from {raw}.symbols")
    assert count.n[0] == 0


def test_a_prefix_leads_to_its_own_tables(fresh_warehouse):
    warehouse = fresh_warehouse(schema_prefix="ann_")
    assert write(warehouse, schema.symbols, symbols_frame("AAPL")) == 1
    again = symbols_frame("AAPL")
    assert write(warehouse, schema.symbols, again, skip_existing=True) == 0
    back = read_frame(warehouse, "select ticker from {raw}.symbols")
    assert back.ticker.tolist() == ["AAPL"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "raw.symbols has no column colour"),
        ({"ticker": [None, "IBM"]}, "ticker may not be NULL, but 1 of 2"),
        ({"ticker": [float("nan"), "IBM"]}, "NaN counts as none"),
        ({"ticker": [1, 2]}, "ticker cannot hold .* not text"),
        ({"symbol_id": [1.5, 2.0]}, "symbol_id cannot hold"),
        ({"symbol_id": [1, 2**31]}, "symbol_id cannot hold"),
        ({"delisted_at": CLOSE.tz_localize(None)}, "with a time zone"),
        ({"delisted_at": "tomorrow"}, "delisted_at cannot hold"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_column(warehouse, change, message):
    frame = symbols_frame("AAPL", "IBM").assign(**change)
    with pytest.raises(SchemaError, match=message):
        write(warehouse, schema.symbols, frame)


def test_a_needed_column_that_is_absent_is_named(warehouse):
    frame = symbols_frame("AAPL").drop(columns="calendar")
    with pytest.raises(SchemaError, match=r"raw\.symbols lack calendar"):
        write(warehouse, schema.symbols, frame)
    empty = frame.head(0)
    with pytest.raises(SchemaError, match=r"raw\.symbols lack calendar"):
        write(warehouse, schema.symbols, empty)


def test_a_value_against_a_check_is_refused_by_its_name(warehouse):
    frame = pd.DataFrame(
        {
            "calendar": "XNYS",
            "session_date": [datetime.date(2012, 6, 29)],
            "opened_at": [CLOSE],
            "closed_at": [CLOSE],
        }
    )
    with pytest.raises(SchemaError, match="opens_before_close"):
        write(warehouse, schema.sessions, frame)
    with pytest.raises(SchemaError, match="opens_before_close"):
        write(warehouse, schema.sessions, frame, skip_existing=True)


def test_no_rows_are_no_work(warehouse):
    assert write(warehouse, schema.symbols, symbols_frame()) == 0


def test_whole_numbers_may_come_as_floats_and_times_from_anywhere(warehouse):
    frame = symbols_frame("AAPL", "IBM").assign(
        symbol_id=[7.0, 8.0],
        delisted_at=[CLOSE.tz_convert("Asia/Tokyo"), None],
    )
    write(warehouse, schema.symbols, frame)
    back = read_frame(
        warehouse,
        "select symbol_id, delisted_at from {raw}.symbols order by 1",
    )
    assert back.symbol_id.tolist() == [7, 8]
    assert back.delisted_at.tolist() == [CLOSE, pd.NaT]


def test_json_of_numpy_and_of_what_is_not_finite_is_written(
    module_warehouse, values_table
):
    value = {"skill": np.float64(0.1), "se": float("nan"), "n": np.int64(3)}
    frame = pd.DataFrame({"json": [value, None]})
    back = there_and_back(module_warehouse, values_table, frame)
    assert back["json"][0] == {"skill": 0.1, "se": None, "n": 3}
    assert back["json"][1] is None
    assert json.dumps(back["json"][0])


def test_text_that_postgres_cannot_hold_is_refused(warehouse):
    with pytest.raises(SchemaError, match=r"raw.symbols refuses .*0x00"):
        write(warehouse, schema.symbols, symbols_frame("A\x00PL"))


def test_a_column_of_a_type_that_is_not_written_is_named(
    module_warehouse, values_table
):
    table = sa.Table(
        "values", sa.MetaData(), sa.Column("number", sa.Numeric), schema="raw"
    )
    frame = pd.DataFrame({"number": [1.5]})
    with pytest.raises(SchemaError, match=r"number cannot hold .* NUMERIC"):
        write(module_warehouse, table, frame)


def test_a_large_load_is_analysed_unless_told_otherwise(warehouse):
    n_rows = bulk.ANALYZE_ROWS
    frame = symbols_frame(*(f"T{number}" for number in range(n_rows)))
    with warehouse.begin() as connection:
        bulk.insert_frame(connection, schema.symbols, frame, analyze=False)
        estimate = sa.text(
            "select reltuples from pg_class where relname = 'symbols'"
        )
        assert connection.execute(estimate).scalar_one() == -1
        connection.execute(schema.symbols.delete())
    assert write(warehouse, schema.symbols, frame, skip_existing=True) == n_rows
    estimate = read_frame(
        warehouse,
        "select reltuples from pg_class where oid = 'raw.symbols'::regclass",
    )
    assert estimate.reltuples[0] == n_rows


def test_reads_share_a_connection_and_outlive_it(warehouse):
    def backend():
        return int(
            read_frame(warehouse, "select pg_backend_pid() as pid")["pid"][0]
        )

    first = backend()
    assert backend() == first
    with warehouse.begin() as connection:
        connection.execute(sa.select(sa.func.pg_terminate_backend(first)))
    assert backend() != first


def test_a_read_that_failed_leaves_the_next_alone(warehouse):
    with pytest.raises(Exception, match="division by zero"):
        read_frame(warehouse, "select 1 / 0 as a")
    assert read_frame(warehouse, "select 1 as a")["a"][0] == 1
