"""Rows as PostgreSQL's binary COPY takes them, encoded a column at a time.

A row is its number of fields, then for each field its length (-1 for NULL) and
its bytes, all big-endian; see "Binary Format" under COPY in PostgreSQL's
manual. Text has no fixed length, so every field is written at a position of
its own: numpy scatters one field of all rows at once.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.dialects.postgresql import JSONB

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
# PostgreSQL counts time from 2000-01-01, Arrow from 1970-01-01.
EPOCH_MICROSECONDS = 946_684_800_000_000
EPOCH_DAYS = 10_957
# jsonb comes with the version of its format.
JSONB_VERSION = "\x01"
# Positions of so many rows stay in the processor's cache.
ROWS_AT_ONCE = 20_000


class BinaryRows:
    """A readable file of rows, encoded while it is read.

    Parameters
    ----------
    columns : mapping of str to sqlalchemy.Column
        Decides the types, in the order of COPY's column list.
    arrays : mapping of str to pyarrow.Array
        As `to_arrow` makes them, all of one length.
    """

    def __init__(
        self,
        columns: Mapping[str, sa.Column[Any]],
        arrays: Mapping[str, pa.Array],
    ) -> None:
        self._columns = columns
        self._arrays = arrays
        self._pieces = self._encode()
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Up to `size` further bytes; none at the end."""
        if not len(self._rest):
            self._rest = memoryview(next(self._pieces, b""))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)

    def _encode(self) -> Iterator[bytes]:
        n_rows = len(next(iter(self._arrays.values())))
        yield SIGNATURE
        for start in range(0, n_rows, ROWS_AT_ONCE):
            yield encode_rows(
                [
                    (column, self._arrays[name].slice(start, ROWS_AT_ONCE))
                    for name, column in self._columns.items()
                ]
            )
        yield TRAILER


def encode_rows(fields: list[tuple[sa.Column[Any], pa.Array]]) -> bytes:
    """Encode rows, without COPY's signature and trailer.

    Parameters
    ----------
    fields : list of (sqlalchemy.Column, pyarrow.Array of shape (n_rows,))
        At least one.

    Examples
    --------
    >>> column = sa.Column("whole", sa.Integer)
    >>> encode_rows([(column, pa.array([258, None], pa.int32()))]).hex(" ", 2)
    '0001 0000 0004 0000 0102 0001 ffff ffff'
    """
    encoded = [_payload(column, array) for column, array in fields]
    sizes = 2 + np.sum([4 + np.maximum(n, 0) for n, _ in encoded], axis=0)
    at = np.cumsum(sizes) - sizes
    rows = np.zeros(int(sizes.sum()), np.uint8)
    _write(rows, at, _big_endian(np.full(len(at), len(encoded)), ">i2"))
    at = at + 2
    for lengths, payload in encoded:
        _write(rows, at, _big_endian(lengths, ">i4"))
        at = at + 4
        has_value = lengths >= 0
        if payload.ndim == 1:
            _write_text(rows, at[has_value], lengths[has_value], payload)
        elif has_value.all():
            _write(rows, at, payload)
        else:
            _write(rows, at[has_value], payload[has_value])
        at = at + np.maximum(lengths, 0)
    return rows.tobytes()


def arrow_type(column: sa.Column[Any]) -> pa.DataType:
    """Arrow type whose values `encode_rows` writes for a column.

    Raises
    ------
    TypeError
        If columns of this type are not written.
    """
    kind = column.type
    if isinstance(kind, JSONB | sa.Text):
        return pa.large_string()
    if isinstance(kind, sa.DateTime):
        return pa.timestamp("us", "UTC")
    if isinstance(kind, sa.Date):
        return pa.date32()
    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.BigInteger):
        return pa.int64()
    if isinstance(kind, sa.Integer):
        return pa.int32()
    if isinstance(kind, sa.Double):
        return pa.float64()
    raise TypeError(f"columns of type {kind} are not written in bulk")


def _payload(
    column: sa.Column[Any], array: pa.Array
) -> tuple[Positions, Bytes]:
    """Length of each field, -1 for NULL, and their bytes.

    The bytes are of shape (n_rows, width), or, where text has several
    lengths, one after the other.
    """
    is_null = array.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_large_string(array.type):
        if isinstance(column.type, JSONB):
            array = pa.compute.binary_join_element_wise(
                pa.scalar(JSONB_VERSION, array.type),
                array,
                pa.scalar("", array.type),
            )
        lengths = (
            pa.compute.binary_length(array)
            .fill_null(-1)
            .to_numpy(zero_copy_only=False)
        )
        return lengths, _characters(array)
    if pa.types.is_timestamp(array.type):
        moments = _values(array.cast(pa.int64())) - EPOCH_MICROSECONDS
        payload = _big_endian(moments, ">i8")
    elif pa.types.is_date(array.type):
        days = _values(array.cast(pa.int32())) - EPOCH_DAYS
        payload = _big_endian(days, ">i4")
    elif pa.types.is_boolean(array.type):
        payload = _big_endian(_values(array.cast(pa.uint8())), ">u1")
    else:
        values = _values(array)
        payload = _big_endian(values, values.dtype.newbyteorder(">"))
    return np.where(is_null, -1, payload.shape[1]), payload


def _values(array: pa.Array) -> NDArray[Any]:
    values: NDArray[Any] = array.fill_null(0).to_numpy(zero_copy_only=False)
    return values


def _characters(array: pa.Array) -> Bytes:
    """UTF-8 of all values, one after the other; NULLs have none."""
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset :][: len(array) + 1]
    if data is None or array.null_count:
        # Nothing says that a NULL takes no room.
        joined = "".join(value for value in array.to_pylist() if value)
        return np.frombuffer(joined.encode(), np.uint8)
    return np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]


def _big_endian(values: NDArray[Any], kind: Any) -> Bytes:
    """Bytes of each number, of shape (n_rows, width)."""
    return (
        np.ascontiguousarray(values.astype(kind))
        .view(np.uint8)
        .reshape(len(values), -1)
    )


def _write(rows: Bytes, at: Positions, payload: Bytes) -> None:
    """Write one field of equal width into all rows."""
    width = payload.shape[1]
    if not len(at):
        return
    # At every byte begins a value of this width: one assignment moves it whole.
    everywhere = np.ndarray(
        shape=len(rows) - width + 1, dtype=f"V{width}", buffer=rows, strides=1
    )
    everywhere[at] = payload.view(f"V{width}").ravel()


def _write_text(
    rows: Bytes, at: Positions, lengths: Positions, text: Bytes
) -> None:
    """Write text of any lengths into the rows that have it."""
    if not len(text):
        return
    if (lengths == lengths[0]).all():
        _write(rows, at, text.reshape(len(at), -1))
        return
    shift = at - (np.cumsum(lengths) - lengths)
    rows[np.repeat(shift, lengths) + np.arange(len(text))] = text
