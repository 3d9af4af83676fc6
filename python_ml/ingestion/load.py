"""Load a source into schema `raw`: all of it, or nothing."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.exceptions import IngestionError
from python_ml.ingestion.base import (
    BAR_VALUES,
    BarSource,
    IngestSummary,
    Load,
    SeriesSummary,
)
from python_ml.ingestion.screening import (
    rejected_rows,
    screen_adjustments,
    screen_bars,
)
from python_ml.ingestion.sessions import fill_sessions
from python_ml.jobs import job_run
from python_ml.logs import get_logger, log_event
from python_ml.warehouse.bulk import insert_frame, read_frame
from python_ml.warehouse.connection import Warehouse

# The newest record of each bar that the load may restate.
KNOWN_BARS = """
select distinct on (bars.symbol_id, bars.timeframe, bars.opened_at)
    symbols.ticker,
    bars.timeframe,
    bars.opened_at,
    bars.open as known_open,
    bars.high as known_high,
    bars.low as known_low,
    bars.close as known_close,
    bars.volume as known_volume
from {raw}.bars as bars
inner join {raw}.symbols as symbols on bars.symbol_id = symbols.symbol_id
where
    symbols.ticker = any(:tickers)
    and bars.opened_at
    between cast(:first_at as timestamptz) and cast(:last_at as timestamptz)
order by
    bars.symbol_id, bars.timeframe, bars.opened_at, bars.batch_id desc
"""

KNOWN_ADJUSTMENTS = """
select distinct on (
    adjustments.symbol_id, adjustments.effective_at, adjustments.kind
)
    symbols.ticker,
    adjustments.effective_at,
    adjustments.kind,
    adjustments.factor as known_factor
from {raw}.adjustments as adjustments
inner join {raw}.symbols as symbols
    on adjustments.symbol_id = symbols.symbol_id
where symbols.ticker = any(:tickers)
order by
    adjustments.symbol_id,
    adjustments.effective_at,
    adjustments.kind,
    adjustments.batch_id desc
"""

logger = get_logger(__name__)


def ingest(
    warehouse: Warehouse, source: BarSource, *, now: datetime | None = None
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

    Returns
    -------
    IngestSummary
        Row counts and date ranges.

    Raises
    ------
    IngestionError
        If the source has no rows, if every bar is rejected (the rejected rows
        are recorded all the same), or if a symbol belongs to another calendar.
    JobRunningError
        If another load is under way.
    """
    with job_run(warehouse, "ingest", {"source": source.name}) as job:
        load = source.read()
        if load.bars.empty:
            raise IngestionError(
                f"Source {source.name!r} has no bars: nothing was loaded."
            )
        with warehouse.begin() as connection:
            summary = _write(
                warehouse,
                connection,
                source,
                load,
                now=now or datetime.now(UTC),
                job_run_id=job.job_run_id,
            )
        job.counts.update(summary.counts)
        log_event(
            logger,
            "source_loaded",
            source=source.name,
            batch_id=summary.batch_id,
            series=len(summary.series),
            first=min(
                (one.first_session for one in summary.series), default=None
            ),
            last=max(
                (one.last_session for one in summary.series), default=None
            ),
        )
        if not summary.series:
            raise IngestionError(_all_rejected_message(warehouse, summary))
    return summary


def _write(
    warehouse: Warehouse,
    connection: sa.Connection,
    source: BarSource,
    load: Load,
    *,
    now: datetime,
    job_run_id: int,
) -> IngestSummary:
    """Write what is new of `load`; the caller's transaction holds it all."""
    fill = fill_sessions(connection, source.calendar, now=now)
    bars, bar_reasons = screen_bars(
        load.bars.reset_index(drop=True), fill.sessions, now=now
    )
    known_symbols = _known_symbols(connection, source, bars)
    adjustments, adjustment_reasons = screen_adjustments(
        load.adjustments.reset_index(drop=True),
        fill.sessions,
        now=now,
        tickers={*known_symbols, *bars["ticker"]},
    )
    if bars.empty:
        # A source with no good bar is not to be trusted with the rest.
        adjustments = adjustments.head(0)

    bars = _with_known(
        bars,
        _read_known_bars(warehouse, bars),
        key=["ticker", "timeframe", "opened_at"],
        values=BAR_VALUES,
    )
    adjustments = _with_known(
        adjustments,
        _read_known_adjustments(warehouse, adjustments),
        key=["ticker", "effective_at", "kind"],
        values=["factor"],
    )
    new_bars = bars.loc[bars["is_new"] | bars["is_restated"]]
    new_adjustments = adjustments.loc[
        adjustments["is_new"] | adjustments["is_restated"]
    ]
    rejected_recorded = insert_frame(
        connection,
        schema.rejected_bars,
        pd.concat(
            [
                rejected_rows(
                    rows.reset_index(drop=True),
                    reasons,
                    source=source.name,
                    rejected_at=now,
                )
                for rows, reasons in (
                    (load.bars, bar_reasons),
                    (load.adjustments, adjustment_reasons),
                )
            ],
            ignore_index=True,
        ),
        skip_existing=True,
    )

    batch_id: int | None = None
    if len(new_bars) or len(new_adjustments) or rejected_recorded:
        batch_id = connection.execute(
            sa.insert(schema.ingest_batches)
            .values(
                source=source.name,
                job_run_id=job_run_id,
                ingested_at=now,
                n_bars=len(new_bars),
                n_adjustments=len(new_adjustments),
                n_rejected=rejected_recorded,
            )
            .returning(schema.ingest_batches.c.batch_id)
        ).scalar_one()
    symbol_ids = _fill_symbols(connection, source, bars, known_symbols)
    for table, rows, known_from in (
        (schema.bars, new_bars, "closed_at"),
        (schema.adjustments, new_adjustments, "effective_at"),
    ):
        if rows.empty:
            continue
        insert_frame(
            connection,
            table,
            rows.assign(
                symbol_id=rows["ticker"].map(symbol_ids),
                batch_id=batch_id,
                recorded_at=rows[known_from].where(rows["is_new"], now),
                is_backfill=rows["is_new"],
                ingested_at=now,
                source=source.name,
            )[list(table.columns.keys())],
        )
    return IngestSummary(
        source=source.name,
        batch_id=batch_id,
        bars_loaded=int(bars["is_new"].sum()),
        bars_restated=int(bars["is_restated"].sum()),
        bars_known=len(bars) - len(new_bars),
        adjustments_loaded=int(adjustments["is_new"].sum()),
        adjustments_restated=int(adjustments["is_restated"].sum()),
        adjustments_known=len(adjustments) - len(new_adjustments),
        rejected={
            str(reason): int(count)
            for reason, count in pd.concat([bar_reasons, adjustment_reasons])
            .value_counts()
            .items()
        },
        rejected_recorded=rejected_recorded,
        sessions_added=fill.n_added,
        sessions_differing=fill.differing,
        series=_series_summaries(bars),
    )


def _known_symbols(
    connection: sa.Connection, source: BarSource, bars: pd.DataFrame
) -> dict[str, "sa.Row[Any]"]:
    """Rows of `raw.symbols` by ticker."""
    known = {
        row.ticker: row for row in connection.execute(sa.select(schema.symbols))
    }
    for ticker in sorted(known.keys() & {*bars["ticker"]}):
        if known[ticker].calendar != source.calendar:
            raise IngestionError(
                f"Source {source.name!r} has {ticker} on calendar "
                f"{source.calendar!r}, but raw.symbols has it on "
                f"{known[ticker].calendar!r}: give it another ticker."
            )
    return known


def _fill_symbols(
    connection: sa.Connection,
    source: BarSource,
    bars: pd.DataFrame,
    known: Mapping[str, "sa.Row[Any]"],
) -> dict[str, int]:
    """Add new symbols, date them by their first bar; ids by ticker."""
    first_sessions = bars.groupby("ticker")["session_date"].min().dt.date
    new = first_sessions.loc[~first_sessions.index.isin(list(known))]
    if len(new):
        insert_frame(
            connection,
            schema.symbols,
            pd.DataFrame(
                {
                    "ticker": new.index,
                    "calendar": source.calendar,
                    "listed_from": new.to_numpy(),
                    "source": source.name,
                }
            ),
        )
    earlier = [
        {"known_ticker": ticker, "first_session": first_session}
        for ticker, first_session in first_sessions.items()
        if ticker in known
        and (
            known[ticker].listed_from is None
            or first_session < known[ticker].listed_from
        )
    ]
    if earlier:
        connection.execute(
            sa.update(schema.symbols)
            .where(schema.symbols.c.ticker == sa.bindparam("known_ticker"))
            .values(listed_from=sa.bindparam("first_session")),
            earlier,
        )
    return {
        row.ticker: row.symbol_id
        for row in connection.execute(
            sa.select(schema.symbols.c.ticker, schema.symbols.c.symbol_id)
        )
    }


def _read_known_bars(warehouse: Warehouse, bars: pd.DataFrame) -> pd.DataFrame:
    """Newest record of each stored bar within the reach of `bars`."""
    return read_frame(
        warehouse,
        KNOWN_BARS,
        {
            "tickers": sorted(set(bars["ticker"])),
            "first_at": _iso(bars["opened_at"].min()),
            "last_at": _iso(bars["opened_at"].max()),
        },
    )


def _read_known_adjustments(
    warehouse: Warehouse, adjustments: pd.DataFrame
) -> pd.DataFrame:
    """Newest record of each stored event of the symbols of `adjustments`."""
    return read_frame(
        warehouse,
        KNOWN_ADJUSTMENTS,
        {"tickers": sorted(set(adjustments["ticker"]))},
    )


def _iso(moment: Any) -> str | None:
    return None if pd.isna(moment) else moment.isoformat()


def _with_known(
    rows: pd.DataFrame,
    known: pd.DataFrame,
    *,
    key: list[str],
    values: list[str],
) -> pd.DataFrame:
    """Mark rows that are new, and those whose value differs from the known."""
    merged = rows.merge(
        known, on=key, how="left", validate="1:1", indicator="found_in"
    )
    is_new = merged["found_in"] == "left_only"
    is_changed = pd.concat(
        [merged[name] != merged[f"known_{name}"] for name in values],
        axis="columns",
    ).any(axis="columns")
    return merged.assign(is_new=is_new, is_restated=~is_new & is_changed)


def _series_summaries(bars: pd.DataFrame) -> tuple[SeriesSummary, ...]:
    spans = bars.groupby(["ticker", "timeframe"])["session_date"].agg(
        ["size", "min", "max"]
    )
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


def _all_rejected_message(warehouse: Warehouse, summary: IngestSummary) -> str:
    """What was wrong with a load of which nothing could be stored."""
    n_rejected = sum(summary.rejected.values())
    most_common = sorted(
        summary.rejected.items(), key=lambda item: (-item[1], item[0])
    )[:3]
    reasons = ", ".join(f"{reason} ({count})" for reason, count in most_common)
    query = warehouse.sql(
        "select reason, ticker, source_row from {raw}.rejected_bars "
        f"where batch_source = '{summary.source}' "
        "order by rejected_bar_id desc limit 20"
    )
    return (
        f"Source {summary.source!r}: every row was rejected ({n_rejected}), "
        f"most often as {reasons}. See them: swiftbolt db psql -c "
        f'"{query}"'
    )
