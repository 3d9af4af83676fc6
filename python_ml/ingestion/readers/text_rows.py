"""Rows of text files, piece by piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from python_ml.ingestion.readers.text_form import TextForm
from python_ml.ingestion.readers.text_lines import (
    failures_explained,
    read_blocks,
)


@dataclass(frozen=True)
class Piece:
    """Some rows of a file, in its own types.

    Parameters
    ----------
    columns : mapping of int to ChunkedArray of shape (n,)
        Columns that were asked for, by position.
    numbers : ndarray of shape (n,)
        Of the rows in the file, counted from 1.
    malformed : sequence of tuple of int and str
        Number and text of further rows that could not be told into columns.
    """

    columns: dict[int, pa.ChunkedArray]
    numbers: NDArray[np.int64]
    malformed: Sequence[tuple[int, str]] = ()


def read_text_pieces(
    path: Path, form: TextForm, positions: Sequence[int]
) -> Iterator[Piece]:
    """Read a text file: all values as text, to be shown as they are.

    Parameters
    ----------
    path : Path
    form : TextForm
        How the file is written.
    positions : sequence of int
        Columns that are wanted.
    """
    n_before = 0
    n_header_lines = form.n_header_lines
    with failures_explained(path):
        for lines in read_blocks(path, form.encoding):
            rows = [line for line in lines if line]
            if n_header_lines:
                n_skipped = _lines_of_header(rows, n_header_lines)
                n_header_lines -= min(n_header_lines, len(rows))
                rows = rows[n_skipped:]
            if not rows:
                continue
            piece = _parse(rows, form, positions, n_before)
            n_before += len(piece.numbers) + len(piece.malformed)
            yield piece


def _lines_of_header(rows: Sequence[str], n_header_lines: int) -> int:
    """How many lines stand before the first row, blank ones among them."""
    n_lines = 0
    for number, line in enumerate(rows):
        n_lines += bool(line.strip())
        if n_lines == n_header_lines:
            return number + 1
    return len(rows)


def _parse(
    rows: Sequence[str], form: TextForm, positions: Sequence[int], n_before: int
) -> Piece:
    malformed: list[tuple[int, str]] = []

    def keep(row: pa.csv.InvalidRow) -> str:
        malformed.append((n_before + row.number, row.text))
        return "skip"

    names = [str(place) for place in range(len(form.header))]
    wanted = [str(place) for place in positions]
    text = ("\n".join(rows) + "\n").encode()
    table = pyarrow.csv.read_csv(
        pa.BufferReader(text),
        # Rows have numbers only when they are read one after the other.
        read_options=pyarrow.csv.ReadOptions(
            column_names=names, use_threads=False, block_size=len(text) + 1
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=form.delimiter, invalid_row_handler=keep
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=wanted,
            column_types={name: pa.string() for name in wanted},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    n_rows = table.num_rows + len(malformed)
    bad_places = [number - n_before - 1 for number, _ in malformed]
    numbers = np.arange(n_before + 1, n_before + n_rows + 1)
    return Piece(
        {place: table.column(str(place)) for place in positions},
        np.delete(numbers, bad_places),
        malformed,
    )
