"""Splits and dividends in files: parquet or CSV."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa

from python_ml.exceptions import IngestionError
from python_ml.ingestion.base import (
    ADJUSTMENT_COLUMNS,
    ADJUSTMENT_KEY,
    ADJUSTMENT_VALUES,
)
from python_ml.ingestion.readers.columns import BarColumns
from python_ml.ingestion.readers.layouts.named_columns import NAMED_COLUMNS
from python_ml.ingestion.readers.parquet_rows import (
    parquet_schema,
    read_parquet_pieces,
)
from python_ml.ingestion.readers.paths import (
    PARQUET_ENDING,
    ending_of,
    find_bar_files,
)
from python_ml.ingestion.readers.text_form import TextForm, read_header
from python_ml.ingestion.readers.text_rows import read_text_pieces
from python_ml.ingestion.screening.values import clean_text


def read_adjustments(
    path: Path, symbols: Collection[str] | None = None
) -> pd.DataFrame:
    """Read a file of splits and dividends.

    Parameters
    ----------
    path : Path
        With the columns ticker, session_date and kind, and one at least of
        factor, ratio and amount.
    symbols : collection of str, optional
        Rows of others are passed over.

    Returns
    -------
    DataFrame
        `ADJUSTMENT_COLUMNS`, further `ADJUSTMENT_VALUES` if there are any,
        and source_row_number.

    Raises
    ------
    IngestionError
        If the file cannot be read or lacks a column.
    """
    (path,) = find_bar_files([path])
    if ending_of(path) == PARQUET_ENDING:
        names = tuple(parquet_schema(path).names)
        positions = _positions(path, names)
        pieces = read_parquet_pieces(path, names, positions)
    else:
        encoding, delimiter, header = read_header(path, ADJUSTMENT_KEY)
        names = tuple(header)
        positions = _positions(path, names)
        form = TextForm(
            encoding, delimiter, names, 1, NAMED_COLUMNS, (BarColumns({}),)
        )
        pieces = read_text_pieces(path, form, positions)
    frames = []
    for piece in pieces:
        columns = {
            names[place]: column.cast(pa.float64()).to_pandas()
            if pa.types.is_decimal(column.type)
            else column.to_pandas()
            for place, column in piece.columns.items()
        }
        frames.append(
            pd.DataFrame(columns).assign(source_row_number=piece.numbers)
        )
        frames += [
            pd.DataFrame({"ticker": [text], "source_row_number": [number]})
            for number, text in piece.malformed
        ]
    adjustments = pd.concat(
        [pd.DataFrame(columns=[*ADJUSTMENT_COLUMNS]), *frames],
        ignore_index=True,
    )
    if symbols is None:
        return adjustments
    return adjustments.loc[clean_text(adjustments["ticker"]).isin([*symbols])]


def _positions(path: Path, names: tuple[str, ...]) -> list[int]:
    missing = [name for name in ADJUSTMENT_KEY if name not in names]
    values = [name for name in ADJUSTMENT_VALUES if name in names]
    if not values:
        *others, last = ADJUSTMENT_VALUES
        missing.append(f"{', '.join(others)} or {last}")
    if missing:
        raise IngestionError(
            f"{path} lacks the column {', '.join(missing)}; it has "
            f"{', '.join(names) or 'none'}."
        )
    wanted = [*ADJUSTMENT_KEY, *values]
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise IngestionError(
            f"{path} has the column {', '.join(twice)} twice; leave one."
        )
    return [names.index(name) for name in wanted]
