"""Load a source into schema `raw`: all of it, or nothing.

A source is read (`readers`), its rows are screened (`screening`) against the
bars that the calendar allows (`calendars`), what is accepted is compared with
what `raw` knows (`known`) and the rest is written (`batch`).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.console.logs import get_logger, log_event
from python_ml.console.progress import progress
from python_ml.exceptions import (
    FilesRefusedError,
    IngestionError,
    NoBarsError,
    SeriesRefusedError,
)
from python_ml.ingestion.base import (
    BarSource,
    Load,
)
from python_ml.ingestion.batch import Batch
from python_ml.ingestion.calendars.custom import CustomHours
from python_ml.ingestion.calendars.grid import SessionGrid
from python_ml.ingestion.calendars.horizons import (
    default_horizons,
    keep_default_horizons,
)
from python_ml.ingestion.calendars.sessions import (
    SessionFill,
    calendar_time_zone,
    fill_sessions,
)
from python_ml.ingestion.events import with_factors
from python_ml.ingestion.explanations import REMEDIES
from python_ml.ingestion.jumps import SuspectedSplit
from python_ml.ingestion.known import mark_known_adjustments, mark_known_bars
from python_ml.ingestion.parts import as_parts
from python_ml.ingestion.screening.adjustments import screen_adjustments
from python_ml.ingestion.screening.event_columns import events_beside_bars
from python_ml.ingestion.screening.part import screen_part
from python_ml.ingestion.summary import (
    SERIES_NAMED,
    IngestSummary,
    SeriesSummary,
    all_rejected_message,
    refused_files_message,
    refused_message,
)
from python_ml.ingestion.symbols import Symbols
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run
from python_ml.warehouse.seeds import intraday_minutes

logger = get_logger(__name__)


def ingest(
    warehouse: Warehouse,
    source: BarSource,
    *,
    now: datetime | None = None,
    arguments: Mapping[str, Any] | None = None,
    accept_rejected: bool = False,
) -> IngestSummary:
    """Load everything a source has that `raw` does not hold yet.

    The first record of a bar counts as known from its close on
    (`is_backfill`); a value that changed later is a further record, known from
    now on; the same value again is nothing. The same holds for splits and
    dividends, from the open of the session that first trades without them. A
    row that cannot be stored goes to `raw.rejected_bars` with a reason, the
    others load. One load is one transaction under the lock of the job
    "ingest".

    Parameters
    ----------
    warehouse : Warehouse
        Where to.
    source : BarSource
        Where from.
    now : datetime, optional
        Time of the load, with a time zone; by default the real one.
    arguments : mapping of str to object, optional
        What else the job was asked for, such as files; kept in `ml.job_runs`.
    accept_rejected : bool, default=False
        Store what can be stored of a series most of which is rejected for its
        times, instead of refusing it.

    Returns
    -------
    IngestSummary
        Row counts and date ranges.

    Raises
    ------
    NoBarsError
        If the source has no rows.
    IngestionError
        If every bar is rejected (the rejected rows
        are recorded all the same), or if a symbol belongs to another calendar.
    FilesRefusedError
        If files could not be read; it holds the summary, and the others are
        stored.
    SeriesRefusedError
        If series were refused for their times; it holds the summary, and what
        is good of all others is stored.
    JobRunningError
        If another load is under way.
    """
    record = {"source": source.name} | dict(arguments or {})
    with job_run(warehouse, "ingest", record) as job:
        load = source.read()
        if isinstance(load.bars, pd.DataFrame) and load.bars.empty:
            raise NoBarsError(
                " ".join(
                    [
                        f"Source {source.name!r} has no bars: nothing was "
                        "loaded.",
                        *load.notes,
                    ]
                )
            )
        with warehouse.begin() as connection:
            summary = _write(
                warehouse,
                connection,
                source,
                load,
                now=now or datetime.now(UTC),
                job_run_id=job.job_run_id,
                accept_rejected=accept_rejected,
            )
        job.counts.update(summary.counts)
        log_event(
            logger,
            "source_loaded",
            source=source.name,
            batch_id=summary.batch_id,
            series=len(summary.series),
            first=min(
                (series.first_session for series in summary.series),
                default=None,
            ),
            last=max(
                (series.last_session for series in summary.series), default=None
            ),
        )
        if summary.refused:
            raise SeriesRefusedError(refused_message(summary), summary)
        if not summary.series:
            raise IngestionError(all_rejected_message(warehouse, summary))
        if summary.refused_files:
            raise FilesRefusedError(refused_files_message(summary), summary)
    return summary


def _write(
    warehouse: Warehouse,
    connection: sa.Connection,
    source: BarSource,
    load: Load,
    *,
    now: datetime,
    job_run_id: int,
    accept_rejected: bool,
) -> IngestSummary:
    """Write what is new of `load`; the caller's transaction holds it all."""
    hours = CustomHours.from_seeds(warehouse.settings)
    minutes = intraday_minutes(warehouse.settings)
    fill = fill_sessions(connection, source.calendar, now=now, hours=hours)
    keep_default_horizons(
        connection, source.calendar, default_horizons(fill.sessions, minutes)
    )
    grid = SessionGrid(
        fill.sessions,
        minutes,
        calendar_time_zone(source.calendar, hours=hours),
    )
    batch = Batch(warehouse, connection, source.name, now, job_run_id)
    symbols = Symbols(connection, source)
    parts = as_parts(load.bars, symbols.aliases)
    symbols.check_calendars({*parts.tickers})
    symbols.check_currencies(load, {*parts.tickers})
    notes = symbols.notes_on_case({*parts.tickers})
    load = replace(load, notes=(*load.notes, *notes))
    series: list[SeriesSummary] = []
    for bars in progress(parts, total=len(parts), description="loading bars"):
        series += _write_bars(
            batch,
            symbols,
            load,
            bars,
            grid,
            accept_rejected=accept_rejected,
        )
    _write_adjustments(
        batch,
        symbols,
        symbols.with_present_tickers(
            pd.concat([load.adjustments, *batch.events], ignore_index=True)
        ),
        fill.sessions,
        calendar=source.calendar,
        # A source with no good bar is not to be trusted with the rest.
        is_trusted=bool(series),
    )
    batch.finish()
    return _summarise(batch, fill, series, load, batch.find_suspected_splits())


def _write_bars(
    batch: Batch,
    symbols: Symbols,
    load: Load,
    bars: pd.DataFrame,
    grid: SessionGrid,
    *,
    accept_rejected: bool,
) -> tuple[SeriesSummary, ...]:
    """Write what is new of some rows of `load.bars`."""
    screened = screen_part(
        bars,
        load,
        grid,
        now=batch.now,
        calendar=symbols.source.calendar,
        accept_rejected=accept_rejected,
    )
    good = screened.good
    batch.write_rejected(bars, screened.reasons, load.source_names)
    batch.refused += screened.refused
    for series in screened.doubtful:
        batch.causes.setdefault(
            series.cause, f"{series.ticker} {series.timeframe}"
        )
    batch.n_repaired += int(good["is_repaired"].sum())
    if good.empty:
        return ()
    batch.events.append(events_beside_bars(bars, good))
    symbols.add(good)
    identified, known_ids = symbols.with_ids(good)
    batch.write_records(
        schema.bars,
        mark_known_bars(batch.warehouse, identified, known_ids),
        known_from="closed_at",
    )
    return series_summaries(good)


def _write_adjustments(
    batch: Batch,
    symbols: Symbols,
    adjustments: pd.DataFrame,
    sessions: pd.DataFrame,
    *,
    calendar: str,
    is_trusted: bool,
) -> None:
    """Write what is new of the splits and dividends, if they are trusted."""
    good, reasons = screen_adjustments(
        adjustments,
        sessions,
        now=batch.now,
        calendar=calendar,
        calendars=symbols.calendars(),
    )
    batch.write_rejected(adjustments, reasons)
    if good.empty or not is_trusted:
        return
    identified, known_ids = symbols.with_ids(good)
    events, reasons, batch.n_in_prices = with_factors(
        batch.connection, batch.raw, identified
    )
    batch.write_rejected(adjustments, reasons)
    if events.empty:
        return
    batch.write_records(
        schema.adjustments,
        mark_known_adjustments(batch.warehouse, events, known_ids),
        known_from="effective_at",
    )


def _summarise(
    batch: Batch,
    fill: SessionFill,
    series: list[SeriesSummary],
    load: Load,
    suspected: tuple[SuspectedSplit, ...],
) -> IngestSummary:
    """Say what was done."""
    bars = batch.records[schema.bars]
    adjustments = batch.records[schema.adjustments]
    return IngestSummary(
        source=batch.source,
        batch_id=batch.batch_id,
        bars_loaded=bars["is_new"],
        bars_restated=bars["is_restated"],
        bars_known=bars["is_known"],
        adjustments_loaded=adjustments["is_new"],
        adjustments_restated=adjustments["is_restated"],
        adjustments_known=adjustments["is_known"],
        rejected=dict(batch.rejected),
        rejected_recorded=batch.written[schema.rejected_bars],
        sessions_added=fill.n_added,
        sessions_differing=fill.differing,
        series=tuple(
            sorted(series, key=lambda found: (found.ticker, found.timeframe))
        ),
        left_out=load.left_out,
        notes=load.notes,
        read_as=load.read_as,
        refused_files=load.refused_files,
        bars_repaired=batch.n_repaired,
        events_in_prices=batch.n_in_prices,
        suspected_splits=suspected,
        refused=tuple(
            sorted(
                batch.refused, key=lambda found: (found.ticker, found.timeframe)
            )
        ),
        causes=tuple(
            f"{name}: {cause}"
            for cause, name in [*batch.causes.items()][:SERIES_NAMED]
            if cause not in REMEDIES.values()
        ),
    )


def series_summaries(bars: pd.DataFrame) -> tuple[SeriesSummary, ...]:
    """Bars of each series among accepted bars."""
    spans = bars.groupby(["ticker", "timeframe"], observed=True)[
        "session_date"
    ].agg(["size", "min", "max"])
    return tuple(
        SeriesSummary(
            ticker=ticker,
            timeframe=timeframe,
            n_bars=int(n_bars),
            first_session=first.date(),
            last_session=last.date(),
        )
        for (ticker, timeframe), n_bars, first, last in spans.itertuples(
            name=None
        )
    )
