"""Rows of parquet files, piece by piece, in types that bars can have."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from python_ml.exceptions import IngestionError
from python_ml.ingestion.readers.columns import (
    BarColumns,
    find_columns,
    find_wide_columns,
    pairs_of,
    recognise_layout,
)
from python_ml.ingestion.readers.layouts.layout import Layout
from python_ml.ingestion.readers.layouts.yfinance import YFINANCE
from python_ml.ingestion.readers.text_lines import failures_explained
from python_ml.ingestion.readers.text_rows import Piece

ROWS_AT_ONCE = 100_000
BUFFER_BYTES = 1 << 20
# Years that times of any unit can be in, whatever a file says.
YEARS = (1678, 2262)


def find_parquet_columns(
    path: Path, layout: Layout | None, chosen: Mapping[str, str]
) -> tuple[tuple[str, ...], Layout, tuple[BarColumns, ...]]:
    """Names of a file's columns, its layout, and which are whose.

    Raises
    ------
    IngestionError
        If the file is no parquet, or columns are missing or of a type that
        bars cannot have.
    """
    schema = parquet_schema(path)
    names = tuple(schema.names)
    pairs = pairs_of(names)
    if not chosen and layout in (None, YFINANCE):
        wide = find_wide_columns(pairs, _index_of_times(schema))
        for columns in wide:
            _check_types(path, schema, columns)
        if wide:
            return names, YFINANCE, wide
    layout = layout or recognise_layout(names)
    columns = find_columns(path, names, layout, chosen)
    if "currency" not in chosen:
        columns = _without_odd_currency(schema, columns)
    _check_types(path, schema, columns)
    return names, layout, (columns,)


def parquet_schema(path: Path) -> pa.Schema:
    """Names and types of a file's columns."""
    with failures_explained(path), pyarrow.parquet.ParquetFile(path) as file:
        return file.schema_arrow


def read_parquet_pieces(
    path: Path, names: Sequence[str], positions: Sequence[int]
) -> Iterator[Piece]:
    """Read a parquet file.

    Parameters
    ----------
    path : Path
    names : sequence of str
        Of all its columns.
    positions : sequence of int
        Columns that are wanted.
    """
    wanted = [names[place] for place in positions]
    n_before = 0
    with (
        failures_explained(path),
        pyarrow.parquet.ParquetFile(
            path,
            pre_buffer=False,
            buffer_size=BUFFER_BYTES,
            page_checksum_verification=True,
        ) as file,
    ):
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
            batch.validate(full=True)
            yield Piece(
                {
                    place: _plain(batch.column(names[place]))
                    for place in positions
                },
                np.arange(n_before + 1, n_before + batch.num_rows + 1),
            )
            n_before += batch.num_rows


def _index_of_times(schema: pa.Schema) -> int:
    """Where the times of a table stand that pandas wrote, first or last."""
    return next(
        (
            place
            for place, field in enumerate(schema)
            if pa.types.is_temporal(field.type)
        ),
        0,
    )


def _check_types(path: Path, schema: pa.Schema, columns: BarColumns) -> None:
    for field, places in columns.positions.items():
        for place in places:
            kind = _value_type(schema.field(place).type)
            if not _is_allowed(field, kind, len(places)):
                raise IngestionError(
                    f"Column {schema.names[place]} of {path} holds {kind} "
                    f"values, which are no {_wanted(field)}: write the column "
                    f"anew, or name another: --columns {field}=NAME"
                )


def _without_odd_currency(schema: pa.Schema, columns: BarColumns) -> BarColumns:
    """The same, unless what is called a currency holds no text."""
    positions = {
        field: places
        for field, places in columns.positions.items()
        if field != "currency"
        or _is_text(_value_type(schema.field(places[0]).type))
    }
    return BarColumns(positions, columns.symbol)


def _wanted(field: str) -> str:
    return {
        "symbol": "names",
        "timeframe": "timeframes",
        "ts": "times",
        "currency": "codes",
    }.get(field, "numbers")


def _is_allowed(field: str, kind: pa.DataType, n_columns: int) -> bool:
    is_text = _is_text(kind) or pa.types.is_null(kind)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if field == "symbol":
        return is_text or pa.types.is_integer(kind)
    if field == "timeframe":
        return is_text or pa.types.is_integer(kind)
    if field == "currency":
        return is_text
    if field == "ts":
        is_time = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
        return (
            is_text
            or is_number
            or is_time
            or (n_columns == 2 and pa.types.is_time(kind))
        )
    return is_text or is_number or pa.types.is_decimal(kind)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _plain(column: pa.Array) -> pa.ChunkedArray:
    """Text as strings, decimals as floats, dates as midnights."""
    kind = _value_type(column.type)
    if pa.types.is_dictionary(column.type):
        column = column.cast(kind)
    if _is_text(kind) or pa.types.is_null(kind):
        column = column.cast(pa.string())
        if pc.any(pc.match_substring(column, "\x00")).as_py():
            column = pc.replace_substring(column, "\x00", "\u2400")
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    elif pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        column = _in_plausible_years(column)
    return pa.chunked_array([column])


def _in_plausible_years(column: pa.Array) -> pa.Array:
    """Times in microseconds; those that these cannot hold are missing."""
    zone = column.type.tz
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    counts = column.cast(pa.timestamp(column.type.unit)).cast(pa.int64())
    first, last = (
        int(np.datetime64(str(year), "s").astype(np.int64))
        * per_second[column.type.unit]
        for year in YEARS
    )
    is_plausible = pc.and_(
        pc.greater_equal(counts, first), pc.less(counts, last)
    )
    return pc.if_else(is_plausible, column, None).cast(
        pa.timestamp("us", zone), safe=False
    )
