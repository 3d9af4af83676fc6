"""Load a source into schema `raw`: all of it, or nothing."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import NDArray

from python_ml import schema
from python_ml.console.logs import (
    get_logger,
    log_event,
)
from python_ml.console.progress import progress
from python_ml.exceptions import IngestionError
from python_ml.ingestion.base import (
    BAR_VALUES,
    REMEDIES,
    BarSource,
    IngestSummary,
    Load,
    SeriesSummary,
)
from python_ml.ingestion.grid import SessionGrid
from python_ml.ingestion.screening import (
    clean_text,
    rejected_rows,
    screen_adjustments,
    screen_bars,
)
from python_ml.ingestion.sessions import (
    SessionFill,
    calendar_time_zone,
    fill_sessions,
)
from python_ml.warehouse.bulk import (
    ANALYZE_ROWS,
    analyze_table,
    insert_frame,
    read_frame,
)
from python_ml.warehouse.connection import Warehouse
from python_ml.warehouse.jobs import job_run
from python_ml.warehouse.seeds import intraday_minutes

# Enough that a part's own cost is nothing, few enough to hold several copies.
ROWS_AT_ONCE = 100_000

# The newest record of each bar that the load may restate, as the primary key
# has them when read backwards.
KNOWN_BARS = """
select distinct on (bars.symbol_id, bars.timeframe, bars.opened_at)
    bars.symbol_id,
    bars.timeframe,
    bars.opened_at,
    bars.open as known_open,
    bars.high as known_high,
    bars.low as known_low,
    bars.close as known_close,
    bars.volume as known_volume
from {raw}.bars as bars
where
    bars.symbol_id = any(:symbol_ids)
    and bars.opened_at
    between cast(:first_at as timestamptz) and cast(:last_at as timestamptz)
order by
    bars.symbol_id desc,
    bars.timeframe desc,
    bars.opened_at desc,
    bars.batch_id desc
"""

KNOWN_ADJUSTMENTS = """
select distinct on (
    adjustments.symbol_id, adjustments.effective_at, adjustments.kind
)
    adjustments.symbol_id,
    adjustments.effective_at,
    adjustments.kind,
    adjustments.factor as known_factor
from {raw}.adjustments as adjustments
where adjustments.symbol_id = any(:symbol_ids)
order by
    adjustments.symbol_id,
    adjustments.effective_at,
    adjustments.kind,
    adjustments.batch_id desc
"""

logger = get_logger(__name__)


def ingest(
    warehouse: Warehouse,
    source: BarSource,
    *,
    now: datetime | None = None,
    arguments: Mapping[str, Any] | None = None,
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
    record = {"source": source.name} | dict(arguments or {})
    with job_run(warehouse, "ingest", record) as job:
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
    grid = SessionGrid(
        fill.sessions,
        intraday_minutes(warehouse.settings),
        calendar_time_zone(source.calendar),
    )
    batch = _Batch(warehouse, connection, source, now, job_run_id)
    bars = load.bars.reset_index(drop=True)
    tickers = clean_text(bars["ticker"])
    batch.check_calendars({*tickers.cat.categories})
    parts = _split_by_ticker(tickers)
    for rows in progress(parts, total=len(parts), description="loading bars"):
        batch.write_bars(load, bars.iloc[rows], grid)
    batch.write_adjustments(load.adjustments, fill.sessions)
    batch.finish()
    return batch.summary(fill)


def _split_by_ticker(tickers: "pd.Series[Any]") -> list[NDArray[np.intp]]:
    """Row numbers in parts that hold all rows of their tickers.

    Tickers go by name, so that new ones get ids that rise with it and bars
    arrive in the order of their key; the rows of each stay in order.
    """
    ordered = tickers.cat.reorder_categories(sorted(tickers.cat.categories))
    # The code of a missing ticker is -1; as an unsigned number it is the last.
    codes = ordered.cat.codes.to_numpy(np.int64).view(np.uint64)
    rows = np.argsort(codes, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(codes[rows])) + 1, len(rows))
    parts = []
    start = 0
    for number, end in enumerate(ends.tolist()):
        is_last = number == len(ends) - 1
        if is_last or ends[number + 1] - start > ROWS_AT_ONCE:
            parts.append(rows[start:end])
            start = end
    return parts


@dataclass
class _Batch:
    """What one load writes, in parts but under one batch id."""

    warehouse: Warehouse
    connection: sa.Connection
    source: BarSource
    now: datetime
    job_run_id: int
    batch_id: int | None = None
    symbols: dict[str, "sa.Row[Any]"] = field(default_factory=dict)
    new_symbol_ids: set[int] = field(default_factory=set)
    bars: Counter[str] = field(default_factory=Counter)
    adjustments: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    written: Counter[sa.Table] = field(default_factory=Counter)
    series: list[SeriesSummary] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.symbols = {
            row.ticker: row
            for row in self.connection.execute(sa.select(schema.symbols))
        }

    def check_calendars(self, tickers: set[str]) -> None:
        """Refuse symbols that the warehouse has on another calendar."""
        calendar = self.source.calendar
        for ticker in sorted(self.symbols.keys() & tickers):
            known = self.symbols[ticker].calendar
            if known != calendar:
                raise IngestionError(
                    f"Source {self.source.name!r} has {ticker} on calendar "
                    f"{calendar!r}, but raw.symbols has it on {known!r}: load "
                    f"it with --calendar {known}, or give it another ticker."
                )

    def write_bars(
        self, load: Load, bars: pd.DataFrame, grid: SessionGrid
    ) -> None:
        """Write what is new of some rows of `load.bars`."""
        good, reasons = screen_bars(
            bars, grid, now=self.now, time_zone=load.time_zone
        )
        self._write_rejected(bars, reasons, load.source_names)
        if good.empty:
            return
        self._fill_symbols(good)
        marked = self._marked(
            good.astype({"timeframe": "str"}),
            KNOWN_BARS,
            key=["symbol_id", "timeframe", "opened_at"],
            values=BAR_VALUES,
            parameters={
                "first_at": good["opened_at"].min().isoformat(),
                "last_at": good["opened_at"].max().isoformat(),
            },
        )
        self._write_records(
            schema.bars, marked, self.bars, known_from="closed_at"
        )
        self.series += _series_summaries(good)

    def write_adjustments(
        self, adjustments: pd.DataFrame, sessions: pd.DataFrame
    ) -> None:
        """Write what is new of the splits and dividends."""
        adjustments = adjustments.reset_index(drop=True)
        good, reasons = screen_adjustments(
            adjustments,
            sessions,
            now=self.now,
            calendar=self.source.calendar,
            calendars={
                ticker: row.calendar for ticker, row in self.symbols.items()
            },
        )
        self._write_rejected(adjustments, reasons)
        # A source with no good bar is not to be trusted with the rest.
        if good.empty or not self.series:
            return
        marked = self._marked(
            good.astype({"kind": "str"}),
            KNOWN_ADJUSTMENTS,
            key=["symbol_id", "effective_at", "kind"],
            values=["factor"],
        )
        self._write_records(
            schema.adjustments,
            marked,
            self.adjustments,
            known_from="effective_at",
        )

    def finish(self) -> None:
        """Put the batch on record and renew the statistics."""
        if self.written:
            self.connection.execute(
                sa.insert(schema.ingest_batches).values(
                    batch_id=self._batch_id(),
                    source=self.source.name,
                    job_run_id=self.job_run_id,
                    ingested_at=self.now,
                    n_bars=self.written[schema.bars],
                    n_adjustments=self.written[schema.adjustments],
                    n_rejected=self.written[schema.rejected_bars],
                )
            )
        for table, n_rows in self.written.items():
            if n_rows >= ANALYZE_ROWS:
                analyze_table(self.connection, table)

    def summary(self, fill: SessionFill) -> IngestSummary:
        """Say what was done."""
        return IngestSummary(
            source=self.source.name,
            batch_id=self.batch_id,
            bars_loaded=self.bars["is_new"],
            bars_restated=self.bars["is_restated"],
            bars_known=self.bars["is_known"],
            adjustments_loaded=self.adjustments["is_new"],
            adjustments_restated=self.adjustments["is_restated"],
            adjustments_known=self.adjustments["is_known"],
            rejected=dict(self.rejected),
            rejected_recorded=self.written[schema.rejected_bars],
            sessions_added=fill.n_added,
            sessions_differing=fill.differing,
            series=tuple(
                sorted(self.series, key=lambda one: (one.ticker, one.timeframe))
            ),
        )

    def _batch_id(self) -> int:
        """Id of the batch, drawn when the first row needs it."""
        if self.batch_id is None:
            table = schema.ingest_batches
            name = self.warehouse.settings.schema(str(table.schema))
            self.batch_id = int(
                self.connection.execute(
                    sa.select(
                        sa.func.nextval(
                            sa.func.pg_get_serial_sequence(
                                f"{name}.{table.name}", "batch_id"
                            )
                        )
                    )
                ).scalar_one()
            )
        return self.batch_id

    def _insert(
        self, table: sa.Table, rows: pd.DataFrame, **options: bool
    ) -> None:
        n_rows = insert_frame(
            self.connection, table, rows, analyze=False, **options
        )
        if n_rows:
            self.written[table] += n_rows

    def _write_rejected(
        self,
        rows: pd.DataFrame,
        reasons: "pd.Series[str]",
        source_names: Mapping[str, str] | None = None,
    ) -> None:
        if reasons.empty:
            return
        self.rejected.update(reasons)
        self._insert(
            schema.rejected_bars,
            rejected_rows(
                rows,
                reasons,
                source=self.source.name,
                rejected_at=self.now,
                source_names=source_names,
            ),
            skip_existing=True,
        )

    def _fill_symbols(self, bars: pd.DataFrame) -> None:
        """Add new symbols, and date all by their first bar."""
        first_sessions = (
            bars.groupby("ticker", observed=True)["session_date"]
            .min()
            .dt.date.to_dict()
        )
        new = {
            ticker: day
            for ticker, day in first_sessions.items()
            if ticker not in self.symbols
        }
        if new:
            insert_frame(
                self.connection,
                schema.symbols,
                pd.DataFrame(
                    {
                        "ticker": list(new),
                        "calendar": self.source.calendar,
                        "listed_from": list(new.values()),
                        "source": self.source.name,
                    }
                ),
            )
        earlier = [
            {"known_ticker": ticker, "first_session": day}
            for ticker, day in first_sessions.items()
            if ticker in self.symbols
            and (
                self.symbols[ticker].listed_from is None
                or day < self.symbols[ticker].listed_from
            )
        ]
        if earlier:
            self.connection.execute(
                sa.update(schema.symbols)
                .where(schema.symbols.c.ticker == sa.bindparam("known_ticker"))
                .values(listed_from=sa.bindparam("first_session")),
                earlier,
            )
        if new or earlier:
            rows = self.connection.execute(
                sa.select(schema.symbols).where(
                    schema.symbols.c.ticker.in_([*first_sessions])
                )
            )
            self.symbols |= {row.ticker: row for row in rows}
            self.new_symbol_ids |= {
                self.symbols[ticker].symbol_id for ticker in new
            }

    def _marked(
        self,
        rows: pd.DataFrame,
        known_query: str,
        *,
        key: list[str],
        values: list[str],
        parameters: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Give rows their symbol and mark what is new, and what has changed."""
        tickers = rows["ticker"].cat
        ids = [
            self.symbols[name].symbol_id if name in self.symbols else -1
            for name in tickers.categories
        ]
        rows = rows.assign(symbol_id=np.array(ids)[tickers.codes])
        # What this load itself has added holds nothing yet.
        symbol_ids = sorted({*rows["symbol_id"]} - self.new_symbol_ids)
        if not symbol_ids:
            return rows.assign(is_new=True, is_restated=False)
        known = read_frame(
            self.warehouse,
            known_query,
            {"symbol_ids": symbol_ids} | dict(parameters or {}),
        )
        merged = rows.merge(
            known, on=key, how="left", validate="1:1", indicator="found_in"
        )
        is_new = merged["found_in"] == "left_only"
        is_changed = pd.concat(
            [merged[name] != merged[f"known_{name}"] for name in values],
            axis="columns",
        ).any(axis="columns")
        return merged.assign(is_new=is_new, is_restated=~is_new & is_changed)

    def _write_records(
        self,
        table: sa.Table,
        marked: pd.DataFrame,
        tally: Counter[str],
        *,
        known_from: str,
    ) -> None:
        """Write the records that are new or changed."""
        n_new = int(marked["is_new"].sum())
        n_restated = int(marked["is_restated"].sum())
        tally.update(
            is_new=n_new,
            is_restated=n_restated,
            is_known=len(marked) - n_new - n_restated,
        )
        rows = marked.loc[marked["is_new"] | marked["is_restated"]]
        if rows.empty:
            return
        self._insert(
            table,
            rows.assign(
                batch_id=self._batch_id(),
                recorded_at=rows[known_from].where(rows["is_new"], self.now),
                is_backfill=rows["is_new"],
                ingested_at=self.now,
                source=self.source.name,
            )[list(table.columns.keys())],
        )


def _series_summaries(bars: pd.DataFrame) -> tuple[SeriesSummary, ...]:
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


def _all_rejected_message(warehouse: Warehouse, summary: IngestSummary) -> str:
    """What was wrong with a load of which nothing could be stored."""
    query = warehouse.sql(
        "select reason, ticker, source_row from {raw}.rejected_bars "
        f"where batch_source = '{summary.source}' "
        "order by rejected_bar_id desc limit 20"
    )
    remedies = [
        REMEDIES[reason] for reason in summary.rejected if reason in REMEDIES
    ]
    return " ".join(
        [
            f"Source {summary.source!r}: every row was rejected "
            f"({sum(summary.rejected.values())}), most often as "
            f"{summary.rejected_text(at_most=3)}.",
            *remedies,
            f'See them: swiftbolt db psql -c "{query}"',
        ]
    )
