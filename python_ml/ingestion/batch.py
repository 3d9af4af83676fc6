"""The rows that one load adds to `raw`, under one batch id."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd
import sqlalchemy as sa

from python_ml import schema
from python_ml.ingestion.jumps import (
    SuspectedSplit,
    record_jumps,
    suspected_splits,
)
from python_ml.ingestion.screening.rejected import rejected_rows
from python_ml.ingestion.summary import RefusedSeries
from python_ml.warehouse.bulk import ANALYZE_ROWS, analyze_table, insert_frame
from python_ml.warehouse.connection import Warehouse


@dataclass
class Batch:
    """What one load writes, in parts and in one transaction.

    Parameters
    ----------
    warehouse : Warehouse
    connection : sqlalchemy.Connection
        Of the load's transaction.
    source : str
        Name of the source.
    now : datetime
        Time of the load.
    job_run_id : int

    Attributes
    ----------
    batch_id : int or None
        None until the first row needs it.
    written, rejected : Counter
        Rows written by table, rows of the load rejected by reason.
    records : dict of Table to Counter
        How many rows of the load were is_new, is_restated and is_known.
    n_repaired : int
        Bars written or known whose high or low was widened.
    refused : list of RefusedSeries
        Series of which nothing is written.
    causes : dict of str to str
        Why other series of which no row is good likely have none, and the
        first of which that is so.
    events : list of DataFrame
        Splits and dividends that stand beside bars.
    n_in_prices : int
        Those of them that the prices are adjusted for already.
    spans : list of DataFrame
        symbol_id, timeframe (none of splits and dividends), and the first and
        last time of what was written of each series.
    """

    warehouse: Warehouse
    connection: sa.Connection
    source: str
    now: datetime
    job_run_id: int
    batch_id: int | None = None
    written: Counter[sa.Table] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    records: dict[sa.Table, Counter[str]] = field(
        default_factory=lambda: {
            schema.bars: Counter(),
            schema.adjustments: Counter(),
        }
    )
    n_repaired: int = 0
    refused: list[RefusedSeries] = field(default_factory=list)
    causes: dict[str, str] = field(default_factory=dict)
    events: list[pd.DataFrame] = field(default_factory=list)
    n_in_prices: int = 0
    spans: list[pd.DataFrame] = field(default_factory=list)

    @property
    def raw(self) -> str:
        """Name of the schema `raw`."""
        return self.warehouse.settings.schema(schema.RAW)

    def write_rejected(
        self,
        rows: pd.DataFrame,
        reasons: "pd.Series[str]",
        source_names: Mapping[str, str] | None = None,
    ) -> None:
        """Write the rows of a load that have a reason to be rejected."""
        if reasons.empty:
            return
        self.rejected.update(reasons)
        self._insert(
            schema.rejected_bars,
            rejected_rows(
                rows,
                reasons,
                source=self.source,
                rejected_at=self.now,
                source_names=source_names,
            ),
            skip_existing=True,
        )

    def write_records(
        self, table: sa.Table, marked: pd.DataFrame, *, known_from: str
    ) -> None:
        """Write the records that are new or changed.

        Parameters
        ----------
        table : sqlalchemy.Table
            `raw.bars` or `raw.adjustments`.
        marked : DataFrame
            Rows with is_new and is_restated.
        known_from : str
            Column of the time from which a new record counts as known.
        """
        n_new = int(marked["is_new"].sum())
        n_restated = int(marked["is_restated"].sum())
        self.records[table].update(
            is_new=n_new,
            is_restated=n_restated,
            is_known=len(marked) - n_new - n_restated,
        )
        rows = marked.loc[marked["is_new"] | marked["is_restated"]]
        if rows.empty:
            return
        self._note_spans(table, rows)
        self._insert(
            table,
            rows.assign(
                batch_id=self._draw_batch_id(),
                recorded_at=rows[known_from].where(rows["is_new"], self.now),
                is_backfill=rows["is_new"],
                ingested_at=self.now,
                source=self.source,
            )[
                [
                    column.name
                    for column in table.columns
                    if column.name != "written_at"
                ]
            ],
        )

    def finish(self) -> None:
        """Put the batch on record and renew the statistics."""
        if self.written:
            self.connection.execute(
                sa.insert(schema.ingest_batches).values(
                    batch_id=self._draw_batch_id(),
                    source=self.source,
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

    def find_suspected_splits(self) -> tuple[SuspectedSplit, ...]:
        """Record the jumps that were written and say what looks like a split.

        Of symbols of which something was written, from the first of it on.
        """
        if not self.spans:
            return ()
        spans = pd.concat(self.spans, ignore_index=True).reindex(
            columns=["symbol_id", "timeframe", "first_at", "last_at"]
        )
        record_jumps(
            self.connection,
            self.raw,
            spans.dropna(subset="timeframe"),
            found_at=self.now,
        )
        return suspected_splits(
            self.connection,
            self.raw,
            sorted({*spans["symbol_id"].tolist()}),
            first_at=spans["first_at"].min(),
        )

    def _note_spans(self, table: sa.Table, rows: pd.DataFrame) -> None:
        """Remember the first and last time written of each series."""
        time = "opened_at" if table is schema.bars else "effective_at"
        key = ["symbol_id", *(["timeframe"] if time == "opened_at" else [])]
        spans = rows.groupby(key, observed=True)[time].agg(["min", "max"])
        self.spans.append(
            spans.set_axis(
                ["first_at", "last_at"], axis="columns"
            ).reset_index()
        )

    def _draw_batch_id(self) -> int:
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
