"""What a source of bars is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

BAR_KEY = ["ticker", "timeframe", "opened_at"]
BAR_VALUES = ["open", "high", "low", "close", "volume"]
BAR_COLUMNS = [*BAR_KEY, *BAR_VALUES, "source_row_number"]
ADJUSTMENT_KEY = ["ticker", "session_date", "kind"]
ADJUSTMENT_COLUMNS = [*ADJUSTMENT_KEY, "factor"]
# What a row of splits and dividends has one of.
ADJUSTMENT_VALUES = ["factor", "ratio", "amount"]


class BarParts(Protocol):
    """Bars of a load that is too large to be in memory as a whole."""

    @property
    def tickers(self) -> frozenset[str]:
        """Every ticker among the bars."""
        ...

    def __len__(self) -> int:
        """Count the parts."""
        ...

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Go through the parts, as often as wanted.

        Each is as `Load.bars` and holds all rows of its tickers, in their
        order; parts go by name of ticker, rows without one come last.
        """
        ...

    def renamed(self, names: Mapping[str, str]) -> "BarParts":
        """Give the same bars with other names of some tickers."""
        ...


@dataclass(frozen=True)
class ReadAs:
    """How files of a load were read, for people to see whether that is right.

    Parameters
    ----------
    layout : str
        Vendor's layout, or "named columns".
    form : str
        Kind of file; of text its encoding, delimiter and notation.
    columns : str
        Which column was read as what.
    first_file : str
        One of the files.
    n_files : int
        How many were read alike.
    """

    layout: str
    form: str
    columns: str
    first_file: str
    n_files: int

    def to_text(self) -> str:
        """Write a line for the summary."""
        others = f" and {self.n_files - 1} more" if self.n_files > 1 else ""
        return (
            f"Read {self.first_file}{others} as {self.layout} ({self.form}): "
            f"{self.columns}."
        )


@dataclass(frozen=True)
class Load:
    """What a source delivered, as it came: nothing checked, nothing mended.

    Parameters
    ----------
    bars : DataFrame or BarParts
        One row per bar with `BAR_COLUMNS`: ticker, timeframe, time of its
        open, prices and volume as traded, and the row's number in the source,
        counted from 1. A d1 bar can also be named by the date of its session,
        a w1 bar by its Monday or by the date of its first session. Values may
        be text, missing or wrong. Further columns are allowed; they are kept
        with a rejected row. Rows with a value in a column `malformed_row` are
        rejected whatever else they hold. Columns Dividends, Stock Splits and
        Adj Close, as yfinance's, make splits and dividends of d1 bars.
    adjustments : DataFrame
        One row per split or dividend with `ADJUSTMENT_COLUMNS`: ticker, date
        of the first session that trades without it (the ex-date), "split" or
        "dividend", and the factor that multiplies earlier prices. In place of
        a factor a row may have a ratio, 4 or "4:1" for a split of 4 for 1, or
        the amount of a dividend, in the currency of the prices.
    time_zone : str, optional
        Zone of the times that name none; without it such rows are rejected.
    source_names : mapping of str to str
        What the source itself calls columns of `bars`, for rejected rows.
    left_out : mapping of str to int
        Rows that the source had and did not hand over, by reason: not wrong,
        only not wanted, such as bars before the open of a session.
    notes : tuple of str
        Whole sentences on what else a person should know of this load.
    stamp : {"open", "close"}
        Whether the times of bars are those of their open or of their close.
    read_as : tuple of ReadAs
        How the files were read, if the source is files.
    refused_files : tuple of str
        Why files were left out, each with its remedy; the others are loaded.
    currency : str, optional
        Code of the currency of the prices, of tickers not in `currencies`;
        None where nobody says.
    currencies : mapping of str to str
        The same of each ticker of which the source itself says it.
    """

    bars: pd.DataFrame | BarParts
    adjustments: pd.DataFrame
    time_zone: str | None = None
    source_names: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stamp: str = "open"
    read_as: tuple[ReadAs, ...] = ()
    refused_files: tuple[str, ...] = ()
    currency: str | None = None
    currencies: Mapping[str, str] = field(default_factory=dict)


class BarSource(Protocol):
    """Where bars come from: one class per source, one file per class.

    `docs/adding_a_source.md` says how to write one.
    """

    @property
    def name(self) -> str:
        """Written beside every row; usually what the command is called."""
        ...

    @property
    def calendar(self) -> str:
        """Exchange calendar of all its symbols, such as "XNYS"."""
        ...

    def read(self) -> Load:
        """Read everything the source has now, or what it was made for.

        All rows of a symbol come in one load: a source that cannot finish a
        series raises and hands over nothing.
        """
        ...
