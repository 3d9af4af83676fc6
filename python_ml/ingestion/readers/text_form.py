"""How a text file is written: encoding, separator and header."""

import contextlib
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from python_ml.exceptions import IngestionError
from python_ml.ingestion.readers.columns import (
    BarColumns,
    count_known,
    find_columns,
    find_wide_columns,
    recognise_layout,
)
from python_ml.ingestion.readers.layouts import LAYOUTS
from python_ml.ingestion.readers.layouts.layout import Layout, fold
from python_ml.ingestion.readers.layouts.named_columns import NAMED_COLUMNS
from python_ml.ingestion.readers.layouts.yfinance import YFINANCE
from python_ml.ingestion.readers.text_lines import (
    failures_explained,
    find_encoding,
    read_blocks,
)

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# A title or two may stand above the header.
LINES_BEFORE_HEADER = 10
KNOWN_IN_A_HEADER = 4
NUMBERS_IN_A_ROW = 4


@dataclass(frozen=True)
class TextForm:
    """How a text file is written.

    Parameters
    ----------
    encoding, delimiter : str
    header : tuple of str
        Names of the columns; their numbers where the file has none.
    n_header_lines : int
        Lines before the first row, blank ones not counted.
    layout : Layout
    columns : tuple of BarColumns
        One, but for tables with a column for each value of each symbol.
    """

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    n_header_lines: int
    layout: Layout
    columns: tuple[BarColumns, ...]

    def to_text(self) -> str:
        """Say it in a few words."""
        name = self.encoding.replace("-sig", "").upper()
        header = "" if self.n_header_lines else ", no header"
        return f"{DELIMITERS[self.delimiter]}, {name}{header}"


def find_text_form(
    path: Path, layout: Layout | None, chosen: Mapping[str, str]
) -> TextForm:
    """Find out how a text file is written.

    Parameters
    ----------
    path : Path
    layout : Layout or None
        Asked for; None to recognise it.
    chosen : mapping of str to str
        Columns of fields, from `--columns`.

    Raises
    ------
    IngestionError
        If columns are missing.
    """
    encoding, lines = _first_lines(path)
    if not lines:
        raise IngestionError(
            f"{path} lacks the columns of bars; it has none, it is empty."
        )
    for shaped in [layout] if layout else LAYOUTS:
        if names := shaped.columns_of(lines[0]):
            columns = find_columns(path, names, shaped, chosen)
            return TextForm(encoding, ",", names, 0, shaped, (columns,))
    n_before, delimiter, header = _find_header(lines, chosen)
    if header is None:
        numbers = tuple(
            str(number + 1)
            for number in range(len(split_line(lines[0], delimiter)))
        )
        columns = _columns_by_number(path, numbers, lines[0], chosen)
        return TextForm(
            encoding, delimiter, numbers, 0, NAMED_COLUMNS, (columns,)
        )
    if layout in (None, YFINANCE) and (
        wide := _wide_header(lines[n_before:], delimiter)
    ):
        pairs, n_lines = wide
        return TextForm(
            encoding,
            delimiter,
            tuple(" ".join(pair) for pair in pairs),
            n_before + n_lines,
            YFINANCE,
            find_wide_columns(pairs),
        )
    layout = layout or recognise_layout(header)
    columns = find_columns(path, header, layout, chosen)
    return TextForm(
        encoding, delimiter, tuple(header), n_before + 1, layout, (columns,)
    )


def read_header(
    path: Path, wanted: Sequence[str]
) -> tuple[str, str, list[str]]:
    """Encoding, separator and names of columns of a file that has a header."""
    encoding, lines = _first_lines(path)
    first = lines[0] if lines else ""
    delimiter = max(
        DELIMITERS,
        key=lambda mark: len({*wanted} & {*split_line(first, mark)}),
    )
    return encoding, delimiter, split_line(first, delimiter)


def split_line(line: str, delimiter: str) -> list[str]:
    """Fields of a line, without quotes and outer space."""
    fields = next(csv.reader([line], delimiter=delimiter), [])
    return [field.strip() for field in fields]


def _first_lines(path: Path) -> tuple[str, list[str]]:
    """Encoding of a file, and its first lines that are not blank."""
    with failures_explained(path):
        encoding = find_encoding(path)
        with contextlib.closing(read_blocks(path, encoding)) as blocks:
            lines = [line for line in next(blocks, []) if line.strip()]
    return encoding, lines[: LINES_BEFORE_HEADER + 3]


def _find_header(
    lines: Sequence[str], chosen: Mapping[str, str]
) -> tuple[int, str, list[str] | None]:
    """Number of the header's line, the separator, and the columns' names."""
    wanted = {name for text in chosen.values() for name in text.split("+")}

    def score(line: str, delimiter: str) -> tuple[int, int]:
        fields = split_line(line, delimiter)
        known = count_known(fields) + len(wanted & {*fields})
        return known, len(fields)

    for number, line in enumerate(lines[:LINES_BEFORE_HEADER]):
        delimiter = max(DELIMITERS, key=lambda mark: score(line, mark))
        if score(line, delimiter)[0] >= KNOWN_IN_A_HEADER:
            return number, delimiter, split_line(line, delimiter)
    delimiter = max(DELIMITERS, key=lambda mark: score(lines[0], mark))
    first = split_line(lines[0], delimiter)
    if sum(_is_number(field) for field in first) >= NUMBERS_IN_A_ROW:
        return 0, delimiter, None
    return 0, delimiter, first


def _columns_by_number(
    path: Path, numbers: Sequence[str], line: str, chosen: Mapping[str, str]
) -> BarColumns:
    if not chosen:
        raise IngestionError(
            f"{path} has no header, and its first line, {line[:80]!r}, is in "
            "no layout that is known. Number its columns from 1, for example: "
            "--columns ts=1,open=2,high=3,low=4,close=5,volume=6"
        )
    return find_columns(path, numbers, NAMED_COLUMNS, chosen)


def _wide_header(
    lines: Sequence[str], delimiter: str
) -> tuple[list[tuple[str, ...]], int] | None:
    """Symbol and value of each column of a table of several symbols."""
    if len(lines) < 2:
        return None
    first, second = (split_line(line, delimiter) for line in lines[:2])
    if not first or {fold(first[0]), fold((second or [""])[0])} != {
        "price",
        "ticker",
    }:
        return None
    n_lines = 2
    if len(lines) > 2:
        third = split_line(lines[2], delimiter)
        names_index = fold(third[0]) in ("", "date", "datetime")
        n_lines += names_index and not any(third[1:])
    return list(zip(first, second, strict=False)), n_lines


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
