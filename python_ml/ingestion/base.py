"""What a source of bars is, and what a load of it did."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Protocol

import pandas as pd

BAR_KEY = ["ticker", "timeframe", "session_date"]
BAR_VALUES = ["open", "high", "low", "close", "volume"]
BAR_COLUMNS = [*BAR_KEY, *BAR_VALUES, "source_row_number"]
ADJUSTMENT_KEY = ["ticker", "session_date", "kind"]
ADJUSTMENT_COLUMNS = [*ADJUSTMENT_KEY, "factor"]


@dataclass(frozen=True)
class Load:
    """What a source delivered, as it came: nothing checked, nothing mended.

    Parameters
    ----------
    bars : DataFrame
        One row per bar with `BAR_COLUMNS`: ticker, timeframe, date of the
        session, prices and volume as traded, and the row's number in the
        source, counted from 1. Values may be text, missing or wrong. Further
        columns are allowed; they are kept with a rejected row.
    adjustments : DataFrame
        One row per split or dividend with `ADJUSTMENT_COLUMNS`: ticker, date
        of the first session that trades without it (the ex-date), "split" or
        "dividend", and the factor that multiplies earlier prices.
    """

    bars: pd.DataFrame
    adjustments: pd.DataFrame


class BarSource(Protocol):
    """Where bars come from: one class per source, one file per class."""

    @property
    def name(self) -> str:
        """Written beside every row; also what the command is called."""
        ...

    @property
    def calendar(self) -> str:
        """Exchange calendar of all its symbols, such as "XNYS"."""
        ...

    def read(self) -> Load:
        """Read everything the source has now."""
        ...


@dataclass(frozen=True)
class SeriesSummary:
    """Bars of one series that a load delivered and that could be stored."""

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
            "sessions_added": self.sessions_added,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, dates as ISO text."""
        plain = asdict(self)
        plain["sessions_differing"] = [
            day.isoformat() for day in self.sessions_differing
        ]
        for series in plain["series"]:
            for name in ("first_session", "last_session"):
                series[name] = series[name].isoformat()
        return plain

    def to_text(self) -> str:
        """Write a table of the series and what became of the rows."""
        line = "{:<10} {:<9} {:>7}  {:<13}  {:<12}".format
        lines = [
            line("ticker", "timeframe", "bars", "first session", "last session")
        ]
        lines += [
            line(
                series.ticker,
                series.timeframe,
                series.n_bars,
                series.first_session.isoformat(),
                series.last_session.isoformat(),
            )
            for series in self.series
        ]
        rejected = ", ".join(
            f"{count} {reason}" for reason, count in self.rejected.items()
        )
        lines += [
            f"Bars: {self.bars_loaded} new, {self.bars_restated} restated, "
            f"{self.bars_known} known.",
            f"Splits and dividends: {self.adjustments_loaded} new, "
            f"{self.adjustments_restated} restated, "
            f"{self.adjustments_known} known.",
            f"Rejected: {rejected or 'none'}.",
        ]
        if self.sessions_differing:
            lines.append(
                f"Left as stored: {len(self.sessions_differing)} past "
                "sessions on which the calendar library now disagrees, first "
                f"{self.sessions_differing[0]}."
            )
        return "\n".join(text.rstrip() for text in lines)
