"""What a load would do, without doing it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml.console.json_text import to_plain
from python_ml.console.text_tables import to_text
from python_ml.ingestion.base import (
    BAR_VALUES,
    BarSource,
    ReadAs,
)
from python_ml.ingestion.calendars.custom import CustomHours
from python_ml.ingestion.calendars.grid import SessionGrid
from python_ml.ingestion.calendars.sessions import (
    calendar_sessions,
    calendar_time_zone,
    last_session_date,
    stored_sessions,
)
from python_ml.ingestion.explanations import explain
from python_ml.ingestion.load import series_summaries
from python_ml.ingestion.parts import as_parts
from python_ml.ingestion.screening.event_columns import events_beside_bars
from python_ml.ingestion.screening.part import screen_part
from python_ml.ingestion.summary import (
    RefusedSeries,
    SeriesSummary,
    series_table,
)
from python_ml.ingestion.symbols import Symbols
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.seeds import intraday_minutes

# Of each reason, and of all together.
ROWS_OF_A_REASON = 3
ROWS_SHOWN = 20


@dataclass(frozen=True)
class RejectedRow:
    """A row that would be rejected.

    Parameters
    ----------
    row : int
        Its number in the file, counted from 1.
    file : str or None
    reason, remedy : str
    text : str
        What the row holds.
    """

    row: int
    file: str | None
    reason: str
    remedy: str
    text: str


@dataclass(frozen=True)
class DryRun:
    """What a load would do.

    Parameters
    ----------
    source, calendar : str
    time_zone : str or None
        Zone in which times that name none are read.
    currencies : tuple of str
        Of prices, as far as the load says.
    read_as : tuple of ReadAs
        How files are read.
    refused_files : tuple of str
        Why files would be left out.
    series : tuple of SeriesSummary
        Bars that could be stored, known ones included.
    refused : tuple of RefusedSeries
        Series of which nothing would be stored.
    rejected : mapping of str to int
        Rows that would be rejected, by reason.
    rejected_rows : tuple of RejectedRow
        The first of them.
    n_adjustments : int
        Splits and dividends that were read, also beside the bars.
    bars_repaired : int
        Bars whose high or low would be widened by what rounding took of it.
    notes : tuple of str
        What else should be known.
    """

    source: str
    calendar: str
    time_zone: str | None
    currencies: tuple[str, ...]
    read_as: tuple[ReadAs, ...]
    refused_files: tuple[str, ...]
    series: tuple[SeriesSummary, ...]
    refused: tuple[RefusedSeries, ...]
    rejected: Mapping[str, int]
    rejected_rows: tuple[RejectedRow, ...]
    n_adjustments: int
    bars_repaired: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, dates as ISO text."""
        plain: dict[str, Any] = to_plain(asdict(self))
        return plain

    def to_text(self) -> str:
        """Write what would be loaded, as what, and what not."""
        zone = self.time_zone or "none given"
        n_bars = sum(series.n_bars for series in self.series)
        n_rejected = sum(self.rejected.values())
        lines = [
            *(read.to_text() for read in self.read_as),
            *(f"Would be left out: {reason}" for reason in self.refused_files),
            f"Calendar {self.calendar}; zone of times that name none: {zone}; "
            f"currency of prices: {', '.join(self.currencies) or 'not said'}.",
            series_table(self.series),
            *self.notes,
            f"Would be stored: {n_bars} bars, less those known already. "
            f"Splits and dividends read: {self.n_adjustments}.",
            *(f"Would be refused: {one.to_text()}" for one in self.refused),
            "Would be repaired, high or low missed by rounding: "
            f"{self.bars_repaired or 'none'}.",
            f"Would be rejected: {n_rejected or 'none'}.",
        ]
        lines += [
            f"{reason} ({count}): {explain(reason)}"
            for reason, count in self.rejected.items()
        ]
        if self.rejected_rows:
            lines.append(
                to_text(
                    pd.DataFrame([asdict(row) for row in self.rejected_rows]),
                    columns={
                        "file": "file",
                        "row": "row",
                        "reason": "reason",
                        "text": "holds",
                    },
                )
            )
        lines.append("Nothing was written: leave out --dry-run to load.")
        return "\n".join(lines)


def try_ingest(
    warehouse: Warehouse,
    source: BarSource,
    *,
    now: datetime | None = None,
    accept_rejected: bool = False,
) -> DryRun:
    """Read and screen a source as `ingest` would, and write nothing.

    Parameters
    ----------
    warehouse : Warehouse
        Its sessions and symbols count; no lock is held.
    source : BarSource
    now : datetime, optional
        Time of the load, with a time zone; by default the real one.
    accept_rejected : bool, default=False
        See `ingest`.
    """
    now = now or datetime.now(UTC)
    load = source.read()
    with warehouse.begin() as connection:
        symbols = Symbols(connection, source)
        parts = as_parts(load.bars, symbols.aliases)
        symbols.check_calendars({*parts.tickers})
        symbols.check_currencies(load, {*parts.tickers})
        notes = symbols.notes_on_case({*parts.tickers})
        grid = _grid(warehouse, connection, source.calendar, now)
    series: list[SeriesSummary] = []
    refused: list[RefusedSeries] = []
    n_adjustments, bars_repaired = len(load.adjustments), 0
    rejected: Counter[str] = Counter()
    shown: list[RejectedRow] = []
    for bars in parts:
        screened = screen_part(
            bars,
            load,
            grid,
            now=now,
            calendar=source.calendar,
            accept_rejected=accept_rejected,
        )
        refused += screened.refused
        series += series_summaries(screened.good)
        bars_repaired += int(screened.good["is_repaired"].sum())
        n_adjustments += len(events_beside_bars(bars, screened.good))
        shown += _first_rows(bars, screened.reasons, rejected)
        rejected.update(screened.reasons)
    return DryRun(
        source=source.name,
        calendar=source.calendar,
        time_zone=load.time_zone,
        currencies=tuple(sorted({*symbols.currencies.values()})),
        read_as=load.read_as,
        refused_files=load.refused_files,
        series=tuple(
            sorted(series, key=lambda found: (found.ticker, found.timeframe))
        ),
        refused=tuple(refused),
        rejected=dict(rejected.most_common()),
        rejected_rows=tuple(shown[:ROWS_SHOWN]),
        n_adjustments=n_adjustments,
        bars_repaired=bars_repaired,
        notes=(*load.notes, *notes),
    )


def _grid(
    warehouse: Warehouse,
    connection: sa.Connection,
    calendar: str,
    now: datetime,
) -> SessionGrid:
    """Bars that can exist, whether or not the sessions are stored yet."""
    hours = CustomHours.from_seeds(warehouse.settings)
    sessions = stored_sessions(connection, calendar)
    if sessions.empty:
        sessions = calendar_sessions(
            calendar, through=last_session_date(now.date()), hours=hours
        )
    return SessionGrid(
        sessions,
        intraday_minutes(warehouse.settings),
        calendar_time_zone(calendar, hours=hours),
    )


def _first_rows(
    bars: pd.DataFrame, reasons: "pd.Series[str]", before: Counter[str]
) -> list[RejectedRow]:
    """The first rows of each reason that was not shown often enough yet."""
    count = reasons.groupby(reasons).cumcount() + reasons.map(
        lambda reason: before[reason]
    )
    first = reasons[count < ROWS_OF_A_REASON]
    rows = []
    for (_, row), reason in zip(
        bars.loc[first.index].iterrows(), first, strict=True
    ):
        rows.append(
            RejectedRow(
                row=int(row["source_row_number"]),
                file=row.get("file"),
                reason=reason,
                remedy=explain(reason),
                text=_as_text(row),
            )
        )
    return rows


def _as_text(row: "pd.Series[Any]") -> str:
    whole = row.get("malformed_row")
    if isinstance(whole, str):
        return whole
    names = ["ticker", "timeframe", "opened_at", *BAR_VALUES]
    values = [row[name] for name in names]
    return ",".join("" if pd.isna(value) else str(value) for value in values)
