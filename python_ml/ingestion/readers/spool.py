"""Bars of a load on their way from files to parts, on disk if they are many."""

import contextlib
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa

from python_ml.ingestion import parts
from python_ml.ingestion.base import BarParts
from python_ml.ingestion.parts import assign_parts, order_by_ticker, with_names
from python_ml.ingestion.readers.bar_rows import stacked

# Up to so many rows stay in memory, if they are not unusually long.
ROWS_IN_MEMORY = 300_000
BYTES_IN_MEMORY = 200_000_000
# Files that are open at once while rows are put to their tickers.
MOST_PARTS = 200

# Number of a part, and bars that belong to it.
Writer = Callable[[int, pd.DataFrame], None]


@dataclass
class _Piece:
    """Bars as they came: in memory, or in a file from an offset on."""

    counts: dict[str, int]
    bars: pd.DataFrame | None
    offset: int = 0


class BarSpool:
    """Collects bars piece by piece and gives them out ticker by ticker.

    What is beyond `ROWS_IN_MEMORY` or `BYTES_IN_MEMORY` goes to a temporary
    folder, which is removed with the object, or with the parts it gave out.
    """

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._n_in_memory = 0
        self._n_bytes = 0
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        """Count the pieces, to go back to."""
        return len(self._pieces)

    def go_back(self, n_pieces: int) -> None:
        """Forget what came after the first pieces."""
        for piece in self._pieces[n_pieces:]:
            self._n_in_memory -= 0 if piece.bars is None else len(piece.bars)
        del self._pieces[n_pieces:]

    def add(self, bars: pd.DataFrame) -> None:
        """Take further bars, with categories of tickers."""
        if bars.empty:
            return
        found = bars["ticker"].value_counts()
        counts = {str(name): int(count) for name, count in found.items()}
        self._pieces.append(_Piece(counts, bars))
        self._n_in_memory += len(bars)
        self._n_bytes += int(bars.memory_usage(deep=True).sum())
        if (
            self._n_in_memory > ROWS_IN_MEMORY
            or self._n_bytes > BYTES_IN_MEMORY
        ):
            self._write_out()

    def finish(self) -> pd.DataFrame | BarParts:
        """Give out all bars; nothing can be added afterwards."""
        if self._file is None:
            frames = [
                piece.bars for piece in self._pieces if piece.bars is not None
            ]
            return stacked(frames) if frames else pd.DataFrame()
        self._write_out()
        counts: Counter[str] = Counter()
        for piece in self._pieces:
            counts.update(piece.counts)
        counts = +counts
        n_rows = sum(counts.values())
        part_of = assign_parts(
            counts, max(parts.ROWS_AT_ONCE, n_rows // MOST_PARTS)
        )
        spooled = SpooledParts(part_of)
        with self._file as file, spooled.writing() as write:
            for piece in self._pieces:
                file.seek(piece.offset)
                _distribute(_read_frame(file), part_of, write)
        return spooled

    def _write_out(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._file.seek(0, 2)
        for piece in self._pieces:
            if piece.bars is not None:
                piece.offset = self._file.tell()
                _write_frame(self._file, piece.bars)
                piece.bars = None
        self._n_in_memory = self._n_bytes = 0


class SpooledParts:
    """Parts of bars in files of their own, see `BarParts`.

    Parameters
    ----------
    part_of : mapping of str to int
        Number of the part that holds each ticker.
    """

    def __init__(self, part_of: Mapping[str, int]) -> None:
        self.part_of = part_of
        self.tickers = frozenset(part_of)
        self._paths: dict[int, Path] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="swiftbolt-bars-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def __len__(self) -> int:
        """Count the parts."""
        return len(self._paths)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Go through the parts by name of ticker."""
        for number in self.numbers:
            bars = self.read(number)
            yield bars.iloc[order_by_ticker(bars["ticker"])]

    @property
    def numbers(self) -> list[int]:
        """Number of each part."""
        return sorted(self._paths)

    def read(self, number: int) -> pd.DataFrame:
        """Read the bars of a part, those of each ticker in their order."""
        with self._paths[number].open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            frames = []
            while file.tell() < size:
                frames.append(_read_frame(file))
        return stacked(frames)

    def renamed(self, names: Mapping[str, str]) -> BarParts:
        """Give the same bars with other names of some tickers."""
        known = {old: names[old] for old in sorted(self.tickers & names.keys())}
        return RenamedParts(self, known) if known else self

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writer]:
        """Open the parts for writing."""
        with contextlib.ExitStack() as stack:
            files: dict[int, BinaryIO] = {}

            def write(number: int, bars: pd.DataFrame) -> None:
                if number not in files:
                    self._paths[number] = self._folder / f"{number}.arrow"
                    files[number] = stack.enter_context(
                        self._paths[number].open("wb")
                    )
                _write_frame(files[number], bars)

            yield write


class RenamedParts:
    """Parts in which a symbol's former and present tickers are one.

    Parameters
    ----------
    parts : SpooledParts
    names : mapping of str to str
        Present names of former tickers that the parts hold.
    """

    def __init__(self, parts: SpooledParts, names: Mapping[str, str]) -> None:
        self._parts = parts
        self._names = names
        self.tickers = frozenset(
            names.get(ticker, ticker) for ticker in parts.tickers
        )
        # Where all rows of a ticker go, by the name that they come with.
        self._homes = dict(parts.part_of)
        for old, new in names.items():
            self._homes[old] = self._homes.setdefault(new, parts.part_of[old])

    def __len__(self) -> int:
        """Count the parts, of which some may have lost all rows."""
        return len(self._parts)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Go through the parts."""
        for number in self._parts.numbers:
            sources = {number} | {
                self._parts.part_of[old]
                for old in self._names
                if self._homes[old] == number
            }
            bars = stacked([self._of(number, one) for one in sorted(sources)])
            if not bars.empty:
                # Order is judged file by file.
                bars = with_names(bars, self._names).sort_values(
                    "source_row_number", kind="stable", ignore_index=True
                )
                yield bars.iloc[order_by_ticker(bars["ticker"])]

    def renamed(self, names: Mapping[str, str]) -> BarParts:
        """Give the same bars with yet other names."""
        latest = {old: names.get(new, new) for old, new in self._names.items()}
        return self._parts.renamed({**names, **latest})

    def _of(self, number: int, source: int) -> pd.DataFrame:
        """Rows of a part that belong to another, or to itself."""
        bars = self._parts.read(source)
        homes = bars["ticker"].astype(object).map(self._homes)
        return bars.loc[homes.fillna(source) == number]


def _distribute(
    bars: pd.DataFrame, part_of: Mapping[str, int], write: Writer
) -> None:
    """Write the rows of a piece to the parts of their tickers."""
    tickers = bars["ticker"].cat
    # Rows without a ticker are a part of their own, the last.
    last = max(part_of.values(), default=-1) + 1
    by_code = np.array(
        [*(part_of.get(name, last) for name in tickers.categories), last]
    )
    numbers = by_code[tickers.codes]
    rows = np.argsort(numbers, kind="stable")
    ordered = numbers[rows]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    ends = [*starts[1:], len(rows)]
    for start, end in zip(starts, ends, strict=True):
        write(int(ordered[start]), bars.iloc[rows[start:end]])


def _write_frame(file: BinaryIO, bars: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(bars, preserve_index=False)
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def _read_frame(file: BinaryIO) -> pd.DataFrame:
    with pa.ipc.open_stream(file) as stream:
        bars: pd.DataFrame = stream.read_all().to_pandas()
        return bars
