"""What a source of bars is, and what a load of it did."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any, Protocol

import pandas as pd

from python_ml.console.json_text import to_plain
from python_ml.console.text_tables import to_text

BAR_KEY = ["ticker", "timeframe", "opened_at"]
BAR_VALUES = ["open", "high", "low", "close", "volume"]
BAR_COLUMNS = [*BAR_KEY, *BAR_VALUES, "source_row_number"]
ADJUSTMENT_KEY = ["ticker", "session_date", "kind"]
ADJUSTMENT_COLUMNS = [*ADJUSTMENT_KEY, "factor"]

# What mends the reasons that concern a whole file.
REMEDIES = {
    "time_without_zone": (
        "Say which zone times without one are in, for example: --timezone "
        "America/New_York"
    ),
    "wrong_zone": (
        "Times of rejected series fit the sessions only if read in another "
        "zone: write them in UTC, or without a zone and name it with "
        "--timezone."
    ),
    "out_of_order": (
        "Rows within a series are expected in the order of their times, "
        "either way; sort the file and load it again."
    ),
}


@dataclass(frozen=True)
class Load:
    """What a source delivered, as it came: nothing checked, nothing mended.

    Parameters
    ----------
    bars : DataFrame
        One row per bar with `BAR_COLUMNS`: ticker, timeframe, time of its
        open, prices and volume as traded, and the row's number in the source,
        counted from 1. A d1 bar can also be named by the date of its session,
        a w1 bar by its Monday or by the date of its first session. Values may
        be text, missing or wrong. Further columns are allowed; they are kept
        with a rejected row. Rows with a value in a column `malformed_row` are
        rejected whatever else they hold.
    adjustments : DataFrame
        One row per split or dividend with `ADJUSTMENT_COLUMNS`: ticker, date
        of the first session that trades without it (the ex-date), "split" or
        "dividend", and the factor that multiplies earlier prices.
    time_zone : str, optional
        Zone of the times that name none; without it such rows are rejected.
    source_names : mapping of str to str
        What the source itself calls columns of `bars`, for rejected rows.
    left_out : mapping of str to int
        Rows that the source had and did not hand over, by reason: not wrong,
        only not wanted, such as bars before the open of a session.
    notes : tuple of str
        Whole sentences on what else a person should know of this load.
    """

    bars: pd.DataFrame
    adjustments: pd.DataFrame
    time_zone: str | None = None
    source_names: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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

    @property
    def counts(self) -> dict[str, int]:
        """Row counts for `ml.job_runs`."""
        return {
            "bars_loaded": self.bars_loaded,
            "bars_restated": self.bars_restated,
            "bars_known": self.bars_known,
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
            f"{self.bars_known} known.",
            f"Splits and dividends: {self.adjustments_loaded} new, "
            f"{self.adjustments_restated} restated, "
            f"{self.adjustments_known} known.",
            f"Rejected: {self.rejected_text() or 'none'}.",
        ]
        if self.left_out:
            lines.append(f"Left out: {_counts_text(self.left_out)}.")
        lines += [
            REMEDIES[reason] for reason in self.rejected if reason in REMEDIES
        ]
        if self.sessions_differing:
            lines.append(
                f"Left as stored: {len(self.sessions_differing)} past "
                "sessions on which the calendar library now disagrees, first "
                f"{self.sessions_differing[0]}."
            )
        lines += self.notes
        return "\n".join(lines)

    def rejected_text(self, at_most: int | None = None) -> str:
        """Reasons with their counts, the most frequent first."""
        return _counts_text(self.rejected, at_most)


def _counts_text(counts: Mapping[str, int], at_most: int | None = None) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} ({count})" for name, count in ordered[:at_most])
