"""Bars in files: parquet or text, in any vendor's layout."""

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path

import pandas as pd

from python_ml.console.progress import progress
from python_ml.exceptions import IngestionError
from python_ml.ingestion.base import ADJUSTMENT_COLUMNS, Load, ReadAs
from python_ml.ingestion.calendars.times import checked_time_zone
from python_ml.ingestion.currencies import agreed_currencies, checked_currency
from python_ml.ingestion.readers.adjustment_file import read_adjustments
from python_ml.ingestion.readers.bar_rows import FileRows, Wanted, with_names
from python_ml.ingestion.readers.clock_text import asked_clock_form
from python_ml.ingestion.readers.columns import BarColumns
from python_ml.ingestion.readers.epochs import UNITS
from python_ml.ingestion.readers.layouts import LAYOUT_NAMES, layout_named
from python_ml.ingestion.readers.layouts.layout import FIELDS, Layout
from python_ml.ingestion.readers.number_text import MARKS, NumberNotation
from python_ml.ingestion.readers.parquet_rows import (
    find_parquet_columns,
    read_parquet_pieces,
)
from python_ml.ingestion.readers.paths import (
    PARQUET_ENDING,
    PathPattern,
    ending_of,
    find_bar_files,
    without_ending,
)
from python_ml.ingestion.readers.spool import BarSpool
from python_ml.ingestion.readers.text_form import find_text_form
from python_ml.ingestion.readers.text_rows import Piece, read_text_pieces
from python_ml.ingestion.readers.timeframe_names import timeframe_name

# What the columns of a file are called in rejected rows.
SOURCE_NAMES = {"ticker": "symbol", "timeframe": "timeframe", "opened_at": "ts"}
STAMPS = ("open", "close")
MOST_ROWS_LOST = 100_000


@dataclass(frozen=True)
class BarFile:
    """Files with a time, prices and a volume in every row.

    Symbol and timeframe stand in the rows, in the path, or are given. A time
    is that of the bar's open, with a zone; a d1 bar can also be named by its
    date, a w1 bar by its Monday or by the date of its first session. Rows of a
    series stand in the order of their times, newest or oldest first.

    Parameters
    ----------
    paths : sequence of Path
        Files, folders and globs, see `find_bar_files`.
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
    layout : str, optional
        Vendor's layout, one of `LAYOUT_NAMES`; by default it is recognised.
    columns : mapping of str to str
        Names, or numbers from 1, of columns that hold one of `FIELDS`.
    symbol, timeframe : str, optional
        Of all rows of files that do not say.
    path_pattern : str, optional
        Where paths have symbol and timeframe, see `PathPattern`.
    date_format : str, optional
        How times are written: a `strptime` format, or s, ms, us or ns since
        1970; by default it is recognised.
    decimal : {"point", "comma"}, optional
        What stands before decimals; by default it is recognised.
    stamp : {"open", "close"}, default="open"
        Whether bars are named by their open or by their close.
    currency : str, optional
        Code of the currency of all prices, whatever the files say.
    """

    paths: Sequence[Path]
    name: str
    calendar: str = "XNYS"
    adjustments_path: Path | None = None
    time_zone: str | None = None
    symbols: Collection[str] | None = None
    timeframes: Collection[str] | None = None
    layout: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    symbol: str | None = None
    timeframe: str | None = None
    path_pattern: str | None = None
    date_format: str | None = None
    decimal: str | None = None
    stamp: str = "open"
    currency: str | None = None

    def read(self) -> Load:
        """Read the files.

        A file that cannot be read is left out if others can.

        Raises
        ------
        IngestionError
            If no file can be read, if `symbols` and `timeframes` leave no
            row, or if an option is none.
        """
        wanted = self._wanted()
        paths = find_bar_files(self.paths)
        spool = BarSpool()
        readings: Counter[tuple[str, str, str]] = Counter()
        first_files: dict[tuple[str, str, str], str] = {}
        currencies: set[tuple[str, str]] = set()
        refused = []
        for path in progress(
            paths, total=len(paths), description="reading files"
        ):
            n_pieces = len(spool)
            try:
                reading, said = self._read_file(path, wanted, spool)
            except IngestionError as error:
                spool.go_back(n_pieces)
                if len(paths) == 1:
                    raise
                refused.append(str(error))
            else:
                readings[reading] += 1
                currencies |= said
                first_files.setdefault(reading, str(path))
        if len(refused) == len(paths):
            raise IngestionError(
                f"None of {len(paths)} files can be read. Load files that "
                "need different options one after the other. The first: "
                f"{refused[0]}"
            )
        if not len(spool):
            raise IngestionError(self._no_rows_message(paths))
        return Load(
            bars=spool.finish(),
            adjustments=self._read_adjustments(),
            time_zone=self.time_zone,
            source_names=SOURCE_NAMES,
            stamp=self.stamp,
            read_as=tuple(
                ReadAs(*reading, first_files[reading], n_files)
                for reading, n_files in readings.items()
            ),
            refused_files=tuple(refused),
            currency=wanted.currency,
            currencies=agreed_currencies(
                sorted(currencies), f"Source {self.name!r}"
            ),
        )

    def _read_file(
        self, path: Path, wanted: Wanted, spool: BarSpool
    ) -> tuple[tuple[str, str, str], set[tuple[str, str]]]:
        """Add a file's bars to the spool; how it was read, and currencies."""
        asked = layout_named(self.layout) if self.layout else None
        if ending_of(path) == PARQUET_ENDING:
            header, layout, columns = find_parquet_columns(
                path, asked, self.columns
            )
            form = "parquet"
            rows = self._rows_of(path, header, layout, columns, wanted)
            pieces = read_parquet_pieces(path, header, rows.positions)
        else:
            text = find_text_form(path, asked, self.columns)
            header, layout, columns = text.header, text.layout, text.columns
            form = text.to_text()
            rows = self._rows_of(path, header, layout, columns, wanted)
            pieces = read_text_pieces(path, text, rows.positions)
        _spool(rows, pieces, spool)
        if rows.clock_form is not None:
            form += f", times as {rows.clock_form.name}"
        if rows.number_notation is not None:
            form += f", decimal {rows.number_notation.decimal}"
        agreed_currencies(sorted(rows.currencies), str(path))
        reading = layout.name, form, _described(columns, header, rows.wanted)
        return reading, rows.currencies

    def _rows_of(
        self,
        path: Path,
        header: Sequence[str],
        layout: Layout,
        columns: Sequence[BarColumns],
        wanted: Wanted,
    ) -> FileRows:
        """Find out symbol and timeframe of a file, then read its rows."""
        in_path = self._names_in_path(path, layout)
        names: dict[str, str | None] = {}
        missing = []
        for name, given in (
            ("symbol", self.symbol),
            ("timeframe", self.timeframe),
        ):
            in_rows = name in columns[0].positions or (
                name == "symbol" and columns[0].symbol is not None
            )
            if in_rows and given is not None:
                raise IngestionError(
                    f"{path} says the {name} in its rows, and --{name} {given} "
                    f"says another for all of them: leave out --{name}, or "
                    f"choose rows by --{name}s {given}."
                )
            names[name] = None if in_rows else given or in_path.get(name)
            if not in_rows and names[name] is None:
                missing.append(name)
        if missing:
            examples = {
                "symbol": "--symbol AAPL",
                "timeframe": "--timeframe d1 (or m15, h1, h4, w1)",
            }
            raise IngestionError(
                f"{path} has no column of the {' and the '.join(missing)}; it "
                f"has {', '.join(header)}. Say "
                f"{' and '.join(examples[name] for name in missing)}, or where "
                "they stand in the path, such as --path-pattern "
                f"{_example_of_pattern(missing)}, or the column: --columns "
                f"{missing[0]}=NAME"
            )
        timeframe = names["timeframe"]
        if timeframe is not None:
            timeframe = layout.timeframes.get(timeframe, timeframe)
            if (known := timeframe_name(timeframe)) is None:
                raise IngestionError(
                    f"{path}: {timeframe!r} is no timeframe; say m15, h1, h4, "
                    "d1 or w1, for example: --timeframe d1"
                )
            timeframe = known
        wanted = with_names(wanted, names["symbol"], timeframe)
        return FileRows(path, header, layout, columns, wanted)

    def _names_in_path(self, path: Path, layout: Layout) -> Mapping[str, str]:
        if self.path_pattern is not None:
            found = PathPattern(self.path_pattern).match(path)
            if found is None:
                raise IngestionError(
                    f"{path} does not end as --path-pattern "
                    f"{self.path_pattern!r} says. {{symbol}} and {{timeframe}} "
                    "stand for characters other than /, * for any number of "
                    "them."
                )
            return found
        matches = (
            PathPattern(text).match(path) for text in layout.path_patterns
        )
        for match in matches:
            # A name may look alike by chance.
            if match and timeframe_name(match.get("timeframe", "")):
                return match
        return {}

    def _wanted(self) -> Wanted:
        """Check the options."""
        if self.time_zone is not None:
            checked_time_zone(self.time_zone)
        if self.layout is not None and self.layout not in LAYOUT_NAMES:
            raise IngestionError(
                f"There is no layout {self.layout!r}; there are "
                f"{', '.join(LAYOUT_NAMES)}. Without --layout it is recognised."
            )
        for name in self.columns:
            if name not in FIELDS:
                raise IngestionError(
                    f"--columns names {name!r}, which bars do not have; they "
                    f"have {', '.join(FIELDS)}. For example: --columns "
                    "ts=Date,open=Open"
                )
        if self.stamp not in STAMPS:
            raise IngestionError(
                f"--stamp is {' or '.join(STAMPS)}, not {self.stamp!r}."
            )
        if self.decimal not in (None, *MARKS):
            raise IngestionError(
                f"--decimal is {' or '.join(MARKS)}, not {self.decimal!r}."
            )
        clock_form = None
        if self.date_format is not None:
            try:
                clock_form = asked_clock_form(self.date_format)
            except ValueError as error:
                raise IngestionError(
                    f"--date-format {self.date_format!r} is no format of "
                    f"times; say {', '.join(UNITS)} for numbers that count "
                    "from 1970, or a format such as '%d/%m/%Y %H:%M'."
                ) from error
        return Wanted(
            clock_form=clock_form,
            number_notation=(
                NumberNotation(self.decimal) if self.decimal else None
            ),
            has_time_zone=self.time_zone is not None,
            symbols=_frozen(self.symbols),
            timeframes=_frozen(self.timeframes),
            currency=self.currency and checked_currency(self.currency),
        )

    def _read_adjustments(self) -> pd.DataFrame:
        if self.adjustments_path is None:
            return pd.DataFrame(columns=ADJUSTMENT_COLUMNS)
        return read_adjustments(self.adjustments_path, self.symbols)

    def _no_rows_message(self, paths: Sequence[Path]) -> str:
        files = ", ".join(str(path) for path in paths[:3])
        if len(paths) > 3:
            files += f" and {len(paths) - 3} more"
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


def default_name(asked: str | None, path: Path) -> str:
    """Name of a source: as asked, else what the path is called.

    Of a glob, the folder that it looks into.

    Examples
    --------
    >>> default_name(None, Path("data/daily.csv.gz"))
    'daily'
    >>> default_name(None, Path("data/*.csv"))
    'data'
    """
    if asked is not None:
        return source_name(asked)
    plain = [part for part in path.parts if not has_magic(part)]
    if len(plain) < len(path.parts):
        path = Path(*itertools.takewhile(plain.__contains__, path.parts))
    return source_name(without_ending(path.absolute()))


def _example_of_pattern(missing: Sequence[str]) -> str:
    """How paths often have what rows lack."""
    option = " --timeframe d1" if "timeframe" in missing else ""
    return f"'{{symbol}}.csv'{option}, or '{{symbol}}/{{timeframe}}.csv'"


def _spool(rows: FileRows, pieces: Iterator[Piece], spool: BarSpool) -> None:
    """Add the bars of a file to the spool, unless hardly any row is one.

    Rows without a symbol are screened together, so they must not be many.
    """
    n_lost = 0
    for piece in pieces:
        bars = rows.read(piece)
        n_lost += int(bars["ticker"].isna().sum())
        if n_lost > MOST_ROWS_LOST:
            raise IngestionError(
                f"{rows.path} has more than {MOST_ROWS_LOST:,} rows that have "
                "no symbol or cannot be told into columns: it is no file of "
                "bars, or its columns have to be named with --columns."
            )
        spool.add(bars)


def _described(
    columns: Sequence[BarColumns], header: Sequence[str], wanted: Wanted
) -> str:
    """What was read as what, as `--columns` would say it."""
    if columns[0].symbol is not None:
        return f"a column for each value of {len(columns)} symbols"
    named = columns[0].to_text(header)
    if wanted.timeframe is not None:
        named = f"timeframe {wanted.timeframe}, {named}"
    return named


def _frozen(names: Collection[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)
