"""Rows of a file, in whatever notation, as bars of a load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from python_ml.exceptions import IngestionError
from python_ml.ingestion.calendars.times import has_zone
from python_ml.ingestion.currencies import currency_code
from python_ml.ingestion.readers.bar_values import (
    is_true,
    joined,
    names_of,
    renamed,
    unscaled,
    without,
)
from python_ml.ingestion.readers.clock_text import (
    ClockForm,
    find_clock_form,
)
from python_ml.ingestion.readers.columns import BarColumns
from python_ml.ingestion.readers.epochs import (
    AmbiguousTimesError,
    epoch_moments,
)
from python_ml.ingestion.readers.layouts.layout import (
    EVENT_FIELDS,
    VALUE_FIELDS,
    Layout,
)
from python_ml.ingestion.readers.number_text import (
    AmbiguousNumbersError,
    NumberNotation,
    find_number_notation,
)
from python_ml.ingestion.readers.text_lines import NOT_TEXT, PICTURE_OF_NUL
from python_ml.ingestion.readers.text_rows import Piece
from python_ml.ingestion.readers.timeframe_names import timeframe_names

PRICES = VALUE_FIELDS[:-1]
# What text holds in place of bytes that are none.
NO_TEXT = f"[{NOT_TEXT}{PICTURE_OF_NUL}]"
LONGEST_SYMBOL = 64
INTRADAY = ("m15", "h1", "h4")


@dataclass(frozen=True)
class Wanted:
    """What a load asks of its files beyond what they say themselves.

    Parameters
    ----------
    symbol, timeframe : str or None
        Of all rows, where the files do not say.
    clock_form : ClockForm or None
        How times are written; None to find out.
    number_notation : NumberNotation or None
        How numbers are written; None to find out.
    has_time_zone : bool
        Whether a zone is given for times that name none.
    symbols, timeframes : frozenset of str or None
        Rows of others are passed over.
    currency : str or None
        Of all prices, whatever the files say.
    """

    symbol: str | None = None
    timeframe: str | None = None
    clock_form: ClockForm | None = None
    number_notation: NumberNotation | None = None
    has_time_zone: bool = False
    symbols: frozenset[str] | None = None
    timeframes: frozenset[str] | None = None
    currency: str | None = None


@dataclass
class FileRows:
    """Turn pieces of one file into bars.

    In which notation is decided by the first piece and holds for the others.

    Parameters
    ----------
    path : Path
    header : sequence of str
        Names of the file's columns.
    layout : Layout
    columns : sequence of BarColumns
    wanted : Wanted
        With the symbol and timeframe of this file, where its rows lack them.

    Attributes
    ----------
    currencies : set of (str, str)
        Tickers and codes that the rows read so far name beside their prices.
    """

    path: Path
    header: Sequence[str]
    layout: Layout
    columns: Sequence[BarColumns]
    wanted: Wanted
    clock_form: ClockForm | None = field(init=False)
    number_notation: NumberNotation | None = field(init=False)
    is_zone_checked: bool = field(init=False)
    currencies: set[tuple[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.clock_form = self.wanted.clock_form
        self.number_notation = self.wanted.number_notation
        self.is_zone_checked = self.wanted.has_time_zone
        self.currencies = set()

    @property
    def positions(self) -> list[int]:
        """Columns of the file that are read."""
        return sorted(
            {
                place
                for columns in self.columns
                for places in columns.positions.values()
                for place in places
            }
        )

    def read(self, piece: Piece) -> pd.DataFrame:
        """Bars of a piece, with `BAR_COLUMNS`, malformed_row and file.

        Raises
        ------
        IngestionError
            If numbers or times can be read in two ways, or intraday times
            lack a zone.
        """
        frames = [self._read(piece, columns) for columns in self.columns]
        if piece.malformed:
            numbers, texts = zip(*piece.malformed, strict=True)
            bad_rows = {"source_row_number": numbers, "malformed_row": texts}
            frames.append(pd.DataFrame(bad_rows))
        bars = stacked(frames)
        return bars.assign(
            file=pd.Categorical.from_codes(
                np.zeros(len(bars), int), pd.Index([self.path.name])
            )
        )

    def _read(self, piece: Piece, columns: BarColumns) -> pd.DataFrame:
        raw = {
            name: [piece.columns[place] for place in places]
            for name, places in columns.positions.items()
        }
        currency = raw.pop("currency", None)
        fields = (*VALUE_FIELDS, *EVENT_FIELDS)
        values = {name: raw[name][0] for name in fields if name in raw}
        read = self._read_values(values)
        n_rows = len(piece.numbers)
        if "volume" not in read:
            read["volume"] = pa.chunked_array([pa.array(np.zeros(n_rows))])
        symbol = columns.symbol or self.wanted.symbol
        rows = pd.DataFrame(
            {
                "ticker": names_of(raw.get("symbol"), symbol, n_rows),
                "timeframe": self._read_timeframes(raw, n_rows),
                "opened_at": self._read_times(raw["ts"]),
                **{
                    name: read[name].to_pandas()
                    for name in fields
                    if name in read
                },
                "source_row_number": piece.numbers,
            }
        )
        if columns.symbol is not None:
            # Where one symbol of a table has no bar, others have.
            rows = rows.loc[rows[[*PRICES]].notna().any(axis="columns")]
        malformed = self._unclear_rows(raw, rows)
        if malformed is not None:
            rows["malformed_row"] = malformed
        rows = self._wanted_rows(rows)
        self._check_zone(rows)
        if currency is not None and self.wanted.currency is None:
            said = pd.DataFrame(
                {
                    "ticker": rows["ticker"],
                    "currency": names_of(currency, None, n_rows),
                }
            )
            pairs = said.dropna().drop_duplicates()
            # What is no code says nothing.
            self.currencies |= {
                (ticker, code)
                for ticker, text in pairs.itertuples(index=False, name=None)
                if (code := currency_code(text)) is not None
            }
        return rows

    def _read_values(
        self, values: Mapping[str, pa.ChunkedArray]
    ) -> dict[str, pa.ChunkedArray]:
        texts = {
            name: column
            for name, column in values.items()
            if pa.types.is_string(column.type)
        }
        if self.number_notation is None:
            try:
                self.number_notation = find_number_notation([*texts.values()])
            except AmbiguousNumbersError as error:
                raise IngestionError(
                    f"{self.path} has numbers such as {error}, whose comma may "
                    "stand before decimals or between thousands. Say which "
                    "mark stands before decimals: --decimal comma, or "
                    "--decimal point"
                ) from error
        notation = self.number_notation
        read = {
            name: notation.read(column) if name in texts else column
            for name, column in values.items()
        }
        if self.layout.fixed_point is not None:
            for name in PRICES:
                read[name] = unscaled(read[name], self.layout.fixed_point)
        if self.layout.no_volume is not None and "volume" in read:
            read["volume"] = without(read["volume"], self.layout.no_volume)
        return read

    def _read_timeframes(
        self, raw: Mapping[str, Sequence[pa.ChunkedArray]], n_rows: int
    ) -> "pd.Series[Any]":
        found = names_of(raw.get("timeframe"), self.wanted.timeframe, n_rows)
        codes = dict(self.layout.timeframes) if "timeframe" in raw else {}
        spelt = [text for text in found.cat.categories if text not in codes]
        return renamed(found, codes | timeframe_names(spelt))

    def _read_times(
        self, columns: Sequence[pa.ChunkedArray]
    ) -> "pd.Series[Any]":
        if len(columns) == 2:
            text = joined(*columns)
        elif pa.types.is_timestamp(columns[0].type):
            times: pd.Series[Any] = columns[0].to_pandas()
            return times
        elif pa.types.is_floating(columns[0].type):
            return self._read_floats(columns[0])
        else:
            text = columns[0].cast(pa.string()).to_pandas()
        try:
            if self.clock_form is None:
                self.clock_form = find_clock_form(text)
        except AmbiguousTimesError as error:
            raise self._unclear_times(error) from error
        return self.clock_form.read(text)

    def _read_floats(self, column: pa.ChunkedArray) -> "pd.Series[Any]":
        """Times of numbers with decimals: seconds, as a rule."""
        unit = None
        if self.clock_form is not None:
            unit = self.clock_form.name.removeprefix("epoch ")
        try:
            moments = epoch_moments(column.to_numpy(), unit)
        except AmbiguousTimesError as error:
            raise self._unclear_times(error) from error
        times = pd.Series(moments.view("datetime64[us]"))
        return times.dt.tz_localize("UTC")

    def _unclear_times(self, error: AmbiguousTimesError) -> IngestionError:
        return IngestionError(
            f"{self.path} has times {error}. Say how they are written, for "
            "example: --date-format '%d/%m/%Y %H:%M', or --date-format ms for "
            "milliseconds since 1970 (s, ms, us, ns)"
        )

    def _unclear_rows(
        self, raw: Mapping[str, Sequence[pa.ChunkedArray]], rows: pd.DataFrame
    ) -> "pd.Series[Any] | None":
        """Text of rows that hold what is no text, or the header again."""
        texts = [
            column
            for columns in raw.values()
            for column in columns
            if pa.types.is_string(column.type)
        ]
        if not texts:
            return None
        is_unclear = np.zeros(len(texts[0]), bool)
        for text in texts:
            is_unclear |= is_true(pc.match_substring_regex(text, NO_TEXT))
        if "symbol" in raw and pa.types.is_string(raw["symbol"][0].type):
            length = pc.utf8_length(raw["symbol"][0])
            is_unclear |= is_true(pc.greater(length, LONGEST_SYMBOL))
        if pa.types.is_string(raw["ts"][0].type):
            place = self.columns[0].positions["ts"][0]
            again = pc.equal(raw["ts"][0], self.header[place])
            is_unclear |= is_true(again)
        is_unclear = is_unclear[rows.index]
        if not is_unclear.any():
            return None
        whole = pc.binary_join_element_wise(
            *texts, " | ", null_handling="replace", null_replacement=""
        ).to_pandas()
        unclear: pd.Series[Any] = whole.loc[rows.index].where(is_unclear)
        return unclear

    def _wanted_rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        for column, names in (
            ("ticker", self.wanted.symbols),
            ("timeframe", self.wanted.timeframes),
        ):
            if names is not None:
                is_wanted = rows[column].isin([*names])
                if "malformed_row" in rows:
                    is_wanted |= rows["malformed_row"].notna()
                rows = rows.loc[is_wanted]
        return rows

    def _check_zone(self, rows: pd.DataFrame) -> None:
        """Refuse a file none of whose intraday times can be placed."""
        if self.is_zone_checked:
            return
        # Others are no timeframes, or are named by days.
        is_intraday = rows["timeframe"].isin(INTRADAY)
        times = rows["opened_at"].loc[is_intraday & rows["opened_at"].notna()]
        # A few among bars of days are faults of their own.
        if len(times) * 2 < len(rows) or times.empty:
            return
        if not has_zone(times).any():
            raise IngestionError(
                f"Column {self._name_of_times()} of {self.path} has times "
                f"without a time zone, such as {times.iloc[0]}, which intraday "
                "bars need. Say which it is, for example: --timezone "
                "America/New_York"
            )
        self.is_zone_checked = True

    def _name_of_times(self) -> str:
        places = self.columns[0].positions["ts"]
        return "+".join(self.header[place] for place in places)


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several frames; categories stay categories."""
    if len(frames) == 1:
        return frames[0].reset_index(drop=True)
    categories = [
        name
        for name in ("ticker", "timeframe", "file")
        if any(name in frame for frame in frames)
    ]
    unions = {
        name: pd.api.types.union_categoricals(
            [
                frame[name].array
                if name in frame
                else pd.Categorical(
                    [None] * len(frame), categories=pd.Index([], dtype="str")
                )
                for frame in frames
            ]
        )
        for name in categories
    }
    return pd.concat(frames, ignore_index=True).assign(**unions)


def with_names(
    wanted: Wanted, symbol: str | None, timeframe: str | None
) -> Wanted:
    """The same, of a file whose symbol and timeframe are known."""
    return replace(wanted, symbol=symbol, timeframe=timeframe)
