"""What a source of bars is, and what a load of it did."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any, Protocol

import pandas as pd

from python_ml.console.json_text import to_plain
from python_ml.console.text_tables import to_text
from python_ml.ingestion.jumps import SuspectedSplit

BAR_KEY = ["ticker", "timeframe", "opened_at"]
BAR_VALUES = ["open", "high", "low", "close", "volume"]
BAR_COLUMNS = [*BAR_KEY, *BAR_VALUES, "source_row_number"]
ADJUSTMENT_KEY = ["ticker", "session_date", "kind"]
ADJUSTMENT_COLUMNS = [*ADJUSTMENT_KEY, "factor"]
# What a row of splits and dividends has one of.
ADJUSTMENT_VALUES = ["factor", "ratio", "amount"]

# Suspected splits that are written out; all are in monitoring.suspected_splits.
AT_MOST = 10

# What mends the reasons that concern a whole file or series.
REMEDIES = {
    "unreadable_time": (
        "Times that cannot be read: write them like 2024-01-02 14:30:00+00:00, "
        "days like 2024-01-02."
    ),
    "time_without_zone": (
        "Say which zone times without one are in, for example: --timezone "
        "America/New_York"
    ),
    "wrong_zone": (
        "Times of rejected series fit the sessions only if read in another "
        "zone: write them in UTC, or without a zone and name it with "
        "--timezone."
    ),
    "unknown_timeframe": (
        "Bars are m15, h1, h4, d1 or w1: roll finer ones up to m15 before you "
        "load them."
    ),
    "stamped_at_close": (
        "Intraday series with bars at the close of sessions and none at the "
        "open are named by each bar's close: load them with --stamp close, or "
        "write each bar's open."
    ),
    "wrong_day": (
        "Days of rejected series fit the sessions only if moved by one: they "
        "are named by the evening before or by their end. Write the date of "
        "each session, without a time."
    ),
    "unclear_day": (
        "Times that name one session by their date and another by its open: "
        "write the date of each session, without a time."
    ),
    "unclear_local_time": (
        "Times that the clocks of --timezone show twice or never: write them "
        "with their offset."
    ),
    "in_the_future": (
        "Times later than now are likely in another zone than was said: name "
        "it with --timezone, or write times in UTC."
    ),
    "price_jump": (
        "Prices that are 10,000 times those before them are in another unit, "
        "such as cents for dollars: write all of a series in one."
    ),
    "out_of_order": (
        "Rows within a series are expected in the order of their times, "
        "either way; sort the file and load it again."
    ),
}


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


@dataclass(frozen=True)
class SeriesSummary:
    """Bars of one series that a load delivered and that could be stored.

    A week counts by its first session.
    """

    ticker: str
    timeframe: str
    n_bars: int
    first_session: date
    last_session: date


@dataclass(frozen=True)
class RefusedSeries:
    """A series of which a load stored nothing, since its times are wrong.

    Parameters
    ----------
    ticker, timeframe : str
    n_rows : int
        Rows of the load.
    n_rejected : int
        Those rejected for their times.
    n_withheld : int
        Those that could have been stored.
    reasons : mapping of str to int
        Reasons of all its rejected rows.
    cause : str
        What is likely wrong and what mends it.
    """

    ticker: str
    timeframe: str
    n_rows: int
    n_rejected: int
    n_withheld: int
    reasons: Mapping[str, int]
    cause: str

    def to_text(self) -> str:
        """One line for people."""
        return (
            f"{self.ticker} {self.timeframe}: {self.n_rejected} of "
            f"{self.n_rows} rows are at times that no bar of it has "
            f"({counts_text(self.reasons)}). {self.cause}"
        )


@dataclass(frozen=True)
class IngestSummary:
    """What a load did.

    Parameters
    ----------
    source : str
        Name of the source.
    batch_id : int or None
        Batch of the new rows; None when the load brought nothing new.
    bars_loaded, bars_restated, bars_known : int
        Bars recorded for the first time, recorded again with a changed value,
        and already known with the same value.
    adjustments_loaded, adjustments_restated, adjustments_known : int
        The same of splits and dividends.
    rejected : mapping of str to int
        Rows of this load that could not be stored, by reason.
    rejected_recorded : int
        How many of them `raw.rejected_bars` did not hold yet.
    sessions_added : int
        Sessions that the calendar gained.
    sessions_differing : tuple of date
        Past sessions on which the calendar library now disagrees with
        `raw.sessions`, which was left as it was.
    series : tuple of SeriesSummary
        By ticker and timeframe.
    left_out : mapping of str to int
        Rows that the source did not hand over, by reason.
    notes : tuple of str
        Of the source.
    bars_repaired : int
        Bars whose high or low was widened by what rounding took of it.
    refused : tuple of RefusedSeries
        Series of which nothing was stored, by ticker and timeframe.
    causes : tuple of str
        Why other series of which no row is good likely have none.
    events_in_prices : int
        Splits and dividends beside the bars that the prices are adjusted for.
    suspected_splits : tuple of SuspectedSplit
        Jumps that look like a split, and splits that the price denies.
    read_as : tuple of ReadAs
        How the files were read, if the source is files.
    refused_files : tuple of str
        Why files were left out, each with its remedy.
    """

    source: str
    batch_id: int | None
    bars_loaded: int
    bars_restated: int
    bars_known: int
    adjustments_loaded: int
    adjustments_restated: int
    adjustments_known: int
    rejected: Mapping[str, int]
    rejected_recorded: int
    sessions_added: int
    sessions_differing: tuple[date, ...]
    series: tuple[SeriesSummary, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    read_as: tuple[ReadAs, ...] = ()
    refused_files: tuple[str, ...] = ()
    bars_repaired: int = 0
    refused: tuple[RefusedSeries, ...] = ()
    causes: tuple[str, ...] = ()
    events_in_prices: int = 0
    suspected_splits: tuple[SuspectedSplit, ...] = ()

    @property
    def bars_withheld(self) -> int:
        """Rows that could have been stored, of the series refused."""
        return sum(series.n_withheld for series in self.refused)

    @property
    def counts(self) -> dict[str, int]:
        """Row counts for `ml.job_runs`."""
        return {
            "bars_loaded": self.bars_loaded,
            "bars_restated": self.bars_restated,
            "bars_known": self.bars_known,
            "bars_repaired": self.bars_repaired,
            "bars_withheld": self.bars_withheld,
            "series_refused": len(self.refused),
            "splits_suspected": len(self.suspected_splits),
            "adjustments_loaded": self.adjustments_loaded,
            "adjustments_restated": self.adjustments_restated,
            "adjustments_known": self.adjustments_known,
            "rows_rejected": sum(self.rejected.values()),
            "rows_left_out": sum(self.left_out.values()),
            "sessions_added": self.sessions_added,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, dates as ISO text."""
        plain: dict[str, Any] = to_plain(asdict(self))
        plain["bars_withheld"] = self.bars_withheld
        return plain

    def to_text(self) -> str:
        """Write a table of the series and what became of the rows."""
        table = pd.DataFrame(
            [asdict(series) for series in self.series],
            columns=[column.name for column in fields(SeriesSummary)],
        )
        lines = [
            to_text(
                table,
                columns={
                    "ticker": "ticker",
                    "timeframe": "timeframe",
                    "n_bars": "bars",
                    "first_session": "first session",
                    "last_session": "last session",
                },
            ),
            f"Bars: {self.bars_loaded} new, {self.bars_restated} restated, "
            f"{self.bars_known} known.{self._repaired_text()}",
            f"Splits and dividends: {self.adjustments_loaded} new, "
            f"{self.adjustments_restated} restated, "
            f"{self.adjustments_known} known.{self._in_prices_text()}",
            f"Rejected: {self.rejected_text() or 'none'}.",
        ]
        if self.left_out:
            lines.append(f"Left out: {counts_text(self.left_out)}.")
        lines += [read.to_text() for read in self.read_as]
        lines += [f"Not read: {reason}" for reason in self.refused_files]
        lines += self.remedies
        if self.refused:
            lines.append(
                f"Refused: {len(self.refused)} series; nothing of them was "
                f"stored, nor {self.bars_withheld} rows of them that could "
                "have been."
            )
            lines += [series.to_text() for series in self.refused]
        if self.suspected_splits:
            lines.append(f"Suspected splits: {len(self.suspected_splits)}.")
            lines += [
                split.to_text() for split in self.suspected_splits[:AT_MOST]
            ]
        if self.sessions_differing:
            lines.append(
                f"Left as stored: {len(self.sessions_differing)} past "
                "sessions on which the calendar library now disagrees, first "
                f"{self.sessions_differing[0]}."
            )
        lines += self.notes
        return "\n".join(lines)

    @property
    def remedies(self) -> list[str]:
        """What mends the rejected rows that were not refused with a series."""
        n_refused: Counter[str] = Counter()
        for series in self.refused:
            n_refused.update(series.reasons)
        remedies = [
            REMEDIES[reason]
            for reason, count in self.rejected.items()
            if reason in REMEDIES and count > n_refused[reason]
        ]
        known = {*remedies, *REMEDIES.values()}
        return remedies + [cause for cause in self.causes if cause not in known]

    def _repaired_text(self) -> str:
        if not self.bars_repaired:
            return ""
        return (
            f" Of {self.bars_repaired} the high or low was widened by a "
            "rounding error."
        )

    def _in_prices_text(self) -> str:
        if not self.events_in_prices:
            return ""
        return (
            f" The file names {self.events_in_prices} more, for which its "
            "prices are taken to be adjusted: they do not jump by its splits, "
            "and there is no adjusted close beside the close."
        )

    def rejected_text(self, at_most: int | None = None) -> str:
        """Reasons with their counts, the most frequent first."""
        return counts_text(self.rejected, at_most)


def counts_text(counts: Mapping[str, int], at_most: int | None = None) -> str:
    """Names with their counts, the most frequent first.

    Examples
    --------
    >>> counts_text({"no_session": 1, "off_grid": 2})
    'off_grid (2), no_session (1)'
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} ({count})" for name, count in ordered[:at_most])
