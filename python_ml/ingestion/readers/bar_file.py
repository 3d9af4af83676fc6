"""Bars in files: parquet or CSV."""

import csv
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from python_ml.exceptions import IngestionError
from python_ml.ingestion.base import (
    ADJUSTMENT_COLUMNS,
    ADJUSTMENT_KEY,
    ADJUSTMENT_VALUES,
    BAR_VALUES,
    Load,
)
from python_ml.ingestion.calendars.grid import DAILY, WEEKLY
from python_ml.ingestion.calendars.times import checked_time_zone, has_zone
from python_ml.ingestion.screening.bars import is_malformed
from python_ml.ingestion.screening.values import clean_text

# What the columns of a file are called here.
SOURCE_NAMES = {"ticker": "symbol", "timeframe": "timeframe", "opened_at": "ts"}
FILE_COLUMNS = [*SOURCE_NAMES.values(), *BAR_VALUES]
ENDINGS = (".parquet", ".csv")
DICTIONARY = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class BarFile:
    """Files with the columns symbol, timeframe, ts and those of prices.

    `ts` is when the bar opened, with a time zone. A d1 bar can also be named
    by its date, a w1 bar by its Monday or by the date of its first session.
    Rows of a series stand in the order of their times, newest or oldest first.

    Parameters
    ----------
    paths : sequence of Path
        Parquet or CSV files, by their ending. CSV is UTF-8, comma-separated,
        with a header.
    name : str
        Name of the source.
    calendar : str, default="XNYS"
        Exchange calendar of all symbols.
    adjustments_path : Path, optional
        File of splits and dividends: ticker, session_date, kind, and a factor,
        ratio or amount.
    time_zone : str, optional
        Zone of the times that name none.
    symbols, timeframes : collection of str, optional
        Rows of others are passed over.
    """

    paths: Sequence[Path]
    name: str
    calendar: str = "XNYS"
    adjustments_path: Path | None = None
    time_zone: str | None = None
    symbols: Collection[str] | None = None
    timeframes: Collection[str] | None = None

    def read(self) -> Load:
        """Read the files.

        Raises
        ------
        IngestionError
            If a file cannot be read, lacks a column, or holds intraday times
            that nothing gives a zone; if `symbols` and `timeframes` leave no
            row.
        """
        if self.time_zone is not None:
            checked_time_zone(self.time_zone)
        files = [self._read_file(path) for path in dict.fromkeys(self.paths)]
        bars = _stacked(files)
        if bars.empty:
            raise IngestionError(self._no_rows_message())
        return Load(
            bars=bars,
            adjustments=self._read_adjustments(),
            time_zone=self.time_zone,
            source_names=SOURCE_NAMES,
        )

    def _read_file(self, path: Path) -> pd.DataFrame:
        bars = _read(path, FILE_COLUMNS).rename(
            columns={name: own for own, name in SOURCE_NAMES.items()}
        )
        for column, wanted in (
            ("ticker", self.symbols),
            ("timeframe", self.timeframes),
        ):
            if wanted is not None:
                is_wanted = clean_text(bars[column]).isin([*wanted])
                bars = bars.loc[is_wanted | is_malformed(bars)]
        self._check_times(path, bars)
        return bars.assign(
            file=pd.Categorical([path.name]).take(np.zeros(len(bars), int))
        )

    def _check_times(self, path: Path, bars: pd.DataFrame) -> None:
        """Refuse a file none of whose intraday times can be placed."""
        times = bars["opened_at"]
        if pd.api.types.is_numeric_dtype(times.dtype):
            raise IngestionError(
                f"Column ts of {path} holds numbers ({times.dtype}); write "
                "times, such as 2024-01-02 14:30:00+00:00."
            )
        is_intraday = ~clean_text(bars["timeframe"]).isin([DAILY, WEEKLY])
        intraday = times.loc[is_intraday & times.notna()]
        if intraday.empty or self.time_zone is not None:
            return
        if not has_zone(intraday).any():
            raise IngestionError(
                f"Column ts of {path} has times without a time zone, such as "
                f"{intraday.iloc[0]}, which intraday bars need. Say which it "
                "is, for example: --timezone America/New_York"
            )

    def _read_adjustments(self) -> pd.DataFrame:
        if self.adjustments_path is None:
            return pd.DataFrame(columns=ADJUSTMENT_COLUMNS)
        adjustments = _read(
            self.adjustments_path, ADJUSTMENT_KEY, one_of=ADJUSTMENT_VALUES
        )
        if self.symbols is not None:
            is_wanted = clean_text(adjustments["ticker"]).isin([*self.symbols])
            adjustments = adjustments.loc[is_wanted]
        return adjustments

    def _no_rows_message(self) -> str:
        files = ", ".join(str(path) for path in self.paths)
        selection = " ".join(
            f"--{option} {','.join(wanted)}"
            for option, wanted in (
                ("symbols", self.symbols),
                ("timeframes", self.timeframes),
            )
            if wanted is not None
        )
        if not selection:
            return f"{files}: there are no bars in it."
        return f"{files}: there are no bars of {selection}."


def source_name(text: str) -> str:
    """Make a name of letters, digits and `_.-` out of any text.

    Examples
    --------
    >>> source_name("daily bars (2024)")
    'daily_bars_2024'
    """
    return re.sub(r"[^\w.-]+", "_", text).strip("_") or "file"


def _read(
    path: Path, columns: Sequence[str], *, one_of: Sequence[str] = ()
) -> pd.DataFrame:
    """Rows of a file with their numbers, in the columns' own types.

    Of the columns `one_of` those that there are, at least one.
    """
    if path.suffix not in ENDINGS:
        raise IngestionError(
            f"{path} ends in {path.suffix or 'nothing'}; only files that end "
            f"in {' or '.join(ENDINGS)} can be read."
        )
    reader = _read_csv if path.suffix == ".csv" else _read_parquet
    try:
        return reader(path, columns, one_of)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else str(error)
        raise IngestionError(f"{path} cannot be read: {reason}") from error


def _read_parquet(
    path: Path, columns: Sequence[str], one_of: Sequence[str]
) -> pd.DataFrame:
    with pyarrow.parquet.ParquetFile(path) as file:
        columns = _checked_columns(
            path, file.schema_arrow.names, columns, one_of
        )
        table = file.read(columns=list(columns))
    return _to_frame(table).assign(
        source_row_number=np.arange(1, table.num_rows + 1)
    )


def _read_csv(
    path: Path, columns: Sequence[str], one_of: Sequence[str]
) -> pd.DataFrame:
    """Everything as text: what is no number must be shown as it is."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        columns = _checked_columns(
            path, next(csv.reader(file), []), columns, one_of
        )
    malformed: list[pa.csv.InvalidRow] = []

    def keep(row: pa.csv.InvalidRow) -> str:
        malformed.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        str(path),
        # Rows have numbers only when they are read one after the other.
        read_options=pyarrow.csv.ReadOptions(use_threads=False),
        parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=keep),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=list(columns),
            column_types={name: pa.string() for name in columns},
            strings_can_be_null=True,
            null_values=[""],
        ),
    )
    # The header is row 1 to Arrow.
    bad_numbers = np.array([row.number - 1 for row in malformed], int)
    numbers = np.arange(1, table.num_rows + len(malformed) + 1)
    rows = _to_frame(table).assign(
        source_row_number=np.setdiff1d(numbers, bad_numbers)
    )
    if not malformed:
        return rows
    bad_rows = pd.DataFrame(
        {
            "source_row_number": bad_numbers,
            "malformed_row": [row.text for row in malformed],
        }
    )
    return pd.concat([rows, bad_rows], ignore_index=True)


def _checked_columns(
    path: Path,
    found: Sequence[str],
    wanted: Sequence[str],
    one_of: Sequence[str],
) -> list[str]:
    """Columns to read."""
    missing = [name for name in wanted if name not in found]
    chosen = [name for name in one_of if name in found]
    if one_of and not chosen:
        missing.append(f"{', '.join(one_of[:-1])} or {one_of[-1]}")
    wanted = [*wanted, *chosen]
    if missing:
        raise IngestionError(
            f"{path} lacks the column {', '.join(missing)}; it has "
            f"{', '.join(found) or 'none'}."
        )
    twice = sorted({name for name in wanted if list(found).count(name) > 1})
    if twice:
        raise IngestionError(
            f"{path} has the column {', '.join(twice)} twice; leave one."
        )
    return wanted


def _to_frame(table: pa.Table) -> pd.DataFrame:
    """Few names as categories, decimals as floats, the rest as it is."""
    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if name in ("symbol", "timeframe") and pa.types.is_string(kind):
            column = column.cast(DICTIONARY)
        elif pa.types.is_decimal(kind):
            column = column.cast(pa.float64())
        elif pa.types.is_date(kind):
            column = column.cast(pa.timestamp("us"))
        columns[name] = column.to_pandas()
    return pd.DataFrame(columns)


def _stacked(files: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of all files; categories stay categories."""
    if len(files) == 1:
        return files[0]
    unions = {
        name: pd.api.types.union_categoricals(
            [clean_text(file[name]) for file in files]
        )
        for name in ("ticker", "timeframe", "file")
    }
    return pd.concat(files, ignore_index=True).assign(**unions)
