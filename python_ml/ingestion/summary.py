"""What a load did, and what of it to tell people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any

import pandas as pd

from python_ml.console.json_text import to_plain
from python_ml.console.text_tables import to_text
from python_ml.ingestion.base import ReadAs
from python_ml.ingestion.explanations import REMEDIES
from python_ml.ingestion.jumps import SuspectedSplit
from python_ml.warehouse.connection import Warehouse

# Suspected splits that are written out; all are in monitoring.suspected_splits.
AT_MOST = 10

# In a message that is to stay short.
SERIES_NAMED = 3


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


def series_table(series: Sequence[SeriesSummary]) -> str:
    """Write a row for each series."""
    return to_text(
        pd.DataFrame(
            [asdict(summary) for summary in series],
            columns=[column.name for column in fields(SeriesSummary)],
        ),
        columns={
            "ticker": "ticker",
            "timeframe": "timeframe",
            "n_bars": "bars",
            "first_session": "first session",
            "last_session": "last session",
        },
    )


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
        lines = [
            series_table(self.series),
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


def refused_message(summary: IngestSummary) -> str:
    """What was refused and why, in one line."""
    shown = summary.refused[:SERIES_NAMED]
    n_more = len(summary.refused) - len(shown)
    stored = f"{len(summary.series)} others were loaded"
    return " ".join(
        [
            f"Source {summary.source!r}: {len(summary.refused)} series were "
            f"refused, {stored if summary.series else 'nothing was loaded'}.",
            *(series.to_text() for series in shown),
            *([f"And {n_more} more."] if n_more else []),
            "To store what fits all the same: --accept-rejected.",
        ]
    )


def all_rejected_message(warehouse: Warehouse, summary: IngestSummary) -> str:
    """What was wrong with a load of which nothing could be stored."""
    query = warehouse.sql(
        "select reason, ticker, source_row from {raw}.rejected_bars "
        f"where batch_source = '{summary.source}' "
        "order by rejected_bar_id desc limit 20"
    )
    return " ".join(
        [
            f"Source {summary.source!r}: every row was rejected "
            f"({sum(summary.rejected.values())}), most often as "
            f"{summary.rejected_text(at_most=3)}.",
            *summary.remedies,
            *(
                ["See what was read as what: --dry-run."]
                * bool(summary.read_as)
            ),
            f'See them: swiftbolt db psql -c "{query}"',
        ]
    )


def refused_files_message(summary: IngestSummary) -> str:
    """What was left out and why, in one line."""
    n_refused = len(summary.refused_files)
    n_read = sum(read.n_files for read in summary.read_as)
    return (
        f"{n_refused} of {n_refused + n_read} files were left out, the others "
        f"were loaded. {summary.refused_files[0]}"
    )
