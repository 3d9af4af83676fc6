"""Whole tables in and out: Arrow through ADBC, and COPY.

How values cross the border:

| PostgreSQL | pandas, read | pandas, written |
| --- | --- | --- |
| double precision | float64, exact; NULL becomes NaN | NaN, NA and None \
become NULL; infinities stay |
| integer, bigint, boolean | int32, int64, bool; Int32, Int64, boolean when \
a NULL is among them | also float64 of whole numbers |
| timestamptz | datetime64[us, UTC] | any time zone; a time without one is \
refused |
| date | datetime64[us], midnight | dates or midnights |
| text | str | str |
| json, jsonb | dict, list and so on | the same, see `to_json` |
| numeric | float64 | |
"""

import contextlib
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from python_ml.console.json_text import to_json
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.exceptions import SchemaError
from python_ml.warehouse.binary_rows import BinaryRows, arrow_type
from python_ml.warehouse.connection import Warehouse

logger = get_logger(__name__)

# A freshly loaded table plans blind until it is analysed.
ANALYZE_ROWS = 10_000
COPY_BYTES = 1 << 20
NULLABLE_TYPES = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
}


def read_frame(
    warehouse: Warehouse,
    query: str,
    parameters: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Read the result of a query, quickly and exactly.

    Runs in a transaction of its own, so it sees what is committed.

    Parameters
    ----------
    warehouse : Warehouse
    query : str
        One `select` with schemas as `{features}.bars` and values as
        `:symbol_id`; lists go with `= any(:tickers)`.
    parameters : mapping of str to object, optional
        The values. They are quoted by the driver, never pasted.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        Columns as the module's table says.

    Raises
    ------
    SchemaError
        If a parameter of the query has no value.

    Examples
    --------
    >>> read_frame(
    ...     warehouse,
    ...     "select close from {features}.bars where ticker = :ticker",
    ...     {"ticker": "AAPL"},
    ... )  # doctest: +SKIP
    """
    with quoting(warehouse) as quote:
        statement = quote(query, parameters or {})
    with warehouse.reader() as cursor:
        cursor.execute(statement)
        table = cursor.fetch_arrow_table()
    frame = to_pandas(table)
    log_event(
        logger,
        "rows_read",
        level=logging.DEBUG,
        rows=len(frame),
        columns=len(frame.columns),
    )
    return frame


def insert_frame(
    connection: sa.Connection,
    table: sa.Table,
    frame: pd.DataFrame,
    *,
    skip_existing: bool = False,
    analyze: bool = True,
) -> int:
    """Append a frame to a table, in the caller's transaction.

    Parameters
    ----------
    connection : sqlalchemy.Connection
    table : sqlalchemy.Table
        One of `python_ml.schema`.
    frame : DataFrame of shape (n_rows, n_columns)
        Columns by name, in any order. Those that the database fills in
        (identity, default) or that may be NULL can be absent. NaN, NA and
        None become NULL.
    skip_existing : bool, default=False
        Leave out rows whose key the table already holds, also when the frame
        itself holds it twice.
    analyze : bool, default=True
        Renew the table's statistics after many rows. Whoever writes in parts
        says False and calls `analyze_table` at the end.

    Returns
    -------
    int
        Number of rows inserted.

    Raises
    ------
    SchemaError
        If the frame has an unknown column, lacks a needed one, or holds
        values that the column cannot.
    """
    _check_columns(table, frame)
    if frame.empty:
        return 0
    quote = connection.dialect.identifier_preparer.quote
    name = _full_name(connection, table)
    columns = ", ".join(quote(column) for column in frame.columns)
    rows = BinaryRows(
        {str(column): table.columns[column] for column in frame.columns},
        _to_arrays(table, frame),
    )
    with _refusals_explained(table):
        if skip_existing:
            incoming = quote(f"incoming_{table.name}")
            connection.exec_driver_sql(
                f"create temporary table {incoming} on commit drop as "
                f"select {columns} from {name} with no data"
            )
            _copy(connection, f"{incoming} ({columns})", rows)
            n_inserted = connection.exec_driver_sql(
                f"insert into {name} ({columns}) select {columns} "
                f"from {incoming} on conflict do nothing"
            ).rowcount
            connection.exec_driver_sql(f"drop table {incoming}")
        else:
            n_inserted = _copy(connection, f"{name} ({columns})", rows)
    if analyze and n_inserted >= ANALYZE_ROWS:
        analyze_table(connection, table)
    log_event(
        logger,
        "rows_written",
        level=logging.DEBUG,
        table=table.fullname,
        rows=n_inserted,
        skipped=len(frame) - n_inserted,
    )
    return n_inserted


def analyze_table(connection: sa.Connection, table: sa.Table) -> None:
    """Renew a table's statistics, in the caller's transaction."""
    connection.exec_driver_sql(f"analyze {_full_name(connection, table)}")


@contextlib.contextmanager
def quoting(
    warehouse: Warehouse,
) -> Iterator[Callable[[str, Mapping[str, Any]], str]]:
    """What puts values into queries, quoted by psycopg2 for this server.

    ADBC reads through `copy (query) to stdout`, which takes no parameters. The
    function that is given sends nothing to the server.
    """
    connection = warehouse.engine.raw_connection()
    try:
        with contextlib.closing(connection.cursor()) as cursor:
            yield partial(_render, warehouse, cursor)
    finally:
        connection.close()


def _render(
    warehouse: Warehouse, cursor: Any, query: str, parameters: Mapping[str, Any]
) -> str:
    compiled = sa.text(warehouse.sql(query).strip().rstrip(";")).compile(
        dialect=warehouse.engine.dialect
    )
    if missing := set(compiled.params) - set(parameters):
        raise SchemaError(
            f"The query asks for {', '.join(sorted(missing))}, which has no "
            "value. Pass it in `parameters`."
        )
    values = {
        name: _plain_parameter(parameters[name]) for name in compiled.params
    }
    # With no values psycopg2 would leave the doubled percent signs.
    rendered = cursor.mogrify(str(compiled), values or {"": None})
    return bytes(rendered).decode()


def _plain_parameter(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic | pd.Index | pd.Series):
        value = value.tolist()
    if isinstance(value, tuple | set | frozenset):
        value = list(value)
    if isinstance(value, list):
        return [_plain_parameter(item) for item in value]
    return None if value is pd.NA or value is pd.NaT else value


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A table of Arrow as a frame, with columns as the module's table says.

    Raises
    ------
    SchemaError
        If two columns have one name.
    """
    columns: dict[str, Any] = {}
    for number, field in enumerate(table.schema):
        if field.name in columns:
            raise SchemaError(
                f"The query yields two columns named {field.name!r}; rename "
                "one with `as`."
            )
        columns[field.name] = _column_to_pandas(
            table.column(number),
            (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode(),
        )
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))


def _column_to_pandas(column: pa.ChunkedArray, kind: str) -> Any:
    if kind in ("json", "jsonb"):
        return pd.Series(
            [
                None if text is None else json.loads(text)
                for text in column.cast(pa.string()).to_pylist()
            ],
            dtype=object,
        )
    if kind == "numeric":
        column = pa.chunked_array(
            [chunk.storage for chunk in column.chunks], pa.string()
        ).cast(pa.float64())
    if column.null_count and column.type in NULLABLE_TYPES:
        return column.to_pandas(types_mapper=NULLABLE_TYPES.get)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"))
    return column.to_pandas()


def _check_columns(table: sa.Table, frame: pd.DataFrame) -> None:
    names = list(frame.columns)
    if unknown := [name for name in names if name not in table.columns]:
        raise SchemaError(
            f"{table.fullname} has no column {', '.join(map(str, unknown))}."
        )
    if len(set(names)) < len(names):
        raise SchemaError(
            f"The rows for {table.fullname} name a column twice: "
            f"{', '.join(names)}."
        )
    missing = [
        column.name
        for column in table.columns
        if column.name not in names
        and not column.nullable
        and column.server_default is None
        and column.identity is None
    ]
    if missing:
        raise SchemaError(
            f"The rows for {table.fullname} lack {', '.join(missing)}."
        )


def _to_arrays(table: sa.Table, frame: pd.DataFrame) -> dict[str, pa.Array]:
    arrays = {}
    for name in frame.columns:
        column = table.columns[name]
        try:
            array = _to_arrow(column, frame[name])
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise SchemaError(
                f"{table.fullname}.{name} cannot hold what the rows bring: "
                f"{error}"
            ) from error
        if array.null_count and not column.nullable:
            raise SchemaError(
                f"{table.fullname}.{name} may not be NULL, but "
                f"{array.null_count} of {len(array)} rows hold none there "
                "(NaN counts as none)."
            )
        arrays[str(name)] = array
    return arrays


def _to_arrow(column: sa.Column[Any], values: pd.Series) -> pa.Array:
    kind = arrow_type(column)
    if isinstance(column.type, JSONB):
        return pa.array(
            [
                None if _is_missing(value) else to_json(value)
                for value in values
            ],
            kind,
        )
    array = pa.array(values, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(column.type, sa.Text) and not _is_text(array.type):
        raise TypeError(f"{array.type} is not text")
    if isinstance(column.type, sa.DateTime) and not _is_moment(array.type):
        raise TypeError(f"{array.type} is not a time with a time zone")
    return array.cast(kind, safe=not isinstance(column.type, sa.DateTime))


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (isinstance(value, float) and math.isnan(value))
    )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_null(kind)
    )


def _is_moment(kind: pa.DataType) -> bool:
    return bool(
        (pa.types.is_timestamp(kind) and kind.tz is not None)
        or pa.types.is_null(kind)
    )


def _copy(connection: sa.Connection, target: str, rows: BinaryRows) -> int:
    cursor = connection.connection.cursor()
    try:
        cursor.copy_expert(
            f"copy {target} from stdin (format binary)", rows, COPY_BYTES
        )
        return int(cursor.rowcount)
    finally:
        cursor.close()


@contextlib.contextmanager
def _refusals_explained(table: sa.Table) -> Iterator[None]:
    """Turn a broken key, check or type into an error of one line."""
    try:
        yield
    except (sa.exc.DBAPIError, psycopg2.Error) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if not isinstance(cause, psycopg2.IntegrityError | psycopg2.DataError):
            raise
        parts = (cause.diag.message_primary, cause.diag.message_detail)
        raise SchemaError(
            f"{table.fullname} refuses the rows: "
            f"{'. '.join(part for part in parts if part)}"
        ) from error


def _full_name(connection: sa.Connection, table: sa.Table) -> str:
    """Schema and table, quoted, of this warehouse."""
    names = connection.get_execution_options().get("schema_translate_map", {})
    quote = connection.dialect.identifier_preparer.quote
    schema = str(names.get(table.schema, table.schema))
    return f"{quote(schema)}.{quote(table.name)}"
